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
	Dir   string           `json:"dir"`            // absolute
	Ready string           `json:"ready"`          // absolute: the file whose appearance says that Dir is whole
	Every time.Duration    `json:"every"`          // how long after the last time it is saved unasked; 0: never
	From  *mesh.Checkpoint `json:"from,omitempty"` // what Dir is to hold at the start; nil: nothing
}

// CheckpointDir is the folder of a task that is saved, and CheckpointReady the file by which it
// says that the folder is whole, relative to the node's folder of allocations.
func CheckpointDir(alloc mesh.AllocID, task string) string {
	return path.Join(TaskDir(alloc, task), "checkpoint")
}

// CheckpointReady is the file that the task makes when its checkpoint is whole. What is
// in it is shown to people.
func CheckpointReady(alloc mesh.AllocID, task string) string {
	return path.Join(WorkDir(alloc, task), "checkpoint-ready")
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
	s.From = c.latest(t)
	return s
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

// goesOnFrom takes notice that what a task that was started goes on from is on this node's
// disk now, as it was brought here for that.
func (c *Copy) goesOnFrom(t *task) {
	from := c.latest(t)
	if from == nil || from == t.status.Checkpoint || t.def.Checkpoint == nil {
		return
	}
	here := *from
	if !slices.Contains(here.Nodes, c.facts.Node) {
		here.Nodes = append(slices.Clone(here.Nodes), c.facts.Node)
	}
	t.status.Checkpoint = &here
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
	t.status.Checkpoint = &latest
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

// held takes notice of who else has the latest checkpoint.
func (c *Copy) held(in Held) {
	t := c.task(in.Task)
	if t == nil || t.status.Checkpoint == nil || t.status.Checkpoint.Tree != in.Tree {
		return
	}
	if latest := *t.status.Checkpoint; !slices.Contains(latest.Nodes, in.By) {
		latest.Nodes = append(slices.Clone(latest.Nodes), in.By)
		t.status.Checkpoint = &latest
	}
}
