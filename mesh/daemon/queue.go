package daemon

import (
	"context"
	"slices"

	"mn/mesh"
	"mn/mesh/api"
	"mn/mesh/core"
	"mn/placement"
	"mn/placement/reconcile"
)

// Queue says which jobs wait for room, in whose turn, and for what.
func (b *backend) Queue(ctx context.Context) ([]api.QueuedJob, error) {
	var view *mesh.View
	gangs := map[mesh.JobID]reconcile.Plan{}
	err := b.loop.look(ctx, func(c *core.Core) {
		view = c.View()
		for i := range view.Jobs {
			if j := &view.Jobs[i]; j.Job.Gang && !j.Stopped && !j.Paused {
				gangs[j.ID()], _, _ = c.Outlook(j)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return queueOf(view, gangs), nil
}

func queueOf(view *mesh.View, gangs map[mesh.JobID]reconcile.Plan) []api.QueuedJob {
	rows := []api.QueuedJob{}
	for i := range view.Queue {
		q := &view.Queue[i]
		row := api.QueuedJob{Position: i + 1, Job: q.Job, Priority: q.Priority, Since: &q.Since}
		for _, waits := range q.Groups {
			row.Groups = append(row.Groups, waitingGroup(view, q.Spec, waits.Group, waits.Copies, q.Preempts))
		}
		rows = append(rows, row)
	}
	for i := range view.Jobs {
		j := &view.Jobs[i]
		plan := gangs[j.ID()]
		if len(plan.Blocked) == 0 {
			continue
		}
		row := api.QueuedJob{Job: j.ID(), Priority: j.Job.Rank()}
		for _, bl := range plan.Blocked {
			row.Groups = append(row.Groups, waitingGroup(view, &j.Job, bl.Group, bl.Copies, nil))
		}
		rows = append(rows, row)
	}
	return rows
}

// waitingGroup is the waiting copies of a group, and what one more would need.
func waitingGroup(view *mesh.View, job *mesh.Job, group string, copies int, told []mesh.AllocID) api.QueuedGroup {
	g, _ := job.Group(group)
	choice := placement.Place(view, job, g, job.Name, nil)
	row := api.QueuedGroup{
		Group: group, Copies: copies, Why: choice.Summary(), Nodes: explain(view, job, g, choice), Ends: []api.Ending{},
	}
	var running []reconcile.Victim
	for i := range view.Allocs {
		if a := &view.Allocs[i]; !a.State().Final() {
			rank := 0
			if j := view.Job(a.Job); j != nil {
				rank = j.Job.Rank()
			}
			running = append(running, reconcile.Victim{AllocView: a, Rank: rank})
		}
	}
	one := []reconcile.Blocked{{Seat: mesh.Seat{Group: group}, Copies: 1}}
	for _, id := range reconcile.Preempt(view, job, one, running, told) {
		v := running[slices.IndexFunc(running, func(v reconcile.Victim) bool { return v.ID == id })]
		row.Ends = append(row.Ends, api.Ending{
			Alloc: id, Job: v.Job, Group: v.Group, Index: v.Index, Node: nodeLabel(view, v.Node), Priority: v.Rank,
			Preempts: slices.Contains(told, id),
		})
	}
	return row
}
