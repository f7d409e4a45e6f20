// Package configs reads what people write: job files and the agent's own file.
//
// Reading is strict. Whatever is wrong is reported at once, every fault with
// its file, line and column, and an unknown key with the nearest known one.
// Package mesh says what a job must look like; this package says where in the
// file it does not. It opens files, but keeps nothing and starts nothing.
package configs
