package reconcile

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"mn/mesh"
)

// refill plans the next copy for a seat that has none: none runs, none may run.
func (p *planner) refill(s *seat) {
	if failed := p.unanswered(s); failed != nil {
		p.reschedule(s, failed)
		return
	}
	if n := len(s.gone); n > 0 {
		last := s.gone[n-1]
		p.bury(s)
		p.place(s, last, p.fate(last).why, p.failedNodes(s))
		return
	}
	var before *mesh.AllocView
	does := "wants"
	if n := len(s.copies); n > 0 {
		before, does = s.copies[n-1], p.does()
		if before.Content != s.content {
			does = "changes"
		}
	}
	reason := fmt.Sprintf("version %d %s it", p.job.Number, does)
	if s.of != nil {
		reason = p.goesOnText(s)
	}
	if before != nil && before.Leaves && p.leaves(before) {
		reason = p.whyLeaves(before)
	}
	p.place(s, before, reason, p.failedNodes(s))
}

// does is what the version has to do with work that there was before it.
func (p *planner) does() string {
	switch p.job.Verb {
	case mesh.VerbResume:
		return "resumes"
	case mesh.VerbRetry:
		return "retries"
	}
	return "wants"
}

// speaks says whether what became of a copy is an outcome of the job's versions
// from one of its line on: it was placed for one of them, or has the same content
// and ended after that one was submitted.
func (p *planner) speaks(a *mesh.AllocView, s *seat, from mesh.Ancestor) bool {
	if a.Version >= from.Number && p.job.CameFrom(a.Version, a.Hash) {
		return true
	}
	return a.Content == s.content && a.Status != nil && a.Status.At.After(from.At)
}

// completed says whether a copy has done the work of its seat.
func (p *planner) completed(a *mesh.AllocView, s *seat) bool {
	return a.State() == mesh.Complete && !p.job.Job.Type.Long() && p.speaks(a, s, p.since)
}

// failed says whether a copy ended other than it should, for good on its node.
func (p *planner) failed(a *mesh.AllocView, s *seat) bool {
	if !p.speaks(a, s, p.anew) {
		return false
	}
	if p.cutOff(a, &s.group) != "" || a.State().Final() && p.forsaken(a) && !p.completed(a, s) {
		return true
	}
	switch a.State() {
	case mesh.Failed, mesh.TimedOut:
		return true // by itself, whatever it was told since
	}
	return a.State() == mesh.Complete && p.job.Job.Type.Long() && a.Want == mesh.WantRun
}

// worn says whether a copy waits for its next restart since before a person said
// to try again: another takes its place, which has used up nothing. One of which some
// main task runs, or has done its work, stays. So it is with one that a person has begin
// anew.
func (p *planner) worn(a *mesh.AllocView) bool {
	waits := p.job.Verb == mesh.VerbRetry && a.Hash != p.job.Hash && a.State() == mesh.Backoff
	return waits && waitedAt(a.Status, p.job.At) && !works(a.Status) || p.beginsAnew(a) != nil
}

// works says whether a main task of a copy runs, is about to, or has completed.
func works(s *mesh.Status) bool {
	return slices.ContainsFunc(s.Tasks, func(t mesh.TaskStatus) bool {
		return t.Lifecycle == "" &&
			(t.State == mesh.Running || t.State == mesh.Starting || t.State == mesh.Complete)
	})
}

// waitedAt says whether a task that waits for its next restart did so at an instant.
func waitedAt(s *mesh.Status, at time.Time) bool {
	return slices.ContainsFunc(s.Tasks, func(t mesh.TaskStatus) bool {
		return t.State == mesh.Backoff && !t.FinishedAt.After(at)
	})
}

// unanswered is the failed copy that a seat has come to, or nil: none of its others was
// placed since it had failed, or has lasted longer.
func (p *planner) unanswered(s *seat) *mesh.AllocView {
	for _, a := range slices.Backward(s.copies) {
		outlasted := func(o *mesh.AllocView) bool { return p.outlasts(o, a) }
		if p.failed(a, s) && !slices.ContainsFunc(s.copies, outlasted) {
			return a
		}
	}
	return nil
}

// outlasts says whether a copy was there when another of its seat, which has ended, had
// done so. That they are two is for a drain, or because one was out of sight. However late
// a node tells of an end, it had come before a person took the copy for dead, and, where
// there are never two, before a later copy began.
func (p *planner) outlasts(o, a *mesh.AllocView) bool {
	switch {
	case o.ID == a.ID:
		return false
	case p.dead(a), p.partition != mesh.Eager && begunAtAll(later(o, a)):
		return o.Generation > a.Generation
	case answers(o, a):
		return true
	case p.dead(o):
		return false
	case !o.State().Final():
		return o.Want == mesh.WantRun && o.Generation > a.Generation
	}
	return o.Status.At.After(a.Status.At) && o.Status.At.After(a.At)
}

// later is the one of two copies of a seat that was placed later.
func later(a, b *mesh.AllocView) *mesh.AllocView {
	if a.Generation > b.Generation {
		return a
	}
	return b
}

// begunAtAll says whether the node of a copy has said that some task of it was ordered to
// start.
func begunAtAll(a *mesh.AllocView) bool {
	return a.Status != nil && slices.ContainsFunc(a.Status.Tasks, func(t mesh.TaskStatus) bool { return t.HasBegun() })
}

// answers says whether a copy was placed when another had ended. Clocks may disagree, so
// its generation has to be a later one, too.
func answers(o, a *mesh.AllocView) bool {
	return o.Generation > a.Generation && !o.At.Before(a.Status.At)
}

// reschedule answers the failure of a copy by the job's policy: a copy on
// another node after a delay, or none any more.
//
// Earlier moves are counted within the interval before the failure, not before
// now: a job that has failed for good must not revive when time has passed.
func (p *planner) reschedule(s *seat, failed *mesh.AllocView) {
	if p.decided(s, failed) {
		return
	}
	moves := p.moves(s, failed.Status.At)
	if why := p.exhausted(s, failed, moves); why != "" {
		p.giveUp(s, failed, why)
		return
	}
	// The failure has its node's wall time. Should the clocks disagree, we wait
	// no longer than the delay.
	delay := p.policy.Delays.After(moves + 1)
	if left := min(delay-p.view.Now.Sub(failed.Status.At), delay); left > 0 {
		p.wait(s, fmt.Sprintf("failed on %s: %s; %s after %v",
			p.nodeName(failed.Node), cause(failed), s.pick("moves", "is tried again"), mesh.Duration(delay)))
		p.fails(failed, p.how(s, failed), s.pick("move ", "further try ")+p.ofMoves(moves+1), left)
		p.wakeIn(left)
		return
	}
	reason := fmt.Sprintf("failed on %s: %s; %s %s",
		p.nodeName(failed.Node), cause(failed), s.pick("move", "further try"), p.ofMoves(moves+1))
	p.place(s, failed, reason, p.failedNodes(s))
}

// fails notes that a copy has failed for good on its node, and what follows.
func (p *planner) fails(a *mesh.AllocView, reason, next string, in time.Duration) {
	p.plan.Failed = append(p.plan.Failed, Failed{a.ID, a.Node, reason, next, in})
}

// ofMoves is the number of a move, and of how many, in words.
func (p *planner) ofMoves(n int) string {
	if p.policy.Unlimited {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%d of %d in %v", n, p.policy.Attempts, mesh.Duration(p.policy.Interval))
}

// giveUpGang counts the copies of a gang that no other follows, unless a person says so.
func (p *planner) giveUpGang(copies int, failed *mesh.AllocView, failure, why string) {
	text := failure + "; " + why
	if mesh.ReviewFor(&p.job.Job) {
		p.tally.review += copies
		p.review(failed, mesh.ReviewFailed, failed.Status.At, text)
		text += "; mn job retry " + string(p.job.ID()) + " runs it again"
	} else {
		p.tally.failed += copies
		p.fails(failed, text, "no gang follows", 0)
	}
	p.tally.because(text)
}

// pick is one text for seats that may go to any node, another for those that are
// bound to one.
func (s *seat) pick(free, bound string) string {
	if s.Target != "" {
		return bound
	}
	return free
}

// short is the name of a seat, without the node that it is bound to.
func (s *seat) short() string { return s.pick(s.Seat.String(), s.Group) }

// exhausted is why a failed copy may not be followed by another, or "".
func (p *planner) exhausted(s *seat, failed *mesh.AllocView, moves int) string {
	switch mark := p.cutOff(failed, &s.group); {
	case mark != "":
		return mark
	case failed.State() == mesh.TimedOut:
		return "a copy that has timed out is not moved"
	case !p.job.Job.Recovery.Mode.Moves():
		return fmt.Sprintf("recovery mode %q never moves work", p.job.Job.Recovery.Mode)
	case !p.policy.Enabled:
		return "reschedule is not enabled"
	case !p.policy.Unlimited && p.policy.Attempts == 0:
		return s.pick("moves", "further tries") + " are off"
	case !p.policy.Unlimited && moves >= p.policy.Attempts && p.policy.Attempts == 1:
		return fmt.Sprintf("the one %s within %v is used up",
			s.pick("move", "further try"), mesh.Duration(p.policy.Interval))
	case !p.policy.Unlimited && moves >= p.policy.Attempts:
		return fmt.Sprintf("%d of %d %s in %v are used up",
			moves, p.policy.Attempts, s.pick("moves", "further tries"), mesh.Duration(p.policy.Interval))
	}
	return ""
}

// moves counts the copies of a seat that were placed because another had
// failed, within the policy's interval before the instant at.
func (p *planner) moves(s *seat, at time.Time) int {
	failed := map[mesh.AllocID]*mesh.AllocView{}
	window := mesh.Window{Interval: p.policy.Interval}
	for _, a := range s.copies {
		if p.failed(a, s) {
			failed[a.ID] = a
		}
		if before := failed[a.Replaces]; before != nil && answers(a, before) && !departed(before) {
			window.Add(a.At.Sub(at))
		}
	}
	return window.Count(0)
}

// departed says whether a copy has left its node for a drain, or to make room: that it was not
// to run again by itself makes no failure of it.
func departed(a *mesh.AllocView) bool { return a.Leaves && a.State() == mesh.Stopped }

// Moves is, for the last copy of each seat that the job wants, how many moves of
// it the job's policy counts: now, or when that copy failed.
func Moves(v *mesh.View, job *mesh.JobView) map[mesh.AllocID]int {
	p := newPlanner(v, job, nil, true)
	for _, g := range job.Job.Groups() {
		p.group(g)
	}
	count := map[mesh.AllocID]int{}
	for _, s := range p.seatsAll {
		if len(s.copies) == 0 {
			continue
		}
		last, at := s.last(), v.Now
		if p.failed(last, s) {
			at = last.Status.At
		}
		if job.Job.Gang {
			count[last.ID] = p.gangMoves(p.seatsAll, at)
		} else {
			count[last.ID] = p.moves(s, at)
		}
	}
	return count
}

// failedNodes are the nodes where copies of a seat have failed lately: others
// are preferred.
func (p *planner) failedNodes(s *seat) map[mesh.NodeID]string {
	avoid := map[mesh.NodeID]string{}
	for _, a := range s.copies {
		if p.failed(a, s) && p.view.Now.Sub(a.Status.At) < p.policy.Interval {
			avoid[a.Node] = "a copy failed here"
		}
	}
	return avoid
}

// cause is why a copy failed or is to be restarted, as its node tells it.
func cause(a *mesh.AllocView) string {
	for _, t := range a.Status.Tasks {
		told := t.State == mesh.Failed || t.State == mesh.TimedOut || t.State == mesh.Backoff
		if told && t.Lifecycle != mesh.Poststop && t.Reason != "" {
			return t.Reason
		}
	}
	if a.Status.Reason != "" {
		return a.Status.Reason
	}
	return string(a.State())
}
