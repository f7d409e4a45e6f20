package daemon

import (
	"context"
	"time"

	"mn/mesh"
	"mn/mesh/api"
	"mn/mesh/core"
	"mn/placement/reconcile"
)

// Explain says what follows when something of a job goes wrong, and what its
// copies have used up of its policies.
func (b *backend) Explain(ctx context.Context, id mesh.JobID) (api.Explanation, error) {
	var view *mesh.View
	if err := b.loop.look(ctx, func(c *core.Core) { view = c.View() }); err != nil {
		return api.Explanation{}, err
	}
	job := view.Job(id)
	if job == nil {
		return api.Explanation{}, noJob(id)
	}
	return explained(view, job), nil
}

func explained(view *mesh.View, job *mesh.JobView) api.Explanation {
	out := api.Explanation{Forecast: mesh.ForecastOf(&job.Job), Version: job.Number}
	moves := reconcile.Moves(view, job)
	for _, a := range view.AllocsOf(job.ID()) {
		used, last := moves[a.ID]
		group, known := job.Job.Group(a.Group)
		if !last || !known {
			continue
		}
		for i := range group.Tasks {
			out.Copies = append(out.Copies, counted(view, job, &a, &group.Tasks[i], used))
		}
	}
	return out
}

// counted is what a task of a copy has used up.
func counted(view *mesh.View, job *mesh.JobView, a *mesh.AllocView, task *mesh.Task, moves int) api.CopyCount {
	r, m := mesh.RestartFor(&job.Job, task), mesh.RescheduleFor(&job.Job)
	row := api.CopyCount{
		ID: a.ID, Task: task.Name, Group: a.Group, Index: a.Index,
		Node: nodeLabel(view, a.Node), NodeID: a.Node, Status: a.State(),
		Restarts: api.Used{Interval: mesh.Duration(r.Interval)},
		Moves:    api.Used{Used: moves, Unlimited: m.Enabled && m.Unlimited, Interval: mesh.Duration(m.Interval)},
	}
	if r.Enabled {
		row.Restarts.Allowed = r.Attempts
	}
	if m.Enabled && !m.Unlimited {
		row.Moves.Allowed = m.Attempts
	}
	window, next := mesh.Window{Interval: r.Interval}, time.Time{}
	if a.Status != nil {
		for _, t := range a.Status.Tasks {
			if t.Name != task.Name {
				continue
			}
			row.Status, next = t.State, t.NextStart
			for _, at := range t.RestartedAt {
				window.Add(at.Sub(view.Now))
			}
		}
	}
	row.Restarts.Used = window.Count(0)
	n := view.Node(a.Node)
	switch {
	case job.Stopped || job.Paused: // nothing follows on that
	case !a.State().Final() && (n == nil || n.Liveness != mesh.Alive):
		row.Next = "its node is out of sight: " + mesh.ForecastOf(&job.Job).NodeLost
	case row.Status == mesh.TimedOut || a.State() == mesh.TimedOut:
		row.Next = job.Job.Spent()
	case row.Status == mesh.Failed:
		// Its restarts are used up, whatever of them counts by now.
		row.Next, row.NextAt = mesh.Next(&job.Job, task, mesh.WindowMax, moves, 0), movesAt(job, a, moves)
	case row.Status == mesh.Backoff:
		row.Next = "restarts here"
		if !next.IsZero() {
			row.NextAt = &next
		}
	case !row.Status.Final() && row.Status != mesh.Stopping:
		row.Next = "if it fails now: " + mesh.Next(&job.Job, task, row.Restarts.Used, moves, window.Opens(0))
	}
	return row
}

// movesAt is when a copy that has failed moves, or nil if it does not.
func movesAt(job *mesh.JobView, a *mesh.AllocView, moves int) *time.Time {
	m := mesh.RescheduleFor(&job.Job)
	g, _ := job.Job.Group(a.Group)
	if a.State() != mesh.Failed || mesh.Hazard(g.Tasks) != nil || !m.Enabled || !m.Unlimited && moves >= m.Attempts {
		return nil
	}
	at := a.Status.At.Add(m.Delays.After(moves + 1)).UTC()
	return &at
}
