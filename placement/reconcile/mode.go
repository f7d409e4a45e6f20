package reconcile

import (
	"cmp"
	"fmt"

	"mn/mesh"
	"mn/placement"
)

// movers is how many nodes it takes for a copy to have somewhere to go.
const movers = 2

// Mode is what a job's recovery mode comes to among the nodes in sight. It is for
// people to see: with a single node that can run a job its plan has nowhere to move
// anything, whatever the mode says.
func Mode(v *mesh.View, job *mesh.Job) mesh.EffectiveRecovery {
	asked := cmp.Or(job.Recovery.Mode, mesh.Auto)
	e := mesh.EffectiveRecovery{Requested: asked, Effective: asked}
	switch {
	case !asked.Moves():
		e.Reason = "it never moves work"
		return e
	case job.Type.PerNode():
		e.Effective, e.Reason = mesh.LocalRestart, "each copy belongs to its node"
	default:
		e.Effective, e.Reason = mesh.ClusterRecover, ""
		for _, g := range job.Groups() {
			if enough, why := serves(v, job, g); e.Reason == "" || !enough && e.Effective == mesh.ClusterRecover {
				e.Reason = why
				if !enough {
					e.Effective = mesh.LocalRestart
				}
			}
		}
	}
	e.Degraded = asked == mesh.ClusterRecover && e.Effective != asked
	return e
}

// serves says whether enough nodes in sight could run a group for its copies to move
// between them, and which.
func serves(v *mesh.View, job *mesh.Job, g mesh.Group) (enough bool, why string) {
	able, last := 0, ""
	for i := range v.Nodes {
		if n := &v.Nodes[i]; could(n, g) {
			able, last = able+1, cmp.Or(n.Name, n.ID.Short())
		}
	}
	what := "it"
	if len(job.Groups()) > 1 {
		what = fmt.Sprintf("group %q", g.Name)
	}
	switch able {
	case 0:
		return false, "no node in sight can run " + what
	case 1:
		return false, fmt.Sprintf("only %s can run %s", last, what)
	}
	return able >= movers, fmt.Sprintf("%d nodes in sight can run %s", able, what)
}

// could says whether a node in sight takes work and could run a copy of a group, if
// nothing else were on it.
func could(n *mesh.NodeView, g mesh.Group) bool {
	return n.Liveness == mesh.Alive && n.Known && n.Eligible &&
		placement.Unsuited(n, g) == "" && n.Capacity.Lacks(g.Resources) == ""
}
