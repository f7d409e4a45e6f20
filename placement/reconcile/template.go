package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mn/mesh"
)

// template is the state of a job of which only runs have copies: pending while it waits for its
// time or an event, running while a run is, and completed when it never is due again.
func (p *planner) template() {
	live := slices.DeleteFunc(slices.Clone(p.view.Runs[p.job.ID()]), func(r mesh.RunView) bool { return r.Over })
	next, waits := p.dueNext()
	p.plan.Status, p.plan.Text = mesh.JobPending, waits
	switch {
	case len(live) == 1:
		p.plan.Status, p.plan.Text = mesh.JobRunning, fmt.Sprintf("run %s is %s; %s", live[0].ID, live[0].Status, waits)
	case len(live) > 1:
		p.plan.Status, p.plan.Text = mesh.JobRunning, fmt.Sprintf("%d runs have not ended; %s", len(live), waits)
	case next.IsZero() && len(p.job.Job.Triggers) == 0 && p.job.Job.Parameters == nil:
		p.plan.Status = mesh.JobCompleted
	}
	if p.granted || p.mayReplace() {
		return
	}
	p.plan.Text += fmt.Sprintf("; %s", p.barred())
}

// endText is what is left of a stopped or paused job, in words: of one of which only runs have copies,
// the runs.
func (p *planner) endText(t *tally) string {
	if !p.job.Job.Template() {
		return t.endText()
	}
	live := 0
	for _, r := range p.view.Runs[p.job.ID()] {
		if !r.Over {
			live++
		}
	}
	if live == 0 {
		return "nothing runs"
	}
	return mesh.Counted(live, "run has", "runs have") + " not ended"
}

// dueNext is when the job is due next, if it is, and in words what it waits for.
func (p *planner) dueNext() (next time.Time, text string) {
	j := &p.job.Job
	var parts []string
	if j.Schedule.Timed() {
		after := p.job.Scheduled
		if p.job.Due != nil {
			after = latest(after, p.job.Due.Until)
		}
		next = j.Schedule.Next(p.job.ID(), after, p.job.Scheduled)
		switch {
		case next.IsZero():
			parts = append(parts, "is never due again")
		case !next.After(p.view.Now):
			parts = append(parts, "is due since "+next.UTC().Format(time.DateTime+" UTC"))
		default:
			parts = append(parts, "waits for "+next.UTC().Format(time.DateTime+" UTC"))
		}
	}
	var events []string
	for _, t := range j.Triggers {
		if !slices.Contains(events, t.Event) {
			events = append(events, t.Event)
		}
	}
	if len(events) > 0 {
		parts = append(parts, "waits for event "+strings.Join(events, " or "))
	}
	if len(parts) == 0 {
		parts = append(parts, "waits for somebody to run it")
	}
	return next, strings.Join(parts, ", ")
}

// expire says of a run whose window is over that it is to be cancelled.
func (p *planner) expire() {
	o := p.job.Job.Origin
	if o == nil || o.Until.IsZero() || p.job.Stopped {
		return
	}
	switch p.plan.Status {
	case mesh.JobCompleted, mesh.JobFailed:
		return
	}
	if left := o.Until.Sub(p.view.Now); left > 0 {
		p.wakeIn(left)
		return
	}
	p.plan.Expired = "its window was over at " + o.Until.UTC().Format(time.DateTime+" UTC")
}
