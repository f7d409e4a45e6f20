package core

import (
	"cmp"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"mn/crdt"
	"mn/mesh"
)

// courses are the versions of a job, and what has become of them.
func (r *records) courses(id mesh.JobID) mesh.Courses {
	c := mesh.Courses{Versions: make(map[string]*mesh.JobVersion, len(r.versions[id]))}
	for _, v := range r.versions[id] {
		c.Versions[v.Hash] = &v
	}
	c.Of = func(v *mesh.JobVersion) (*mesh.Deployment, *mesh.Steering) {
		return r.course.deployment(id, v.Number, v.Hash)
	}
	return c
}

// Rollout is the deployment of a job as this node sees it; nil if the job has no update policy.
func (c *Core) Rollout(job *mesh.JobView) *mesh.Rollout {
	plan, _, _ := c.Outlook(job)
	return plan.Rollout
}

// Deployments are those of a job that are recorded, oldest first.
func (c *Core) Deployments(id mesh.JobID) []mesh.Deployment {
	var all []mesh.Deployment
	for _, v := range c.records.history(id) {
		if d, _ := c.records.course.deployment(id, v.Number, v.Hash); d != nil {
			all = append(all, *d)
		}
	}
	slices.SortStableFunc(all, func(a, b mesh.Deployment) int { return cmp.Compare(a.Version, b.Version) })
	return all
}

// steer takes what a person wants of a deployment.
func (c *Core) steer(call Steer) (reply any, none crdt.Entry, f *mesh.Fault) {
	job, f := c.toChange(call.Job, nil)
	if f != nil {
		return nil, none, f
	}
	d := job.Deployment
	if d == nil {
		return nil, none, mesh.Faultf(mesh.Invalid, "job %q has no [update]: it is replaced all at once", call.Job).
			Hint("mn deployment deploy PATH --key %s gives it one", call.Job)
	}
	if call.Expect != nil && *call.Expect != d.Version && *call.Expect != job.Number {
		return nil, none, mesh.Faultf(mesh.Conflict, "the deployment of job %q is of version %d, not %d",
			call.Job, d.Version, *call.Expect).Hint("mn deployment status %s", call.Job)
	}
	if len(call.Reason) > mesh.ReasonMax || !utf8.ValidString(call.Reason) {
		return nil, none, mesh.Faultf(mesh.Invalid, "the reason is not UTF-8 text of at most %d bytes", mesh.ReasonMax)
	}
	next := mesh.Steering{Job: d.Job, Version: d.Version, Hash: d.Hash}
	if job.Steering != nil {
		next = *job.Steering
	}
	state := d.State
	if r := c.Rollout(&job); r != nil {
		state = r.State
	}
	changes, f := steers(&job, state, call.Verb, &next)
	if f != nil || !changes {
		return Steered{Deployment: *d, Steering: next, Unchanged: true}, none, f
	}
	next.Reason, next.By, next.At = call.Reason, c.self, c.steeredAt(&job)
	key := mesh.KeySteering(next.Job, next.Version, next.Hash)
	if f := fits(key, next); f != nil {
		return nil, none, f
	}
	text := "version " + strconv.FormatUint(d.Version, 10) + ": " + string(call.Verb)
	if call.Reason != "" {
		text += ": " + call.Reason
	}
	c.event(mesh.Event{Kind: mesh.DeploymentSteered, Job: call.Job, Text: text})
	return Steered{Deployment: *d, Steering: next}, c.put(key, next, crdt.Fence{}), nil
}

// steeredAt is later than what was said of the deployment before, as far as clocks may be.
func (c *Core) steeredAt(job *mesh.JobView) time.Time {
	at := c.now.Wall.UTC()
	if s := job.Steering; s != nil && !s.At.Before(at) && s.At.Sub(c.now.Wall) <= crdt.MaxAhead {
		at = s.At.UTC().Add(time.Nanosecond)
	}
	return at
}

// steers puts a verb into what people want, and says whether that changes anything, or why it cannot be
// done now.
func steers(
	job *mesh.JobView, state mesh.DeploymentState, verb mesh.Steer, s *mesh.Steering,
) (changes bool, f *mesh.Fault) {
	d, id := job.Deployment, job.ID()
	conflict := func(format string, args ...any) *mesh.Fault {
		args = append([]any{d.Version, id}, args...)
		return mesh.Faultf(mesh.Conflict, "the deployment of version %d of job %q "+format, args...)
	}
	switch {
	case state.Final():
		return false, conflict("has ended: %s", state).Hint("mn deployment rollback %s goes back", id)
	case s.Failed && verb != mesh.SteerFail:
		return false, conflict("was given up").Hint("mn deployment rollback %s goes back", id)
	case job.Stopped:
		return false, conflict("waits: the job is stopped").Hint("mn job retry %s", id)
	case job.Paused && verb != mesh.SteerFail:
		return false, conflict("waits: the job is paused").Hint("mn job resume %s", id)
	}
	was := *s
	switch verb {
	case mesh.SteerPromote:
		if !job.Job.Update.Hides() || d.Fresh {
			return false, conflict("hides nothing, so there is nothing to promote")
		}
		if state == mesh.DeploymentPaused {
			return false, conflict("is paused").Hint("mn deployment resume %s", id)
		}
		if state != mesh.AwaitingPromotion && !job.Promoted() {
			return false, conflict("has copies that are not healthy yet").Hint("mn deployment status %s", id)
		}
		s.Promoted = true
		return !job.Promoted(), nil
	case mesh.SteerPause:
		s.Paused = true
	case mesh.SteerResume:
		s.Paused = false
	case mesh.SteerFail:
		s.Failed = true
	default:
		return false, mesh.Faultf(mesh.Invalid, "a deployment cannot be steered by %q", verb)
	}
	return *s != was, nil
}

// rollback makes a version with the content of an earlier one.
func (c *Core) rollback(call Rollback) (reply any, none crdt.Entry, f *mesh.Fault) {
	job, f := c.toChange(call.Job, call.Expect)
	if f != nil {
		return nil, none, f
	}
	to, f := c.stable(&job, call.Version)
	switch {
	case f != nil:
		return nil, none, f
	case to.Job.Template() || to.Stopped:
		return nil, none, mesh.Faultf(mesh.Invalid, "version %d of job %q runs nothing", to.Number, call.Job).
			Hint("mn deployment history %s", call.Job)
	case !job.Stopped && !job.Paused && mesh.HashJob(&to.Job, false) == mesh.HashJob(&job.Job, false):
		return Submitted{Version: job.JobVersion, Unchanged: true}, none, nil
	}
	next := job.NextRun(&to.Job)
	next.Verb, next.Reason = mesh.Reverted(to), call.Reason
	return c.version(next)
}

// stable is the version to go back to.
func (c *Core) stable(job *mesh.JobView, ref string) (*mesh.JobVersion, *mesh.Fault) {
	if ref != "" {
		v, err := mesh.FindVersion(c.records.history(job.ID()), job, ref)
		if err != nil {
			return nil, mesh.FaultOf(err)
		}
		return v, nil
	}
	courses := c.records.courses(job.ID())
	for v := courses.Before(&job.JobVersion); v != nil; v = courses.Before(v) {
		if !mesh.SameWork(&v.Job, &job.Job) {
			return v, nil
		}
	}
	return nil, mesh.Faultf(mesh.Conflict, "no other version of job %q has been deployed", job.ID()).
		Hint("mn job history %s, and name one with --version", job.ID())
}
