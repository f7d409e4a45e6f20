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
	if !ok || job.Stopped || job.Paused {
		return
	}
	act := Act{Job: id}
	for _, a := range c.records.allocsOf(id) {
		if a.State().Final() {
			continue
		}
		if a.Placed == nil {
			return // what it is to do is on its way here
		}
		g, _ := a.Placed.Group(a.Group)
		for i := range g.Tasks {
			t := &g.Tasks[i]
			if t.Idle.Does() == mesh.IdleWarn {
				continue
			}
			if !c.Sees(a.Node) || !leavesIdle(&a, t.Name) {
				return // it has a use for its devices, or nobody knows
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

// leavesIdle says whether a task of a copy is said to leave its devices idle.
func leavesIdle(a *mesh.AllocView, task string) bool {
	return a.Status != nil && slices.ContainsFunc(a.Status.Tasks, func(t mesh.TaskStatus) bool {
		return t.Name == task && idles(t)
	})
}
