package main

import (
	"context"
	"fmt"
	"time"

	"mn/mesh"
	"mn/mesh/api"
	"mn/sim/lab"
)

// takeoverCopies are the copies of the job whose coordinator dies.
const takeoverCopies = 3

// takeovers measures how long nobody decides about a job when its coordinator dies:
// from the kill until the first copy starts of a version that is submitted to another
// node just after. Gossip has to miss the coordinator, and its lease to run out.
func (r *runner) takeovers(ctx context.Context) error {
	for _, p := range r.profiles {
		var took []time.Duration
		err := r.mesh(ctx, nodes, p.config, func(l *lab.Lab) error {
			job := r.job("bench-takeover", takeoverCopies, p)
			if err := r.runAll(ctx, l, job); err != nil {
				return err
			}
			for round := range r.rounds {
				job.Tasks[0].Env = map[string]string{"ROUND": fmt.Sprint(round)}
				d, err := r.takeover(ctx, l, job)
				if err != nil {
					return err
				}
				took = append(took, d)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("measure takeovers, %s settings: %w", p.name, err)
		}
		r.report.times("coordinator lost, to the next decision carried out; "+p.name, took, p.lossAim)
	}
	return nil
}

// takeover kills the coordinator of a job, submits a version of it elsewhere, and
// brings the node back afterwards.
func (r *runner) takeover(ctx context.Context, l *lab.Lab, job mesh.Job) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, roundMax)
	defer cancel()
	id := mesh.JobID(job.Name)
	victim, err := coordinator(ctx, l, id)
	if err != nil {
		return 0, err
	}
	cut, err := victim.Kill()
	if err != nil {
		return 0, err
	}
	if _, err := l.Running()[0].Client().Run(ctx, job); err != nil {
		return 0, err
	}
	first, err := r.tower.wait(ctx, id, 1, cut)
	if err != nil {
		return 0, fmt.Errorf("%s, the coordinator, died: %w", victim.Name, err)
	}
	if err := victim.Start(ctx); err != nil {
		return 0, err
	}
	if err := l.Settle(ctx); err != nil {
		return 0, err
	}
	return first.Sub(cut), r.allSee(ctx, l, id, takeoverCopies)
}

// coordinator is the node that has decided about a job last. Who is meant to may be
// another, as long as the lease has not changed hands.
func coordinator(ctx context.Context, l *lab.Lab, id mesh.JobID) (*lab.Node, error) {
	client := l.Nodes()[0].Client()
	seen, err := client.Job(ctx, id)
	if err != nil {
		return nil, err
	}
	var last api.AllocDetail
	for _, row := range seen.Allocations {
		a, err := client.Alloc(ctx, row.ID)
		if err != nil {
			return nil, err
		}
		if a.PlacedAt.After(last.PlacedAt) {
			last = a
		}
	}
	if n := l.Node(last.Coordinator); n != nil {
		return n, nil
	}
	return nil, fmt.Errorf("nobody is known to have decided about %q", id)
}
