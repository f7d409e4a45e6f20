package core

import (
	"fmt"
	"slices"
	"time"

	"mn/crdt"
	"mn/mesh"
	"mn/placement/reconcile"
)

// A job that waits for room on some node is planned again soon after a copy of any job
// has ended. Many that end at about the same time, and many jobs that wait, cost a
// bounded part of the time: each plan adds to the pause before.
const (
	roomPause = 50 * time.Millisecond
	roomEach  = 2 * time.Millisecond
)

// Of jobs that wait for a limit which they share, those that have less of it ask first: a
// job asks so much later for each permit that its copies have, up to a few.
const (
	permitEach = 25 * time.Millisecond
	permitMost = 4
)

// starve takes notice of whether a job waits for room.
func (c *Core) starve(plan *reconcile.Plan) {
	stuck := func(d mesh.DrainStep) bool { return d.Action == mesh.DrainBlocked }
	if len(plan.Blocked) > 0 || plan.Limited > 0 || slices.ContainsFunc(plan.Drain, stuck) ||
		slices.ContainsFunc(plan.Follow, stuck) {
		c.lead.starved[plan.Job] = true
	} else {
		delete(c.lead.starved, plan.Job)
	}
}

// freed wakes the jobs that wait for room.
func (c *Core) freed() {
	for id := range c.lead.starved {
		c.wakeJob(id, roomPause+time.Duration(len(c.lead.starved))*roomEach+
			time.Duration(min(c.records.permitted[id], permitMost))*permitEach)
	}
}

// wakeJob has a job planned again after a while at the latest.
func (c *Core) wakeJob(id mesh.JobID, after time.Duration) {
	at := c.now.Boot + after
	if wake, waits := c.lead.wakes[id]; !waits || at < wake {
		c.lead.wakes[id] = at
	}
}

// block tells once that a copy fits nowhere, and again when the reason changes.
func (c *Core) block(job mesh.JobID, b reconcile.Blocked, fence crdt.Fence, wake time.Duration) {
	if text := b.Why(); c.anew(b.Alloc, text) {
		text += fmt.Sprintf("; next: tried again at any change, and in %v at the latest", mesh.Duration(wake))
		c.event(mesh.Event{Kind: mesh.AllocBlocked, Job: job, Alloc: b.Alloc, Fence: fence, Text: text})
	}
}

// tellUnready tells once that a job does not begin for want of a service, and which.
func (c *Core) tellUnready(plan *reconcile.Plan, fence crdt.Fence) {
	key := mesh.AllocID("job/" + plan.Job) // no copy's
	switch {
	case plan.Unready == "":
		delete(c.lead.blocked, key)
	case c.anew(key, plan.Unready):
		c.event(mesh.Event{
			Kind: mesh.JobBlocked, Job: plan.Job, Fence: fence,
			Text: plan.Unready + "; begins once it passes, or with mn job run --force",
		})
	}
}

// anew says whether it has not been told yet that a copy is blocked for that reason.
func (c *Core) anew(id mesh.AllocID, why string) bool {
	if c.lead.blocked[id] == why {
		return false
	}
	if len(c.lead.blocked) >= blockedMax {
		clear(c.lead.blocked)
	}
	c.lead.blocked[id] = why
	return true
}
