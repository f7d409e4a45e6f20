package reconcile

import (
	"fmt"
	"slices"

	"mn/mesh"
	"mn/placement"
)

// Jobs of the types system and sysbatch have a seat on each node that can run
// them, also on those that join or come back later. A copy is bound to its node:
// when that is out of sight the seat waits for it, and is filled nowhere else.
// Moves of the reschedule policy are further tries on the same node.

// seats are the copies of a group that the job should have.
func (p *planner) seats(g mesh.Group) []mesh.Seat {
	var seats []mesh.Seat
	if !p.job.Job.Type.PerNode() {
		for i := range g.Count {
			seats = append(seats, mesh.Seat{Group: g.Name, Index: i})
		}
		return seats
	}
	content := g.ContentOf(mesh.HashGroup(&p.job.Job, g.Name), 0)
	for i := range p.view.Nodes {
		n := &p.view.Nodes[i]
		if n.Evicted {
			continue
		}
		id := mesh.Seat{Group: g.Name, Target: n.ID}
		if p.begun(id) || p.suits(n, g) || p.came(&seat{Seat: id, group: g, content: content}) {
			seats = append(seats, id)
		}
	}
	return seats
}

// came says whether a copy of work that has an end has come to one here. That counts, and
// what was cut off goes on, also if the node takes no new work now: else the drain of a
// node would make good what has failed there.
func (p *planner) came(s *seat) bool {
	return p.job.Job.Type == mesh.SysBatch && slices.ContainsFunc(p.copies[s.Seat], func(a *mesh.AllocView) bool {
		return a.State().Final() && p.speaks(a, s, p.since)
	})
}

// begun says whether a seat has a copy that is meant to run: a node that takes no
// new work keeps what it has.
func (p *planner) begun(id mesh.Seat) bool {
	return slices.ContainsFunc(p.copies[id], func(a *mesh.AllocView) bool {
		return a.Want == mesh.WantRun && !a.State().Final()
	})
}

// suits says whether a node should get its copy of a group, once it has room.
func (p *planner) suits(n *mesh.NodeView, g mesh.Group) bool {
	if !n.Eligible || !n.Known || placement.Unsuited(n, g) != "" {
		return false
	}
	late := p.job.Job.Type == mesh.SysBatch && n.AdmittedAt.After(p.job.At)
	return !late || p.job.Job.Late()
}

// bound is why a seat has to wait for its node, or "".
func (p *planner) bound(s *seat) string {
	if s.Target == "" {
		return ""
	}
	n := p.view.Node(s.Target)
	if n == nil || n.Liveness == mesh.Alive {
		return ""
	}
	return fmt.Sprintf("node %s is %s; its copy waits for it", p.nodeName(n.ID), outOfSight(n.Liveness))
}
