package placement

import (
	"fmt"
	"slices"

	"mn/mesh"
)

// FitsEmpty says whether all copies of a job would fit together if nothing else
// ran in the mesh and all its nodes were in sight and took work: whether it is
// of any use to wait. Copies are placed one by one, as a plan would, so a job
// that fits only by a cleverer packing counts as one that does not.
func FitsEmpty(v *mesh.View, job *mesh.Job) bool {
	empty := mesh.View{Nodes: slices.Clone(v.Nodes)}
	for i := range empty.Nodes {
		n := &empty.Nodes[i]
		n.Liveness, n.Eligible, n.Used = mesh.Alive, true, mesh.Resources{}
	}
	packed := *job
	packed.Strategy = mesh.Binpack
	for _, g := range job.Groups() {
		for i := range g.Count {
			c := Place(&empty, &packed, g, fmt.Sprintf("%s/%d", g.Name, i), nil)
			if len(c.Candidates) == 0 {
				return false
			}
			n := empty.Node(c.Candidates[0].Node)
			n.Used = n.Used.Add(g.Resources)
		}
	}
	return true
}
