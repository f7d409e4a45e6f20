package reconcile

import (
	"fmt"
	"strings"
	"time"

	"mn/mesh"
	"mn/placement"
)

// Plan is what should be done about one job now. It is data: whoever may decide
// about the job carries it out, and tests and the simulator check it.
type Plan struct {
	Job     mesh.JobID
	Version uint64
	Granted bool // made for a coordinator with voters behind it

	Stop    []Stop           // decide that these copies stop; before Place
	Place   []Placement      // ask the candidates in turn for room, and decide
	Blocked []Blocked        // needed, and no node can take it
	Waiting []Waiting        // needed, and not to be placed yet
	Return  []mesh.Permit    // under shared limits, that copies have and need no more
	Claim   []mesh.AllocID   // copies that hold a place, and have no permit for the job's limit
	Limited int              // copies that wait for the job's shared limit
	Forget  []mesh.AllocID   // ended so long ago that nothing depends on them
	Drain   []mesh.DrainStep // what becomes of copies on nodes that are to be drained
	Follow  []mesh.DrainStep // what becomes of copies from whose nodes a service has gone that they need
	Unready string           // why the job may not begin: it waits for a service; or ""
	Reviews []mesh.Review    // what waits for a person
	Failed  []Failed         // copies that have failed for good, and have no successor yet
	Rollout *mesh.Rollout    // what the deployment of the job comes to; nil without an update policy
	Revert  *mesh.JobVersion // what is made of the job, as its deployment has failed; or nil
	Wanted  map[string]int   // how many copies the job should have, by group
	Groups  []Progress       // how far each group has come, in the order in which they are planned

	Expired string // why the job, which is a run, is to be cancelled; or ""

	Wake   time.Duration // plan again after this long; 0 if only news calls for it
	Status mesh.JobStatus
	Text   string // the status in words
}

// Progress is how far a group of a job has come.
type Progress struct {
	Group         string
	Done, Skipped int    // copies
	Why           string // the rule that cannot come true, and for what, if it is skipped
}

// Stop is a copy that should not run any more.
type Stop struct {
	Alloc  mesh.AllocID
	Node   mesh.NodeID
	Reason string
	Leaves bool // its node is to have room, and it goes on elsewhere
	Yields bool // a copy of another version takes its place
}

// Placement is a copy that should run. Its node, fence and coordinator are for
// the one who carries the plan out to fill in.
type Placement struct {
	Alloc  mesh.Alloc
	Choice placement.Choice
}

// Blocked are the copies of a group that fit nowhere. Seat is that of the
// first, and Alloc the id that it would have.
type Blocked struct {
	Alloc mesh.AllocID
	mesh.Seat
	Copies int
	Room   int // how many of them may run at once, as far as other bounds go
	Choice placement.Choice
	Gang   bool // they are placed together or not at all; Choice is where those that fit leave no room
	Fit    int  // of a gang: how many of them have room beside each other
}

// Why is why they fit nowhere, in words.
func (b *Blocked) Why() string {
	if !b.Gang {
		return b.Choice.Summary()
	}
	return fmt.Sprintf("there is room for %d of the gang's %d copies at once; %v: %s",
		b.Fit, b.Copies, b.Seat, b.Choice.Summary())
}

// Waiting are the seats of a group that are not to be filled now, for the
// same reason. Seat is the first.
type Waiting struct {
	mesh.Seat
	Copies int
	Reason string
}

// Failed is a copy that has failed for good on its node, and what follows. It is told, and
// nothing is done for it.
type Failed struct {
	Alloc  mesh.AllocID
	Node   mesh.NodeID
	Reason string        // how it has failed
	Next   string        // what follows
	In     time.Duration // how soon; 0 if nothing does
}

// Empty says whether there is nothing to decide.
func (p *Plan) Empty() bool { return len(p.Stop) == 0 && len(p.Place) == 0 && len(p.Forget) == 0 }

// String is the plan as text: a line per action, the state of the job first.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s v%d %s: %s\n", p.Job, p.Version, p.Status, p.Text)
	if r := p.Rollout; r != nil && r.State == mesh.Deployed {
		fmt.Fprintf(&b, "rollout of version %d %s\n", r.Version, r.State)
	} else if r != nil {
		fmt.Fprintf(&b, "rollout of version %d %s: %s\n", r.Version, r.State, strings.Join(r.Words(), "; "))
	}
	if p.Revert != nil {
		fmt.Fprintf(&b, "version %d: %s: %s\n", p.Revert.Number, p.Revert.Verb, p.Revert.Reason)
	}
	for _, s := range p.Stop {
		fmt.Fprintf(&b, "stop %s: %s\n", s.Alloc, s.Reason)
	}
	for _, pl := range p.Place {
		a := &pl.Alloc
		fmt.Fprintf(&b, "place %s.%d as %s on%s: %s%s\n",
			a.Seat(), a.Generation, a.ID, nodes(pl.Choice), a.Reason, goesOnFrom(a))
	}
	for _, bl := range p.Blocked {
		fmt.Fprintf(&b, "blocked %s: %s\n", several(bl.Seat, bl.Copies), bl.Why())
	}
	for _, w := range p.Waiting {
		fmt.Fprintf(&b, "waiting %s: %s\n", several(w.Seat, w.Copies), w.Reason)
	}
	for _, r := range p.Return {
		fmt.Fprintf(&b, "return %s: permit under limit %q\n", r.Alloc, r.Key)
	}
	for _, id := range p.Claim {
		fmt.Fprintf(&b, "claim %s: a permit\n", id)
	}
	for _, d := range p.Drain {
		fmt.Fprintf(&b, "drain %s: %s: %s\n", d.Alloc, d.Action, d.Reason)
	}
	for _, d := range p.Follow {
		fmt.Fprintf(&b, "follow %s: %s: %s\n", d.Alloc, d.Action, d.Reason)
	}
	for _, r := range p.Reviews {
		fmt.Fprintf(&b, "review %s: %s: %s\n", r.Alloc, r.Kind, r.Reason)
	}
	for _, id := range p.Forget {
		fmt.Fprintf(&b, "forget %s\n", id)
	}
	if p.Expired != "" {
		fmt.Fprintf(&b, "cancel: %s\n", p.Expired)
	}
	if p.Wake > 0 {
		fmt.Fprintf(&b, "wake in %v\n", p.Wake)
	}
	return b.String()
}

// goesOnFrom is what a copy is to go on from, in words, or "".
func goesOnFrom(a *mesh.Alloc) string {
	text, task := "", ""
	for i := range a.Resume {
		c := &a.Resume[i]
		word := "; " + c.Task + " goes on from "
		if c.Task == task {
			word = " or "
		}
		if task = c.Task; c.Tree == "" {
			word += "nothing as "
		}
		text += word + c.String()
	}
	return text
}

// nodes are the names of the candidates, best first, those to avoid in brackets.
func nodes(c placement.Choice) string {
	var b strings.Builder
	for _, cand := range c.Candidates {
		if cand.Avoid != "" {
			fmt.Fprintf(&b, " (%s)", cand.Name)
			continue
		}
		fmt.Fprintf(&b, " %s", cand.Name)
	}
	return b.String()
}

// several names a seat, and how many others share its lot.
func several(first mesh.Seat, copies int) string {
	if copies == 1 {
		return first.String()
	}
	return fmt.Sprintf("%v and %d more", first, copies-1)
}
