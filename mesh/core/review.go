package core

import (
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"mn/crdt"
	"mn/mesh"
)

// What waits for a person follows from the plan of a job; what they say about it is a
// record, which any peer takes, and which the job's coordinator acts on.

// judge takes a person's word about a copy that waits for it.
func (c *Core) judge(call Judge) (reply any, none crdt.Entry, f *mesh.Fault) {
	a, ok := c.records.effective(call.Alloc)
	if !ok {
		return nil, none, mesh.Faultf(mesh.NotFound, "no allocation %q", call.Alloc).Hint("mn review ls")
	}
	job, ok := c.records.job(a.Job)
	if !ok {
		return nil, none, mesh.Faultf(mesh.NotFound, "no job %q", a.Job).Hint("mn job ls")
	}
	plan, _, _ := c.Outlook(&job)
	at := slices.IndexFunc(plan.Reviews, func(r mesh.Review) bool { return r.Alloc == a.ID })
	switch {
	case at < 0:
		return nil, none, mesh.Faultf(mesh.Conflict, "copy %s of job %q waits for nobody", a.ID, a.Job).
			Hint("mn review ls")
	case len(call.Reason) > mesh.ReasonMax || !utf8.ValidString(call.Reason):
		return nil, none, mesh.Faultf(mesh.Invalid, "the reason is not UTF-8 text of at most %d bytes", mesh.ReasonMax)
	}
	r := plan.Reviews[at]
	if r.Kind == mesh.ReviewLost && call.Approve && c.lead.degraded {
		return nil, none, mesh.Faultf(mesh.Unavailable,
			"no majority of the voters is in sight: copy %s may run where they are", a.ID).
			Hint("ask a node that sees them")
	}
	v := mesh.Verdict{
		Alloc: a.ID, Job: a.Job, Kind: r.Kind, Approve: call.Approve, Reason: call.Reason,
		By: c.self, At: c.judgedAt(a, &job),
	}
	if f := fits(mesh.KeyReview(a.ID), v); f != nil {
		return nil, none, f
	}
	e := mesh.Event{Kind: mesh.ReviewRejected, Job: a.Job, Alloc: a.ID, Peer: a.Node, Text: r.Reason}
	if v.Approve {
		e.Kind = mesh.ReviewApproved
	}
	if v.Reason != "" {
		e.Text = v.Reason + " (" + r.Reason + ")"
	}
	c.event(e)
	return Kept{}, c.put(mesh.KeyReview(a.ID), v, crdt.Fence{}), nil
}

// judgedAt is later than all that the word about a copy can be about: what a person
// has seen is earlier, also if the clock is ahead of the node where it happened, as
// far as clocks may be.
func (c *Core) judgedAt(a mesh.AllocView, job *mesh.JobView) time.Time {
	at := c.now.Wall.UTC()
	seen := []time.Time{job.At, c.records.admin[a.Node].At, c.records.verdicts[a.ID].At}
	for _, s := range c.records.statuses[a.ID] {
		seen = append(seen, s.At)
	}
	for _, t := range seen {
		if !t.Before(at) && t.Sub(c.now.Wall) <= crdt.MaxAhead {
			at = t.UTC().Add(time.Nanosecond)
		}
	}
	return at
}

// tellReviews tells once what of a job has begun to wait for a person, and what does not wait
// any more although nobody has said anything. Who has just begun to lead it does not know of
// the latter.
func (c *Core) tellReviews(job *mesh.JobView, open []mesh.Review, fence crdt.Fence) {
	id := job.ID()
	told, leads := c.lead.reviews[id], c.lead.settled[id].fence == fence
	delete(c.lead.reviews, id)
	now := make(map[mesh.AllocID]mesh.ReviewKind, len(open))
	for _, r := range open {
		now[r.Alloc] = r.Kind
	}
	for _, alloc := range slices.Sorted(maps.Keys(told)) {
		if kind := told[alloc]; leads && now[alloc] != kind {
			c.tellClosed(job, alloc, kind, fence)
		}
	}
	for _, r := range open {
		if told[r.Alloc] != r.Kind {
			c.event(mesh.Event{
				Kind: mesh.ReviewOpened, Job: id, Alloc: r.Alloc, Peer: r.Node, Fence: fence,
				Text: r.Reason + "; mn review approve or reject " + string(r.Alloc),
			})
		}
	}
	if len(now) > 0 {
		c.lead.reviews[id] = now
	}
}

// tellClosed tells that a copy does not wait for a person any more, unless one has spoken.
func (c *Core) tellClosed(job *mesh.JobView, id mesh.AllocID, kind mesh.ReviewKind, fence crdt.Fence) {
	a, ok := c.records.effective(id)
	if v, judged := c.records.verdicts[id]; !ok || judged && v.Kind == kind {
		return
	}
	n := mesh.NodeView{Node: mesh.Node{ID: a.Node}}
	c.liveness(&n)
	text := fmt.Sprintf("version %d of the job wants it otherwise", job.Number)
	switch {
	case job.Stopped:
		text = "the job is stopped"
	case kind == mesh.ReviewLost && n.Liveness == mesh.Alive:
		text = "node " + c.name(a.Node) + " is back; next: it says what has become of the copy"
	case kind == mesh.ReviewDrain && c.records.admin[a.Node].Mode != mesh.Draining:
		text = "node " + c.name(a.Node) + " is drained no more; next: the copy stays"
	case kind != mesh.ReviewFailed && c.ended(id, a.Node):
		text = "the copy has ended: " + string(c.records.statuses[id][a.Node].State)
	case kind == mesh.ReviewRestore:
		text = "what was saved can be had again; next: the copy goes on from it"
	}
	c.event(mesh.Event{
		Kind: mesh.ReviewClosed, Job: a.Job, Alloc: id, Peer: a.Node, Fence: fence,
		Text: "no person has to decide any more: " + text,
	})
}

// endUnstarted ends a copy that this agent does not start, or start again. What its
// tasks have done before is kept: what is unsafe may have run.
func (c *Core) endUnstarted(a mesh.AllocView, said mesh.Status, state mesh.AllocState, reason string) {
	tasks := slices.Clone(said.Tasks)
	for i := range tasks {
		if t := &tasks[i]; !t.State.Final() {
			begun := t.HasBegun()
			t.State, t.Reason, t.PID = state, reason, 0
			if begun && t.FirstStart.IsZero() {
				t.FirstStart = said.At // an older release does not say
			}
		}
	}
	if len(tasks) == 0 && state == mesh.Failed {
		tasks = []mesh.TaskStatus{{Name: a.Group, State: state, Reason: reason}}
	}
	c.putStatus(mesh.Status{Alloc: a.ID, Job: a.Job, State: state, Fence: a.Fence, Tasks: tasks, Reason: reason})
}

// ranUnsafe says whether a task of a copy that must not run twice was ordered to start.
func (c *Core) ranUnsafe(id mesh.AllocID, s *mesh.Status) bool {
	a, ok := c.records.effective(id)
	if !ok {
		return false
	}
	_, group, _ := c.spec(a.Alloc)
	return slices.ContainsFunc(group.Tasks, func(t mesh.Task) bool {
		return t.Safety.Mark() != "" && s.Began(t.Name)
	})
}
