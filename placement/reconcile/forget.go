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
// do those before it that its reschedule policy may count, those that had failed before
// them, and the last that has completed the work of a batch job.
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
		if !p.mayCount(a, copies) && (p.job.Job.Type.Long() || a != lastComplete(copies)) {
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

// mayCount says whether the reschedule policy may count a copy of a seat as a move, or
// look at it for the move that followed its failure, however long it had run by then.
func (p *planner) mayCount(a *mesh.AllocView, copies []*mesh.AllocView) bool {
	last := copies[len(copies)-1]
	counts := func(o *mesh.AllocView) bool {
		return last.At.Sub(o.At) <= p.policy.Interval && last.Generation-o.Generation <= mesh.WindowMax
	}
	if counts(a) || a.State() == mesh.Stopped || a.State() == mesh.Complete && !p.job.Job.Type.Long() {
		return counts(a)
	}
	return slices.ContainsFunc(copies, func(o *mesh.AllocView) bool { return o.Replaces == a.ID && counts(o) })
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
