package runner

import (
	"fmt"

	"mn/mesh"
)

// is says whether the task has that lifecycle; "" is a main task's.
func (t *task) is(l mesh.Lifecycle) bool { return t.def.Lifecycle == l }

// completes says whether a task is there to end by itself.
func (c *Copy) completes(t *task) bool {
	switch t.def.Lifecycle {
	case mesh.Prestart, mesh.Poststop:
		return true
	case mesh.Sidecar:
		return false
	}
	return !c.job.Type.Long()
}

// prepared says whether the prestart tasks have done their work, so that it is
// the turn of main tasks and sidecars.
func (c *Copy) prepared() bool {
	for _, t := range c.tasks {
		if t.is(mesh.Prestart) && t.status.State != mesh.Complete {
			return false
		}
	}
	return true
}

// halted stops all but the poststop tasks, and says whether they have ended.
func (c *Copy) halted() bool {
	ended := true
	for _, t := range c.tasks {
		if !t.is(mesh.Poststop) {
			c.stopDue(t)
			ended = ended && t.status.State.Final()
		}
	}
	return ended
}

// cleanUp runs the poststop tasks, each once at most.
func (c *Copy) cleanUp() {
	c.barIfDue()
	for _, t := range c.tasks {
		switch {
		case !t.is(mesh.Poststop) || t.status.State.Final():
		case c.bar != "" || t.overdue:
			c.stopDue(t)
		case t.status.State == mesh.Pending && c.mayCleanUp():
			c.startDue(t)
		}
	}
}

// leaseOver is why a task of a copy with a dead-man's switch has ended, or is not started.
func (c *Copy) leaseOver() string {
	if d := c.job.Recovery.StopAfter; d > 0 {
		return fmt.Sprintf("cut off from a majority of the voters for stop_after = %v", d)
	}
	return "its lease ran out"
}

// goesOn is what a task waits for whose copy's lease ran out.
func (c *Copy) goesOn() string {
	if c.job.Recovery.StopAfter > 0 {
		return "waiting for one in sight"
	}
	return "waiting for a renewal"
}

// barIfDue keeps poststop tasks from running where there is nothing to clean up,
// or no right to it any more. A copy that was told to stop is not renewed.
func (c *Copy) barIfDue() {
	began := false
	for _, t := range c.tasks {
		began = began || !t.status.FirstStart.IsZero()
	}
	switch over := c.leased && c.until <= c.now.Boot; {
	case c.bar != "":
	case !began:
		c.bar = "nothing had been started"
	case over && (c.until > 0 || c.halt && c.job.Recovery.StopAfter == 0): // else its node may renew it yet
		c.bar = c.leaseOver()
	}
}

// mayCleanUp says whether poststop tasks may be started now: an agent that has
// come back waits for the decision, and for the lease.
func (c *Copy) mayCleanUp() bool {
	return (c.run || c.halt) && (!c.leased || c.now.Boot < c.until)
}

// cleaned is the end of a poststop task, which is not run again.
func (c *Copy) cleaned(t *task, o Observation, cause string) {
	switch {
	case t.overdue || c.bar != "":
		c.stopped(t)
	case o.Expired:
		t.status.State, t.status.Reason = mesh.Stopped, c.leaseOver()
	case o.Kind == Exited && t.def.Succeeds(o.ExitCode):
		t.status.State, t.status.Reason = mesh.Complete, ""
	default:
		c.fail(t, cause)
	}
}
