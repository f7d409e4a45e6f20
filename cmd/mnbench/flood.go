package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"mn/mesh"
	"mn/mesh/api"
	"mn/sim/lab"
)

// What is measured here, and the aims.
const (
	shortTasks    = 1000 // of one batch job
	floodJobs     = 200
	floodClients  = 8
	drainServices = 20

	placedAim   = time.Second
	doneAim     = 10 * time.Second
	acceptedAim = 500 * time.Millisecond
	allPlaced   = time.Second
	allRunAim   = 3 * time.Second

	floodMax = 5 * time.Minute // for one of these
)

// floods measures many tasks and jobs at once, and how fast a node is drained.
func (r *runner) floods(ctx context.Context) error {
	for _, part := range []struct {
		what string
		do   func(context.Context, *lab.Lab) error
	}{
		{"short tasks", r.shortTasks}, {"jobs at once", r.jobsAtOnce}, {"a drain", r.drain},
	} {
		err := r.mesh(ctx, nodes, "", func(l *lab.Lab) error {
			ctx, cancel := context.WithTimeout(ctx, floodMax)
			defer cancel()
			return part.do(ctx, l)
		})
		if err != nil {
			return fmt.Errorf("measure %s: %w", part.what, err)
		}
	}
	return nil
}

// watchUntil watches a job until it is as wanted, and says when it was.
func watchUntil(ctx context.Context, c *api.Client, id mesh.JobID, is func(api.Job) bool) (time.Time, error) {
	var at time.Time
	err := c.WatchJob(ctx, id, func(j api.Job) error {
		if at = time.Now(); is(j) {
			return errSeen
		}
		return nil
	})
	if !errors.Is(err, errSeen) {
		return at, fmt.Errorf("watch %q: %w", id, err)
	}
	return at, nil
}

// shortTasks is a batch job of many tasks that do nothing.
func (r *runner) shortTasks(ctx context.Context, l *lab.Lab) error {
	job := mesh.Job{
		Name: "bench-short", Type: mesh.Batch, Strategy: mesh.Spread,
		Tasks: []mesh.Task{{Name: "true", Count: shortTasks, Command: []string{"/bin/true"}}},
	}
	client := l.Nodes()[0].Client()
	began := time.Now()
	if _, err := client.Run(ctx, job); err != nil {
		return err
	}
	id := mesh.JobID(job.Name)
	placed, err := watchUntil(ctx, client, id, func(j api.Job) bool { return len(j.Allocations) >= shortTasks })
	if err != nil {
		return err
	}
	done, err := watchUntil(ctx, client, id, func(j api.Job) bool { return j.Status == mesh.JobCompleted })
	if err != nil {
		return err
	}
	what := fmt.Sprintf("%d short tasks submitted, to all ", shortTasks)
	r.report.times(what+"placed", []time.Duration{placed.Sub(began)}, placedAim)
	r.report.times(what+"completed", []time.Duration{done.Sub(began)}, doneAim)
	return nil
}

// jobsAtOnce is many jobs that several clients submit at once, to different nodes.
func (r *runner) jobsAtOnce(ctx context.Context, l *lab.Lab) error {
	var (
		clients sync.WaitGroup
		mu      sync.Mutex
		failed  error
		names   = make(chan string, floodJobs)
	)
	for i := range floodJobs {
		names <- fmt.Sprintf("bench-flood-%d", i)
	}
	close(names)
	began := time.Now()
	for i := range floodClients {
		client := l.Nodes()[i%nodes].Client()
		clients.Go(func() {
			for name := range names {
				if _, err := client.Run(ctx, r.job(name, 1, profile{})); err != nil {
					mu.Lock()
					failed = errors.Join(failed, err)
					mu.Unlock()
				}
			}
		})
	}
	clients.Wait()
	accepted := time.Now()
	if failed != nil {
		return failed
	}
	placed, ran, err := r.allRun(ctx, l.Nodes()[0].Client())
	if err != nil {
		return err
	}
	what := fmt.Sprintf("%d jobs from %d clients, to all ", floodJobs, floodClients)
	r.report.times(what+"accepted", []time.Duration{accepted.Sub(began)}, acceptedAim)
	r.report.times(what+"placed", []time.Duration{placed.Sub(began)}, allPlaced)
	r.report.times(what+"running", []time.Duration{ran.Sub(began)}, allRunAim)
	return nil
}

// allRun says when a node had seen all jobs placed, and running.
func (r *runner) allRun(ctx context.Context, c *api.Client) (placed, ran time.Time, err error) {
	err = c.WatchAllocs(ctx, api.AllocsRequest{}, func(allocs []api.Alloc) error {
		now, running := time.Now(), 0
		for _, a := range allocs {
			if a.Status == string(mesh.Running) {
				running++
			}
		}
		if placed.IsZero() && len(allocs) >= floodJobs {
			placed = now
		}
		if running >= floodJobs {
			ran = now
			return errSeen
		}
		return nil
	})
	if !errors.Is(err, errSeen) {
		return placed, ran, fmt.Errorf("wait until %d jobs run: %w", floodJobs, err)
	}
	return placed, ran, nil
}

// drain is a node with services, which move to the others one by one, each as soon
// as the copy that follows it runs.
func (r *runner) drain(ctx context.Context, l *lab.Lab) error {
	client := l.Nodes()[0].Client()
	job := r.job("bench-drain", drainServices*nodes, profile{})
	at := mesh.Duration(0)
	job.Update = &mesh.UpdatePolicy{MaxParallel: drainServices, MinHealthy: &at}
	if err := r.runAll(ctx, l, job); err != nil {
		return err
	}
	began := time.Now()
	victim := l.Nodes()[nodes-1]
	d, err := client.Administer(ctx, api.AdminRequest{Node: victim.Name, Mode: mesh.Draining})
	if err != nil {
		return err
	}
	err = client.WatchDrain(ctx, victim.Name, func(now api.Drain) error {
		if now.Status == mesh.DrainComplete {
			return errSeen
		}
		return nil
	})
	if !errors.Is(err, errSeen) {
		return fmt.Errorf("wait for the drain: %w", err)
	}
	r.report.times(fmt.Sprintf("node with %d copies of services, to drained", d.Left),
		[]time.Duration{time.Since(began)}, 0)
	return nil
}
