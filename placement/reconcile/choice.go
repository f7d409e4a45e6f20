package reconcile

import (
	"slices"
	"time"

	"mn/mesh"
	"mn/placement"
)

// Which of several copies of a seat stays is the job's choice (recovery.reconcile).
// A copy that runs comes before one that does not, whatever is chosen. All of it
// follows from the view, so whoever decides chooses the same; and as the others are
// stopped in the same plan, the next one has nothing left to choose.

// chosen is which of some copies of a seat stays; they are in order of generation.
func (p *planner) chosen(s *seat, copies []*mesh.AllocView) *mesh.AllocView {
	var run []*mesh.AllocView
	for _, a := range copies {
		if p.running(a) {
			run = append(run, a)
		}
	}
	switch {
	case len(run) == 0:
		return copies[0]
	case len(run) == 1:
		return run[0]
	}
	switch p.job.Job.Recovery.Stays() {
	case mesh.KeepReplacement:
		return run[len(run)-1]
	case mesh.LongestRunning:
		return slices.MinFunc(run, func(a, b *mesh.AllocView) int { return runsSince(a).Compare(runsSince(b)) })
	case mesh.BestScore:
		return p.bestPlaced(s, run)
	case mesh.KeepFurthest:
		return p.furthest(s, run)
	case mesh.KeepOriginal:
	}
	return run[0]
}

// runsSince is when the first of a copy's tasks that run was started.
func runsSince(a *mesh.AllocView) time.Time {
	since := a.Status.At
	for _, t := range a.Status.Tasks {
		if t.State == mesh.Running && t.StartedAt.Before(since) {
			since = t.StartedAt
		}
	}
	return since
}

// bestPlaced is the copy on the node that placement would choose, were none of them
// there; or the first, if it would choose none of their nodes.
func (p *planner) bestPlaced(s *seat, copies []*mesh.AllocView) *mesh.AllocView {
	for _, c := range placement.Place(p.without(copies), &p.job.Job, s.group, string(copies[0].ID), nil).Candidates {
		for _, a := range copies {
			if a.Node == c.Node {
				return a
			}
		}
	}
	return copies[0]
}

// without is the planner's view without some copies, and without those that it stops.
func (p *planner) without(copies []*mesh.AllocView) *mesh.View {
	goes := map[mesh.AllocID]bool{}
	for _, a := range copies {
		goes[a.ID] = true
	}
	for _, s := range p.plan.Stop {
		goes[s.Alloc] = true
	}
	v := *p.view
	v.Nodes, v.Allocs = slices.Clone(v.Nodes), nil
	for _, a := range p.view.Allocs {
		switch n := v.Node(a.Node); {
		case !goes[a.ID]:
			v.Allocs = append(v.Allocs, a)
		case n != nil && !a.State().Final():
			n.Used = n.Used.Without(&a.Alloc)
		}
	}
	return &v
}
