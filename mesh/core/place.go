package core

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mn/crdt"
	"mn/mesh"
	"mn/placement/reconcile"
)

// A placement is planned, then admitted by its node, and only then decided: see [Core.become].

// place starts to ask the candidates for room, best first.
func (c *Core) place(p reconcile.Placement, fence crdt.Fence) {
	if c.lead.placing[p.Alloc.ID] == nil {
		c.askNext(c.placing(p, fence))
	}
}

// placing begins a placement, for which nobody has been asked yet.
func (c *Core) placing(p reconcile.Placement, fence crdt.Fence) *placing {
	pl := &placing{alloc: p.Alloc, asks: p.Alloc.Grants}
	pl.alloc.Fence = fence
	for _, cand := range p.Choice.Candidates {
		pl.rest = append(pl.rest, cand.Node)
	}
	pl.alloc.Node = pl.rest[0]
	c.lead.placing[p.Alloc.ID] = pl
	c.stir()
	return pl
}

// askNext asks the next candidate; with none left the placement is planned
// again a little later, against what the refusals have taught.
func (c *Core) askNext(p *placing) {
	c.stir()
	if len(p.rest) == 0 {
		delete(c.lead.placing, p.alloc.ID)
		c.lead.wakes[p.alloc.Job] = c.now.Boot + replanAfter
		c.event(mesh.Event{
			Kind: mesh.AllocBlocked, Job: p.alloc.Job, Alloc: p.alloc.ID, Fence: p.alloc.Fence,
			Text: fmt.Sprintf("every candidate refused %v: %s; tried again in %v",
				p.alloc.Seat(), strings.Join(p.refusals, "; "), replanAfter),
		})
		return
	}
	p.alloc.Node, p.rest = p.rest[0], p.rest[1:]
	p.alloc.Grants = p.asks
	p.alloc.Coordinator, p.alloc.At = c.self, c.placedAt(p.alloc.Replaces)
	p.deadline = c.now.Boot + reserveTimeout
	c.lead.questions++
	p.ask = c.lead.questions
	c.send(p.alloc.Node, Message{Reserve: &Reserve{Alloc: p.alloc, Ask: p.ask}})
}

// placedAt is when a copy is placed after another: not before that one has ended, also if
// the clock is ahead of the node where it did, as far as clocks may be.
func (c *Core) placedAt(after mesh.AllocID) time.Time {
	at := c.now.Wall
	for _, s := range c.records.statuses[after] {
		if s.State.Final() && s.At.After(at) && s.At.Sub(c.now.Wall) <= crdt.MaxAhead {
			at = s.At
		}
	}
	return at
}

// reserved takes a node's answer: what it admits becomes a decision.
func (c *Core) reserved(from mesh.NodeID, r *Reserved) {
	p := c.lead.placing[r.Alloc]
	if p == nil || p.alloc.Node != from || p.alloc.Fence != r.Fence {
		return
	}
	if r.Refusal != "" {
		c.refused(r.Alloc, r.Refusal)
		return
	}
	if p.asks != nil {
		switch {
		case r.Ask != p.ask:
			return // of a question before: what it was granted may be somebody else's by now
		case !r.Grants.Named():
			c.refused(r.Alloc, "its release gives out neither ports nor devices")
			return
		}
		p.alloc.Grants = r.Grants
	}
	if p.gang != nil {
		c.promised(p)
		return
	}
	c.become(p)
}

// become makes a placement that its node has admitted a decision, if the right
// under which it was planned is still ours, and it is still of use.
func (c *Core) become(p *placing) {
	delete(c.lead.placing, p.alloc.ID)
	c.stir()
	fence, granted, ok := c.right(mesh.SlotOf(p.alloc.Job))
	if !ok || granted != (p.alloc.Fence.Epoch > 0) || granted && fence != p.alloc.Fence || c.belated(p) {
		c.send(p.alloc.Node, Message{Release: &Release{Job: p.alloc.Job, Alloc: p.alloc.ID, Fence: p.alloc.Fence}})
		c.lead.dirty[p.alloc.Job] = true
		return
	}
	c.catchUp(&p.alloc)
	c.decide(p.alloc, p.alloc.Fence, granted)
	kind := mesh.AllocPlaced
	if p.alloc.Replaces != "" {
		kind = mesh.AllocReplaced
	}
	delete(c.lead.blocked, p.alloc.ID)
	c.event(mesh.Event{
		Kind: kind, Job: p.alloc.Job, Alloc: p.alloc.ID, Peer: p.alloc.Node, Fence: fence, Text: p.alloc.Reason,
	})
}

// catchUp has a copy go on from what is known now to have been saved: its node has taken time
// to answer.
func (c *Core) catchUp(a *mesh.Alloc) {
	job, ok := c.records.job(a.Job)
	if !ok || job.Hash != a.Hash || a.Generation == 0 {
		return
	}
	saved := func(t mesh.Task) bool { return t.Checkpoint != nil }
	if g, _ := job.Job.Group(a.Group); slices.ContainsFunc(g.Tasks, saved) {
		a.Resume = reconcile.Resume(c.scene(&job), &job, a)
	}
}

// belated says whether we have heard, since a placement was planned, that another
// coordinator has decided about the same copy, or that one before it has completed the
// work. A gang is planned as a whole, and runs again as a whole.
func (c *Core) belated(p *placing) bool {
	if p.gang != nil {
		return false
	}
	if _, known := c.records.effective(p.alloc.ID); known {
		return true
	}
	job, ok := c.records.job(p.alloc.Job)
	if !ok || p.alloc.Generation == 0 || job.Job.Type.Long() {
		return false
	}
	return reconcile.Done(c.scene(&job), &job, &p.alloc) != ""
}

// refused goes on to the next candidate, or gives up the gang.
func (c *Core) refused(id mesh.AllocID, reason string) {
	p := c.lead.placing[id]
	p.refusals = append(p.refusals, fmt.Sprintf("%s: %s", c.name(p.alloc.Node), reason))
	if len(p.rest) > 0 {
		reason += "; asking " + c.name(p.rest[0])
	}
	c.event(mesh.Event{
		Kind: mesh.AllocRefused, Job: p.alloc.Job, Alloc: id, Peer: p.alloc.Node, Fence: p.alloc.Fence, Text: reason,
	})
	if p.gang != nil {
		c.abandon(p, reason)
		return
	}
	c.askNext(p)
}
