package api

import (
	"cmp"
	"context"
	"slices"
	"time"

	"mn/mesh"
)

// Deployment is how far a version of a job has come to be what runs.
type Deployment struct {
	Key         mesh.JobID           `json:"deployment_key"` // the job
	Type        mesh.JobType         `json:"type"`
	Version     uint64               `json:"version"`
	Hash        string               `json:"hash"`
	JobVersion  uint64               `json:"job_version"` // the current one, perhaps a later one of that content
	JobStatus   mesh.JobStatus       `json:"job_status"`
	From        uint64               `json:"from_version"` // that was deployed before; 0 for none
	Status      mesh.DeploymentState `json:"status"`
	Promoted    bool                 `json:"promoted"` // its copies are shown to those who look for services
	Paused      bool                 `json:"paused"`   // a person wants no further step
	Strategy    mesh.UpdateStrategy  `json:"strategy"`
	Order       mesh.UpdateOrder     `json:"order"`
	OrderReason string               `json:"order_reason"` // why, if the job leaves no choice
	MaxParallel int                  `json:"max_parallel"`
	AutoPromote bool                 `json:"auto_promote"`
	AutoRevert  bool                 `json:"auto_revert"`
	// The copies that are meant to run, of all its groups: see [mesh.RolloutGroup].
	Wanted  int                 `json:"wanted"`
	Old     int                 `json:"old"`
	Placed  int                 `json:"placed"`
	Healthy int                 `json:"healthy"`
	Hidden  int                 `json:"hidden"`
	Groups  []mesh.RolloutGroup `json:"groups"`
	Reason  string              `json:"reason"`  // why it is in its status
	Next    string              `json:"next"`    // what is to happen, or is waited for
	NextAt  *time.Time          `json:"next_at"` // when that is looked at again, unless news come before
	// When it fails unless all that is placed, and unless one more, is healthy by then.
	HealthyBy     *time.Time  `json:"healthy_by"`
	ProgressBy    *time.Time  `json:"progress_by"`
	Began         *time.Time  `json:"began_at"`
	Progress      *time.Time  `json:"progress_at"` // when one more copy was healthy last
	Ended         *time.Time  `json:"ended_at"`
	Coordinator   string      `json:"coordinator"` // who has written that down
	CoordinatorID mesh.NodeID `json:"coordinator_id"`
	// What a person has said of it last: why, when, and by way of which node.
	SaidReason string     `json:"said_reason"`
	SaidBy     string     `json:"said_by"`
	SaidAt     *time.Time `json:"said_at"`
}

// DeploymentDetail is a deployment with the copies of its job.
type DeploymentDetail struct {
	Deployment
	Allocations []Alloc `json:"allocations"`
}

// SteerRequest is what a person wants of a deployment.
type SteerRequest struct {
	Job    mesh.JobID `json:"job"`
	Verb   mesh.Steer `json:"verb"`
	Reason string     `json:"reason,omitempty"`         // kept with it, for people
	Expect *uint64    `json:"expect_version,omitempty"` // refuse unless this is the version that is deployed
}

// Steered is what came of that.
type Steered struct {
	Key      mesh.JobID `json:"deployment_key"`
	Version  uint64     `json:"version"`
	Verb     mesh.Steer `json:"verb"`
	Changed  bool       `json:"changed"` // false: it was so already
	Warnings []string   `json:"warnings"`
}

// RollbackRequest is a job to go back to the content of a version that was deployed before, which is
// then deployed as a new one. If none is named it is the last that has other content.
type RollbackRequest struct {
	Job     mesh.JobID `json:"job"`
	Version string     `json:"version,omitempty"`        // number, beginning of the hash, or tag
	Reason  string     `json:"reason,omitempty"`         // kept with the version, for people
	Expect  *uint64    `json:"expect_version,omitempty"` // refuse unless this is the current version
}

// routeDeployments gives the endpoints of deployments their handlers.
func (s *Server) routeDeployments(b Backend) {
	serve(s, callDeployments, reads(b, func(p picture, _ none) ([]Deployment, error) {
		return p.deployments(), nil
	}))
	serve(s, callDeployment, reads(b, func(p picture, r jobRef) (DeploymentDetail, error) {
		return p.deploymentDetail(r.Job)
	}))
	serve(s, callDeploymentHistory, func(ctx context.Context, r jobRef) ([]Deployment, error) {
		snap, err := b.Snapshot(ctx)
		if err != nil {
			return nil, err
		}
		past, err := b.Deployments(ctx, r.Job)
		if err != nil {
			return nil, err
		}
		return picture{snap}.deployed(r.Job, past)
	})
	serve(s, callSteer, func(ctx context.Context, r SteerRequest) (Steered, error) {
		done, err := b.Steer(ctx, r)
		done.Warnings = listed(done.Warnings)
		return done, err
	})
	serve(s, callRollback, func(ctx context.Context, r RollbackRequest) (Submitted, error) {
		return submitted(b.Rollback(ctx, r))
	})
}

// deployments are those of all jobs that have one, by key.
func (p picture) deployments() []Deployment {
	rows := []Deployment{}
	for i := range p.View.Jobs {
		if p.View.Jobs[i].Deployment != nil {
			rows = append(rows, p.deployment(i))
		}
	}
	return rows
}

func (p picture) deploymentDetail(key mesh.JobID) (DeploymentDetail, error) {
	i := slices.IndexFunc(p.View.Jobs, func(j mesh.JobView) bool { return j.ID() == key })
	switch {
	case i < 0:
		return DeploymentDetail{}, p.noJob(key)
	case p.View.Jobs[i].Deployment == nil:
		return DeploymentDetail{}, noDeployment(key)
	}
	return DeploymentDetail{p.deployment(i), p.allocRows(p.current(&p.View.Jobs[i]), nil)}, nil
}

func noDeployment(key mesh.JobID) error {
	return mesh.Faultf(mesh.NotFound, "job %q has no deployment: without [update] it is replaced all at once", key).
		Hint("mn deployment deploy PATH --key %s gives it one", key)
}

// deployment is that of the i-th job, which has one.
func (p picture) deployment(i int) Deployment {
	j, roll := &p.View.Jobs[i], p.Outlooks[i].Rollout
	row := p.record(j, j.Deployment)
	if roll != nil {
		row = p.record(j, &roll.Deployment)
		row.Strategy, row.Order, row.OrderReason = roll.Strategy, roll.Order, roll.OrderReason
		row.MaxParallel, row.Groups = roll.Parallel, listed(roll.Groups)
		row.Next, row.NextAt = roll.Next, known(roll.NextAt)
		row.HealthyBy, row.ProgressBy = known(roll.HealthyBy), known(roll.ProgressBy)
		sum := roll.Counts()
		row.Wanted, row.Old, row.Placed, row.Healthy = sum.Wanted, sum.Old, sum.Placed, sum.Healthy
		row.Hidden = sum.Hidden
	}
	row.JobStatus = p.Outlooks[i].Status
	if said := j.Steering; said != nil {
		row.Paused = said.Paused
		row.SaidReason, row.SaidBy, row.SaidAt = said.Reason, p.nodeName(said.By), known(said.At)
	}
	return row
}

// record is what is written down of a deployment of a job.
func (p picture) record(j *mesh.JobView, d *mesh.Deployment) Deployment {
	row := Deployment{
		Key: d.Job, Type: cmp.Or(j.Job.Type, mesh.Batch), Version: d.Version, Hash: d.Hash, From: d.From,
		Status: d.State, Promoted: d.Promoted, Healthy: d.Healthy, Groups: []mesh.RolloutGroup{}, Reason: d.Reason,
		Began: known(d.Began), Progress: known(d.Progress), Ended: known(d.Ended),
		CoordinatorID: d.Coordinator, JobVersion: j.Number,
	}
	if d.Coordinator != "" {
		row.Coordinator = p.nodeName(d.Coordinator)
	}
	if u := j.Job.Update; u != nil {
		row.Strategy, row.MaxParallel = u.How(), u.Parallel()
		row.Order, row.OrderReason = j.Job.UpdateOrder()
		row.AutoPromote, row.AutoRevert = u.AutoPromote, u.AutoRevert
	}
	return row
}

// deployed are the deployments of a job that were recorded, the oldest first, with the one that is
// under way as it is.
func (p picture) deployed(key mesh.JobID, past []mesh.Deployment) ([]Deployment, error) {
	i := slices.IndexFunc(p.View.Jobs, func(j mesh.JobView) bool { return j.ID() == key })
	if i < 0 {
		return nil, p.noJob(key)
	}
	j := &p.View.Jobs[i]
	rows := []Deployment{}
	for k := range past {
		if now := j.Deployment; now == nil || past[k].Version != now.Version || past[k].Hash != now.Hash {
			row := p.record(j, &past[k])
			row.Strategy, row.Order, row.OrderReason = "", "", "" // it may have had others
			row.MaxParallel, row.AutoPromote, row.AutoRevert = 0, false, false
			rows = append(rows, row)
		}
	}
	if j.Deployment != nil {
		rows = append(rows, p.deployment(i))
	}
	if len(rows) == 0 {
		return nil, noDeployment(key)
	}
	return rows, nil
}

// Deployments lists the deployments of all jobs that have one.
func (c *Client) Deployments(ctx context.Context) ([]Deployment, error) {
	return do(ctx, c, callDeployments, none{})
}

// WatchDeployments calls each with the list now and after every change.
func (c *Client) WatchDeployments(ctx context.Context, each func([]Deployment) error) error {
	return watchCall(ctx, c, callDeployments, none{}, each)
}

// Deployment is the deployment of a job.
func (c *Client) Deployment(ctx context.Context, key mesh.JobID) (DeploymentDetail, error) {
	return do(ctx, c, callDeployment, jobRef{key})
}

// WatchDeployment calls each with the deployment of a job now and after every change.
func (c *Client) WatchDeployment(ctx context.Context, key mesh.JobID, each func(DeploymentDetail) error) error {
	return watchCall(ctx, c, callDeployment, jobRef{key}, each)
}

// DeploymentHistory lists the deployments that a job has had, the oldest first.
func (c *Client) DeploymentHistory(ctx context.Context, key mesh.JobID) ([]Deployment, error) {
	return do(ctx, c, callDeploymentHistory, jobRef{key})
}

// Steer says what a person wants of a deployment.
func (c *Client) Steer(ctx context.Context, r SteerRequest) (Steered, error) {
	return do(ctx, c, callSteer, r)
}

// Rollback has a job go back to the content of a version that was deployed before.
func (c *Client) Rollback(ctx context.Context, r RollbackRequest) (Submitted, error) {
	return do(ctx, c, callRollback, r)
}
