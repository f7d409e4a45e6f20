package reconcile

import (
	"cmp"
	"slices"

	"mn/mesh"
)

// endedKept is how many ended copies of a job are kept for people to look at,
// beside those that decisions depend on.
const endedKept = 50

// forget names the ended copies that can be forgotten: the oldest beyond
// endedKept. A seat's last copy stays, for generations to go on from it, and so
// do those before it that its reschedule policy may count, and the last that has
// completed the work of a batch job.
func (p *planner) forget() {
	var free []*mesh.AllocView
	ended := 0
	for i := range p.allocs {
		a := &p.allocs[i]
		if !a.State().Final() {
			continue
		}
		ended++
		copies := p.copies[a.Seat()]
		last := copies[len(copies)-1]
		counted := last.At.Sub(a.At) <= p.policy.Interval && last.Generation-a.Generation <= mesh.WindowMax
		if !counted && (p.job.Job.Type.Long() || a != lastComplete(copies)) {
			free = append(free, a)
		}
	}
	slices.SortStableFunc(free, func(a, b *mesh.AllocView) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID))
	})
	for _, a := range free[:min(max(ended-endedKept, 0), len(free))] {
		p.plan.Forget = append(p.plan.Forget, a.ID)
	}
}

// lastComplete is the last of the copies of a seat that has completed, or nil.
func lastComplete(copies []*mesh.AllocView) *mesh.AllocView {
	for _, a := range slices.Backward(copies) {
		if a.State() == mesh.Complete {
			return a
		}
	}
	return nil
}
