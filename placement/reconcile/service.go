package reconcile

import (
	"fmt"
	"slices"
	"time"

	"mn/mesh"
)

// A job may need services. What it needs as a whole is looked at before it begins, as the
// completion of other jobs is (before.go): none of its copies is placed until an instance of
// each passes somewhere. That is about the start alone. What has begun goes on, and what is
// lost of it is replaced, whatever becomes of the services: a job that cannot do without one
// for a moment would only be harmed more. Until a new version may begin, the copies of the one
// before run on.
//
// What a task needs on its own node decides where its copies are placed (placement). When the
// service has gone from there, and passes on another node that can take the copy, the copy
// follows it, as one moves that has to leave a node that is drained. Else it stays, and runs
// on. It is gone when no copy on the node offers it any more by what was decided, and the last
// that did has ended for FollowAfter. How its checks end does not matter for that: neither a
// check that fails now and then nor a service that is restarted where it is has anything move.
// Batch work is not cut off for it.

// FollowAfter is how long a copy stays after a service that it needs has gone: another copy
// that offers it, as of a new version, may be about to take the place of the one before.
const FollowAfter = 10 * time.Second

// needed finds what the groups of the job need on the nodes of their copies, if any does.
func (p *planner) needed() {
	requires := func(j *mesh.Job) bool {
		return slices.ContainsFunc(j.Tasks, func(t mesh.Task) bool { return len(t.Requires) > 0 })
	}
	if !requires(&p.job.Job) && (p.job.Before == nil || !requires(&p.job.Before.Job)) {
		return
	}
	p.needs = map[string][]mesh.ServiceNeed{}
	for _, g := range p.job.Job.Groups() {
		p.needs[g.Name] = g.Needs()
	}
}

// needsOf is what a copy needs on its node: one of another version, which goes on until its turn to be
// replaced, what that version needs.
func (p *planner) needsOf(a *mesh.AllocView) []mesh.ServiceNeed {
	if p.needs == nil || p.rolls == nil || a.Version == p.job.Number || a.Placed == nil {
		return p.needs[a.Group]
	}
	g, _ := a.Placed.Group(a.Group)
	return g.Needs()
}

// unready is why the job may not begin for want of a service, or "".
func (p *planner) unready() string {
	j := &p.job.Job
	if len(j.Requires) == 0 || p.job.Forced || p.hasBegun() {
		return ""
	}
	for i := range j.Requires {
		need := &j.Requires[i]
		if !slices.ContainsFunc(p.view.Offers, func(o mesh.Offer) bool {
			return o.Usable && o.Job != p.job.ID() && need.MetBy(&o)
		}) {
			return "waits for service " + need.String()
		}
	}
	return ""
}

// heldBack keeps a copy of an earlier version that lives in a seat, as long as this one may not
// begin for want of a service; and says whether it does. What has to leave its node stops.
func (p *planner) heldBack(s *seat) bool {
	if p.heldWhy() == "" || len(s.stale) == 0 || slices.ContainsFunc(s.stale, p.leaves) {
		return false
	}
	stays := p.chosen(s, s.stale)
	if p.running(stays) {
		p.stopOthers(s.stale, stays)
	}
	p.tally.live(p, stays)
	p.waitFor(s, p.heldWhy())
	return true
}

// gangHeldBack does so with a gang, if it is whole.
func (p *planner) gangHeldBack(seats []*seat) bool {
	whole := func(s *seat) bool {
		return len(s.stale) == 1 && len(s.live) == 0 && s.busy == "" && s.lost == nil && !p.leaves(s.stale[0])
	}
	if p.heldWhy() == "" || slices.ContainsFunc(seats, func(s *seat) bool { return !whole(s) }) {
		return false
	}
	for _, s := range seats {
		p.heldBack(s)
	}
	return true
}

// lacks is the first service that a copy needs on its node and that has gone from there, or nil.
func (p *planner) lacks(a *mesh.AllocView) *mesh.ServiceNeed {
	needs := p.needsOf(a)
	if len(needs) == 0 || a.Target != "" {
		return nil
	}
	for i := range needs {
		if !p.offered(a, &needs[i]) {
			return &needs[i]
		}
	}
	return nil
}

// offered says whether a service that a copy needs is still offered on its node, or was until
// just now.
func (p *planner) offered(a *mesh.AllocView, need *mesh.ServiceNeed) bool {
	for i := range p.view.Offers {
		o := &p.view.Offers[i]
		if o.Node != a.Node || !need.MetBy(o) || o.Job == a.Job && o.Group == a.Group {
			continue
		}
		if o.Ended.IsZero() {
			return true
		}
		left := FollowAfter - p.view.Now.Sub(o.Ended)
		if left = min(left, FollowAfter); left > 0 { // clocks may disagree
			p.wakeIn(left)
			return true
		}
	}
	return false
}

// draining says whether a node is to be drained.
func (p *planner) draining(id mesh.NodeID) bool {
	n := p.view.Node(id)
	return n != nil && n.Admin.Mode == mesh.Draining
}

// whyLeaves is why a copy has to leave its node, and why the next is placed.
func (p *planner) whyLeaves(a *mesh.AllocView) string {
	if need := p.lacks(a); need != nil && !p.draining(a.Node) {
		return fmt.Sprintf("service %v has gone from node %s", need, p.nodeName(a.Node))
	}
	return fmt.Sprintf("node %s is drained", p.nodeName(a.Node))
}

// leavesSince is about since when a copy has to leave its node.
func (p *planner) leavesSince(a *mesh.AllocView) time.Time {
	if p.draining(a.Node) {
		return p.view.Node(a.Node).Admin.At
	}
	since, need := a.At, p.lacks(a)
	for i := range p.view.Offers {
		if o := &p.view.Offers[i]; need != nil && o.Node == a.Node && need.MetBy(o) && o.Ended.After(since) {
			since = o.Ended
		}
	}
	return since
}

// follow decides about the only copy of a seat from whose node a service has gone that it
// needs.
func (p *planner) follow(s *seat, a *mesh.AllocView) {
	switch {
	case p.pending[s.Seat] != nil:
		p.drained(a, mesh.DrainMigrate, "room for another copy is being reserved")
	case len(s.live)+len(s.stale) > 1 || s.busy != "":
		p.drained(a, mesh.DrainWaiting, "waits until it is the only copy")
		p.wakeIn(s.wake)
	case !p.job.Job.Type.Long():
		p.drained(a, mesh.DrainWaiting, "runs to its end where it is")
	case p.barred() != "":
		p.drained(a, mesh.DrainWaiting, "%s", p.barred())
	case p.rooted(s, a):
	case p.partition == mesh.Eager && p.full(s.group) == "":
		p.startFirst(s, a, false)
	default:
		p.stopFirst(s, a, false)
	}
}

// rooted says whether a copy that has to follow a service does not by itself, and notes why. A
// person is asked only if there is somewhere to go.
func (p *planner) rooted(s *seat, a *mesh.AllocView) bool {
	if p.keeps(s, a) == "" {
		return false
	}
	if _, _, ok := p.destination(s, a); !ok {
		return true
	}
	return p.stays(s, a)
}

// tellLack notes what becomes of a copy whose service has gone, and has people told why it stays.
func (p *planner) tellLack(a *mesh.AllocView, step mesh.DrainStep) {
	p.plan.Follow = append(p.plan.Follow, step)
	if step.Action != mesh.DrainMigrate {
		p.tally.because(fmt.Sprintf("%v stays: %s: %s", a.Seat(), p.whyLeaves(a), step.Reason))
	}
}
