package main

import (
	"context"
	"time"

	"mn/mesh"
	"mn/mesh/api"
)

// rollouts are what becomes of jobs that are deployed, by the job's name.
var rollouts = map[string][]step{
	"agent-api": {
		{status: mesh.JobRunning, copies: mesh.Running, number: 2, deployed: mesh.Deploying, healthy: 1},
		{status: mesh.JobRunning, copies: mesh.Running, number: 2, deployed: mesh.Deploying, healthy: 2},
		{status: mesh.JobRunning, copies: mesh.Running, number: 2, deployed: mesh.Deployed, healthy: 3},
	},
	"careful": {
		{status: mesh.JobRunning, copies: mesh.Running, number: 2, deployed: mesh.AwaitingPromotion, healthy: 1},
	},
	"cut-off": {
		{status: mesh.JobRunning, copies: mesh.Running, number: 2, deployed: mesh.Deploying, healthy: 1},
		{status: mesh.JobStopped, copies: mesh.Stopped, number: 3, deployed: mesh.Deploying, healthy: 1},
	},
	"recorded": {{status: mesh.JobRunning, copies: mesh.Running, number: 2, deployed: mesh.VersionRecorded}},
	"broken": {
		{status: mesh.JobRunning, copies: mesh.Running, number: 2, deployed: mesh.Deploying},
		{status: mesh.JobRunning, copies: mesh.Running, number: 2, deployed: mesh.DeploymentFailed},
	},
}

// roll fills in the deployment that a step has: of three copies, those that are healthy are new, and the
// others old, but for one more that is placed.
func (now step) roll(j *mesh.JobView, o *api.Outlook) {
	if now.deployed == "" {
		return
	}
	began := earlier()
	d := mesh.Deployment{
		Job: j.ID(), Version: j.Number, Hash: j.Hash, From: 1, Stable: "1111", State: now.deployed, Began: began,
		Progress: began, Healthy: now.healthy, Coordinator: "aaaa2222bbbb3333",
	}
	if now.status == mesh.JobStopped {
		d.Version-- // a stop is a version of its own, but no deployment
	}
	if j.Job.Update == nil {
		j.Job.Update = &mesh.UpdatePolicy{}
	}
	r := &mesh.Rollout{Strategy: j.Job.Update.How(), Parallel: j.Job.Update.Parallel()}
	r.Order, r.OrderReason = j.Job.UpdateOrder()
	g := mesh.RolloutGroup{Group: j.Job.Groups()[0].Name, Wanted: 3, Placed: min(now.healthy+1, 3), Healthy: now.healthy}
	switch now.deployed {
	case mesh.Deployed:
		d.Promoted, d.Ended, d.Reason = true, began, "all 3 copies are healthy"
	case mesh.DeploymentFailed:
		d.Promoted, d.Ended, d.Reason = true, began, "copy 0 was not healthy within 5m"
		r.Next = "goes back to version 1"
	case mesh.AwaitingPromotion:
		g.Placed, g.Hidden, d.Reason = 1, 1, "1 canary is healthy"
		r.Next = "a person promotes it"
	case mesh.Deploying, mesh.DeploymentPaused, mesh.VersionRecorded:
		d.Promoted = true
		r.Next, r.NextAt = "the next copy has to be healthy for 10s", time.Now().Add(time.Minute+9*time.Second)
		r.ProgressBy = time.Now().Add(5*time.Minute + 9*time.Second)
	}
	g.Old = g.Wanted - g.Healthy
	r.Deployment, r.Groups = d, []mesh.RolloutGroup{g}
	j.Deployment, o.Rollout = &d, r
}

// stand makes the first copies new ones, as the step has it.
func (now step) stand(a *mesh.AllocView, index int) {
	switch {
	case now.deployed == mesh.AwaitingPromotion && index == 0:
		a.Version, a.Standing = now.number, mesh.CanaryCopy
	case now.deployed != "" && index < now.healthy:
		a.Version = now.number
	}
}

// deployed is the job that was submitted, if it is that one and has a deployment.
func (f *fake) deployed(id mesh.JobID) (*step, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.job == nil || mesh.JobID(f.job.Name) != id || f.steps[0].deployed == "" {
		return nil, mesh.Faultf(mesh.NotFound, "no job %q", id)
	}
	return &f.steps[0], nil
}

func (f *fake) Steer(_ context.Context, r api.SteerRequest) (api.Steered, error) {
	now, err := f.deployed(r.Job)
	switch {
	case err != nil:
		return api.Steered{}, err
	case now.deployed.Final():
		return api.Steered{}, mesh.Faultf(mesh.Conflict, "the deployment of version 2 of job %q has ended: %s", r.Job, now.deployed)
	}
	done := api.Steered{Key: r.Job, Version: 2, Verb: r.Verb, Changed: r.Verb != mesh.SteerResume}
	if r.Reason != "" {
		done.Warnings = []string{"reason: " + r.Reason}
	}
	return done, expects(string(r.Job), r.Expect, 2)
}

func (f *fake) Rollback(_ context.Context, r api.RollbackRequest) (api.Submitted, error) {
	if _, err := f.deployed(r.Job); err != nil {
		return api.Submitted{}, err
	}
	return api.Submitted{ID: r.Job, Version: 3, Changed: r.Version != "2"}, expects(string(r.Job), r.Expect, 2)
}

func (f *fake) Deployments(_ context.Context, id mesh.JobID) ([]mesh.Deployment, error) {
	if now, err := f.deployed(id); err != nil || now.deployed == "" {
		return nil, err
	}
	return []mesh.Deployment{{
		Job: id, Version: 1, Hash: "1111", State: mesh.Deployed, Began: earlier(), Ended: earlier(), Reason: "all 3 copies are healthy",
	}}, nil
}
