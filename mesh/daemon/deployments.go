package daemon

import (
	"context"

	"mn/mesh"
	"mn/mesh/api"
	"mn/mesh/core"
)

// Steer is what a person wants of a deployment.
func (b *backend) Steer(ctx context.Context, r api.SteerRequest) (api.Steered, error) {
	v, err := b.loop.ask(ctx, core.Steer{Job: r.Job, Verb: r.Verb, Reason: r.Reason, Expect: r.Expect})
	if err != nil {
		return api.Steered{}, err
	}
	s := v.(core.Steered)
	out := api.Steered{Key: r.Job, Version: s.Deployment.Version, Verb: r.Verb, Changed: !s.Unchanged}
	if !s.Unchanged {
		out.Warnings = b.warnings(ctx, s.Copies)
	}
	return out, nil
}

// Rollback makes a version of a job with the content of one that was deployed before.
func (b *backend) Rollback(ctx context.Context, r api.RollbackRequest) (api.Submitted, error) {
	return b.submit(ctx, core.Rollback{Job: r.Job, Version: r.Version, Reason: r.Reason, Expect: r.Expect})
}

// Deployments are those that a job has had.
func (b *backend) Deployments(ctx context.Context, job mesh.JobID) (all []mesh.Deployment, err error) {
	err = b.loop.look(ctx, func(c *core.Core) { all = c.Deployments(job) })
	return all, err
}
