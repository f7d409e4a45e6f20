package placement

import (
	"fmt"

	"mn/mesh"
)

// A copy that needs a service on its own node goes only where another copy offers one that
// passes now. Who plans again when that changes is mesh/core.

// found is a service that is needed, and the nodes where there is one.
type found struct {
	mesh.ServiceNeed
	on map[mesh.NodeID]bool
}

// served finds where the services are that a copy of a group needs on its node. What copies of
// the same group offer does not count: it would wait for itself.
func served(v *mesh.View, job *mesh.Job, g mesh.Group) []found {
	var all []found
	for _, need := range g.Needs() {
		s := found{need, map[mesh.NodeID]bool{}}
		for i := range v.Offers {
			o := &v.Offers[i]
			if o.Usable && need.MetBy(o) && (string(o.Job) != job.Name || o.Group != g.Name) {
				s.on[o.Node] = true
			}
		}
		all = append(all, s)
	}
	return all
}

// Unserved is why a node has not what a copy of the group needs there of services now, or "".
func Unserved(v *mesh.View, job *mesh.Job, g mesh.Group, n *mesh.NodeView) string {
	return unserved(n, &asked{served: served(v, job, g)})
}

func unserved(n *mesh.NodeView, q *asked) string {
	for i := range q.served {
		if s := &q.served[i]; !s.on[n.ID] {
			return fmt.Sprintf("no passing instance of %v on this node", &s.ServiceNeed)
		}
	}
	return ""
}
