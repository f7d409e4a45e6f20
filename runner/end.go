package runner

import (
	"fmt"
	"time"

	"mn/mesh"
)

// end is what a copy comes to when its tasks have ended.
type end struct {
	state  mesh.AllocState // final; "" while it is to run
	reason string
}

// conclude decides how the copy ends. What was decided before stands.
func (c *Copy) conclude(state mesh.AllocState, reason string) {
	if !c.ending() {
		c.end = end{state, reason}
	}
}

// ending says whether it is decided that the copy ends, and how.
func (c *Copy) ending() bool { return c.end.state != "" }

// complete concludes a copy whose main tasks have all ended by themselves. That
// one of them has not completed its work was said by an older release only, which
// had it stopped.
func (c *Copy) complete() {
	outcome, reason := mesh.Complete, "the main tasks have completed"
	for _, t := range c.tasks {
		switch {
		case !t.is(""):
		case !t.status.State.Final():
			return
		case t.status.State != mesh.Complete:
			outcome, reason = t.status.State, t.status.Reason
		}
	}
	c.conclude(outcome, reason)
}

// why is why a task is stopped.
func (c *Copy) why(t *task) string {
	switch {
	case t.overdue:
		return after(t.timeout())
	case t.is(mesh.Poststop):
		return c.bar
	}
	return c.end.reason
}

// stopped is the end of a task that was to end.
func (c *Copy) stopped(t *task) {
	t.status.State, t.status.Reason, t.status.NextStart = mesh.Stopped, c.why(t), time.Time{}
	if t.overdue || c.tooLong() && !t.is(mesh.Poststop) && !t.status.FirstStart.IsZero() {
		t.status.State = mesh.TimedOut
	}
}

// tooLong says whether the copy ends because the time of the whole of it is over.
func (c *Copy) tooLong() bool { return c.end == end{mesh.TimedOut, after(c.job.Timeout)} }

// after says of what the time was over.
func after(timeout mesh.Duration) string { return fmt.Sprintf("timed out after %v", timeout) }

// begin takes notice of a task's first attempt, from which its time counts.
func (t *task) begin(now Now) {
	if t.status.FirstStart.IsZero() {
		t.status.FirstStart, t.status.FirstUptime = now.Wall, now.Boot
	}
}

// recount moves the beginning of a task to the clock of this boot. What an agent
// has said on another has the clock on the wall, which may have been set back:
// at least the time until its last word has passed, and that since this boot.
func (c *Copy) recount(t *task, said *mesh.Status) {
	if s := &t.status; said.Boot == c.facts.Boot {
		s.FirstUptime = min(s.FirstUptime, c.now.Boot)
	} else if !s.FirstStart.IsZero() {
		least := said.At.Sub(s.FirstStart) + c.now.Boot
		s.FirstUptime = c.now.Boot - max(c.now.Wall.Sub(s.FirstStart), least)
	}
}

// deadline is when the time of the copy as a whole is over; Never if it is
// ending, has no limit, or has not begun.
func (c *Copy) deadline() time.Duration {
	at := Never
	if c.job.Timeout == 0 || c.ending() {
		return at
	}
	for _, t := range c.tasks {
		if !t.status.FirstStart.IsZero() {
			at = min(at, t.status.FirstUptime+c.job.Timeout.Std())
		}
	}
	return at
}

// deadlineOf is when the time of a task is over; Never if it has no limit, has
// not begun, or is ending.
func (c *Copy) deadlineOf(t *task) time.Duration {
	ending := t.overdue || t.status.State.Final() || c.ending() && !t.is(mesh.Poststop)
	if ending || t.timeout() == 0 || t.status.FirstStart.IsZero() {
		return Never
	}
	return t.status.FirstUptime + t.timeout().Std()
}

// timeout is how long a task may run, or 0.
func (t *task) timeout() mesh.Duration {
	if t.def.Timeout == 0 && t.is(mesh.Poststop) {
		return mesh.Duration(mesh.DefaultPoststop)
	}
	return t.def.Timeout
}

// overdue is the first instant at which the time of the copy, or of a task, is over.
func (c *Copy) overdue() time.Duration {
	at := c.deadline()
	for _, t := range c.tasks {
		at = min(at, c.deadlineOf(t))
	}
	return at
}

// timeOut ends the copy if its time was over at an instant, or that of one of its
// tasks. Those that come after its end have no say in it.
func (c *Copy) timeOut(by time.Duration) {
	if c.deadline() <= by {
		text := after(c.job.Timeout)
		c.tell(mesh.AllocTimedOut, text+nextIs+mesh.FollowsTimeout(c.job, c.begun()))
		c.conclude(mesh.TimedOut, text)
	}
	for _, t := range c.tasks {
		if c.deadlineOf(t) <= by {
			t.overdue = true
			c.event(mesh.TaskTimedOut, t, after(t.timeout())+c.nextAfter(t))
			c.conclude(mesh.TimedOut, fmt.Sprintf("task %q %s", t.def.Name, after(t.timeout())))
		}
	}
}

// nextAfter says what follows when the time of a task is over, if that is not decided already.
func (c *Copy) nextAfter(t *task) string {
	switch {
	case t.is(mesh.Poststop):
		return nextIs + mesh.Follows(c.job, t.def, c.begun())
	case c.ending():
		return ""
	}
	return nextIs + mesh.FollowsTimeout(c.job, c.begun())
}
