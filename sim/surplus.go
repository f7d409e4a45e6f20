package sim

import (
	"slices"
	"strings"
	"time"

	"mn/crdt"
	"mn/mesh"
)

// staleMax is how old a coordinator's picture of what runs may be: that a copy has
// ended is on its way, or its node is slow to say so.
const staleMax = 20 * time.Second

// checkSurplus looks at a decision that a copy is one too many: another of its
// index must run, or have run a moment ago. Of two neither of which is known to run
// either may go.
func (w *world) checkSurplus(h *host, e *crdt.Entry) {
	var d mesh.DegradedAlloc // an Alloc is the beginning of one
	if err := crdt.Decode(e.Value, &d); err != nil || d.Want != mesh.WantStop {
		return
	}
	if !strings.HasPrefix(d.Reason, "one copy is enough") || !w.people.untouched(d.Job) ||
		w.mayEnd(w.people.job(d.Job)) {
		return
	}
	if d.Target != "" {
		return // bound to its node: there is no other
	}
	copy := copyID{job: d.Job, task: d.Group, index: d.Index}
	runs := false
	for _, o := range w.hosts {
		for _, p := range o.tasks {
			if p.copy != copy {
				continue
			}
			if p.spec.Alloc != d.ID || o.self.ID != d.Node {
				return // the other one
			}
			runs = true
		}
	}
	for place, at := range w.checker.lastRan[copy] {
		if w.hosts[place].self.ID != d.Node && w.now-at < staleMax {
			return
		}
	}
	known := slices.ContainsFunc(h.agent.core.View().AllocsOf(d.Job), func(a mesh.AllocView) bool {
		return a.ID == d.ID && a.State() == mesh.Running
	})
	if runs && known {
		w.breach("not-for-nothing", "%s stops %v on %s as one too many, and no other has run for %v",
			h.name, copy, w.byID[d.Node].name, staleMax)
	}
}
