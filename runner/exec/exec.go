// Package exec is for running tasks as plain processes of this machine. It is
// the agent's side: each attempt of a task has a supervisor (package
// runner/supervise), a process that outlives the agent. The driver spawns
// supervisors, talks to them, and finds them again when the agent restarts.
package exec

import (
	"log/slog"

	"mn/mesh"
	"mn/runner"
	"time"
)

// Config is what a driver is opened with.
type Config struct {
	Root    string   // absolute: the node's folder of allocations; made if missing
	Program []string // command that supervises; this executable with "supervise" if empty
	Log     *slog.Logger
}

// Driver runs tasks as processes.
type Driver struct{}

var _ runner.Driver = (*Driver)(nil)

// Open opens the folder of allocations and adopts what runs there.
func Open(c Config) (*Driver, error) { return &Driver{}, nil }

// Start implements [runner.Driver].
func (d *Driver) Start(s runner.Spec) {}

// Stop implements [runner.Driver].
func (d *Driver) Stop(alloc mesh.AllocID, task string, grace time.Duration) {}

// Renew implements [runner.Driver].
func (d *Driver) Renew(alloc mesh.AllocID, task string, until time.Duration) {}

// Retire implements [runner.Driver].
func (d *Driver) Retire(alloc mesh.AllocID) {}

// Remove implements [runner.Driver].
func (d *Driver) Remove(alloc mesh.AllocID) {}

// Found implements [runner.Driver].
func (d *Driver) Found() []runner.Observation { return nil }

// Observations implements [runner.Driver].
func (d *Driver) Observations() <-chan runner.Observation { return nil }

// Close implements [runner.Driver].
func (d *Driver) Close() error { return nil }
