package core

import (
	"fmt"

	"mn/crdt"
	"mn/mesh"
	"mn/placement/reconcile"
)

// deploy writes what the deployment of a job has come to, and the version that follows one that has
// failed. Without a grant nothing is written: the next coordinator finds what there is to write.
func (c *Core) deploy(job *mesh.JobView, plan *reconcile.Plan, fence crdt.Fence, granted bool) {
	if plan.Rollout == nil || !granted || job.Torn {
		return
	}
	if plan.Revert != nil {
		c.revert(plan.Revert, job.Deployment, fence)
		return
	}
	was, is := *job.Deployment, plan.Rollout.Deployment
	if was.Coordinator != "" {
		is.Coordinator = was.Coordinator
		if is == was {
			return
		}
	} else {
		c.supersede(job, &is, fence)
	}
	is.Coordinator = c.self
	c.put(mesh.KeyDeployed(is.Job, is.Version, is.Hash), is, fence)
	c.tellDeployment(&was, &is, plan.Rollout, fence)
}

// supersede ends the deployments of earlier versions that have not come to their end.
func (c *Core) supersede(job *mesh.JobView, by *mesh.Deployment, fence crdt.Fence) {
	for _, d := range c.Deployments(job.ID()) {
		if d.State.Final() || d.Version > by.Version || d.Hash == by.Hash {
			continue
		}
		d.State, d.Ended, d.Coordinator = mesh.DeploymentFailed, c.now.Wall.UTC(), c.self
		d.Reason = fmt.Sprintf("version %d takes its place", by.Version)
		c.put(mesh.KeyDeployed(d.Job, d.Version, d.Hash), d, fence)
		c.event(mesh.Event{
			Kind: mesh.DeploymentFailing, Job: d.Job, Fence: fence,
			Text: fmt.Sprintf("version %d: %s", d.Version, d.Reason),
		})
	}
}

// revert goes back to the version before one whose deployment has failed. Whoever does so writes the same.
func (c *Core) revert(next *mesh.JobVersion, failed *mesh.Deployment, fence crdt.Fence) {
	next.Hash = versionHash(next.Number, next.Parent, next.Content())
	key := mesh.KeyJob(failed.Job, next.Number, next.Hash)
	if _, ok := c.records.versions[failed.Job][key]; ok {
		return
	}
	c.put(key, *next, crdt.Fence{})
	c.event(mesh.Event{
		Kind: mesh.DeploymentReverted, Job: failed.Job, Fence: fence,
		Text: fmt.Sprintf("version %d goes back to version %d, as %s; next: its deployment",
			next.Number, failed.From, next.Reason),
	})
}

// tellDeployment tells a step of a deployment, why, and what is next.
func (c *Core) tellDeployment(was, is *mesh.Deployment, r *mesh.Rollout, fence crdt.Fence) {
	e := mesh.Event{Job: is.Job, Fence: fence, Text: fmt.Sprintf("version %d: %s", is.Version, r.Text())}
	switch {
	case is.State == mesh.VersionRecorded:
		e.Kind, e.Text = mesh.DeploymentDone, fmt.Sprintf("version %d: %s", is.Version, is.Reason)
	case was.Coordinator == "" && !is.State.Final():
		e.Kind = mesh.DeploymentStarted
		e.Text = fmt.Sprintf("version %d: %s, %s", is.Version, r.Strategy, r.Order)
		if is.From > 0 {
			e.Text += fmt.Sprintf(", in place of version %d", is.From)
		}
	case is.State == mesh.Deployed:
		e.Kind = mesh.DeploymentDone
	case is.State == mesh.DeploymentFailed:
		e.Kind = mesh.DeploymentFailing
	case is.Promoted && !was.Promoted:
		e.Kind = mesh.DeploymentPromoted
	case is.State == mesh.AwaitingPromotion && was.State != is.State:
		e.Kind = mesh.DeploymentAwaiting
	case is.State == mesh.DeploymentPaused && was.State != is.State:
		e.Kind = mesh.DeploymentHeld
	case was.State == mesh.DeploymentPaused && was.State != is.State:
		e.Kind = mesh.DeploymentResumed
	case is.Healthy != was.Healthy:
		e.Kind = mesh.DeploymentProgress
	default:
		return // only in how it is put
	}
	if is.Reason != "" && is.State != mesh.VersionRecorded {
		e.Text += "; " + is.Reason
	}
	if r.Next != "" {
		e.Text += "; next: " + r.Next
	}
	c.event(e)
}
