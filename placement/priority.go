package placement

import (
	"fmt"
	"slices"

	"mn/mesh"
)

// rival is a group of a job that waits for room, and comes first.
type rival struct {
	job     mesh.JobID
	rank    int
	targets []mesh.NodeID // the nodes that it waits for; nil for any
	asked   *asked
	ending  []mesh.Alloc // that make room for it
}

// rivals are the groups that a job leaves room to: of the jobs that wait, those that come
// before it. One that does not wait itself comes after all of its priority.
func rivals(v *mesh.View, job *mesh.Job) []rival {
	var own *mesh.QueueView
	if i := slices.IndexFunc(v.Queue, func(q mesh.QueueView) bool { return string(q.Job) == job.Name }); i >= 0 {
		own = &v.Queue[i]
	}
	var all []rival
	for i := range v.Queue {
		q := &v.Queue[i]
		if q == own || q.Priority < job.Rank() || q.Priority == job.Rank() && own != nil && own.Before(q) < 0 {
			continue
		}
		theirs := &mesh.View{Nodes: v.Nodes, Allocs: q.Allocs, Offers: v.Offers}
		for _, waits := range q.Groups {
			g, ok := q.Spec.Group(waits.Group)
			if !ok {
				continue
			}
			a := ask(g)
			a.crowd, a.served = around(theirs, q.Spec, g), served(theirs, q.Spec, g)
			all = append(all, rival{q.Job, q.Priority, waits.Targets, a, q.Ending})
		}
	}
	return all
}

// outranked keeps room for what comes first, where it would fit now, or will once those
// have ended that make room for it: if it were given away bit by bit meanwhile they would
// have ended in vain.
func outranked(n *mesh.NodeView, q *asked) string {
	for _, r := range q.first() {
		if r.targets != nil && !slices.Contains(r.targets, n.ID) {
			continue
		}
		soon := *n
		for i := range r.ending {
			if r.ending[i].Node == n.ID {
				soon.Used = soon.Used.Without(&r.ending[i])
			}
		}
		if refuse(&soon, r.asked) == nil {
			return fmt.Sprintf("kept for job %q of priority %d, which waits", r.job, r.rank)
		}
	}
	return ""
}
