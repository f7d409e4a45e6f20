// Package drivertest is for holding drivers to their contract: the tests that
// every [mn/runner.Driver] passes.
package drivertest
