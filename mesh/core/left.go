package core

import (
	"cmp"
	"fmt"
	"slices"

	"mn/mesh"
	"mn/placement"
)

// What is left of a task, its outputs and the end of its log, is kept by others as its
// checkpoints are (checkpoint.go), but for as long as its copy is on record, whatever has
// become of it. It is not asked for again once some nodes had it.

// keepLeft asks others to keep what is left of the tasks of a copy, and says whether too few
// have it yet.
func (c *Core) keepLeft(id mesh.AllocID, status *mesh.Status) (more bool) {
	a, ok := c.records.effective(id)
	if !ok {
		return false
	}
	for i := range status.Tasks {
		t := &status.Tasks[i]
		for _, k := range t.Left() {
			if len(k.Nodes) <= mesh.KeptCopies {
				c.askToKeep(&a, t.Name, k)
				more = true
			}
		}
	}
	if more {
		c.keep.next = min(c.keep.next, c.now.Boot+keepEvery) // others may come into sight, or go
	}
	return more
}

// askToKeep asks those that rank first for a task, of those that have not said that they
// have something of it.
func (c *Core) askToKeep(a *mesh.AllocView, task string, k *mesh.Kept) {
	others := slices.DeleteFunc(slices.Clone(c.sync.inSight), func(id mesh.NodeID) bool {
		return !c.admitted(id) || slices.Contains(k.Nodes, id)
	})
	ranked := placement.Rank(fmt.Sprint(a.Job, a.Seat(), task), others)
	for _, id := range ranked[:min(len(ranked), mesh.KeptCopies+1-len(k.Nodes))] {
		c.send(id, Message{Hold: &Hold{a.ID, task, k.Tree}})
	}
}

// logsKeptMax bounds the ends of logs that a node keeps, its own and those of others: they
// have 1 GiB at most. The oldest go first.
const logsKeptMax = 4096

// leftHere adds what this node is to keep of what is left of copies.
func (c *Core) leftHere(allocs []mesh.AllocView, want map[string]bool) {
	var ends []*mesh.Kept
	for i := range allocs {
		for _, t := range tasksOf(allocs[i].Status) {
			for _, k := range t.Left() {
				switch here := slices.Contains(k.Nodes, c.self); {
				case here && k == t.Log:
					ends = append(ends, k)
				case here:
					want[k.Tree] = true
				}
			}
		}
	}
	slices.SortFunc(ends, func(a, b *mesh.Kept) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Tree, b.Tree))
	})
	for _, k := range ends[:min(len(ends), logsKeptMax)] {
		want[k.Tree] = true
	}
}

// remember has this node, which has just started, go on to have others keep what is left of
// copies that have ended here.
func (c *Core) remember(a *mesh.AllocView) {
	if a.Node != c.self || !a.State().Final() {
		return
	}
	for _, t := range tasksOf(a.Status) {
		for _, k := range t.Left() {
			if len(k.Nodes) <= mesh.KeptCopies {
				c.keep.ended[a.ID] = true
			}
		}
	}
}
