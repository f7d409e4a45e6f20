package runner

import (
	"fmt"
	"slices"

	"mn/mesh"
)

// left takes notice of what is kept of a task. Who has it by now is not forgotten, if it is
// the same as before.
func (c *Copy) left(t *task, o Observation) {
	keep := func(at **mesh.Kept, seen *mesh.Kept) bool {
		if seen == nil || *at != nil && (*at).Tree == seen.Tree && (*at).Fault == seen.Fault {
			return false
		}
		here := *seen
		if here.Nodes = nil; here.Tree != "" {
			here.Nodes = []mesh.NodeID{c.facts.Node}
		}
		*at = &here
		return true
	}
	before := t.status.Log
	if keep(&t.status.Log, o.Log) && before != nil && len(before.Nodes) > 1 {
		t.status.LogBefore = before
	}
	if !keep(&t.status.Outputs, o.Outputs) {
		return
	}
	text := "outputs: none is kept: " + o.Outputs.Fault
	if o.Outputs.Fault == "" {
		text = fmt.Sprintf("outputs: %s, %v",
			mesh.Counted(o.Outputs.Files, "file", "files"), mesh.Bytes(o.Outputs.Bytes))
	}
	c.event(mesh.TaskKept, t, text)
}

func sameKept(a, b *mesh.Kept) bool {
	return a == b || a != nil && b != nil && a.Tree == b.Tree && a.Fault == b.Fault && slices.Equal(a.Nodes, b.Nodes)
}
