package core

import (
	"fmt"
	"maps"
	"slices"
	"time"

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

// Hold asks a node to fetch what was saved of a task, and to keep it.
type Hold struct {
	Alloc mesh.AllocID `json:"alloc"`
	Task  string       `json:"task"`
	Tree  string       `json:"tree"`
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
	next     time.Duration // when to look for what others are to keep
	fetching map[string][]asker
}

// keepDue asks others to keep what was saved here and is not on as many disks as its
// job wants.
func (c *Core) keepDue() {
	if c.now.Boot < c.keep.next {
		return
	}
	c.keep.next = never
	for _, id := range slices.Sorted(maps.Keys(c.tend.copies)) {
		a, ok := c.records.effective(id)
		if !ok {
			continue
		}
		_, group, ok := c.spec(a.Alloc)
		if !ok {
			continue
		}
		status := c.tend.copies[id].Status()
		for i := range status.Tasks {
			c.keepOf(&a, &group, &status.Tasks[i])
		}
	}
}

// keepOf asks for one task.
func (c *Core) keepOf(a *mesh.AllocView, g *mesh.Group, t *mesh.TaskStatus) {
	i := slices.IndexFunc(g.Tasks, func(def mesh.Task) bool { return def.Name == t.Name })
	if i < 0 || t.Checkpoint == nil || g.Tasks[i].Checkpoint == nil {
		return
	}
	c.keep.next = c.now.Boot + keepEvery // others may come into sight, or go
	want := g.Tasks[i].Checkpoint.Elsewhere()
	others := slices.DeleteFunc(slices.Clone(c.sync.inSight), func(id mesh.NodeID) bool { return !c.admitted(id) })
	for _, id := range placement.Rank(fmt.Sprint(a.Job, a.Seat(), t.Name), others) {
		if want == 0 {
			return
		}
		want--
		if !slices.Contains(t.Checkpoint.Nodes, id) {
			c.send(id, Message{Hold: &Hold{a.ID, t.Name, t.Checkpoint.Tree}})
		}
	}
}

// hold fetches what a peer wants kept.
func (c *Core) hold(from mesh.NodeID, h *Hold) {
	if !c.admitted(from) || h.Tree == "" || len(h.Tree) > treeMax {
		return
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
		c.ready.Fetch = append(c.ready.Fetch, Fetch{h.Tree, []mesh.NodeID{from}})
	}
}

// treeMax bounds the name of a content, in bytes.
const treeMax = 128

// fetched tells who has asked for it that something is here.
func (c *Core) fetched(ev Fetched) {
	for _, a := range c.keep.fetching[ev.Tree] {
		if ev.Err == "" {
			c.send(a.from, Message{Holds: (*Holds)(&a.hold)})
		}
	}
	delete(c.keep.fetching, ev.Tree)
}

// holds takes notice that a peer has what was saved here.
func (c *Core) holds(from mesh.NodeID, h *Holds) {
	if c.tend.copies[h.Alloc] != nil {
		c.step(h.Alloc, runner.Held{Task: h.Task, Tree: h.Tree, By: from})
	}
}

// Trees are the contents that this node is to keep: what was saved of the copies that run
// here, or were to go on here, and what it keeps for others.
func (c *Core) Trees() []string {
	want := map[string]bool{}
	add := func(a *mesh.AllocView, p *mesh.Checkpoint) {
		if p != nil && (a.Node == c.self || slices.Contains(p.Nodes, c.self)) {
			want[p.Tree] = true
		}
	}
	for _, a := range c.records.allocs() {
		for i := range a.Resume {
			add(&a, &a.Resume[i])
		}
		for _, t := range tasksOf(a.Status) {
			add(&a, t.Checkpoint)
		}
	}
	for tree := range c.keep.fetching {
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
