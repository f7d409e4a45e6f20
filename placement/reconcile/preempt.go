package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"mn/mesh"
	"mn/placement"
)

// preemptMax bounds for how many copies of a job room is made at a time.
const preemptMax = 16

// Victim is a copy that may have to make room for others.
type Victim struct {
	*mesh.AllocView
	Rank int // of its job
}

// Preempt says which of the victims should end for the copies that fit nowhere to fit. Of
// the nodes where that helps it takes the one that costs least: by the highest rank that
// has to go, then by how many do, then by the work that is lost since it was saved. Those
// that have been told already, and have not ended, count as gone, and stay told.
func Preempt(v *mesh.View, job *mesh.Job, blocked []Blocked, victims []Victim, told []mesh.AllocID) []mesh.AllocID {
	p := preemption{view: *v, job: job, on: map[mesh.NodeID][]Victim{}}
	p.view.Nodes, p.view.Allocs = slices.Clone(v.Nodes), slices.Clone(v.Allocs)
	for _, victim := range victims {
		switch {
		case slices.Contains(told, victim.ID):
			p.out = append(p.out, victim.ID)
			p.end(&p.view, victim)
		case victim.Want == mesh.WantStop: // it ends anyway
			p.end(&p.view, victim)
		default:
			p.on[victim.Node] = append(p.on[victim.Node], victim)
		}
	}
	for id := range p.on {
		slices.SortFunc(p.on[id], func(a, b Victim) int {
			return cmp.Or(cmp.Compare(a.Rank, b.Rank), cmp.Compare(p.lost(a), p.lost(b)), cmp.Compare(a.ID, b.ID))
		})
	}
	left := preemptMax
	for _, b := range blocked {
		for range min(b.Copies, b.Room, left) {
			left--
			if !p.fit(b) {
				break
			}
		}
	}
	slices.Sort(p.out)
	return p.out
}

type preemption struct {
	view mesh.View
	job  *mesh.Job
	on   map[mesh.NodeID][]Victim // that run yet, cheapest first
	out  []mesh.AllocID
}

// end frees what a copy has.
func (p *preemption) end(v *mesh.View, a Victim) {
	if n := v.Node(a.Node); n != nil && !a.State().Final() {
		n.Used = n.Used.Without(&a.Alloc)
	}
}

// lost is the work that a copy would lose.
func (p *preemption) lost(a Victim) time.Duration {
	most := time.Duration(0)
	if a.Status == nil {
		return 0
	}
	for _, t := range a.Status.Tasks {
		if t.State != mesh.Running {
			continue
		}
		from := t.StartedAt
		if t.Checkpoint != nil && t.Checkpoint.At.After(from) {
			from = t.Checkpoint.At
		}
		most = max(most, p.view.Now.Sub(from))
	}
	return most
}

// fit finds room for one copy, and says whether there is any.
func (p *preemption) fit(b Blocked) bool {
	g, ok := p.job.Group(b.Group)
	if !ok {
		return false
	}
	choose := func(v *mesh.View) placement.Choice {
		if b.Target != "" {
			return placement.PlaceOn(v, p.job, g, b.Target)
		}
		return placement.Place(v, p.job, g, string(b.Alloc), nil)
	}
	if c := choose(&p.view); len(c.Candidates) > 0 {
		p.take(c.Candidates[0].Node, b, &g)
		return true
	}
	var best []Victim
	trial := placement.Trial(&p.view, p.job, g)
	for i := range p.view.Nodes {
		n := &p.view.Nodes[i]
		if b.Target != "" && b.Target != n.ID {
			continue
		}
		if some := p.clear(n, trial); some != nil && (best == nil || p.cheaper(some, best)) {
			best = some
		}
	}
	if best == nil {
		return false
	}
	for _, a := range best {
		p.out = append(p.out, a.ID)
		p.end(&p.view, a)
		p.on[a.Node] = slices.DeleteFunc(p.on[a.Node], func(o Victim) bool { return o.ID == a.ID })
	}
	p.take(best[0].Node, b, &g)
	return true
}

// take counts a copy as placed.
func (p *preemption) take(id mesh.NodeID, b Blocked, g *mesh.Group) {
	n := p.view.Node(id)
	a := mesh.Alloc{
		ID: b.Alloc, Job: mesh.JobID(p.job.Name), Group: g.Name, Index: b.Index, Node: id, Want: mesh.WantRun,
		Resources: g.Resources, Grants: g.Asks(),
	}
	n.Used = placement.Take(n, &a)
	p.view.Allocs = append(p.view.Allocs, mesh.AllocView{Alloc: a})
}

// clear are the fewest of the cheapest victims on a node without which a copy would fit
// there; nil if it would not fit without any of them.
func (p *preemption) clear(n *mesh.NodeView, trial func(*mesh.NodeView) bool) []Victim {
	fits := func(goes []Victim) bool {
		free := *n
		for _, a := range goes {
			free.Used = free.Used.Without(&a.Alloc)
		}
		return trial(&free)
	}
	all := p.on[n.ID]
	if len(all) == 0 || !fits(all) {
		return nil
	}
	var goes []Victim
	for _, a := range all {
		if goes = append(goes, a); fits(goes) {
			break
		}
	}
	for i := len(goes) - 1; i >= 0 && len(goes) > 1; i-- { // the dearest first: is it needed?
		if rest := slices.Delete(slices.Clone(goes), i, i+1); fits(rest) {
			goes = rest
		}
	}
	return goes
}

func (p *preemption) cheaper(a, b []Victim) bool {
	worth := func(all []Victim) (rank int, lost time.Duration) {
		for _, v := range all {
			rank, lost = max(rank, v.Rank), lost+p.lost(v)
		}
		return rank, lost
	}
	aRank, aLost := worth(a)
	bRank, bLost := worth(b)
	return cmp.Or(cmp.Compare(aRank, bRank), cmp.Compare(len(a), len(b)), cmp.Compare(aLost, bLost)) < 0
}

// preempted is why a copy has to make room, or "".
func (p *planner) preempted(a *mesh.AllocView) string {
	if !p.job.Job.Preemptible || p.job.Paused || !p.mayReplace() {
		return ""
	}
	for i := range p.view.Queue {
		q := &p.view.Queue[i]
		if q.Priority > p.job.Job.Rank() && slices.Contains(q.Preempts, a.ID) {
			return fmt.Sprintf("makes room for job %q of priority %d", q.Job, q.Priority)
		}
	}
	return ""
}

// makeRoom has a copy stop for another job's; it goes on when there is room again.
func (p *planner) makeRoom(s *seat, a *mesh.AllocView, why string) {
	p.plan.Stop = append(p.plan.Stop, Stop{Alloc: a.ID, Node: a.Node, Reason: why, Leaves: true})
	s.busy = "the copy before it " + why
}
