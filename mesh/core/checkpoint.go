package core

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"mn/crdt"
	"mn/mesh"
	"mn/placement"
	"mn/runner"
)

// What was saved of a task is on the disk of the node where its copy runs; that node has
// others keep it, too, so that the next copy goes on from there when the node is gone. It
// asks those that rank first for the seat among the peers in sight, again and again until
// so many as the job wants have said that they have it, and names them in the copy's
// status. The content itself is no business of the core: it asks the body to fetch it.

// keepEvery is how long to wait until nodes are asked again to keep what was saved.
const keepEvery = 5 * time.Second

// fetchMax bounds what a node fetches for others at once; they ask again.
const fetchMax = 16

// failedMax is how often the wait doubles until something is tried again: to five minutes.
const failedMax = 7

// Hold asks a node to fetch what was saved of a task, or without one the files of a job,
// and to keep it.
type Hold struct {
	Alloc mesh.AllocID `json:"alloc"`
	Task  string       `json:"task"`
	Tree  string       `json:"tree"`
	Kind  string       `json:"kind,omitempty"`  // of what is left of a task; "": it was saved
	Bytes int64        `json:"bytes,omitempty"` // of outputs
}

// Holds answers Hold: it is on the disk.
type Holds Hold

// Fetch is content to be brought here from one of some peers, by its name.
type Fetch struct {
	Tree string
	From []mesh.NodeID
}

// Fetched says what came of a Fetch. It may be said of what was here before.
type Fetched struct {
	Tree string
	Err  string // "" if all of it is on the disk
}

func (Fetched) event() {}

// asker is who waits for something to be fetched.
type asker struct {
	from mesh.NodeID
	hold Hold
}

// keeper is what this node keeps for others, and has them keep.
type keeper struct {
	next     time.Duration         // when to look for what others are to keep
	ended    map[mesh.AllocID]bool // copies of this node that have ended, and of which they are to
	fetching map[string][]asker
	have     map[string]bool    // files of jobs that are here
	failed   map[string]failed  // and those that were not to be had
	shares   []share            // callers who wait until a peer has some
	left     map[leftKey]failed // what too few have of what is left of tasks
	asking   map[leftKey]failed // the same, while it is looked through
	here     map[string]bool    // and what of all that this node keeps
}

// failed is how often something could not be fetched, one after the other, and when it is
// tried again: what nobody has must not keep this node from fetching what somebody has.
type failed struct {
	times int
	next  time.Duration
}

func newKeeper(now time.Duration) keeper {
	return keeper{
		next: now, ended: map[mesh.AllocID]bool{}, fetching: map[string][]asker{}, have: map[string]bool{},
		failed: map[string]failed{},
	}
}

// keepDue asks others to keep what was saved here and is not on as many disks as its
// job wants. A copy that has ended may have saved on its way out.
func (c *Core) keepDue() {
	if c.now.Boot < c.keep.next {
		return
	}
	c.keep.next = never
	c.carry()
	c.shareDue()
	c.keep.here, c.keep.asking = nil, map[leftKey]failed{}
	for _, id := range slices.Sorted(maps.Keys(c.tend.copies)) {
		status := c.tend.copies[id].Status()
		c.keepAll(id, &status)
		c.keepLeft(id, &status)
	}
	for _, id := range slices.Sorted(maps.Keys(c.keep.ended)) {
		status, said := c.records.statuses[id][c.self]
		more := said && c.keepLeft(id, &status)
		if !(said && c.outlasts(id, &status) && c.keepAll(id, &status)) && !more {
			delete(c.keep.ended, id)
		}
	}
	c.keep.left = c.keep.asking
}

// keepEnded has others keep what a copy of this node has saved that has ended.
func (c *Core) keepEnded(id mesh.AllocID, status *mesh.Status) {
	saved := func(t mesh.TaskStatus) bool { return t.Checkpoint != nil || len(t.Left()) > 0 }
	if slices.ContainsFunc(status.Tasks, saved) {
		c.keep.ended[id], c.keep.next = true, c.now.Boot
	}
}

// keepAll asks for all tasks of a copy, and says whether there is something left to ask for.
func (c *Core) keepAll(id mesh.AllocID, status *mesh.Status) (more bool) {
	a, ok := c.records.effective(id)
	if !ok {
		return false
	}
	_, group, ok := c.spec(a.Alloc)
	for i := range status.Tasks {
		more = ok && c.keepOf(&a, &group, &status.Tasks[i]) || more
	}
	return more
}

// outlasts says whether what a copy that has ended has saved is still of use: its work is
// not done, and there is nothing later of some task that others have.
func (c *Core) outlasts(id mesh.AllocID, status *mesh.Status) bool {
	a, ok := c.records.effective(id)
	if !ok || c.done(&a) {
		return false
	}
	later := latestKept(c.records.allocsOf(a.Job))
	return slices.ContainsFunc(status.Tasks, func(t mesh.TaskStatus) bool {
		return t.Checkpoint != nil && !later[taskKey{a.Job, a.Seat(), t.Name}].Later(t.Checkpoint)
	})
}

// done says whether a copy has done its work for good. What a gang has done it may do again.
func (c *Core) done(a *mesh.AllocView) bool {
	job, known := c.records.job(a.Job)
	return !known || a.Status != nil && a.Status.State == mesh.Complete && !job.Job.Type.Long() && !job.Job.Gang
}

// taskKey is a task of a seat, whichever copy is in it.
type taskKey struct {
	job  mesh.JobID
	seat mesh.Seat
	task string
}

// latestKept is the latest checkpoint of each task that more than one node has.
func latestKept(allocs []mesh.AllocView) map[taskKey]*mesh.Checkpoint {
	latest := map[taskKey]*mesh.Checkpoint{}
	for i := range allocs {
		a := &allocs[i]
		for _, t := range tasksOf(a.Status) {
			key := taskKey{a.Job, a.Seat(), t.Name}
			if kept := t.Elsewhere(); kept.Later(latest[key]) {
				latest[key] = kept
			}
		}
	}
	return latest
}

// keepOf asks for one task, and says whether too few have it yet.
func (c *Core) keepOf(a *mesh.AllocView, g *mesh.Group, t *mesh.TaskStatus) (more bool) {
	i := slices.IndexFunc(g.Tasks, func(def mesh.Task) bool { return def.Name == t.Name })
	if i < 0 || t.Checkpoint == nil || g.Tasks[i].Checkpoint == nil {
		return false
	}
	c.keep.next = c.now.Boot + keepEvery // others may come into sight, or go
	want := g.Tasks[i].Checkpoint.Elsewhere()
	others := slices.DeleteFunc(slices.Clone(c.sync.inSight), func(id mesh.NodeID) bool { return !c.admitted(id) })
	for _, id := range placement.Rank(fmt.Sprint(a.Job, a.Seat(), t.Name), others) {
		if want == 0 {
			return more
		}
		want--
		if !slices.Contains(t.Checkpoint.Nodes, id) {
			c.send(id, Message{Hold: &Hold{Alloc: a.ID, Task: t.Name, Tree: t.Checkpoint.Tree}})
			more = true
		}
	}
	return more || want > 0 // others may come
}

// hold fetches what a peer wants kept.
func (c *Core) hold(from mesh.NodeID, h *Hold) {
	if !c.admitted(from) || h.Tree == "" || len(h.Tree) > treeMax {
		return
	}
	if c.keepsOther(from, h) || !c.roomFor(h) {
		return // they ask again, and the next is later
	}
	askers, under := c.keep.fetching[h.Tree]
	if !under && len(c.keep.fetching) >= fetchMax {
		return
	}
	if len(askers) < fetchMax && !slices.Contains(askers, asker{from, *h}) {
		askers = append(askers, asker{from, *h})
	}
	c.keep.fetching[h.Tree] = askers
	if !under {
		whom := []mesh.NodeID{from}
		if h.Task == "" {
			whom = c.fetchFrom(h.Tree, from)
		}
		c.ready.Fetch = append(c.ready.Fetch, Fetch{h.Tree, whom})
	}
}

// keepsOther says whether something else that a node has saved of the same task is being
// fetched. That comes first: a task may be saved more often than it can be fetched.
func (c *Core) keepsOther(from mesh.NodeID, h *Hold) bool {
	for tree, askers := range c.keep.fetching {
		for _, a := range askers {
			same := a.from == from && a.hold.Alloc == h.Alloc && a.hold.Task == h.Task && a.hold.Kind == h.Kind
			if h.Task != "" && tree != h.Tree && same {
				return true
			}
		}
	}
	return false
}

// treeMax bounds the name of a content, in bytes.
const treeMax = 128

// fetched tells who has asked for it that something is here.
func (c *Core) fetched(ev Fetched) {
	askers := c.keep.fetching[ev.Tree]
	for _, a := range askers {
		if ev.Err == "" {
			c.send(a.from, Message{Holds: (*Holds)(&a.hold)})
		}
	}
	delete(c.keep.fetching, ev.Tree)
	if ev.Err == "" {
		c.keep.have[ev.Tree] = true
		delete(c.keep.failed, ev.Tree)
		return
	}
	if len(askers) > 0 {
		return // they ask again
	}
	times := min(c.keep.failed[ev.Tree].times+1, failedMax)
	c.keep.failed[ev.Tree] = failed{times, c.now.Boot + keepEvery<<(times-1)}
}

// holds takes notice that a peer has what was saved here.
func (c *Core) holds(from mesh.NodeID, h *Holds) {
	if h.Task == "" {
		c.shared(h.Tree)
		return
	}
	if c.tend.copies[h.Alloc] != nil {
		c.step(h.Alloc, runner.Held{Task: h.Task, Tree: h.Tree, By: from})
		return
	}
	status, said := c.records.statuses[h.Alloc][c.self]
	if !said || !c.keep.ended[h.Alloc] {
		return
	}
	status.Tasks = slices.Clone(status.Tasks)
	for i := range status.Tasks {
		t := &status.Tasks[i]
		its := t.Name == h.Task && t.Checkpoint != nil && t.Checkpoint.Tree == h.Tree
		if its && !slices.Contains(t.Checkpoint.Nodes, from) {
			t.Checkpoint = t.Checkpoint.On(from)
			c.put(mesh.KeyStatus(h.Alloc, c.self), status, crdt.Fence{})
		}
		if held, news := t.Held(h.Tree, from); t.Name == h.Task && news {
			*t = held
			c.put(mesh.KeyStatus(h.Alloc, c.self), status, crdt.Fence{})
		}
	}
}

// Trees are the contents that this node is to keep: what was saved of the copies that run
// here, or were to go on here, and what it keeps for others, as long as it is of use.
func (c *Core) Trees() []string {
	want := map[string]bool{}
	add := func(a *mesh.AllocView, p *mesh.Checkpoint) {
		if p != nil && (a.Node == c.self || slices.Contains(p.Nodes, c.self)) {
			want[p.Tree] = true
		}
	}
	allocs := c.records.allocs()
	c.leftHere(allocs, want)
	later := latestKept(allocs)
	for i := range allocs {
		a := &allocs[i]
		if c.done(a) {
			continue
		}
		for i := range a.Resume {
			r := &a.Resume[i]
			if !later[taskKey{a.Job, a.Seat(), r.Task}].Later(r) {
				add(a, r)
			}
		}
		for _, t := range tasksOf(a.Status) {
			latest := later[taskKey{a.Job, a.Seat(), t.Name}]
			saved := t.Saved()
			its := func(p *mesh.Checkpoint) bool { return latest != nil && p.Tree == latest.Tree }
			all := slices.ContainsFunc(saved, its) // those before it are for when who has it is lost, too
			for _, p := range saved {
				if all || !latest.Later(p) {
					add(a, p)
				}
			}
		}
	}
	for tree := range c.keep.fetching {
		want[tree] = true
	}
	for tree := range c.carried() {
		want[tree] = true
	}
	return slices.Sorted(maps.Keys(want))
}

func tasksOf(s *mesh.Status) []mesh.TaskStatus {
	if s == nil {
		return nil
	}
	return s.Tasks
}
