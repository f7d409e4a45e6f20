package reconcile

import (
	"fmt"
	"slices"

	"mn/mesh"
)

// What is marked unsafe ([mesh.Safety]) never runs twice without a person's word. So
// the seat of a copy with an unsafe task waits for a review (review.go) when
//
//	the copy has ended, and not as it should   if one of its unsafe tasks was ever
//	                                           ordered to start
//	its node is out of sight, or was evicted   after lost_after, whatever we know of
//	                                           it: the task may have started since
//	its node is drained                        after the deadline if it is a batch
//	                                           job's; it stays meanwhile
//
// Its job has on_partition = "keep", so that a copy starts only once nothing else of
// its seat may run ([Rival]).
//
// A new version and a retry are a person's word as well: what has ended before does
// not count then. To resume is none: what the pause has cut off waits.

// unsafe says by which mark a group's work must not run twice, or "".
func unsafe(g *mesh.Group) string {
	if t := mesh.Hazard(g.Tasks); t != nil {
		return fmt.Sprintf("task %q is marked unsafe (%s)", t.Name, t.Safety.Mark())
	}
	return ""
}

// began says whether the node of a copy has said that an unsafe task of it was
// ordered to start.
func began(a *mesh.AllocView, g *mesh.Group) bool {
	return a.Status != nil && slices.ContainsFunc(g.Tasks, func(t mesh.Task) bool {
		return t.Safety.Mark() != "" && a.Status.Began(t.Name)
	})
}

// cutOff is why what a copy has ended with must not be done again by itself, or "".
// Whether it failed, or was told to stop, does not matter.
func (p *planner) cutOff(a *mesh.AllocView, g *mesh.Group) string {
	done := a.State() == mesh.Complete && !p.job.Job.Type.Long()
	if !a.State().Final() || done || !began(a, g) {
		return ""
	}
	return unsafe(g)
}

// fateAsked is the fate of a copy whose node is not in sight, and of which a person has
// to say that it does not run any more, for that reason. No waiting tells that.
func (p *planner) fateAsked(a *mesh.AllocView, n *mesh.NodeView, ask string) fate {
	if p.dead(a) {
		return fate{is: gone, why: said(deadText, a.Verdict)}
	}
	f := fate{is: gone, why: p.absent(a)}
	if n != nil {
		f = p.fateAfter(n, p.patience(n), "")
	}
	if f.is == gone {
		f = fate{is: away, review: true, why: f.why + "; " + ask}
	}
	return f
}

// dead says whether a person has said of a copy that it does not run any more. It must
// not begin then either.
func (p *planner) dead(a *mesh.AllocView) bool {
	v := p.word(a, mesh.ReviewLost)
	return v != nil && v.Approve
}

// forsaken says whether a person has given up a copy whose node was out of sight. Should it be
// back, that holds: nothing of the seat runs before a new version, or a retry.
func (p *planner) forsaken(a *mesh.AllocView) bool {
	v := p.word(a, mesh.ReviewLost)
	return v != nil && !v.Approve
}

// condemn stops a copy that by a person's word is not to run, should it be there after all.
func (p *planner) condemn(s *seat, a *mesh.AllocView, why string) {
	s.busy = "the copy before it is stopping on " + p.nodeName(a.Node)
	if !p.job.Paused {
		p.stop([]*mesh.AllocView{a}, "%s", said(why, a.Verdict))
	}
}

const (
	deadText     = "a person has said that it does not run any more"
	forsakenText = "a person gave it up"
)

// leftToPeople is why nobody but a person has a copy that is not bound to its node followed by
// another, or "".
func (p *planner) leftToPeople(a *mesh.AllocView) string {
	switch {
	case a.Target != "":
		return ""
	case mesh.Hazard(p.job.Job.Tasks) != nil: // before the groups are put together, for each copy
		g, _ := p.job.Job.Group(a.Group)
		if mark := unsafe(&g); mark != "" {
			return mark + ", and may have run"
		}
	}
	if mode := p.job.Job.Recovery.Mode; mode == mesh.ManualRecover {
		return fmt.Sprintf("recovery mode %q leaves that to a person", mode)
	}
	return ""
}

// keeps is why a copy does not leave its node by itself, or "".
func (p *planner) keeps(s *seat, a *mesh.AllocView) string {
	switch mark := unsafe(&s.group); {
	case mark != "" && began(a, &s.group):
		return mark
	case a.Target == "" && !p.job.Job.Recovery.Mode.Moves():
		return fmt.Sprintf("recovery mode %q never moves work", p.job.Job.Recovery.Mode)
	}
	return ""
}
