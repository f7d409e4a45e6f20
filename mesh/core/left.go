package core

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"time"

	"mn/mesh"
	"mn/placement"
)

// What is left of a task, its outputs and the end of its log, is kept by others as its
// checkpoints are (checkpoint.go), but for as long as its copy is on record, whatever has
// become of it. It is not asked for again once some nodes had it. Where too few can have it
// it is asked for less and less often, and each time of others.

// Bounds of what is left of tasks that a node keeps, its own and that of others. The oldest
// go first: of the ends of logs, which have 1 GiB at most, and of outputs. Of those a node
// whose room is full takes no more from others.
const (
	logsKeptMax    = 4096
	outputsKeptMax = 64 * mesh.GiB
)

// askSlow is how often the wait doubles until others are asked again to keep what is left of
// a task: to ten minutes. For the first tries it is the same ones, who may be busy with it.
const (
	askSlow = 7
	askSame = 3
)

// What a node is asked to keep, besides what was saved.
const (
	keptOutputs = "outputs"
	keptLog     = "log"
)

// leftKey is something that is left of a task.
type leftKey struct {
	alloc mesh.AllocID
	task  string
	tree  string
}

// keepLeft asks others to keep what is left of the tasks of a copy, and says whether too few
// have it yet. What this node does not keep itself it has nobody keep.
func (c *Core) keepLeft(id mesh.AllocID, status *mesh.Status) (more bool) {
	a, ok := c.records.effective(id)
	if !ok {
		return false
	}
	for i := range status.Tasks {
		t := &status.Tasks[i]
		for _, k := range t.Left() {
			if len(k.Nodes) > mesh.KeptCopies || !c.keptHere()[k.Tree] {
				continue
			}
			h := Hold{Alloc: a.ID, Task: t.Name, Tree: k.Tree, Kind: keptOutputs, Bytes: k.Bytes}
			if k == t.Log {
				h.Kind = keptLog
			}
			key := leftKey{a.ID, t.Name, k.Tree}
			tried := c.keep.left[key]
			if tried.next <= c.now.Boot {
				c.askToKeep(&a, &h, k, tried.times)
				tried = failed{min(tried.times+1, askSlow), c.now.Boot + keepEvery<<tried.times}
			}
			c.keep.asking[key] = tried
			c.keep.next = min(c.keep.next, tried.next) // others may come into sight, or go
			more = true
		}
	}
	return more
}

// askToKeep asks those that rank first for a task, of those that have not said that they
// have something of it. After some tries it goes on to those that come next.
func (c *Core) askToKeep(a *mesh.AllocView, h *Hold, k *mesh.Kept, tries int) {
	others := slices.DeleteFunc(slices.Clone(c.sync.inSight), func(id mesh.NodeID) bool {
		private := h.Kind == keptLog && c.records.nodes[id].Role == mesh.Witness
		return !c.admitted(id) || private || slices.Contains(k.Nodes, id)
	})
	ranked := placement.Rank(fmt.Sprint(a.Job, a.Seat(), h.Task), others)
	want := min(len(ranked), mesh.KeptCopies+1-len(k.Nodes))
	for i := range want {
		to := ranked[(i+max(0, tries-askSame)*want)%len(ranked)]
		c.send(to, Message{Hold: h})
	}
}

// askAnew has what too few have asked for again: others have come into sight.
func (c *Core) askAnew() {
	if len(c.keep.left) > 0 {
		clear(c.keep.left)
		c.keep.next = c.now.Boot
	}
}

// keptHere is what this node keeps of what is left of copies, found out once each time that
// it looks for what others are to keep.
func (c *Core) keptHere() map[string]bool {
	if c.keep.here == nil {
		c.keep.here = map[string]bool{}
		c.leftHere(c.records.allocs(), c.keep.here)
	}
	return c.keep.here
}

// leftHere adds what this node is to keep of what is left of copies, and returns how many
// bytes of outputs that is.
func (c *Core) leftHere(allocs []mesh.AllocView, want map[string]bool) (outputs int64) {
	var ends, files []*mesh.Kept
	here := func(k *mesh.Kept) bool { return k != nil && k.Tree != "" && slices.Contains(k.Nodes, c.self) }
	for i := range allocs {
		for _, t := range tasksOf(allocs[i].Status) {
			for _, k := range t.Ends() {
				if here(k) {
					ends = append(ends, k)
				}
			}
			if here(t.Outputs) {
				files = append(files, t.Outputs)
			}
		}
	}
	newest := func(a, b *mesh.Kept) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Tree, b.Tree)) }
	slices.SortFunc(ends, newest)
	for _, k := range ends[:min(len(ends), logsKeptMax)] {
		want[k.Tree] = true
	}
	slices.SortFunc(files, newest)
	counted := map[string]bool{}
	for _, k := range files {
		if bytes := max(k.Bytes, 0); !counted[k.Tree] {
			if bytes > int64(outputsKeptMax)-outputs {
				break
			}
			counted[k.Tree], outputs = true, outputs+bytes
		}
		want[k.Tree] = true
	}
	return outputs
}

// roomFor says whether there is room here for what a peer wants kept.
func (c *Core) roomFor(h *Hold) bool {
	if h.Kind != keptOutputs {
		return true
	}
	if h.Bytes < 0 || h.Bytes > int64(mesh.OutputBytesMax) {
		return false
	}
	used := c.leftHere(c.records.allocs(), map[string]bool{})
	for tree, askers := range c.keep.fetching {
		if tree != h.Tree && len(askers) > 0 {
			used += askers[0].hold.Bytes
		}
	}
	return h.Bytes <= int64(outputsKeptMax)-used
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

// onlyLeft says whether a status differs from the one before it in nothing but what is kept of
// its tasks.
func onlyLeft(before, now *mesh.Status) bool {
	if !slices.ContainsFunc(now.Tasks, func(t mesh.TaskStatus) bool { return len(t.Left()) > 0 }) {
		return false
	}
	bare := func(s mesh.Status) mesh.Status {
		s.At, s.Tasks = time.Time{}, slices.Clone(s.Tasks)
		for i := range s.Tasks {
			t := &s.Tasks[i]
			t.Outputs, t.Log, t.LogBefore = nil, nil, nil
		}
		return s
	}
	return reflect.DeepEqual(bare(*before), bare(*now))
}
