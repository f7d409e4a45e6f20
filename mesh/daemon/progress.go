package daemon

import (
	"mn/mesh"
	"mn/mesh/api"
	"mn/placement/reconcile"
)

// progressOf is how far the groups of a job have come, and why what is skipped is.
func progressOf(job *mesh.Job, plan *reconcile.Plan) map[string]api.GroupProgress {
	if job.Type.Long() {
		return nil
	}
	out := map[string]api.GroupProgress{}
	for _, g := range plan.Groups {
		out[g.Group] = api.GroupProgress{Completed: g.Done, Skipped: g.Skipped, Reason: g.Why}
	}
	return out
}
