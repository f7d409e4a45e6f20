package runner

import (
	"errors"
	"io"

	"mn/mesh"
)

// Command is what is run within a task that runs.
type Command struct {
	Command  []string
	Env      []string // "NAME=VALUE" besides those that the task has, or in place of them
	Terminal bool     // it has one
	Term     string   // of which kind
	Rows     int      // its size; 0 if nobody knows
	Columns  int
}

// ErrNotRunning is the error of joining a task that does not run.
var ErrNotRunning = errors.New("the task does not run")

// Joiner is a driver that can run commands within its tasks.
type Joiner interface {
	// Join starts a command where a task is: as its user, in its folder, with its
	// environment, under its limits, and with no more rights than it has. The conversation
	// with it is frames of package runner/frames, from a terminal and to one. It ends with a
	// frame that says how, when the command has ended, or the task; and when it is closed,
	// nothing that the command has started is left.
	Join(alloc mesh.AllocID, task string, c Command) (io.ReadWriteCloser, error)
}
