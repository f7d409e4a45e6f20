// Package runner is for running one allocation on one node: which of its tasks
// to start, stop and restart, and with what environment.
//
// It decides and does nothing. A [Copy] is the state machine of an allocation:
// decisions of the coordinator and observations of the driver go in, orders to
// the driver, events and a status come out. A [Driver] carries the orders out:
// package runner/exec with processes, the simulator with a model.
//
// The package is pure: no clock, goroutine or I/O. What holds between a Copy
// and its driver:
//
//  1. A task has at most one attempt that runs. The next attempt is ordered
//     only when the one before was observed to have ended.
//  2. A driver starts (allocation, task, attempt) at most once, however often
//     it is told to, also across restarts of the agent.
//  3. Each started attempt is observed to end exactly once per life of the
//     agent; an observation of an older attempt changes nothing.
//  4. A task with a lease never runs past it by more than its grace, even if
//     the agent is dead; a restart does not lengthen the lease.
package runner

import (
	"fmt"
	"math"
	"path"
	"time"

	"mn/mesh"
)

// Now is one instant on both clocks: time since boot for what is measured,
// wall time for what is shown.
type Now struct {
	Boot time.Duration
	Wall time.Time
}

// bootAt is when an instant of the past on the wall clock was since boot.
func (n Now) bootAt(at time.Time) time.Duration {
	if at.IsZero() {
		return n.Boot
	}
	return n.Boot - max(n.Wall.Sub(at), 0)
}

// Never is later than every instant.
const Never = time.Duration(math.MaxInt64)

// Spec is all that a driver needs to know to start one attempt of one task.
type Spec struct {
	Alloc     mesh.AllocID   `json:"alloc"`
	Job       mesh.JobID     `json:"job,omitempty"`
	Task      string         `json:"task"`
	Attempt   int            `json:"attempt"` // 1 for the first
	Command   []string       `json:"command"`
	Env       []string       `json:"env"`                 // the whole environment, sorted
	Dir       string         `json:"dir,omitempty"`       // absolute; the task's own folder if empty
	User      string         `json:"user,omitempty"`      // the agent's user if empty
	Grace     time.Duration  `json:"grace"`               // of a stop by its lease or its supervisor
	Stop      string         `json:"stop,omitempty"`      // the signal that asks it to end; see mesh.Task
	Warn      string         `json:"warn,omitempty"`      // the one before; "" for none
	WarnTime  time.Duration  `json:"warn_time,omitempty"` // from a stop that leaves time, and Warn, to Stop
	Resources mesh.Resources `json:"resources"`
	Isolation mesh.Isolation `json:"isolation,omitempty"`
	Volumes   []mesh.Volume  `json:"volumes,omitempty"`
	// Container is nil for a plain process; Ports are those of the task.
	Container *mesh.Container  `json:"container,omitempty"`
	Ports     []mesh.PortGrant `json:"ports,omitempty"`
	// Until is the instant since boot at which the task stops by itself unless
	// it is renewed: the dead-man's switch of a majority job. Zero for none.
	Until time.Duration `json:"until,omitempty"`
	// Devices are those that the task was given.
	Devices []mesh.GivenDevice `json:"devices,omitempty"`
	// Payload is what the task's folder holds when it starts for the first time; nil: nothing.
	Payload *mesh.Payload `json:"payload,omitempty"`
	// Artifacts are there too, then: fetched from outside.
	Artifacts []mesh.Artifact `json:"artifacts,omitempty"`
	// Templates are files that are there whenever an attempt starts.
	Templates []File `json:"templates,omitempty"`
	// Python is the environment that the command runs in; nil: none.
	Python *mesh.Python `json:"python,omitempty"`
	// Saving is nil for a task without checkpoints.
	Saving *Saving `json:"saving,omitempty"`
	// Outputs are patterns of the files in the task's own folder that are kept when an
	// attempt has ended.
	Outputs []string `json:"outputs,omitempty"`
	// LogStays says that the end of its log is not kept: it stays in its folder.
	LogStays bool `json:"log_stays,omitempty"`
}

// Contained says whether the task sees a file system of its own.
func (s *Spec) Contained() bool { return s.Container != nil || s.Isolation == mesh.IsolateSandbox }

// Bind is a folder of the node that a container shows.
type Bind struct {
	Source string `json:"source"` // without links
	Target string `json:"target"`
	Write  bool   `json:"write,omitempty"`
	// Device and Inode are of the folder that was found at Source; 0 if nobody else can put
	// another there.
	Device uint64 `json:"device,omitempty"`
	Inode  uint64 `json:"inode,omitempty"`
}

// fetches says whether there is something that must be had before the attempt can start.
func (s *Spec) fetches() bool {
	return s.Payload != nil || len(s.Artifacts) > 0 || s.Saving != nil && len(s.Saving.From) > 0
}

// Kind says what was observed.
type Kind string

// The kinds of observations.
const (
	Started     Kind = "started"
	Adopted     Kind = "adopted" // it ran already when the agent started
	Exited      Kind = "exited"
	StartFailed Kind = "start_failed"
	// Restored comes before Started, if there is something to go on from; if none of it
	// can be had, RestoreFailed comes instead.
	Restored      Kind = "restored"
	RestoreFailed Kind = "restore_failed"
	Saved         Kind = "saved" // a checkpoint, on this node's disk
	// Fetching comes before Started for each artifact, with what it is in Err; FetchedSome says
	// how far it is, and Fetched that it is there.
	Fetching    Kind = "fetching"
	FetchedSome Kind = "fetched_some"
	Fetched     Kind = "fetched"
	Kept        Kind = "kept" // the end of the log of a task that runs, on this node's disk
	// FilesMissing comes instead of Started if the files of the job cannot be had.
	FilesMissing Kind = "files_missing"
	// PortTaken comes instead of Started if a program that is not of the mesh listens on a port of
	// the task.
	PortTaken Kind = "port_taken"
	// Rendered says which files of a task that runs have another text now, and Err why some have not.
	Rendered Kind = "rendered"
)

// Observation is what a driver saw of one attempt of one task.
type Observation struct {
	Alloc     mesh.AllocID
	Task      string
	Attempt   int
	Kind      Kind
	PID       int       // of the task's first process
	StartedAt time.Time // of the attempt
	ExitCode  int       // Exited: 128+n if signal n ended it; -1 if nobody knows
	Signal    int       // Exited: the signal that ended it, or 0
	OOM       bool      // Exited: the kernel killed for want of memory
	// Peak is how much memory it had then, and Limit how much it could have; 0 if it had no
	// limit of its own.
	Peak, Limit mesh.Bytes

	Expired bool   // Exited: its lease ran out, so it stopped by itself
	Broken  bool   // StartFailed: for want of something that is the node's to have, as room on its disk
	Err     string // why it did not start, or what else is known of its end
	At      time.Time
	// Checkpoint is what was Saved, of which who has it and its number are not the
	// driver's to say; or what was Restored: then Err says why nothing later.
	Checkpoint *mesh.Checkpoint
	// Outputs and Log are what is kept of the attempt, of which who has it is not the
	// driver's to say. They come with Exited; the Log also with Kept.
	Outputs, Log *mesh.Kept
	Files        []string // Rendered: their paths
}

// Driver runs tasks. Its methods return at once and are safe for concurrent
// use; what comes of them is in Observations. Orders about one task are
// carried out in the order in which they are given.
type Driver interface {
	// Start starts an attempt. It answers with Started and later Exited, or
	// with StartFailed, RestoreFailed, FilesMissing or PortTaken. An attempt started before is not started again: what
	// became of it is observed instead.
	Start(s Spec)
	// Stop ends a task: SIGTERM, after grace SIGKILL, for everything that it
	// has started. Nothing happens if it does not run.
	Stop(alloc mesh.AllocID, task string, grace time.Duration)
	// Renew moves the instant at which a task stops by itself. It never moves
	// back.
	Renew(alloc mesh.AllocID, task string, until time.Duration)
	// Render writes those files of an attempt that runs which had another text when the task heard of
	// them last, and sends it the signals that are to follow. It answers with Rendered, unless none had.
	// Who asks again before the answer wants only the later files.
	Render(alloc mesh.AllocID, task string, attempt int, files []File)
	// Acknowledge says that what was Saved under that name is on record, so that the task
	// may hear that it is.
	Acknowledge(alloc mesh.AllocID, task, tree string)
	// Retire says that nothing of an allocation will run again. Its files are
	// kept for reading until newer retired ones need the room.
	Retire(alloc mesh.AllocID)
	// Remove deletes the files of an allocation of which nothing runs.
	Remove(alloc mesh.AllocID)
	// Found is what the driver found when it was opened: Adopted for tasks that
	// run, Exited for attempts that have ended. Always the same answer.
	Found() []Observation
	// Observations are everything after Found. The channel is bounded; a
	// reader that stands still holds up the driver, never the tasks.
	Observations() <-chan Observation
	// Close lets go of the tasks, which run on, and waits for the driver's
	// goroutines.
	Close() error
}

// Verb says what an order is.
type Verb string

// The verbs of orders.
const (
	DoStart  Verb = "start"
	DoStop   Verb = "stop"
	DoRenew  Verb = "renew"
	DoRetire Verb = "retire"
	DoRemove Verb = "remove"

	DoAcknowledge Verb = "acknowledge"
	DoRender      Verb = "render"
)

// Order is one thing that a driver must do.
type Order struct {
	Verb  Verb
	Alloc mesh.AllocID
	Task  string        // DoStart, DoStop, DoRenew, DoAcknowledge, DoRender
	Spec  *Spec         // DoStart
	Grace time.Duration // DoStop
	Until time.Duration // DoRenew: an instant since boot
	Tree  string        // DoAcknowledge

	Attempt int    // DoRender
	Files   []File // DoRender
}

// String is the order in words, for traces: "stop ab2c/web grace 5s".
func (o Order) String() string {
	switch o.Verb {
	case DoStart:
		return fmt.Sprintf("start %s/%s attempt %d", o.Alloc, o.Task, o.Spec.Attempt)
	case DoStop:
		return fmt.Sprintf("stop %s/%s grace %v", o.Alloc, o.Task, o.Grace)
	case DoRenew:
		return fmt.Sprintf("renew %s/%s until %v", o.Alloc, o.Task, o.Until)
	case DoAcknowledge:
		return fmt.Sprintf("acknowledge %s/%s", o.Alloc, o.Task)
	case DoRender:
		return fmt.Sprintf("render %d files of %s/%s attempt %d", len(o.Files), o.Alloc, o.Task, o.Attempt)
	case DoRetire, DoRemove:
	}
	return fmt.Sprintf("%s %s", o.Verb, o.Alloc)
}

// Perform gives the order to a driver.
func (o Order) Perform(d Driver) {
	switch o.Verb {
	case DoStart:
		d.Start(*o.Spec)
	case DoStop:
		d.Stop(o.Alloc, o.Task, o.Grace)
	case DoRenew:
		d.Renew(o.Alloc, o.Task, o.Until)
	case DoAcknowledge:
		d.Acknowledge(o.Alloc, o.Task, o.Tree)
	case DoRender:
		d.Render(o.Alloc, o.Task, o.Attempt, o.Files)
	case DoRetire:
		d.Retire(o.Alloc)
	case DoRemove:
		d.Remove(o.Alloc)
	}
}

// The layout of an allocation's folder under a node's folder of allocations.
const (
	sharedName = "shared" // of all tasks of the group
	tasksName  = "tasks"
	workName   = "work" // a task's own
	logsName   = "logs"
)

// SharedDir is the folder that the tasks of an allocation share, relative to
// the node's folder of allocations.
func SharedDir(alloc mesh.AllocID) string { return path.Join(string(alloc), sharedName) }

// TaskDir is the folder of a task's records. The task itself has no business
// in it beyond [WorkDir].
func TaskDir(alloc mesh.AllocID, task string) string {
	return path.Join(string(alloc), tasksName, task)
}

// WorkDir is a task's own folder, in which it starts.
func WorkDir(alloc mesh.AllocID, task string) string {
	return path.Join(TaskDir(alloc, task), workName)
}

// LogDir is the folder of a task's output.
func LogDir(alloc mesh.AllocID, task string) string {
	return path.Join(TaskDir(alloc, task), logsName)
}
