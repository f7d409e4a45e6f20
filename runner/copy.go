package runner

import (
	"time"

	"mn/crdt"
	"mn/mesh"
)

// Facts is what the tasks of a node are told about it.
type Facts struct {
	Node mesh.NodeID
	Name string
	Boot mesh.BootID
	Root string   // absolute: the node's folder of allocations
	Base []string // environment that every task starts from, see [BaseEnv]
}

// Input is what can happen to a Copy. The set is closed.
type Input interface{ input() }

// Resume is the first input after a restart of the agent: what the node last
// said about the copy, and what the driver found of it. A task that had been
// started and was not found counts as ended.
type Resume struct {
	Status *mesh.Status
	Found  []Observation // of this allocation; others are ignored
}

// Run is the decision to run, as it now stands. It starts what has not been
// started and is otherwise without effect, but that the tasks started from now
// on see this fence.
type Run struct{ Fence crdt.Fence }

// Stop is the decision to stop, and why.
type Stop struct{ Reason string }

// Renew puts off the dead-man's switch to Lease from now.
type Renew struct{ Lease time.Duration }

// Observed is what the driver saw.
type Observed struct{ Observation }

// Tick says that time has passed.
type Tick struct{}

func (Resume) input()   {}
func (Run) input()      {}
func (Stop) input()     {}
func (Renew) input()    {}
func (Observed) input() {}
func (Tick) input()     {}

// Output is what one Step asks for.
type Output struct {
	Orders  []Order
	Events  []mesh.Event // without time and node
	Changed bool         // Status is not what it was
}

// Copy is the state machine of one allocation on its node: all tasks of the
// group. The tasks share one fate: when one has failed for good the others are
// stopped and the copy has failed.
type Copy struct {
	alloc mesh.Alloc
	group mesh.Group
	job   *mesh.Job
	facts Facts
}

// NewCopy makes the machine of an allocation that has not been started.
func NewCopy(a mesh.Alloc, g mesh.Group, job *mesh.Job, f Facts) *Copy {
	return &Copy{alloc: a, group: g, job: job, facts: f}
}

// Step takes what happened at time now.
func (c *Copy) Step(now Now, in Input) Output { return Output{} }

// Status is the actual state.
func (c *Copy) Status() mesh.Status { return mesh.Status{} }

// Wake is the instant by which the copy wants a Tick; [Never] if it waits for
// nothing.
func (c *Copy) Wake() time.Duration { return Never }
