package daemon

import (
	"context"

	"mn/mesh"
	"mn/mesh/api"
	"mn/mesh/core"
)

// Firings are what was made of the times and events at which a job was due, the oldest first.
func (b *backend) Firings(ctx context.Context, id mesh.JobID) (fired []api.Fired, err error) {
	err = b.loop.look(ctx, func(c *core.Core) {
		for _, f := range c.Firings(id) {
			fired = append(fired, api.Fired{Firing: f, Fence: c.FiredUnder(id, f.Run)})
		}
	})
	return fired, err
}

// RunNow makes a run of a job.
func (b *backend) RunNow(ctx context.Context, r api.RunNowRequest) (api.RunMade, error) {
	v, err := b.loop.ask(ctx, core.RunNow{Job: r.Job, Payload: r.Payload, Meta: r.Meta, ID: r.ID, Reason: r.Reason})
	if err != nil {
		return api.RunMade{}, err
	}
	made := v.(core.RunMade)
	out := api.RunMade{Job: r.Job, Run: made.Run, Changed: !made.Unchanged}
	if made.Differs {
		out.Warnings = []string{"that run was handed something else under this id; what is given now is not used"}
	}
	if out.Changed {
		out.Warnings = b.warnings(ctx, made.Copies)
	}
	return out, nil
}

// Emit takes what somebody says has happened.
func (b *backend) Emit(ctx context.Context, o mesh.Occurrence) (api.Emitted, error) {
	v, err := b.loop.ask(ctx, core.Emit{Occurrence: o})
	if err != nil {
		return api.Emitted{}, err
	}
	done := v.(core.Emitted)
	out := api.Emitted{ID: done.Occurrence.ID, Event: done.Occurrence.Event, Changed: !done.Unchanged}
	if done.Differs {
		out.Warnings = []string{"what was said under this id had another payload or meta; that of now is not used"}
	}
	if out.Changed {
		out.Warnings = b.warnings(ctx, done.Copies)
	}
	return out, nil
}

// Occurrences are what has happened and is remembered, the oldest first.
func (b *backend) Occurrences(ctx context.Context) (all []mesh.Occurrence, err error) {
	err = b.loop.look(ctx, func(c *core.Core) { all = c.Occurrences() })
	return all, err
}
