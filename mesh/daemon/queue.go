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
	alone := false
	gangs := map[mesh.JobID]reconcile.Plan{}
	err := b.loop.look(ctx, func(c *core.Core) {
		view, alone = c.View(), c.Degraded()
		for i := range view.Jobs {
			if j := &view.Jobs[i]; j.Job.Gang && !j.Stopped && !j.Paused {
				gangs[j.ID()], _, _ = c.Outlook(j)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	if alone {
		return nil, mesh.Faultf(mesh.Unavailable, "no majority of the voters is in sight: "+
			"whose turn it is cannot be known, and room goes to who asks first").
			Hint("mn why JOB says what a job waits for; a node that sees a majority has the queue")
	}
	return queueOf(view, gangs), nil
}

func queueOf(view *mesh.View, gangs map[mesh.JobID]reconcile.Plan) []api.QueuedJob {
	rows := []api.QueuedJob{}
	running := victims(view, func(*mesh.Job) bool { return true })
	for i := range view.Queue {
		q := &view.Queue[i]
		row := api.QueuedJob{Position: i + 1, Job: q.Job, Priority: q.Priority, Since: &q.Since}
		for _, waits := range q.Groups {
			row.Groups = append(row.Groups, waitingGroup(view, q.Spec, waits, q.Preempts, running))
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
			group, _ := j.Job.Group(bl.Group)
			row.Groups = append(row.Groups, api.QueuedGroup{
				Group: bl.Group, Copies: bl.Copies, Why: bl.Why(), Ends: []api.Ending{},
				Nodes: explain(view, &j.Job, group, bl.Choice), // when those that fit have taken their room
			})
		}
		rows = append(rows, row)
	}
	return rows
}

// waitingGroup is the waiting copies of a group, and what one more would need.
func waitingGroup(
	view *mesh.View, job *mesh.Job, waits mesh.QueuedGroup, told []mesh.AllocID, running []reconcile.Victim,
) api.QueuedGroup {
	g, _ := job.Group(waits.Group)
	one := reconcile.Blocked{Seat: mesh.Seat{Group: waits.Group}, Copies: 1, Room: 1}
	choice := placement.Place(view, job, g, job.Name, nil)
	if len(waits.Targets) > 0 {
		one.Target = waits.Targets[0]
		choice = placement.PlaceOn(view, job, g, one.Target)
	}
	row := api.QueuedGroup{
		Group: g.Name, Copies: waits.Copies, Why: choice.Summary(), Nodes: explain(view, job, g, choice),
		Ends: []api.Ending{},
	}
	if job.Type.Long() { // a copy of its own that ends is replaced by the next
		running = slices.DeleteFunc(slices.Clone(running), func(v reconcile.Victim) bool {
			return v.Job == mesh.JobID(job.Name)
		})
	}
	first := slices.DeleteFunc(slices.Clone(running), func(v reconcile.Victim) bool {
		return !slices.Contains(told, v.ID)
	})
	for _, victims := range [][]reconcile.Victim{first, running} { // of those that have been told, if they do
		for _, id := range reconcile.Preempt(view, job, []reconcile.Blocked{one}, victims, nil) {
			row.Ends = append(row.Ends, endingOf(view, id, slices.Contains(told, id)))
		}
		if len(row.Ends) > 0 {
			break
		}
	}
	return row
}

// victims are the copies of some jobs that run, as if they could be stopped.
func victims(view *mesh.View, of func(*mesh.Job) bool) []reconcile.Victim {
	var all []reconcile.Victim
	for i := range view.Allocs {
		a := &view.Allocs[i]
		if a.State().Final() {
			continue
		}
		j := view.Job(a.Job)
		if a.Want == mesh.WantStop || j == nil || of(&j.Job) {
			v := *a
			v.Want = mesh.WantRun // what ends anyway may be what is waited for
			all = append(all, reconcile.Victim{AllocView: &v, Rank: rankOf(j)})
		}
	}
	return all
}

func rankOf(j *mesh.JobView) int {
	if j == nil {
		return 0
	}
	return j.Job.Rank()
}

// preempted are the copies that would have to stop for those of a job that fit nowhere.
func preempted(view *mesh.View, job *mesh.Job, blocked []reconcile.Blocked) []mesh.AllocID {
	if len(blocked) == 0 || job.Gang {
		return nil
	}
	lower := victims(view, func(j *mesh.Job) bool { return j.Preemptible && j.Rank() < job.Rank() })
	return reconcile.Preempt(view, job, blocked, lower, nil)
}

func endingOf(view *mesh.View, id mesh.AllocID, preempts bool) api.Ending {
	a := &view.Allocs[slices.IndexFunc(view.Allocs, func(a mesh.AllocView) bool { return a.ID == id })]
	return api.Ending{
		Alloc: id, Job: a.Job, Group: a.Group, Index: a.Index, Node: nodeLabel(view, a.Node),
		Priority: rankOf(view.Job(a.Job)), Preempts: preempts,
	}
}
