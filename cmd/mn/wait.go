package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mn/mesh"
	"mn/mesh/api"
)

// settleTime is how long all copies of a service must have gone on running before
// it is said to run: a program that fails at once is seen running for an instant.
const settleTime = time.Second

// causesMax is how many causes are remembered, not to be told twice.
const causesMax = 64

// progress tells, step by step, what becomes of a job.
type progress struct {
	*command
	version uint64
	long    bool
	bounded bool              // not all copies need run at once
	told    map[string]string // the last state of each copy
	causes  []string          // told of copies
	reason  string            // last told
	last    api.Job
}

// waitFor follows a submitted job until it runs, or until it has ended.
func (c *command) waitFor(
	ctx context.Context, client *api.Client, job *mesh.Job, done api.Submitted,
) error {
	p := &progress{
		command: c, version: done.Version, long: job.Type.Long(), bounded: bounded(job), told: map[string]string{},
	}
	inner, stop := context.WithCancel(ctx)
	looks, gone := make(chan api.Job), make(chan struct{})
	var broken error // why the watch ended; to be read when it is gone
	go func() {
		defer close(gone)
		broken = client.WatchJob(inner, done.ID, func(j api.Job) error {
			select {
			case looks <- j:
				return nil
			case <-inner.Done():
				return inner.Err()
			}
		})
	}()
	over, end := p.follow(looks, gone)
	stop()
	<-gone
	switch {
	case !over:
		if ctx.Err() != nil {
			c.say("job %q goes on; mn job status %s shows it", done.ID, done.ID)
		}
		return broken
	case end != nil:
		var code exitCode
		if c.asJSON && errors.As(end, &code) {
			return errors.Join(c.json(p.last, false), end)
		}
		return end
	}
	return c.result(p.last, func() {
		c.printf("job %q is %s, version %d\n", p.last.ID, p.last.Status, p.last.Version)
	})
}

// bounded says whether a job runs as it should with some of its copies waiting.
func bounded(job *mesh.Job) bool {
	return job.MaxRunning > 0 ||
		slices.ContainsFunc(job.Groups(), func(g mesh.Group) bool { return g.Array.AtOnce > 0 })
}

// follow looks at a job until it has come to its end, or the watch has. A
// service is there when the same runs of its copies have lasted for settleTime.
func (p *progress) follow(looks <-chan api.Job, gone <-chan struct{}) (over bool, end error) {
	settle := time.NewTimer(settleTime)
	settle.Stop()
	defer settle.Stop()
	var before []string
	for {
		select {
		case j := <-looks:
			p.last = j
			if over, end := p.see(j); over {
				return true, end
			}
			now := p.runs(j)
			switch {
			case now == nil:
				settle.Stop()
			case !slices.Equal(now, before):
				settle.Reset(settleTime)
			}
			before = now
		case <-settle.C:
			return true, nil
		case <-gone:
			return false, nil
		}
	}
}

// runs names the runs of a service's tasks, so that a restart shows even if
// nobody saw the task down; nil unless all of its copies run.
func (p *progress) runs(j api.Job) []string {
	if !p.long || j.Version != p.version || j.Status != mesh.JobRunning ||
		j.Running < j.Count && !p.bounded && !j.Type.PerNode() { // nobody waits for nodes that are away
		return nil
	}
	runs := []string{}
	for _, a := range j.Allocations {
		if a.Status != string(mesh.Running) {
			continue
		}
		var started time.Time
		if a.StartedAt != nil {
			started = *a.StartedAt
		}
		runs = append(runs, fmt.Sprintf("%s/%s/%d/%d", a.ID, a.Task, a.Restarts, started.UnixNano()))
	}
	slices.Sort(runs)
	return runs
}

// see tells what is new, and says whether that is the end, and which. That a
// service runs is not: it has to last.
func (p *progress) see(j api.Job) (over bool, end error) {
	switch {
	case j.Version < p.version:
		return false, nil // the peer has not seen our version yet
	case j.Version > p.version && ended(j.Status):
		return true, endedMeanwhile(j.ID, j.Status) // a stop is a version of its own
	case j.Version > p.version:
		return true, mesh.Faultf(mesh.Conflict, "version %d has replaced version %d of job %q",
			j.Version, p.version, j.ID)
	}
	p.tell(j)
	switch j.Status {
	case mesh.JobCompleted:
		return true, nil
	case mesh.JobFailed:
		return true, p.failure(j, "failed")
	case mesh.JobPaused: // by nobody
		return true, p.failure(j, "is paused, and waits for a person")
	}
	return false, nil
}

// ended says whether a status is one that only a person brings about, and that
// ends waiting for a job.
func ended(s mesh.JobStatus) bool {
	switch s {
	case mesh.JobStopped, mesh.JobCancelled, mesh.JobPausing, mesh.JobPaused:
		return true
	}
	return false
}

func endedMeanwhile(id mesh.JobID, status mesh.JobStatus) error {
	did := map[mesh.JobStatus]string{
		mesh.JobStopped: "stopped", mesh.JobCancelled: "cancelled", mesh.JobPausing: "paused", mesh.JobPaused: "paused",
	}[status]
	return mesh.Faultf(mesh.Conflict, "job %q was %s", id, did)
}

// failure is how a job ends that failed, or does not go on by itself since something
// of it has: with its task's exit code, if it has one.
func (p *progress) failure(j api.Job, how string) error {
	for _, a := range j.Allocations {
		if a.Lifecycle == mesh.Poststop {
			continue // it does not decide
		}
		if a.Status == string(mesh.Failed) && a.ExitCode != nil && *a.ExitCode != 0 {
			p.say("job %q %s: %s", j.ID, how, cmp.Or(p.news(j.Reason), copyName(a.Task, a.Index, a.Node)))
			return exitCode(*a.ExitCode)
		}
	}
	return mesh.Faultf(mesh.Internal, "job %q %s: %s", j.ID, how, p.news(j.Reason)).Hint("mn why %s", j.ID)
}

// news is a reason without the causes that were told of its copies.
func (p *progress) news(reason string) string {
	for _, cause := range p.causes {
		reason = strings.ReplaceAll(reason, ": "+cause, "")
	}
	return reason
}

// tell says what is new: the whole in numbers, and which copies went wrong.
func (p *progress) tell(j api.Job) {
	for _, a := range j.Allocations {
		who := fmt.Sprintf("%s/%s", a.ID, a.Task)
		was := p.told[who]
		p.told[who] = a.Status
		switch a.Status {
		case was:
		case string(mesh.Failed), string(mesh.Backoff), string(mesh.Lost):
			p.say("%s %s: %s", copyName(a.Task, a.Index, a.Node), a.Status, a.Reason)
			if a.Reason != "" && !slices.Contains(p.causes, a.Reason) && len(p.causes) < causesMax {
				p.causes = append(p.causes, a.Reason)
			}
		}
	}
	if j.Reason != p.reason {
		p.reason = j.Reason
		if j.Reason != "" && j.Status != mesh.JobFailed { // it is told of the job as a whole
			p.say("%s: %s", j.Status, p.news(j.Reason))
		}
	}
}

// copyName names one task of one copy: worker[2]@n1.
func copyName(task string, index int, node string) string {
	return fmt.Sprintf("%s[%d]@%s", task, index, node)
}
