package reconcile

import (
	"cmp"
	"fmt"
	"strings"

	"mn/mesh"
)

// tally counts what became of the seats of a job.
type tally struct {
	wanted   int
	running  int
	starting int // placed or about to be, not running
	ending   int // by themselves, tasks that clean up included
	backoff  int // ended, and to be restarted after a delay
	done     int // completed, of a batch job
	skipped  int // as what they come after went otherwise
	waiting  int
	queued   int // for other copies to be done
	awaited  int // bound to nodes that are out of sight
	blocked  int
	failed   int // for good
	review   int // failed, and waiting for a person
	stopping int // not wanted any more, and not ended yet
	unseen   int // of these, out of sight: they may run
	cause    string
	restarts string // why the first of those in backoff is
}

// live counts a copy that stays.
func (t *tally) live(p *planner, a *mesh.AllocView) {
	switch {
	case p.running(a):
		t.running++
	case p.asksAnew(a):
		t.review++
		t.because(fmt.Sprintf("%v on %s: %s; %s", a.Seat(), p.nodeName(a.Node), unrestored(a).Reason, hint))
	case a.State() == mesh.Backoff:
		t.backoff++
		t.restarts = cmp.Or(t.restarts,
			fmt.Sprintf("%v on %s: %s", a.Seat(), p.nodeName(a.Node), cause(a)))
	case a.State() == mesh.Stopping:
		t.ending++
	default:
		t.starting++
	}
}

// surplus counts a copy that nobody wants and that has not ended.
func (t *tally) surplus(p *planner, a *mesh.AllocView) {
	if n := p.view.Node(a.Node); n != nil && n.Liveness != mesh.Alive {
		t.unseen++
	} else if n != nil {
		t.stopping++
	}
}

// because keeps the first reason for a failure.
func (t *tally) because(text string) {
	if t.cause == "" {
		t.cause = text
	}
}

// conclude sums the seats up to the state of the job. With a copy that has failed
// for good the job has, at once; but if its groups come one after the other, then
// when nothing is left to do, and only if nobody has answered for the failure.
func (p *planner) conclude() {
	t := &p.tally
	switch {
	case p.job.Stopped && p.job.Verb == mesh.VerbCancel:
		p.plan.Status, p.plan.Text = mesh.JobCancelled, p.endReason()+"; "+p.endText(t)
		return
	case p.job.Stopped:
		p.plan.Status, p.plan.Text = mesh.JobStopped, p.endText(t)
		if p.job.Reason != "" {
			p.plan.Text = p.endReason() + "; " + p.plan.Text
		}
		return
	case p.job.Paused && (t.done < t.wanted || t.wanted == 0):
		p.plan.Status, p.plan.Text = mesh.JobPaused, p.endReason()+"; "+p.endText(t)
		if t.stopping+t.unseen > 0 {
			p.plan.Status = mesh.JobPausing
		}
		return
	case p.job.Job.Template():
		p.template()
		return
	case t.failed > 0 && !p.ordered(),
		t.failed > 0 && t.done+t.failed+t.skipped == t.wanted && !p.handled():
		p.plan.Status = mesh.JobFailed
	case t.review > 0:
		p.plan.Status = mesh.JobPaused
	case t.wanted == 0:
		p.plan.Status, p.plan.Text = mesh.JobPending, "no node can run it"+p.unserved.String()
		return
	case t.done+t.failed+t.skipped == t.wanted:
		p.plan.Status = mesh.JobCompleted
	case t.running > 0 && t.running+t.awaited == t.wanted && p.job.Job.Type == mesh.System,
		t.running+t.ending+t.done+t.failed+t.skipped+t.queued == t.wanted && t.running+t.ending > 0:
		p.plan.Status = mesh.JobRunning
	default:
		p.plan.Status = mesh.JobPending
	}
	p.plan.Text = t.text() + p.unserved.String()
}

// text is the tally in words: "4 of 6 running, 1 starting, 1 waiting".
func (t *tally) text() string {
	var parts []string
	for _, c := range []struct {
		n    int
		what string
	}{
		{t.running, "running"},
		{t.starting, "starting"},
		{t.ending, "ending"},
		{t.backoff, "restarting"},
		{t.done, "completed"},
		{t.skipped, "skipped"},
		{t.waiting + t.queued, "waiting"},
		{t.awaited, "waiting for their nodes"},
		{t.blocked, "blocked"},
		{t.failed, "failed"},
		{t.review, "waiting for a person"},
	} {
		switch {
		case c.n == 0:
		case len(parts) == 0:
			parts = append(parts, fmt.Sprintf("%d of %d %s", c.n, t.wanted, c.what))
		default:
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	text := strings.Join(parts, ", ")
	if why := cmp.Or(t.cause, t.restarts); why != "" {
		text += "; " + why
	}
	return text
}

// endText is what is left of a stopped or paused job, in words.
func (t *tally) endText() string {
	var parts []string
	if t.done > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d completed", t.done, t.wanted))
	}
	if t.stopping > 0 {
		parts = append(parts, fmt.Sprintf("%d stopping", t.stopping))
	}
	if t.unseen > 0 {
		parts = append(parts, fmt.Sprintf("%d out of sight, may still run", t.unseen))
	}
	if t.stopping+t.unseen == 0 {
		parts = append(parts, "nothing runs")
	}
	return strings.Join(parts, ", ")
}
