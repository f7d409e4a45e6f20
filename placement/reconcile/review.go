package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mn/mesh"
)

// A review is a seat that waits for a person. It is found anew with each plan, and
// nobody keeps it; what a person says about it is a record ([mesh.Verdict]). It
// counts for one copy and one kind of review:
//
//	         approved                              rejected
//	failed   the next copy is placed, whatever     the seat has failed for good
//	         the policies say
//	lost     it does not run any more: the next    the seat has failed for good;
//	         is placed                             should it run, it stops
//	drain    it stops, and the next is placed      it stays until it ends
//	restore  it stops, and the next begins anew    it waits on
//
// A rejection counts until the next version that begins to count anew.

// hint tells people how to find what waits for them.
const hint = "mn review ls"

// word is what a person said about a copy, if it was about such a review and still
// counts. That it is lost does not, if it has begun since.
func (p *planner) word(a *mesh.AllocView, kinds ...mesh.ReviewKind) *mesh.Verdict {
	v := a.Verdict
	if v == nil || !slices.Contains(kinds, v.Kind) || !v.Approve && !v.At.After(p.anew.At) {
		return nil
	}
	later := func(t mesh.TaskStatus) bool { return t.FirstStart.After(v.At) }
	if v.Kind == mesh.ReviewLost && a.Status != nil && slices.ContainsFunc(a.Status.Tasks, later) {
		return nil
	}
	return v
}

// review notes that a copy waits for a person.
func (p *planner) review(a *mesh.AllocView, kind mesh.ReviewKind, since time.Time, reason string) {
	p.plan.Reviews = append(p.plan.Reviews, mesh.Review{
		Alloc: a.ID, Job: a.Job, Node: a.Node, Kind: kind, Reason: reason, Since: since,
	})
}

// decided carries out what a person said about a copy that has failed. That it does
// not run any more, or is to leave its node, was said before it had ended. The latter
// counts only if it was stopped for that.
func (p *planner) decided(s *seat, failed *mesh.AllocView) bool {
	v := p.word(failed, mesh.ReviewFailed, mesh.ReviewLost)
	if left := p.word(failed, mesh.ReviewDrain); left != nil && left.Approve && failed.Leaves {
		v = left
	}
	switch {
	case v == nil:
		return false
	case v.Approve:
		p.place(s, failed, said("a person approved it", v), p.failedNodes(s))
	case v.Kind == mesh.ReviewLost && failed.State() == mesh.Stopped: // for that reason
		p.givenUp(fmt.Sprintf("%s was stopped on %s", s.short(), p.nodeName(failed.Node)), v)
	default:
		p.givenUp(p.how(s, failed), v)
	}
	return true
}

// giveUp counts a seat whose copy has failed and is not followed by another by itself.
func (p *planner) giveUp(s *seat, failed *mesh.AllocView, why string) {
	why = "; " + why
	marked, then := p.cutOff(failed, &s.group) != "", ""
	switch {
	case marked && strings.Contains(cause(failed), mesh.Hazard(s.group.Tasks).Safety.Mark()): // its node says so
		why, then = "", "; "+hint
	case marked:
		then = "; " + hint
	case mesh.ReviewFor(&p.job.Job):
		then = "; mn job retry " + string(p.job.ID()) + " runs it again"
	default:
		p.tally.failed++
		p.tally.because(p.how(s, failed) + why)
		p.fails(failed, p.how(s, failed)+why, "no copy follows", 0)
		return
	}
	p.tally.review++
	p.review(failed, mesh.ReviewFailed, failed.Status.At, cause(failed)+why)
	p.tally.because(p.how(s, failed) + why + then)
}

// how is how a copy has ended, in words.
func (p *planner) how(s *seat, a *mesh.AllocView) string {
	does := "failed"
	if a.State() == mesh.Stopped {
		does = "was stopped"
	}
	return fmt.Sprintf("%s %s on %s: %s", s.short(), does, p.nodeName(a.Node), cause(a))
}

// lost decides about a seat whose copy nobody sees, and which must not run twice.
func (p *planner) lost(s *seat) {
	a := s.lost
	if v := p.word(a, mesh.ReviewLost); v != nil && !v.Approve {
		if a.Want == mesh.WantRun {
			p.stop([]*mesh.AllocView{a}, "%s", said(forsakenText, v))
		}
		p.givenUp(s.short()+": "+s.busy, v)
		return
	}
	var since time.Time
	if n := p.view.Node(a.Node); n != nil {
		since = p.view.Now.Add(-n.LostFor)
	}
	p.review(a, mesh.ReviewLost, since, s.busy)
	p.tally.review++
	p.tally.because(fmt.Sprintf("%s: %s; %s", s.short(), s.busy, hint))
}

// givenUp counts a seat that a person has given up.
func (p *planner) givenUp(what string, v *mesh.Verdict) {
	p.tally.failed++
	p.tally.because(what + "; " + said(forsakenText, v))
}

// said is what a person did, with their reason.
func said(what string, v *mesh.Verdict) string {
	if v.Reason == "" {
		return what
	}
	return what + ": " + v.Reason
}

// stays says whether a copy stays on a node that is drained, although its time there
// is over, and notes what it waits for.
func (p *planner) stays(s *seat, a *mesh.AllocView) bool {
	action, why := p.asks(s, a)
	if why == "" {
		return false
	}
	p.drained(a, action, "%s", why)
	return true
}

// asks is what a copy that does not leave a node by itself waits for there, or "": a
// person said that it may. Nobody is asked twice.
func (p *planner) asks(s *seat, a *mesh.AllocView) (action mesh.DrainAction, why string) {
	if why = p.keeps(s, a); why == "" {
		return "", ""
	}
	if t := unrestored(a); t != nil && p.restoreWord(a, t) == nil {
		return mesh.DrainWaiting, fmt.Sprintf("task %q waits for what was saved of it", t.Name)
	}
	since := p.leavesSince(a)
	switch v := p.word(a, mesh.ReviewDrain); {
	case v == nil || !v.At.After(since):
		p.review(a, mesh.ReviewDrain, since, p.whyLeaves(a)+"; "+why)
		return mesh.DrainReview, why
	case !v.Approve:
		return mesh.DrainWaiting, "waits for its end; " + said("a person wants it to stay", v)
	}
	return "", ""
}
