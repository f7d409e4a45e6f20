package runner

import (
	"cmp"
	"fmt"
	"slices"
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
// said about the copy, nil if nothing, and what the driver found of it. A task
// that had been started and was not found counts as ended.
type Resume struct {
	Status *mesh.Status
	Found  []Observation // of this allocation; others are ignored
}

// Run is the decision to run, as it now stands. It starts what has not been
// started and is otherwise without effect, but that the tasks started from now
// on see this fence. A copy with a dead-man's switch starts only with its first Renew:
// the decision may be old, or its node cut off.
type Run struct{ Fence crdt.Fence }

// Stop is the decision to stop, and why. Poststop tasks still run after it,
// unless it is AtOnce: then the copy is not this node's any more, and nothing is
// started. What has been said may be said again.
type Stop struct {
	Reason string
	AtOnce bool
}

// Renew puts off the copy's dead-man's switch, if it has one, to Lease from now.
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
	Changed bool         // Status is not what it was, or has never been asked for
}

// Copy is the state machine of one allocation on its node: all tasks of the
// group, each in its turn (see [mesh.Lifecycle]). They share one fate: when one
// has failed for good, or its time is over, the others are stopped, and the copy
// has failed or timed out. What it comes to is decided once, and is part of its
// status before its tasks have ended.
type Copy struct {
	alloc mesh.Alloc
	job   *mesh.Job
	facts Facts
	tasks []*task
	array mesh.Array // of the group

	around  *Around // nil as long as nobody has said
	fence   crdt.Fence
	run     bool          // told to run
	halt    bool          // told to stop
	bar     string        // why no poststop task may run, if none may
	end     end           // how it is to end, once that is decided
	leased  bool          // it has a dead-man's switch: runs only until
	until   time.Duration // since boot; 0 before the first renewal
	retired bool          // the driver may have the room
	at      time.Time     // of the last change

	now      Now
	out      Output
	reported bool
}

// NewCopy makes the machine of an allocation that has not been started.
func NewCopy(a mesh.Alloc, g mesh.Group, job *mesh.Job, f Facts) *Copy {
	c := &Copy{alloc: a, job: job, facts: f, fence: a.Fence, array: g.Array}
	c.leased = job.Recovery.Switch() > 0
	for i := range g.Tasks {
		c.tasks = append(c.tasks, newTask(job, &g.Tasks[i]))
	}
	return c
}

// Step takes what happened at time now.
func (c *Copy) Step(now Now, in Input) Output {
	before, endBefore := c.statuses(), c.end
	c.now, c.out = now, Output{}
	switch in := in.(type) {
	case Resume:
		c.resume(in)
	case Run:
		c.run, c.fence = true, in.Fence
	case Stop:
		c.halt = true
		reason := cmp.Or(in.Reason, "told to stop")
		if in.AtOnce {
			c.bar = reason
		}
		c.conclude(mesh.Stopped, reason)
	case Renew:
		c.renew(in.Lease)
	case Held:
		c.held(in)
	case Load:
		c.load(in)
	case Checked:
		c.checked(in)
	case Around:
		c.hear(in)
	case Observed:
		c.observed(in.Observation)
		c.complete()
	case Tick:
	}
	// The ends of several tasks are seen one after the other. Where the time is over, the
	// work may yet turn out to have been done in time: the Tick follows on all of them.
	if _, seen := in.(Observed); !seen || c.overdue() > c.now.Boot {
		c.advance()
	}
	c.out.Changed = !c.reported || c.end != endBefore || !slices.EqualFunc(before, c.statuses(), sameStatus)
	if c.out.Changed {
		c.reported, c.at = true, now.Wall
	}
	return c.out
}

// Status is the actual state.
func (c *Copy) Status() mesh.Status {
	return mesh.Status{
		Alloc:   c.alloc.ID,
		Job:     c.alloc.Job,
		Node:    c.facts.Node,
		Boot:    c.facts.Boot,
		State:   c.state(),
		Tasks:   c.statuses(),
		Fence:   c.fence,
		At:      c.at,
		Outcome: c.end.state,
		Reason:  c.end.reason,
	}
}

// Wake is the instant by which the copy wants a Tick; [Never] if it waits for
// nothing.
func (c *Copy) Wake() time.Duration {
	at := c.overdue()
	for _, t := range c.tasks {
		switch {
		case t.status.State == mesh.Stopping:
			at = min(at, t.tellAgain)
		case t.status.State == mesh.Backoff && c.mayStartAt(max(t.next, c.now.Boot)):
			at = min(at, t.next)
		case c.mayRender(t):
			at = min(at, t.renderAt)
		}
	}
	return at
}

// mayStartAt says whether tasks may be started at an instant.
func (c *Copy) mayStartAt(at time.Duration) bool {
	return c.run && !c.ending() && (!c.leased || at < c.until)
}

// statuses are the tasks' statuses, in the order of the job file.
func (c *Copy) statuses() []mesh.TaskStatus {
	all := make([]mesh.TaskStatus, len(c.tasks))
	for i, t := range c.tasks {
		all[i] = t.status
	}
	return all
}

func sameStatus(a, b mesh.TaskStatus) bool {
	return a.State == b.State && a.PID == b.PID &&
		a.Reason == b.Reason && a.Restarts == b.Restarts &&
		a.StartedAt.Equal(b.StartedAt) && a.FinishedAt.Equal(b.FinishedAt) &&
		a.NextStart.Equal(b.NextStart) && a.Unrestored.Equal(b.Unrestored) &&
		a.IdleSince.Equal(b.IdleSince) &&
		slices.EqualFunc(a.Services, b.Services, sameServices) &&
		slices.EqualFunc(a.Saved(), b.Saved(), sameCheckpoint) &&
		sameKept(a.Outputs, b.Outputs) && sameKept(a.Log, b.Log) && sameKept(a.LogBefore, b.LogBefore)
}

func sameCheckpoint(a, b *mesh.Checkpoint) bool {
	return a == b || a.Seq == b.Seq && a.Tree == b.Tree && slices.Equal(a.Nodes, b.Nodes)
}

// state is that of the copy as a whole. While it is to run, that is the state of
// the tasks whose turn it is.
func (c *Copy) state() mesh.AllocState {
	count := map[mesh.AllocState]int{}
	final, prepared := 0, c.prepared()
	for _, t := range c.tasks {
		if t.status.State.Final() {
			final++
		}
		if t.is(mesh.Prestart) || prepared && !t.is(mesh.Poststop) {
			count[t.status.State]++
		}
	}
	switch {
	case final == len(c.tasks):
		return c.end.state
	case c.ending():
		return mesh.Stopping
	}
	for _, s := range []mesh.AllocState{mesh.Backoff, mesh.Pending, mesh.Starting} {
		if count[s] > 0 {
			return s
		}
	}
	if !prepared {
		return mesh.Starting
	}
	return mesh.Running
}

// renew moves the end of the lease, for the tasks that run and those to come.
func (c *Copy) renew(lease time.Duration) {
	until := c.now.Boot + lease
	if !c.leased || until <= c.until {
		return
	}
	c.until = until
	for _, t := range c.tasks {
		if t.live {
			c.order(Order{Verb: DoRenew, Task: t.def.Name, Until: until})
		}
	}
}

// advance orders what is due by now. Work that is done comes first: an agent may hear of
// it when the time of the copy is over, or a sidecar's restart is due.
func (c *Copy) advance() {
	c.complete()
	c.timeOut(c.now.Boot)
	prepared := c.prepared()
	for _, t := range c.tasks {
		turn := t.is(mesh.Prestart) || prepared && !t.is(mesh.Poststop)
		if turn && c.mayStartAt(c.now.Boot) {
			c.startDue(t)
		}
		c.stopUnwell(t)
		c.renderDue(t)
	}
	if c.ending() && c.halted() {
		c.cleanUp()
	}
	if !c.retired && c.state().Final() {
		c.retired = true
		c.order(Order{Verb: DoRetire})
	}
}

// startDue starts a task whose time has come.
func (c *Copy) startDue(t *task) {
	due := t.status.State == mesh.Pending || t.status.State == mesh.Backoff && t.next <= c.now.Boot
	if !due {
		return
	}
	if why := t.once(); why != "" {
		c.fail(t, cmp.Or(t.status.Reason, "it was ordered to start before")+"; "+why)
		return
	}
	if t.charge {
		t.charge = false
		t.count(c.now)
	}
	if c.holdsUp(t) {
		return
	}
	spec, err := c.spec(t)
	if err != nil {
		c.fail(t, err.Error()) // it would fail in the same way again
		return
	}
	t.attempt, t.live = spec.Attempt, true
	t.begins(spec.Templates, c.now)
	if !spec.fetches() || t.def.Safety.Mark() != "" {
		t.begin(c.now) // else when it starts: to find that may take long
	}
	t.status.State, t.status.Restarts = mesh.Starting, t.attempt-1
	t.status.NextStart = time.Time{}
	if t.status.Unrestored.IsZero() {
		t.status.Reason = ""
	}
	c.order(Order{Verb: DoStart, Task: t.def.Name, Spec: &spec})
}

// stopDue stops a task that runs; told once in a while again, for an order that
// was lost must not keep a copy for ever.
func (c *Copy) stopDue(t *task) {
	switch {
	case t.status.State.Final():
	case !t.live:
		c.stopped(t)
	case t.status.State != mesh.Stopping || t.tellAgain <= c.now.Boot:
		t.status.State, t.status.Reason = mesh.Stopping, c.why(t)
		t.tellAgain = c.now.Boot + t.warnTime() + t.grace() + tellAgain
		c.order(Order{Verb: DoStop, Task: t.def.Name, Grace: t.grace()})
	}
}

func (c *Copy) order(o Order) {
	o.Alloc = c.alloc.ID
	c.out.Orders = append(c.out.Orders, o)
}

func (c *Copy) event(kind mesh.EventKind, t *task, text string) {
	c.tell(kind, fmt.Sprintf("task %q: %s", t.def.Name, text))
}

func (c *Copy) tell(kind mesh.EventKind, text string) {
	c.out.Events = append(c.out.Events, mesh.Event{
		Kind: kind, Job: c.alloc.Job, Alloc: c.alloc.ID, Fence: c.fence, Text: text,
	})
}
