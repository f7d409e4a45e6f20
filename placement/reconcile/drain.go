package reconcile

import (
	"fmt"
	"slices"
	"time"

	"mn/mesh"
	"mn/placement"
)

// A node that is to be drained loses its copies one by one. What becomes of a copy
// follows from its job, and from what people have said about the node; nobody
// remembers how far a drain has got, so any coordinator goes on with it.
//
//	service, eager     a new copy is placed first; the old one stops when it is healthy
//	service, others    the old copy stops first, as there must never be two; also
//	                   where max_running leaves no place for one more
//	batch              runs to its end, or until the deadline, and then moves
//	system, sysbatch   stays; or with --ignore-system=false stops at the deadline
//	gangs              stop as a whole, if they fit elsewhere as a whole; see gang.go
//	jobs that never move, and what must not run twice: stay, and wait for a person
//
// No copy stops before a node has room for the one that follows. A job has at most
// update.max_parallel of its copies between two nodes. A copy that was moved counts
// against no policy. Should the one that starts first fail, another is tried after
// the delays of the reschedule policy.

// drained notes what becomes of a copy that has to leave its node, as that is to be drained or
// for want of a service there.
func (p *planner) drained(a *mesh.AllocView, action mesh.DrainAction, format string, args ...any) {
	step := mesh.DrainStep{Alloc: a.ID, Node: a.Node, Action: action, Reason: fmt.Sprintf(format, args...)}
	if !p.draining(a.Node) {
		p.tellLack(a, step)
		return
	}
	p.plan.Drain = append(p.plan.Drain, step)
}

// stopToLeave decides that a copy stops, as it has to leave its node.
func (p *planner) stopToLeave(a *mesh.AllocView) {
	p.plan.Stop = append(p.plan.Stop, Stop{Alloc: a.ID, Node: a.Node, Reason: p.whyLeaves(a), Leaves: true})
}

// leaves says whether a copy has to leave its node.
func (p *planner) leaves(a *mesh.AllocView) bool {
	if p.draining(a.Node) {
		return a.Target == "" || p.view.Node(a.Node).Admin.System
	}
	return p.lacks(a) != nil
}

// split tells the copies that live in sight apart: those that have to leave.
func (p *planner) split(s *seat) (staying, leaving []*mesh.AllocView) {
	for _, a := range s.live {
		switch {
		case p.leaves(a):
			leaving = append(leaving, a)
		default:
			staying = append(staying, a)
		}
	}
	return staying, leaving
}

// healthy is 0 if a copy has run for as long as it takes to count as well; else how
// long that takes yet, or never.
func (p *planner) healthy(a *mesh.AllocView) time.Duration {
	if !p.running(a) {
		return never
	}
	need := p.job.Job.Update.Healthy()
	wait := time.Duration(0)
	for _, t := range a.Status.Tasks {
		if t.State == mesh.Running {
			wait = max(wait, min(need-p.view.Now.Sub(t.StartedAt), need)) // clocks may disagree
		}
	}
	return wait
}

const never = time.Duration(1<<63 - 1)

// budget finds out how many more copies of the job may be on their way between two
// nodes, and how many may stop before there is another: what is not well counts. One
// that is not well and has to leave is no loss where it is: it may move all the same.
// A seat that nothing is about to fill has nothing to lose.
func (p *planner) budget() {
	p.movable = p.job.Job.Update.Parallel()
	p.stoppable, p.turn = p.movable, never
	draining := func(n mesh.NodeView) bool { return n.Admin.Mode == mesh.Draining }
	if p.needs == nil && !slices.ContainsFunc(p.view.Nodes, draining) {
		return // nobody asks
	}
	room := map[string]bool{}
	for _, s := range p.seatsAll {
		if p.idle(s, room) {
			continue
		}
		staying, leaving := p.split(s)
		wait := never
		for _, a := range s.live {
			wait = min(wait, p.healthy(a))
		}
		switch {
		case s.done != nil:
		case wait > 0 && len(staying) == 0 && len(leaving) > 0 && p.pending[s.Seat] == nil:
			p.stoppable, p.turn = p.stoppable-1, min(p.turn, wait)
		case wait > 0:
			p.movable, p.stoppable, p.turn = p.movable-1, p.stoppable-1, min(p.turn, wait)
		case len(leaving) > 0 && (len(staying) > 0 || p.pending[s.Seat] != nil):
			p.movable, p.stoppable = p.movable-1, p.stoppable-1
		}
	}
}

// idle says whether a seat has no copy, nor gets one soon: it waits for others to end, or
// for room, or has failed for good. One whose copy has just left its node is on its way.
// Room keeps which groups have some.
func (p *planner) idle(s *seat, room map[string]bool) bool {
	if len(s.live)+len(s.stale) > 0 || s.busy != "" || p.pending[s.Seat] != nil {
		return false
	}
	l := p.job.Job.Limit
	switch {
	case p.full(s.group) != "":
		return true
	case len(s.copies) > 0 && s.last().Leaves && p.leaves(s.last()):
		return false
	case l != nil && p.shared.taken+p.shared.others >= l.Max, p.barred() != "", p.comesLater != "":
		return true
	}
	failed := p.unanswered(s)
	if failed != nil && p.exhausted(s, failed, p.moves(s, failed.Status.At)) != "" {
		return true
	}
	fits, known := room[s.Group]
	if !known {
		fits = len(p.choose(s, p.next(s, failed, "").ID, nil).Candidates) > 0
		room[s.Group] = fits
	}
	return !fits
}

// waitTurn leaves a copy where it is until others of the job are well.
func (p *planner) waitTurn(a *mesh.AllocView) {
	p.drained(a, mesh.DrainWaiting, "waits its turn: max_parallel = %d", p.job.Job.Update.Parallel())
	if p.turn != never {
		p.wakeIn(p.turn)
	}
}

// destination is where the copy that follows one that has to leave can go. With no
// node the copy stays, until there is one.
func (p *planner) destination(s *seat, a *mesh.AllocView) (next mesh.Alloc, choice placement.Choice, ok bool) {
	next = p.next(s, a, p.whyLeaves(a))
	choice = p.choose(s, next.ID, p.failedNodes(s))
	if len(choice.Candidates) == 0 {
		p.drained(a, mesh.DrainBlocked, "%s", choice.Summary())
		p.wakeIn(retryBlocked)
		return next, choice, false
	}
	return next, choice, true
}

// drain decides about the only copy of a seat, which has to leave its node.
func (p *planner) drain(s *seat, a *mesh.AllocView) {
	n := p.view.Node(a.Node)
	left := n.Admin.Deadline.Sub(p.view.Now)
	p.wakeIn(left)
	switch {
	case p.pending[s.Seat] != nil:
		p.drained(a, mesh.DrainMigrate, "room for another copy is being reserved")
	case len(s.live)+len(s.stale) > 1 || s.busy != "":
		p.drained(a, mesh.DrainWaiting, "waits until it is the only copy")
		p.wakeIn(s.wake)
	case a.Target != "" && left > 0, a.Target == "" && !p.job.Job.Type.Long() && left > 0:
		p.drained(a, mesh.DrainWaiting, "waits for its end, or for the deadline")
	case p.stays(s, a):
	case a.Target != "":
		p.stopToLeave(a)
		p.drained(a, mesh.DrainMigrate, "stops: the deadline is over")
	case p.barred() != "": // nothing could follow it
		p.drained(a, mesh.DrainWaiting, "%s", p.barred())
	case p.job.Job.Type.Long() && p.partition == mesh.Eager && p.full(s.group) == "":
		p.startFirst(s, a, left <= 0)
	default:
		p.stopFirst(s, a, left <= 0)
	}
}

// startFirst places a copy beside one that has to leave. What is late waits for no
// copy that is not well.
func (p *planner) startFirst(s *seat, a *mesh.AllocView, late bool) {
	if p.movable <= 0 && !late {
		p.waitTurn(a)
		return
	}
	if len(p.pending)+len(p.plan.Place) >= placeMax || p.twice(s) {
		p.drained(a, mesh.DrainWaiting, "waits until others are placed")
		p.wakeIn(retryQueued)
		return
	}
	if heir, left := p.heirFailed(s, a); left > 0 {
		p.drained(a, mesh.DrainWaiting, "the copy in its place failed on %s: %s; another follows",
			p.nodeName(heir.Node), cause(heir))
		p.wakeIn(left)
		return
	}
	if next, choice, ok := p.destination(s, a); ok {
		p.movable--
		p.propose(next, choice)
		p.drained(a, mesh.DrainMigrate, "another copy starts first")
	}
}

// heirFailed is the last copy that started in the place of another and has failed, and
// for how long none follows it.
func (p *planner) heirFailed(s *seat, a *mesh.AllocView) (last *mesh.AllocView, left time.Duration) {
	window := mesh.Window{Interval: p.policy.Interval}
	for _, o := range s.copies {
		if o.Generation > a.Generation && p.failed(o, s) {
			last = o
			window.Add(o.Status.At.Sub(p.view.Now))
		}
	}
	if last == nil {
		return nil, 0
	}
	at := last.Status.At.Sub(p.view.Now)
	delay := p.policy.Delays.After(window.Count(at))
	return last, min(delay+at, delay)
}

// stopFirst stops a copy that has to leave, for another to be placed when it has.
// Copies of batch jobs have had their time, and need not wait for each other.
func (p *planner) stopFirst(s *seat, a *mesh.AllocView, late bool) {
	left := &p.stoppable
	if p.healthy(a) > 0 {
		left = &p.movable // it counts among those that do not run as it is
	}
	if p.job.Job.Type.Long() && *left <= 0 && !late {
		p.waitTurn(a)
		return
	}
	if next, choice, ok := p.destination(s, a); ok {
		*left--
		p.take(choice.Candidates[0].Node, next)
		p.stopToLeave(a)
		p.drained(a, mesh.DrainMigrate, "stops, and starts again elsewhere")
	}
}

// handOver keeps a copy that has to leave, and runs, until another is healthy.
func (p *planner) handOver(s *seat, staying, leaving []*mesh.AllocView) {
	next := p.chosen(s, staying)
	p.stopOthers(staying, next)
	wait := p.healthy(next)
	if wait == 0 {
		p.stop(leaving, "%s; the copy on %s has taken over", p.whyLeaves(leaving[0]), p.nodeName(next.Node))
		p.tally.live(p, next)
		return
	}
	if !slices.ContainsFunc(leaving, p.running) {
		p.stop(leaving, "%s, and it does not run", p.whyLeaves(leaving[0]))
		p.tally.live(p, next)
		return
	}
	if wait != never {
		p.wakeIn(wait)
	}
	old := p.chosen(s, leaving)
	p.stopOthers(leaving, old)
	p.drained(old, mesh.DrainMigrate, "until the copy on %s is healthy", p.nodeName(next.Node))
	if p.running(old) {
		p.tally.live(p, old)
	} else {
		p.tally.live(p, next)
	}
}
