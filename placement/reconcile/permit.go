package reconcile

import (
	"cmp"
	"fmt"
	"slices"

	"mn/mesh"
)

// A job's shared limit bounds its copies together with those of other jobs, which other
// coordinators plan. So a plan only says what the permits that it sees leave room for:
// whoever carries it out asks for a permit for each copy before its node is asked for
// room (mesh/core), and may be refused.
//
// Copies count that have a permit, and of the job itself also those that hold a place
// without, as it had no such limit before. What a copy has and needs no more is given back;
// it counts until it is, for then all jobs that wait are told, and another may be first.

// permits are those under the shared limits, as far as they matter for the job.
type permits struct {
	own    []mesh.Permit
	others int // of the job's limit, which copies of other jobs have
	taken  int // by copies of the job, or to be
}

// permits finds those that matter.
func (p *planner) permits() permits {
	var all permits
	taken := map[mesh.AllocID]bool{}
	l := p.job.Job.Limit
	for _, one := range p.view.Permits {
		if one.Job == p.job.ID() {
			all.own = append(all.own, one)
		}
		switch {
		case l == nil || one.Key != l.Key:
		case one.Job == p.job.ID():
			taken[one.Alloc] = true
		default:
			all.others++
		}
	}
	for _, a := range p.pending {
		taken[a.ID] = true
	}
	for i := range p.allocs {
		if f := p.fate(&p.allocs[i]); f.is == here || f.is == away {
			taken[p.allocs[i].ID] = true
		}
	}
	all.taken = len(taken)
	return all
}

// exceeds is why the shared limit leaves no room for one more copy, or "".
func (p *planner) exceeds() string {
	l := p.job.Job.Limit
	if l == nil || p.shared.taken+p.shared.others < l.Max {
		return ""
	}
	p.plan.Limited++
	text := fmt.Sprintf("limit %q = %d: %s", l.Key, l.Max, running(p.shared.taken+p.shared.others))
	if p.shared.others > 0 && p.shared.taken > 0 {
		text += fmt.Sprintf(", %d of them of other jobs", p.shared.others)
	} else if p.shared.others > 0 {
		text += ", of other jobs"
	}
	return text
}

// permit compares the permits that the job's copies have with those that they need. A copy
// that has not begun asks for its own when it is about to.
func (p *planner) permit() {
	if !p.granted {
		return
	}
	needs, has := map[mesh.AllocID]bool{}, map[mesh.AllocID]bool{}
	for _, a := range p.pending {
		needs[a.ID] = true
	}
	for _, pl := range p.plan.Place {
		needs[pl.Alloc.ID] = true
	}
	l := p.job.Job.Limit
	owns := map[mesh.AllocID]bool{}
	for _, one := range p.shared.own {
		owns[one.Alloc] = true
		has[one.Alloc] = has[one.Alloc] || l != nil && one.Key == l.Key
	}
	for i := range p.allocs {
		a := &p.allocs[i]
		f := p.fate(a)
		switch {
		case f.is == here, f.is == away:
			needs[a.ID] = true
			if l != nil && !has[a.ID] && begunAtAll(a) {
				p.plan.Claim = append(p.plan.Claim, a.ID)
			}
		case f.is == gone && owns[a.ID]:
			needs[a.ID] = p.needsPermit(a, f)
		}
		if owns[a.ID] {
			p.wakeIn(f.wake)
		}
	}
	for _, one := range p.shared.own {
		if moved := has[one.Alloc] && one.Key != l.Key; moved || !needs[one.Alloc] {
			p.plan.Return = append(p.plan.Return, one)
		}
	}
	if len(p.plan.Return)+len(p.plan.Claim) > 0 {
		p.wakeIn(retryPermit)
	}
}

// needsPermit says whether a copy that counts as gone needs its permit yet, as it may come
// back and go on: of an eager job it may run all the time. One of a majority job has stopped,
// or a person says that it does not run, and it is told so, for all to know, before its permit
// is given back.
func (p *planner) needsPermit(a *mesh.AllocView, f fate) bool {
	switch {
	case p.view.Node(a.Node) == nil && p.view.Forgot(a.Node):
		return false
	case p.partition != mesh.Majority && !p.dead(a):
		return true
	case a.Want == mesh.WantStop && !a.Degraded:
		return false
	}
	if !p.stops(a) {
		p.stop([]*mesh.AllocView{a}, "%s; its permit under a limit is given back", f.why)
	}
	return true
}

// stops says whether the plan has a copy stop.
func (p *planner) stops(a *mesh.AllocView) bool {
	return slices.ContainsFunc(p.plan.Stop, func(s Stop) bool { return s.Alloc == a.ID })
}

// limited is why no place is left for a copy of a group, or "".
func (p *planner) limited(g mesh.Group) string { return cmp.Or(p.full(g), p.exceeds()) }
