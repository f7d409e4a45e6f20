package core

import (
	"cmp"
	"slices"
	"time"

	"mn/crdt"
	"mn/mesh"
	"mn/placement/reconcile"
)

// preemptAfter is how long copies wait for room before others have to make some: what is
// just ending is not waited for in vain.
const preemptAfter = 3 * time.Second

// queueMax bounds how many jobs that wait for room others leave it to.
const queueMax = 64

// queue is the jobs that wait for room whose coordinator is in sight, first come first.
// Without a majority of the voters there is none: what the records say of it could be taken
// back by nobody, and room goes to who asks first.
func (c *Core) queue() []mesh.QueueView {
	if len(c.records.queued) == 0 || c.lead.degraded {
		return nil
	}
	if c.queued != nil {
		return c.queued
	}
	all := []mesh.QueueView{}
	for _, q := range c.records.queued {
		p := c.peers[q.Coordinator]
		job, ok := c.records.job(q.Job)
		if !ok || job.Stopped || job.Paused || q.Coordinator != c.self && (p == nil || p.liveness != mesh.Alive) {
			continue
		}
		view := mesh.QueueView{Queued: q, Spec: &job.Job, Allocs: c.records.allocsOf(q.Job)}
		for _, id := range q.Preempts {
			if a, ok := c.records.effective(id); ok && !c.ended(id, a.Node) {
				view.Ending = append(view.Ending, a.Alloc)
			}
		}
		all = append(all, view)
	}
	slices.SortFunc(all, func(a, b mesh.QueueView) int { return a.Before(&b) })
	c.queued = all[:min(len(all), queueMax)]
	return c.queued
}

// ended says whether a node has said that a copy has ended.
func (c *Core) ended(id mesh.AllocID, node mesh.NodeID) bool {
	s, said := c.records.statuses[id][node]
	return said && s.State.Final()
}

// lineUp keeps on record which copies of a job fit nowhere, and has room made for them. A
// gang waits without that: it would hold up what is smaller, and still not fit.
func (c *Core) lineUp(job *mesh.JobView, plan *reconcile.Plan, fence crdt.Fence) {
	if !plan.Granted {
		return
	}
	old, stands := c.records.queued[plan.Job]
	since, placed := c.lead.waited[plan.Job]
	if stands {
		since, placed = old.Since, true
	}
	delete(c.lead.waited, plan.Job)
	if len(plan.Blocked) == 0 || job.Job.Gang {
		if placed && len(c.pending(plan.Job)) > 0 { // its node may refuse: then it waits as before
			c.lead.waited[plan.Job] = since
		}
		if stands {
			c.drop(mesh.KeyQueued(plan.Job), fence)
		}
		return
	}
	q := mesh.Queued{Job: plan.Job, Priority: job.Job.Rank(), Since: c.now.Wall, Coordinator: c.self}
	for _, b := range plan.Blocked {
		i := slices.IndexFunc(q.Groups, func(g mesh.QueuedGroup) bool { return g.Group == b.Group })
		if i < 0 {
			i = len(q.Groups)
			q.Groups = append(q.Groups, mesh.QueuedGroup{Group: b.Group})
		}
		g := &q.Groups[i]
		g.Copies += b.Copies
		if b.Target != "" {
			g.Targets = append(g.Targets, b.Target)
		}
	}
	if placed {
		q.Since = since
	}
	if c.now.Wall.Sub(q.Since) >= preemptAfter {
		q.Preempts = reconcile.Preempt(c.scene(job), &job.Job, plan.Blocked, c.victims(q.Priority), old.Preempts)
	}
	if !stands || !q.Same(&old) {
		c.put(mesh.KeyQueued(q.Job), q, fence)
	}
	left := min(preemptAfter-c.now.Wall.Sub(q.Since), preemptAfter)
	if wake, waits := c.lead.wakes[plan.Job]; left > 0 && (!waits || wake > c.now.Boot+left) {
		c.lead.wakes[plan.Job] = c.now.Boot + left
	}
}

// victims are the copies that may be stopped for work of some priority, and those that stop
// anyway.
func (c *Core) victims(rank int) []reconcile.Victim {
	var all []reconcile.Victim
	allocs := c.records.allocs()
	for i := range allocs {
		if a := &allocs[i]; a.Want == mesh.WantStop && !a.State().Final() {
			all = append(all, reconcile.Victim{AllocView: a})
		}
	}
	for id := range c.records.preemptible {
		job, ok := c.records.job(id)
		if !ok || !job.Job.Preemptible || job.Job.Rank() >= rank {
			continue
		}
		allocs := c.records.allocsOf(id)
		for i := range allocs {
			if a := &allocs[i]; a.Want == mesh.WantRun && !a.State().Final() {
				all = append(all, reconcile.Victim{AllocView: a, Rank: job.Job.Rank()})
			}
		}
	}
	slices.SortFunc(all, func(a, b reconcile.Victim) int { return cmp.Compare(a.ID, b.ID) })
	return all
}
