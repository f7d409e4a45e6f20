package main

import (
	"context"
	"errors"
	"fmt"

	"mn/mesh"
	"mn/mesh/api"
)

// errDone ends a watch that has seen what it waited for.
var errDone = errors.New("done")

// progress tells, step by step, what becomes of a job.
type progress struct {
	*command
	version uint64
	told    map[string]string // the last state of each copy
	reason  string            // last told
}

// waitFor follows a submitted job until it runs, or until it has ended.
func (c *command) waitFor(
	ctx context.Context, client *api.Client, job *mesh.Job, done api.Submitted,
) error {
	p := &progress{command: c, version: done.Version, told: map[string]string{}}
	var last api.Job
	var end error
	err := client.WatchJob(ctx, done.ID, func(j api.Job) error {
		last = j
		over, failure := p.see(j, job.Type.Long())
		if !over {
			return nil
		}
		end = failure
		return errDone
	})
	switch {
	case !errors.Is(err, errDone):
		if ctx.Err() != nil {
			c.say("job %q goes on; mn job status %s shows it", done.ID, done.ID)
		}
		return err
	case end != nil:
		var code exitCode
		if c.asJSON && errors.As(end, &code) {
			return errors.Join(c.json(last, false), end)
		}
		return end
	}
	return c.result(last, func() {
		c.printf("job %q is %s, version %d\n", last.ID, last.Status, last.Version)
	})
}

// see tells what is new, and says whether that is the end, and which.
func (p *progress) see(j api.Job, long bool) (over bool, end error) {
	switch {
	case j.Version < p.version:
		return false, nil // the peer has not seen our version yet
	case j.Version > p.version:
		return true, mesh.Faultf(mesh.Conflict, "version %d has replaced version %d of job %q",
			j.Version, p.version, j.ID)
	}
	p.tell(j)
	switch j.Status {
	case mesh.JobRunning:
		return long, nil
	case mesh.JobCompleted:
		return true, nil
	case mesh.JobStopped:
		return true, mesh.Faultf(mesh.Conflict, "job %q was stopped", j.ID)
	case mesh.JobFailed:
		return true, p.failure(j)
	}
	return false, nil
}

// failure is how a job ends that failed: with its task's exit code, if it has
// one.
func (p *progress) failure(j api.Job) error {
	for _, a := range j.Allocations {
		if a.Status == string(mesh.Failed) && a.ExitCode != nil && *a.ExitCode != 0 {
			p.say("job %q failed: %s: %s", j.ID, copyName(a.Task, a.Index, a.Node), a.Reason)
			return exitCode(*a.ExitCode)
		}
	}
	return mesh.Faultf(mesh.Internal, "job %q failed: %s", j.ID, j.Reason).Hint("mn why %s", j.ID)
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
		}
	}
	if j.Reason != p.reason {
		p.reason = j.Reason
		if j.Reason != "" {
			p.say("%s: %s", j.Status, j.Reason)
		}
	}
}

// copyName names one task of one copy: worker[2]@n1.
func copyName(task string, index int, node string) string {
	return fmt.Sprintf("%s[%d]@%s", task, index, node)
}
