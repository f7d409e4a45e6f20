package core

import (
	"maps"

	"mn/crdt"
	"mn/mesh"
	"mn/placement/reconcile"
)

// settled is the status of a job as its coordinator saw it last, under that right.
type settled struct {
	fence  crdt.Fence
	status mesh.JobStatus
}

// tellSettled tells that a job has come to an end, or waits for a person. Who
// has just begun to lead it does not know since when it is there, and tells nothing.
func (c *Core) tellSettled(plan *reconcile.Plan, fence crdt.Fence) {
	was := c.lead.settled[plan.Job]
	c.lead.settled[plan.Job] = settled{fence, plan.Status}
	if was.fence != fence || was.status == plan.Status {
		return
	}
	switch plan.Status {
	case mesh.JobCompleted, mesh.JobFailed, mesh.JobStopped, mesh.JobCancelled, mesh.JobPaused:
		text := string(plan.Status)
		if plan.Text != "" {
			text += ": " + plan.Text
		}
		c.event(mesh.Event{Kind: mesh.JobSettled, Job: plan.Job, Fence: fence, Text: text})
	}
}

// tellFailed tells once of each copy that has failed for good on its node what follows, and
// when. That nothing does is no news to who has just begun to lead.
func (c *Core) tellFailed(plan *reconcile.Plan, fence crdt.Fence) {
	told, leads := c.lead.failed[plan.Job], c.lead.settled[plan.Job].fence == fence
	maps.DeleteFunc(told, func(id mesh.AllocID, _ string) bool {
		_, known := c.records.effective(id)
		return !known
	})
	for _, f := range plan.Failed {
		if told == nil {
			told = map[mesh.AllocID]string{}
			c.lead.failed[plan.Job] = told
		}
		before := told[f.Alloc]
		if told[f.Alloc] = f.Next; before == f.Next || f.In == 0 && !leads {
			continue
		}
		text := f.Reason + "; next: " + f.Next
		if f.In > 0 {
			text += c.now.Wall.UTC().Add(f.In).Format(" at 15:04:05 UTC")
		}
		c.event(mesh.Event{
			Kind: mesh.AllocFailed, Job: plan.Job, Alloc: f.Alloc, Peer: f.Node, Fence: fence, Text: text,
		})
	}
}

// tellDrain tells once, of the first copy of a job on each node that is drained, that no
// other node has room for it, or that it waits for a person.
func (c *Core) tellDrain(plan *reconcile.Plan, fence crdt.Fence) {
	type hold struct {
		node mesh.NodeID
		kind mesh.EventKind
	}
	told := map[hold]bool{}
	for _, s := range plan.Drain {
		h, next := hold{s.Node, mesh.NodeDrainBlocked}, "it is tried again at any change"
		switch s.Action {
		case mesh.DrainBlocked:
		case mesh.DrainReview:
			h.kind, next = mesh.NodeDrainPaused, "a person says whether the copy may leave: mn review ls"
		default:
			continue
		}
		if told[h] {
			continue
		}
		if told[h] = true; c.anew(s.Alloc, s.Reason) {
			c.event(mesh.Event{
				Kind: h.kind, Job: plan.Job, Alloc: s.Alloc, Peer: s.Node, Fence: fence,
				Text: s.Reason + "; next: " + next,
			})
		}
	}
}
