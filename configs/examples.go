package configs

import "embed"

// Examples are job files to learn from, in the folder "examples".
//
//go:embed examples/*.toml
var Examples embed.FS
