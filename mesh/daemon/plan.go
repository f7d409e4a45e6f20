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

// Plan is what submitting a job would lead to.
func (b *backend) Plan(ctx context.Context, job mesh.Job) (api.Plan, error) {
	var out api.Plan
	err := b.loop.look(ctx, func(c *core.Core) {
		view, granted := c.ViewFor(&job)
		next, changed := submitted(view, job)
		if changed {
			c.Foresee(&next)
		}
		out = planned(view, &next, granted)
		out.Changed = changed
	})
	return out, err
}

// submitted is the job as if it had just been submitted, and whether that changes it.
func submitted(view *mesh.View, job mesh.Job) (next mesh.JobView, changed bool) {
	id := mesh.JobID(job.Name)
	if old := view.Job(id); old != nil {
		next = *old
		if !old.Stopped && !old.Paused && mesh.HashJob(&old.Job, false) == mesh.HashJob(&job, false) {
			return next, false
		}
	}
	next.JobVersion, next.Line = next.NextRun(&job), append([]mesh.Ancestor{next.Ancestor()}, next.Line...)
	next.Hash = "planned"
	next.Date(view.Now, view.AllocsOf(id))
	return next, true
}

// planned is the plan for a job.
func planned(view *mesh.View, next *mesh.JobView, granted bool) api.Plan {
	job := next.Job
	out := api.Plan{ID: next.ID(), How: job.UpdateText()}
	out.Version = next.Number
	plan := reconcile.Job(view, next, nil, granted)
	if r := plan.Rollout; r != nil && !r.Fresh {
		out.Next = r.Next
	}
	stopped := map[mesh.AllocID]string{}
	for _, s := range plan.Stop {
		stopped[s.Alloc] = s.Reason
	}
	for _, a := range view.AllocsOf(out.ID) {
		reason, stops := stopped[a.ID]
		switch {
		case stops:
			out.Stop = append(out.Stop, api.PlannedStop{
				ID: a.ID, Group: a.Group, Index: a.Index, Node: nodeLabel(view, a.Node), NodeID: a.Node, Reason: reason,
			})
		case a.Want == mesh.WantRun && !a.State().Final():
			out.Keep++
		}
	}
	// What takes the place of a copy is placed once that has stopped.
	view = without(view, stopped)
	plan = reconcile.Job(view, next, nil, granted)
	for _, p := range plan.Place {
		best := p.Choice.Candidates[0]
		out.Place = append(out.Place, api.PlannedPlace{
			Group: p.Alloc.Group, Index: p.Alloc.Index, Node: best.Name, NodeID: best.Node, Reason: p.Alloc.Reason,
		})
	}
	for _, bl := range plan.Blocked {
		group, _ := job.Group(bl.Group)
		out.Blocked = append(out.Blocked, api.PlannedBlock{
			Group: bl.Group, Copies: bl.Copies, Nodes: explain(view, &job, group, bl.Choice), Gang: gangOf(&bl),
		})
	}
	if nowhere(&job, plan) {
		for _, g := range job.Groups() {
			out.Blocked = append(out.Blocked, api.PlannedBlock{
				Group: g.Name, Nodes: explain(view, &job, g, placement.Place(view, &job, g, string(out.ID), nil)),
			})
		}
	}
	for _, id := range preempted(view, &job, plan.Blocked) {
		out.Preempt = append(out.Preempt, endingOf(view, id, true))
	}
	for _, w := range plan.Waiting {
		out.Waiting = append(out.Waiting, api.PlannedWait{Group: w.Group, Copies: w.Copies, Reason: w.Reason})
	}
	begins := len(plan.Waiting) == 0 && len(plan.Wanted) > 0 || len(plan.Place)+out.Keep > 0
	out.Verdict = verdict(view, job, begins && len(plan.Blocked) == 0 && plan.Unready == "")
	return out
}

// nowhere says whether a job is to have a copy on each node that can run it, and there is none.
func nowhere(job *mesh.Job, plan reconcile.Plan) bool {
	copies := 0
	for _, n := range plan.Wanted {
		copies += n
	}
	return job.Type.PerNode() && copies == 0
}

// without is the view once some copies have stopped.
func without(v *mesh.View, stopped map[mesh.AllocID]string) *mesh.View {
	after := *v
	after.Nodes, after.Allocs = slices.Clone(v.Nodes), slices.Clone(v.Allocs)
	for i := range after.Allocs {
		a := &after.Allocs[i]
		if _, stops := stopped[a.ID]; !stops {
			continue
		}
		if n := after.Node(a.Node); n != nil && !a.State().Final() {
			n.Used = n.Used.Without(&a.Alloc)
		}
		a.Want, a.Status = mesh.WantStop, &mesh.Status{Alloc: a.ID, Job: a.Job, Node: a.Node, State: mesh.Stopped}
	}
	return &after
}

// verdict says whether a job can run: now, or else if its copies would fit on an empty
// mesh, with nothing to wait for.
func verdict(view *mesh.View, job mesh.Job, now bool) api.Verdict {
	if now {
		return api.RunnableNow
	}
	job.After, job.Requires, job.Tasks = nil, nil, slices.Clone(job.Tasks)
	for i := range job.Tasks {
		job.Tasks[i].Requires = nil // what offers it may come yet
	}
	empty := &mesh.View{Now: view.Now, Self: view.Self}
	for i := range view.Nodes {
		n := placement.Vacant(&view.Nodes[i])
		if job.Type.PerNode() { // what people have out of service now is back some day
			n.Admin, n.Eligible = mesh.Administration{Mode: mesh.InService}, true
		}
		empty.Nodes = append(empty.Nodes, n)
	}
	alone := mesh.JobView{JobVersion: mesh.JobVersion{Job: job, Number: 1, Hash: "planned", At: view.Now}}
	if p := reconcile.Job(empty, &alone, nil, true); len(p.Blocked) == 0 && !nowhere(&job, p) {
		return api.RunnableLater
	}
	return api.NotRunnable
}
