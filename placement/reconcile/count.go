package reconcile

import (
	"cmp"

	"mn/mesh"
)

// stopSurplus stops what the job does not want at all any more: everything if
// it is stopped, else indexes beyond the count and groups that are no more.
// Copies out of sight are told too: their nodes learn of it when they are back.
func (p *planner) stopSurplus() {
	counts := map[string]int{}
	if !p.job.Stopped {
		for _, g := range p.job.Job.Groups() {
			counts[g.Name] = g.Count
		}
	}
	for i := range p.allocs {
		a := &p.allocs[i]
		count, wanted := counts[a.Group]
		if a.State().Final() || a.Index < count {
			continue
		}
		p.tally.surplus(p, a)
		if a.Want == mesh.WantStop {
			continue
		}
		one := []*mesh.AllocView{a}
		switch {
		case p.job.Stopped:
			p.stop(one, "version %d stops the job", p.job.Number)
		case wanted:
			p.stop(one, "version %d wants %d of group %q", p.job.Number, count, a.Group)
		default:
			p.stop(one, "version %d has no group %q", p.job.Number, a.Group)
		}
	}
}

func compareSeats(a, b seatID) int {
	return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.index, b.index))
}
