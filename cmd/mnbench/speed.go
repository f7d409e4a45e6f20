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

// Aims of what is measured here; losses have theirs with the profile.
const (
	startedAim = 25 * time.Millisecond
	visibleAim = 50 * time.Millisecond
	firstAim   = time.Second
)

// lossCopies are the copies of the job that loses nodes.
const lossCopies = 6

// firstRounds is how often a mesh is made anew.
const firstRounds = 5

// losses measures how long work is gone when a node dies: from the first kill
// until the last lost copy says elsewhere that it runs.
func (r *runner) losses(ctx context.Context) error {
	for _, p := range r.profiles {
		var took []time.Duration
		err := r.mesh(ctx, nodes, p.config, func(l *lab.Lab) error {
			job := r.job("bench-loss", lossCopies, p)
			if err := r.runAll(ctx, l, job); err != nil {
				return err
			}
			for range r.rounds {
				d, err := r.loss(ctx, l, mesh.JobID(job.Name))
				if err != nil {
					return err
				}
				took = append(took, d)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("measure losses, %s settings: %w", p.name, err)
		}
		r.report.times("node lost, to its copies running elsewhere; "+p.name, took, p.lossAim)
	}
	return nil
}

// loss kills the node with the most copies, and brings it back afterwards.
func (r *runner) loss(ctx context.Context, l *lab.Lab, job mesh.JobID) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, roundMax)
	defer cancel()
	seen, err := l.Nodes()[0].Client().Job(ctx, job)
	if err != nil {
		return 0, err
	}
	count := map[string]int{}
	victim := l.Nodes()[0]
	for _, a := range seen.Allocations {
		if a.Status != string(mesh.Running) {
			continue
		}
		count[a.Node]++
		if count[a.Node] > count[victim.Name] {
			victim = l.Node(a.Node)
		}
	}
	cut, err := victim.Kill()
	if err != nil {
		return 0, err
	}
	last, err := r.tower.wait(ctx, job, count[victim.Name], cut)
	if err != nil {
		return 0, fmt.Errorf("%s died with %d copies: %w", victim.Name, count[victim.Name], err)
	}
	if err := victim.Start(ctx); err != nil {
		return 0, err
	}
	if err := l.Settle(ctx); err != nil {
		return 0, err
	}
	return last.Sub(cut), r.allSee(ctx, l, job, lossCopies)
}

// runAll submits a job and waits until every node sees all its copies run.
func (r *runner) runAll(ctx context.Context, l *lab.Lab, job mesh.Job) error {
	ctx, cancel := context.WithTimeout(ctx, roundMax)
	defer cancel()
	began := time.Now()
	if _, err := l.Nodes()[0].Client().Run(ctx, job); err != nil {
		return err
	}
	copies := job.Tasks[0].Count
	if _, err := r.tower.wait(ctx, mesh.JobID(job.Name), copies, began); err != nil {
		return err
	}
	return r.allSee(ctx, l, mesh.JobID(job.Name), copies)
}

// errSeen ends a watch that has shown what it was for.
var errSeen = errors.New("seen")

// allSee waits until every node sees so many copies of a job run.
func (r *runner) allSee(ctx context.Context, l *lab.Lab, job mesh.JobID, copies int) error {
	for _, n := range l.Nodes() {
		var last api.Job
		err := n.Client().WatchJob(ctx, job, func(j api.Job) error {
			last = j
			if settled(j, copies) {
				return errSeen
			}
			return nil
		})
		if !errors.Is(err, errSeen) {
			return fmt.Errorf("wait until %s sees %d copies of %q run: %w; it sees %s",
				n.Name, copies, job, err, describe(last))
		}
	}
	return nil
}

// settled says whether so many copies of a job run, and all others are over.
func settled(j api.Job, copies int) bool {
	running := 0
	for _, a := range j.Allocations {
		switch {
		case a.Status == string(mesh.Running):
			running++
		case !mesh.AllocState(a.Status).Final():
			return false
		}
	}
	return running == copies
}

// describe is a job as one line, for errors.
func describe(j api.Job) string {
	text := fmt.Sprintf("%d of %d, %q", j.Running, j.Count, j.Reason)
	for _, a := range j.Allocations {
		text += fmt.Sprintf("; %d on %s %s", a.Index, a.Node, a.Status)
	}
	return text
}

// submits measures how fast a job runs: from the call that submits it until
// the call returns, its process says that it runs, and every node shows it so.
func (r *runner) submits(ctx context.Context) error {
	for _, p := range r.profiles {
		var acked, ran, visible []time.Duration
		err := r.mesh(ctx, nodes, p.config, func(l *lab.Lab) error {
			w := watchAll(ctx, l)
			defer w.close()
			for i := range r.rounds {
				s, err := r.submit(ctx, l, w, i, p)
				if err != nil {
					return err
				}
				acked, ran, visible = append(acked, s[0]), append(ran, s[1]), append(visible, s[2])
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("measure submissions, %s settings: %w", p.name, err)
		}
		r.report.times("job submitted, to acknowledged on two disks; "+p.name, acked, 0)
		r.report.times("job submitted, to process started; "+p.name, ran, startedAim)
		r.report.times("job submitted, to running as every peer shows it; "+p.name, visible, visibleAim)
	}
	return nil
}

// submit measures one: acknowledged, started, visible.
func (r *runner) submit(
	ctx context.Context, l *lab.Lab, w *watchers, round int, p profile,
) (took [3]time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, roundMax)
	defer cancel()
	job := r.job(fmt.Sprintf("bench-submit-%d", round), 1, p)
	id := mesh.JobID(job.Name)
	client := l.Nodes()[round%nodes].Client()
	began := time.Now()
	if _, err := client.Run(ctx, job); err != nil {
		return took, err
	}
	took[0] = time.Since(began)
	at, err := r.tower.wait(ctx, id, 1, began)
	if err != nil {
		return took, err
	}
	took[1] = at.Sub(began)
	if at, err = w.wait(ctx, id, nodes); err != nil {
		return took, err
	}
	took[2] = at.Sub(began)
	_, err = client.Stop(ctx, id)
	return took, err
}

// watchers watch the allocations on every node at once.
type watchers struct {
	seen   chan sighting
	cancel context.CancelFunc
	ended  sync.WaitGroup
}

// sighting is a node that shows, for the first time, that a job runs.
type sighting struct {
	job mesh.JobID
	at  time.Time
	err error // the watch has ended by it
}

// sightingsMax bounds what the watchers have seen and nobody has waited for.
const sightingsMax = 1024

func watchAll(ctx context.Context, l *lab.Lab) *watchers {
	ctx, cancel := context.WithCancel(ctx)
	w := &watchers{seen: make(chan sighting, sightingsMax), cancel: cancel}
	for _, n := range l.Nodes() {
		w.ended.Go(func() { w.watch(ctx, n.Client()) })
	}
	return w
}

func (w *watchers) watch(ctx context.Context, c *api.Client) {
	known := map[mesh.AllocID]bool{}
	err := c.WatchAllocs(ctx, api.AllocsRequest{}, func(allocs []api.Alloc) error {
		at := time.Now()
		for _, a := range allocs {
			if a.Status != string(mesh.Running) || known[a.ID] {
				continue
			}
			known[a.ID] = true
			w.tell(ctx, sighting{job: a.Job, at: at})
		}
		return nil
	})
	w.tell(ctx, sighting{err: errors.Join(errors.New("a watch ended"), err)})
}

func (w *watchers) tell(ctx context.Context, s sighting) {
	select {
	case w.seen <- s:
	case <-ctx.Done():
	}
}

// wait waits until so many nodes have shown that a job runs.
func (w *watchers) wait(ctx context.Context, job mesh.JobID, nodes int) (last time.Time, err error) {
	for seen := 0; seen < nodes; {
		select {
		case s := <-w.seen:
			switch {
			case s.err != nil:
				return last, s.err
			case s.job == job:
				last = s.at
				seen++
			}
		case <-ctx.Done():
			return last, fmt.Errorf("wait until %d nodes show %q running, %d do: %w", nodes, job, seen, ctx.Err())
		}
	}
	return last, nil
}

func (w *watchers) close() {
	w.cancel()
	w.ended.Wait()
}

// firstJobs measures a mesh of one from nothing to its first process.
func (r *runner) firstJobs(ctx context.Context) error {
	var took []time.Duration
	for range min(r.rounds, firstRounds) {
		began := time.Now()
		err := r.mesh(ctx, 1, "", func(l *lab.Lab) error {
			ctx, cancel := context.WithTimeout(ctx, roundMax)
			defer cancel()
			job := r.job("bench-first", 1, profile{})
			if _, err := l.Nodes()[0].Client().Run(ctx, job); err != nil {
				return err
			}
			at, err := r.tower.wait(ctx, mesh.JobID(job.Name), 1, began)
			took = append(took, at.Sub(began))
			return err
		})
		if err != nil {
			return fmt.Errorf("measure the first job: %w", err)
		}
	}
	r.report.times("one node: mesh init, agent start, first job running", took, firstAim)
	return nil
}
