package runner

import (
	"fmt"
	"path"
	"slices"
	"time"

	"mn/mesh"
)

// Saving is what a driver needs to know of a task that is saved: before an attempt starts its
// folder is as it was saved last, and while it runs the folder is saved when the task says so,
// by a file, or when nobody has written to it for some time.
type Saving struct {
	Dir   string        `json:"dir"`   // absolute
	Ready string        `json:"ready"` // absolute: the file whose appearance says that Dir is whole
	Every time.Duration `json:"every"` // how long after the last time it is saved unasked; 0: never
	// From is what Dir is to hold at the start: the first of these that can be had. If
	// none can, the attempt does not start; if there are none, Dir is empty.
	From []mesh.Checkpoint `json:"from,omitempty"`
}

// CheckpointDir is the folder of a task that is saved, and CheckpointReady the file by which it
// says that the folder is whole, relative to the node's folder of allocations.
func CheckpointDir(alloc mesh.AllocID, task string) string {
	return path.Join(TaskDir(alloc, task), "checkpoint")
}

// CheckpointReady is the file that the task makes when its checkpoint is whole. What is
// in it is shown to people.
func CheckpointReady(alloc mesh.AllocID, task string) string {
	return path.Join(WorkDir(alloc, task), mesh.CheckpointReady)
}

// saving is what the driver is told of a task that is saved, or nil.
func (c *Copy) saving(t *task) *Saving {
	if t.def.Checkpoint == nil {
		return nil
	}
	s := &Saving{
		Dir:   c.path(CheckpointDir(c.alloc.ID, t.def.Name)),
		Ready: c.path(CheckpointReady(c.alloc.ID, t.def.Name)),
		Every: t.def.Checkpoint.Every.Std(),
	}
	if s.From = c.from(t); t.tries == 0 && t.def.Safety.Mark() == "" && len(s.From) > 1 {
		s.From = s.From[:1] // whoever has the latest may be back in a moment
	}
	return s
}

// fromMax bounds what is tried for one start, recentMax what is remembered of what was
// saved until others have it, and olderMax what is named of that besides the latest.
const (
	fromMax   = 6
	recentMax = 8
	olderMax  = 3
)

// restoreDelays are how long a task waits until it is tried again to get what was saved
// of it.
var restoreDelays = mesh.Delays{Function: mesh.Exponential, Base: 5 * time.Second, Max: time.Minute}

// from is what a task goes on from: the latest that was saved of it, by this copy or one
// before it, and then what there is if that cannot be had.
func (c *Copy) from(t *task) []mesh.Checkpoint {
	var list []mesh.Checkpoint
	for _, p := range t.status.Saved() {
		list = append(list, *p)
	}
	for _, r := range c.alloc.Resume {
		if r.Task == t.def.Name {
			list = append(list, r)
		}
	}
	slices.SortStableFunc(list, func(a, b mesh.Checkpoint) int { return b.Compare(&a) })
	list = slices.CompactFunc(list, func(a, b mesh.Checkpoint) bool { return a.Tree == b.Tree })
	if anew := slices.IndexFunc(list, func(p mesh.Checkpoint) bool { return p.Tree == "" }); anew >= 0 {
		list = list[:anew]
	}
	return list[:min(len(list), fromMax)]
}

// latest is the latest that was saved of a task, by this copy or one before it; nil if
// nothing was.
func (c *Copy) latest(t *task) *mesh.Checkpoint {
	latest := t.status.Checkpoint
	for i := range c.alloc.Resume {
		if r := &c.alloc.Resume[i]; r.Task == t.def.Name && r.Later(latest) {
			latest = r
		}
	}
	return latest
}

// restored takes notice that what a task goes on from is in its folder, and on this node's
// disk.
func (c *Copy) restored(t *task, o Observation) {
	if o.Checkpoint == nil || t.def.Checkpoint == nil {
		return
	}
	here := o.Checkpoint.On(c.facts.Node)
	if !t.status.Checkpoint.Later(here) {
		if here.Later(t.status.Checkpoint) {
			t.outdate()
		}
		t.status.Checkpoint = here
		c.settle(t)
	}
	t.status.Unrestored, t.tries = time.Time{}, 0
	text := "goes on from " + here.String()
	if o.Err != "" {
		text += "; " + o.Err
	}
	c.event(mesh.TaskRestored, t, text)
}

// unrestored has a task wait for what was saved of it, of which nothing can be had now. The
// task has not begun, and it is not counted against it.
func (c *Copy) unrestored(t *task, o Observation) {
	t.live = false
	if c.ending() {
		c.stopped(t)
		return
	}
	cause, first := cause(o), t.status.Unrestored.IsZero()
	if first {
		t.status.Unrestored = c.now.Wall
	}
	if why := t.once(); why != "" {
		c.fail(t, cause+"; "+why)
		return
	}
	t.tries++
	t.status.Looks++
	c.wait(t, restoreDelays.After(t.tries), cause)
	if first {
		c.event(mesh.TaskRestarting, t, cause+"; looked for again and again")
	}
}

// withoutFiles has a task wait for the files of its job, which cannot be had now. It has not
// begun, and it is not counted against it.
func (c *Copy) withoutFiles(t *task, o Observation) {
	t.live = false
	if c.ending() {
		c.stopped(t)
		return
	}
	t.unbegin()
	t.tries++
	t.status.Looks++
	c.wait(t, restoreDelays.After(t.tries), cause(o))
	if t.tries == 1 {
		c.event(mesh.TaskRestarting, t, cause(o)+"; looked for again and again")
	}
}

// saved takes notice of a checkpoint. Its number is above that of all before it.
func (c *Copy) saved(t *task, o Observation) {
	if o.Checkpoint == nil || t.def.Checkpoint == nil {
		return
	}
	latest := *o.Checkpoint
	latest.Task, latest.Seq, latest.Nodes = t.def.Name, 1, []mesh.NodeID{c.facts.Node}
	if before := c.latest(t); before != nil {
		latest.Seq = before.Seq + 1
	}
	t.outdate()
	t.status.Checkpoint = &latest
	c.order(Order{Verb: DoAcknowledge, Task: t.def.Name, Tree: latest.Tree}) // once that is on record
	text := fmt.Sprintf("saved, %v", mesh.Bytes(latest.Bytes))
	if latest.Label != "" {
		text += ": " + latest.Label
	}
	c.event(mesh.TaskSaved, t, text)
}

// Held says that another node has a checkpoint of a task of this copy on its disk.
type Held struct {
	Task string
	Tree string
	By   mesh.NodeID
}

func (Held) input() {}

// held takes notice of who else has a checkpoint.
func (c *Copy) held(in Held) {
	t := c.task(in.Task)
	if t == nil {
		return
	}
	t.status, _ = t.status.Held(in.Tree, in.By)
	if t.status.Checkpoint == nil {
		return
	}
	if latest := t.status.Checkpoint; latest.Tree == in.Tree {
		t.status.Checkpoint = latest.On(in.By)
	} else {
		before := append(t.status.Saved()[1:], t.recent...)
		if i := slices.IndexFunc(before, func(p *mesh.Checkpoint) bool { return p.Tree == in.Tree }); i >= 0 {
			t.remember(before[i].On(in.By))
		}
	}
	c.settle(t)
}

// remember puts a checkpoint among those before the latest that others have.
func (t *task) remember(p *mesh.Checkpoint) {
	all := []mesh.Checkpoint{*p}
	for _, o := range t.status.Saved()[1:] {
		if o.Tree != p.Tree {
			all = append(all, *o)
		}
	}
	slices.SortStableFunc(all, func(a, b mesh.Checkpoint) int { return b.Compare(&a) })
	t.status.Kept, t.status.Older = &all[0], all[1:]
}

// outdate remembers the latest checkpoint of a task before there is a later one.
func (t *task) outdate() {
	switch p := t.status.Checkpoint; {
	case p == nil:
	case len(p.Nodes) > 1:
		t.remember(p)
		t.recent = nil
	default:
		t.recent = append(t.recent, p)
		t.recent = t.recent[max(0, len(t.recent)-recentMax):]
	}
}

// settle forgets what was saved before the latest checkpoint as soon as so many others have
// something later as are to keep it, and what only those have that do.
func (c *Copy) settle(t *task) {
	later := map[mesh.NodeID]bool{c.facts.Node: true}
	enough := t.def.Checkpoint.Elsewhere() + 1
	var list []mesh.Checkpoint
	for i, p := range t.status.Saved() {
		if len(later) >= enough {
			break
		}
		more := false
		for _, n := range p.Nodes {
			more, later[n] = more || !later[n], true
		}
		if i > 0 && more {
			list = append(list, *p)
		}
	}
	if len(t.status.Checkpoint.Nodes) >= enough {
		t.recent = nil
	}
	t.status.Kept, t.status.Older = nil, nil
	if len(list) > 0 {
		t.status.Kept, t.status.Older = &list[0], list[1:min(len(list), olderMax+1)]
	}
}
