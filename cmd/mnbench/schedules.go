package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"mn/mesh"
	"mn/sim/lab"
)

// What is measured of schedules, and the aims.
const (
	ticks         = 60 // one each second
	ticksMax      = 3 * time.Minute
	manySchedules = 1000
	schedulesMax  = 5 * time.Minute
	tickAim       = 100 * time.Millisecond
)

// schedules measures how long after its time a run begins, and what many schedules cost that wait.
func (r *runner) schedules(ctx context.Context) error {
	for _, measure := range []func(context.Context, *lab.Lab) error{r.ticks, r.waiting} {
		if err := r.mesh(ctx, nodes, "", func(l *lab.Lab) error { return measure(ctx, l) }); err != nil {
			return fmt.Errorf("measure schedules: %w", err)
		}
	}
	return nil
}

// ticks has a job run each second, and hears when each run has begun.
func (r *runner) ticks(ctx context.Context, l *lab.Lab) error {
	ctx, cancel := context.WithTimeout(ctx, ticksMax)
	defer cancel()
	job := r.job("bench-tick", 1, profile{})
	job.Type = mesh.Batch
	job.Schedule = &mesh.Schedule{Crons: []string{"* * * * * *"}, Overlap: mesh.OverlapReplace}
	client := l.Nodes()[0].Client()
	if _, err := client.Run(ctx, job); err != nil {
		return err
	}
	var late []time.Duration
	for seen := map[string]bool{}; len(late) < ticks; {
		select {
		case s := <-r.tower.heard:
			due, ok := dueOf(job.Name, s.job)
			if ok && !seen[s.job] {
				seen[s.job] = true
				late = append(late, s.at.Sub(due))
			}
		case <-ctx.Done():
			return fmt.Errorf("hear %d of %d runs: %w", len(late), ticks, ctx.Err())
		}
	}
	slices.Sort(late)
	r.report.times(fmt.Sprintf("tick of a schedule, to its task running; of %d", ticks), late, tickAim)
	r.report.times("the same, 99th percentile", late[len(late)*99/100:][:1], 0)
	_, err := client.Stop(ctx, mesh.JobID(job.Name))
	return err
}

// dueOf is when a run was due, by its name.
func dueOf(job, run string) (time.Time, bool) {
	text, ok := strings.CutPrefix(run, job+"-")
	if !ok {
		return time.Time{}, false
	}
	for _, layout := range []string{"20060102t1504z", "20060102t150405z"} {
		if due, err := time.Parse(layout, text); err == nil {
			return due, true
		}
	}
	return time.Time{}, false
}

// waiting has many schedules wait for times that do not come.
func (r *runner) waiting(ctx context.Context, l *lab.Lab) error {
	ctx, cancel := context.WithTimeout(ctx, schedulesMax)
	defer cancel()
	var (
		clients sync.WaitGroup
		mu      sync.Mutex
		failed  error
		left    = make(chan int, manySchedules)
	)
	for i := range manySchedules {
		left <- i
	}
	close(left)
	began := time.Now()
	soon := began.AddDate(0, 6, 0).UTC()
	cron := fmt.Sprintf("H H 1 %d *", int(soon.Month()))
	for i := range floodClients {
		client := l.Nodes()[i%nodes].Client()
		clients.Go(func() {
			for n := range left {
				job := r.job(fmt.Sprintf("bench-wait-%d", n), 1, profile{})
				job.Type, job.Schedule = mesh.Batch, &mesh.Schedule{Crons: []string{cron}}
				if _, err := client.Run(ctx, job); err != nil {
					mu.Lock()
					failed = errors.Join(failed, err)
					mu.Unlock()
				}
			}
		})
	}
	clients.Wait()
	if failed != nil {
		return failed
	}
	what := fmt.Sprintf("%d schedules", manySchedules)
	r.report.times(what+", to all accepted", []time.Duration{time.Since(began)}, 0)
	return r.idleMesh(ctx, l, profile{name: what})
}
