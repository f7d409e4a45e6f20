package placement

import (
	"fmt"
	"slices"

	"mn/mesh"
)

// rival is a group of a job with a higher priority that waits for room.
type rival struct {
	job     mesh.JobID
	rank    int
	targets []mesh.NodeID // the nodes that it waits for; nil for any
	asked   *asked
}

// rivals are the groups that a job leaves room to.
func rivals(v *mesh.View, job *mesh.Job) []rival {
	var all []rival
	for i := range v.Queue {
		q := &v.Queue[i]
		if q.Priority <= job.Rank() || string(q.Job) == job.Name {
			continue
		}
		theirs := &mesh.View{Nodes: v.Nodes, Allocs: q.Allocs}
		for _, waits := range q.Groups {
			g, ok := q.Spec.Group(waits.Group)
			if !ok {
				continue
			}
			a := ask(g)
			a.crowd = around(theirs, q.Spec, g)
			all = append(all, rival{q.Job, q.Priority, waits.Targets, a})
		}
	}
	return all
}

// outranked keeps room for what waits with a higher priority, where it would fit now.
func outranked(n *mesh.NodeView, q *asked) string {
	for _, r := range q.rivals {
		if r.targets != nil && !slices.Contains(r.targets, n.ID) {
			continue
		}
		if refuse(n, r.asked) == nil {
			return fmt.Sprintf("kept for job %q of priority %d, which waits", r.job, r.rank)
		}
	}
	return ""
}
