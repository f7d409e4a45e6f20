package reconcile

import (
	"fmt"

	"mn/mesh"
)

// stopSurplus stops what the job does not want at all any more: everything if
// it is stopped or paused, else indexes beyond the count and groups that are no more.
// Copies out of sight are told too: their nodes learn of it when they are back.
func (p *planner) stopSurplus() {
	for i := range p.allocs {
		a := &p.allocs[i]
		if a.State().Final() || p.wanted[a.Seat()] {
			continue
		}
		n := p.view.Node(a.Node)
		if a.Target != "" && (n == nil || n.Evicted) && !p.job.Stopped && !p.job.Paused {
			continue // its node is no member any more, and stops it by itself
		}
		g, wanted := p.job.Job.Group(a.Group)
		p.tally.surplus(p, a)
		if a.Want == mesh.WantStop {
			continue
		}
		one := []*mesh.AllocView{a}
		switch {
		case p.job.Stopped, p.job.Paused:
			p.stop(one, "%s", p.endReason())
		case wanted && p.job.Job.Type.PerNode():
			p.stop(one, "version %d wants one of group %q on each node that can run it", p.job.Number, a.Group)
		case wanted:
			p.stop(one, "version %d wants %d of group %q", p.job.Number, g.Count, a.Group)
		default:
			p.stop(one, "version %d has no group %q", p.job.Number, a.Group)
		}
	}
}

// endReason is why nothing of the job should run: "version 3 pauses the job", with
// what the person said. A job that is scaled while it is paused stays so.
func (p *planner) endReason() string {
	does := "stops"
	switch {
	case p.job.Verb == mesh.VerbCancel:
		does = "cancels"
	case p.job.Paused:
		does = "pauses"
	}
	text := fmt.Sprintf("version %d %s the job", p.job.Number, does)
	if p.job.Reason != "" {
		text += ": " + p.job.Reason
	}
	return text
}
