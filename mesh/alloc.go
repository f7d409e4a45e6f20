package mesh

import (
	"cmp"
	"strconv"
	"time"

	"mn/crdt"
)

// Want is what a decision asks of an allocation's node.
type Want string

// The wants.
const (
	WantRun  Want = "run"
	WantStop Want = "stop"
)

// Seat is one of the copies that a job should have: an index of a group, or for
// jobs with a copy on each node (see [JobType.PerNode]) a group and its node.
type Seat struct {
	Group  string
	Index  int
	Target NodeID
}

// Compare orders seats by group, index and node.
func (s Seat) Compare(o Seat) int {
	return cmp.Or(cmp.Compare(s.Group, o.Group), cmp.Compare(s.Index, o.Index), cmp.Compare(s.Target, o.Target))
}

// String is "web[2]", or "web@" and the beginning of its node's id.
func (s Seat) String() string {
	if s.Target != "" {
		return s.Group + "@" + s.Target.Short()
	}
	return s.Group + "[" + strconv.Itoa(s.Index) + "]"
}

// Alloc is a decision: one copy of a group, of one version of a job, on one
// node. Only the coordinator of the job's slot writes it, under its fence. A
// copy that replaces another is the next generation of the same index.
type Alloc struct {
	ID         AllocID   `json:"id"`
	Job        JobID     `json:"job"`
	Version    uint64    `json:"version"`
	Hash       string    `json:"hash"`    // of the job version
	Content    string    `json:"content"` // what the copy runs: see HashGroup
	Group      string    `json:"group"`
	Index      int       `json:"index"`
	Target     NodeID    `json:"target,omitempty"` // the node that it is for, of a job with a copy on each
	Generation int       `json:"generation"`
	Replaces   AllocID   `json:"replaces,omitempty"`
	Node       NodeID    `json:"node"`
	Want       Want      `json:"want"`
	Reason     string    `json:"reason,omitempty"` // why it was placed or stopped
	Leaves     bool      `json:"leaves,omitempty"` // it was stopped to make its node free, and goes on elsewhere
	Yields     bool      `json:"yields,omitempty"` // it was stopped for a copy of another version
	Resources  Resources `json:"resources"`
	Grants     *Grants   `json:"grants,omitempty"` // of its node's ports and devices
	Gang       *Gang     `json:"gang,omitempty"`   // of a job whose copies are placed together
	// Resume is what its tasks go on from: the latest that was saved in its seat.
	Resume      []Checkpoint `json:"resume,omitempty"`
	Fence       crdt.Fence   `json:"fence"`
	Coordinator NodeID       `json:"coordinator"`
	At          time.Time    `json:"at"` // of the placement
}

// AllocState is the actual state of an allocation, or of one of its tasks.
type AllocState string

// The states, in the order in which a copy goes through them. The last four
// are final.
const (
	Pending  AllocState = "pending"  // decided, not started
	Starting AllocState = "starting" // the driver was told
	Running  AllocState = "running"
	Backoff  AllocState = "backoff"  // exited; starts again after a delay
	Stopping AllocState = "stopping" // SIGTERM is out
	Complete AllocState = "complete" // ended as it should
	Failed   AllocState = "failed"   // ended otherwise, restarts used up
	Stopped  AllocState = "stopped"  // ended because it was told to
	TimedOut AllocState = "timed_out"
)

// Final says whether nothing more happens in this state by itself.
func (s AllocState) Final() bool {
	return s == Complete || s == Failed || s == Stopped || s == TimedOut
}

// TaskStatus is the actual state of one task of an allocation.
type TaskStatus struct {
	Name       string     `json:"name"`
	Lifecycle  Lifecycle  `json:"lifecycle,omitempty"`
	State      AllocState `json:"state"`
	PID        int        `json:"pid,omitempty"`
	StartedAt  time.Time  `json:"started_at,omitzero"`
	FinishedAt time.Time  `json:"finished_at,omitzero"`
	ExitCode   *int       `json:"exit_code,omitempty"` // 128+n if signal n ended it
	Restarts   int        `json:"restarts,omitempty"`
	Looks      int        `json:"looks,omitempty"`     // how many of these were only looks for what it starts with
	NextStart  time.Time  `json:"next_start,omitzero"` // in Backoff
	// RestartedAt are the restarts that the policy still counts, oldest first:
	// an agent that restarts does not forget them.
	RestartedAt []time.Time `json:"restarted_at,omitempty"`
	// FirstStart is when the first attempt was ordered, and FirstUptime the same as
	// time since the boot that the status names: what its timeout counts from.
	FirstStart  time.Time     `json:"first_start,omitzero"`
	FirstUptime time.Duration `json:"first_uptime,omitempty"`
	Reason      string        `json:"reason,omitempty"`
	// Checkpoint is the latest that was saved by the copy, and Kept the latest of those
	// before it that other nodes have too, until as many have that one as are to keep it.
	// Older are those before Kept that are on still others, until they are so many.
	Checkpoint *Checkpoint  `json:"checkpoint,omitempty"`
	Kept       *Checkpoint  `json:"kept,omitempty"`
	Older      []Checkpoint `json:"older,omitempty"` // the latest first
	// Outputs are the files of the last attempt that are kept, and Log the end of its log.
	Outputs *Kept `json:"outputs,omitempty"`
	Log     *Kept `json:"log,omitempty"`
	// LogBefore is the latest end of its log that others have, until they have Log.
	LogBefore *Kept `json:"log_before,omitempty"`
	// Unrestored is since when the task does not start as nothing can be had of what was
	// saved of it.
	Unrestored time.Time `json:"unrestored,omitzero"`
	// IdleSince is since when the task has left its devices idle, if that is for as long as its
	// policy says.
	IdleSince time.Time `json:"idle_since,omitzero"`
	// Services are what a task that runs offers, and what its checks say of them.
	Services []ServiceStatus `json:"services,omitempty"`
}

// Status is the actual state of an allocation. Only its node writes it.
type Status struct {
	Alloc AllocID      `json:"alloc"`
	Job   JobID        `json:"job"`
	Node  NodeID       `json:"node"`
	Boot  BootID       `json:"boot_id"`
	State AllocState   `json:"state"`
	Tasks []TaskStatus `json:"tasks"`
	Fence crdt.Fence   `json:"fence"` // of the decision it acts on
	At    time.Time    `json:"at"`
	Agent time.Time    `json:"agent,omitzero"` // when the agent that says it started, as its node's record has it
	// Outcome is the final state that the copy comes to when its tasks have ended,
	// and Reason why: unset as long as it is to run.
	Outcome AllocState `json:"outcome,omitempty"`
	Reason  string     `json:"reason,omitempty"`
}

// Seat is the seat that the allocation fills.
func (a *Alloc) Seat() Seat { return Seat{Group: a.Group, Index: a.Index, Target: a.Target} }

// DegradedAlloc is a decision taken without a voter majority. It stands only as
// long as the granted decision of the same allocation is the one that it was
// based on: a later granted decision always wins.
type DegradedAlloc struct {
	Alloc
	Base crdt.Stamp `json:"base"` // of the granted decision it overrides; zero if there was none
}
