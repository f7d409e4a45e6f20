package reconcile

import (
	"fmt"
	"slices"
	"strings"

	"mn/mesh"
	"mn/placement"
)

// Jobs of the types system and sysbatch have a seat on each node that can run
// them, also on those that join or come back later. A copy is bound to its node:
// when that is out of sight the seat waits for it, and is filled nowhere else.
// Moves of the reschedule policy are further tries on the same node.
//
// A node that takes no new work gets no copy, and none is missing there. But what a
// sysbatch job has begun on one is part of its result: it waits there to be finished.
//
// Nor does a system job miss a copy where a service does not pass that a copy needs on its node: it
// comes with the service. A sysbatch job waits for it there: its result is that of all nodes.

// seats are the copies of a group that the job should have.
func (p *planner) seats(g mesh.Group) []mesh.Seat {
	var seats []mesh.Seat
	if !p.job.Job.Type.PerNode() {
		for i := range g.Count {
			seats = append(seats, mesh.Seat{Group: g.Name, Index: i})
		}
		return seats
	}
	for i := range p.view.Nodes {
		n := &p.view.Nodes[i]
		if n.Evicted {
			continue
		}
		seat := mesh.Seat{Group: g.Name, Target: n.ID}
		if p.begun(seat) || p.suits(n, g) {
			seats = append(seats, seat)
		}
	}
	return seats
}

// begun says whether a seat has a copy that is meant to run, or that counts for the
// result: a node that takes no new work keeps what it has.
func (p *planner) begun(id mesh.Seat) bool {
	return slices.ContainsFunc(p.copies[id], func(a *mesh.AllocView) bool {
		counts := p.job.Job.Type == mesh.SysBatch && a.Version >= p.since.Number && p.job.CameFrom(a.Version, a.Hash)
		return a.Want == mesh.WantRun && !a.State().Final() || counts
	})
}

// suits says whether a node should get its copy of a group, once it has room.
func (p *planner) suits(n *mesh.NodeView, g mesh.Group) bool {
	if !n.Eligible || !n.Known || placement.Unsuited(n, g) != "" {
		return false
	}
	if why := placement.Unserved(p.view, &p.job.Job, g, n); why != "" && p.job.Job.Type == mesh.System {
		p.leftOut(n, why)
		return false
	}
	late := p.job.Job.Type == mesh.SysBatch && n.AdmittedAt.After(p.since.At)
	return !late || p.job.Job.Late()
}

// leftOutMax is how many nodes are named that a system job leaves out.
const leftOutMax = 3

// leftOut notes that a node gets no copy for want of a service.
func (p *planner) leftOut(n *mesh.NodeView, why string) {
	if p.unserved == nil {
		p.unserved = &unserved{why: why}
	}
	if name := p.nodeName(n.ID); !slices.Contains(p.unserved.nodes, name) {
		p.unserved.nodes = append(p.unserved.nodes, name)
	}
}

// unserved are nodes that get no copy, and why the first does not.
type unserved struct {
	nodes []string
	why   string
}

// String is "none on a, b: no passing instance of web on this node", and nothing that changes by the second.
func (w *unserved) String() string {
	if w == nil {
		return ""
	}
	names := w.nodes[:min(len(w.nodes), leftOutMax)]
	text := "; none on " + strings.Join(names, ", ")
	if more := len(w.nodes) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text + ": " + w.why
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
