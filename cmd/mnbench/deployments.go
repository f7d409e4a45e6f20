package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mn/mesh"
	"mn/mesh/api"
	"mn/sim/lab"
)

// What is deployed.
const deployCopies = 10

// deployments measures how long it takes to bring a version to run, of copies that count as healthy as soon
// as they run: one by one, some at a time, and all beside the old ones.
func (r *runner) deployments(ctx context.Context) error {
	at := mesh.Duration(0)
	return r.mesh(ctx, nodes, "", func(l *lab.Lab) error {
		for _, how := range []struct {
			what string
			mesh.UpdatePolicy
		}{
			{"1 at a time", mesh.UpdatePolicy{MaxParallel: 1}},
			{"5 at a time", mesh.UpdatePolicy{MaxParallel: deployCopies / 2}},
			{"1 at a time, stop first", mesh.UpdatePolicy{MaxParallel: 1, Order: mesh.StopFirst}},
			{"blue-green", mesh.UpdatePolicy{Strategy: mesh.BlueGreen, AutoPromote: true}},
		} {
			how.MinHealthy = &at
			job := r.job("bench-deploy", deployCopies, profile{})
			job.Update = &how.UpdatePolicy
			job.Tasks[0].Env = map[string]string{"EDIT": how.what}
			if _, err := r.deploy(ctx, l, job); err != nil {
				return err
			}
			var all []time.Duration
			for round := range min(r.rounds, 5) {
				job.Tasks[0].Env = map[string]string{"EDIT": fmt.Sprint(how.what, round)}
				took, err := r.deploy(ctx, l, job)
				if err != nil {
					return err
				}
				all = append(all, took)
			}
			r.report.times(fmt.Sprintf("version of %d copies deployed, %s", deployCopies, how.what), all, 0)
		}
		return nil
	})
}

// deploy says how long a version of a job takes from its submission to the end of its deployment.
func (r *runner) deploy(ctx context.Context, l *lab.Lab, job mesh.Job) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, roundMax)
	defer cancel()
	client := l.Nodes()[0].Client()
	began := time.Now()
	done, err := client.Run(ctx, job)
	if err != nil {
		return 0, err
	}
	err = client.WatchDeployment(ctx, done.ID, func(d api.DeploymentDetail) error {
		switch {
		case d.Version != done.Version || !d.Status.Final():
			return nil
		case d.Status != mesh.Deployed:
			return fmt.Errorf("version %d is %s: %s", d.Version, d.Status, d.Reason)
		}
		return errSeen
	})
	if !errors.Is(err, errSeen) {
		return 0, fmt.Errorf("wait for the deployment of version %d: %w", done.Version, err)
	}
	return time.Since(began), nil
}
