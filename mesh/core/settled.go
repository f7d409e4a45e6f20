package core

import (
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

// tellDrain tells once, of the first copy of a job on each node that is drained, that no
// other node has room for it.
func (c *Core) tellDrain(plan *reconcile.Plan, fence crdt.Fence) {
	told := map[mesh.NodeID]bool{}
	for _, s := range plan.Drain {
		if s.Action != mesh.DrainBlocked || told[s.Node] {
			continue
		}
		if told[s.Node] = true; c.anew(s.Alloc, s.Reason) {
			c.event(mesh.Event{
				Kind: mesh.NodeDrainBlocked, Job: plan.Job, Alloc: s.Alloc, Peer: s.Node, Fence: fence,
				Text: s.Reason + "; tried again at any change",
			})
		}
	}
}
