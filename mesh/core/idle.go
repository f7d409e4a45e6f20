package core

import (
	"fmt"
	"maps"
	"slices"

	"mn/mesh"
)

// worked tells the copies here how much their devices are used, and does about jobs that
// leave theirs idle what their files say.
func (c *Core) worked(w Worked) {
	idle := map[mesh.JobID]bool{}
	for _, id := range slices.Sorted(maps.Keys(c.tend.copies)) {
		c.step(id, w.Load)
		if t := c.tend.copies[id]; t != nil && slices.ContainsFunc(t.Status().Tasks, idles) {
			idle[t.Status().Job] = true
		}
	}
	if c.out != "" {
		return // it has no say in jobs any more
	}
	for _, id := range slices.Sorted(maps.Keys(idle)) {
		c.reap(id)
	}
}

func idles(t mesh.TaskStatus) bool { return !t.IdleSince.IsZero() }

// reap pauses or stops a job, as a person would, once all of its tasks leave their devices
// idle that have a policy which asks for it. A version is for people to write: this is on
// behalf of whoever wrote the policy. Several nodes may see it at once, and write the same.
func (c *Core) reap(id mesh.JobID) {
	job, ok := c.records.job(id)
	if !ok || job.Stopped || job.Paused || !slices.ContainsFunc(job.Job.Tasks, reaps) {
		return
	}
	act := Act{Job: id}
	for _, a := range c.records.allocsOf(id) {
		if a.State().Final() {
			continue
		}
		if a.Placed == nil || !c.knows(a.Node) {
			return // what we know of it is not all, or old
		}
		placed, _ := a.Placed.Group(a.Group)
		g, _ := job.Job.Group(a.Group)
		for i := range g.Tasks {
			t := &g.Tasks[i]
			said := statusOf(&a, t.Name)
			same := func(p mesh.Task) bool { return p.Name == t.Name && sameIdle(p.Idle, t.Idle) }
			if !slices.ContainsFunc(placed.Tasks, same) {
				return // a person has changed it since, and the copy goes by what was before
			}
			if !reaps(*t) || said != nil && said.State.Final() {
				continue
			}
			if said == nil || !idles(*said) {
				return // it has a use for its devices, or will have
			}
			if act.Verb == "" || t.Idle.Action == mesh.IdleStop {
				act.Verb, act.Reason = mesh.VerbPause, fmt.Sprintf("task %s %v", t.Name, t.Idle)
				if t.Idle.Action == mesh.IdleStop {
					act.Verb = mesh.VerbStop
				}
			}
		}
	}
	if act.Verb != "" {
		_, _, _ = c.act(act) // a fault says that the job has ended meanwhile
	}
}

// reaps says whether more is to be done about a task that leaves its devices idle than to tell.
func reaps(t mesh.Task) bool { return t.Idle.Does() != mesh.IdleWarn }

func sameIdle(a, b *mesh.IdlePolicy) bool { return a == b || a != nil && b != nil && *a == *b }

// knows says whether what this node has of another's copies is of now.
func (c *Core) knows(id mesh.NodeID) bool {
	p := c.peers[id]
	return id == c.self || c.Sees(id) && p != nil && p.fresh && !c.sync.ahead[id]
}

// statusOf is what is said of a task of a copy, or nil.
func statusOf(a *mesh.AllocView, task string) *mesh.TaskStatus {
	if a.Status == nil {
		return nil
	}
	for i := range a.Status.Tasks {
		if t := &a.Status.Tasks[i]; t.Name == task {
			return t
		}
	}
	return nil
}
