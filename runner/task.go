package runner

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"mn/mesh"
)

// tellAgain is how long after a task should be gone it is told again to stop.
const tellAgain = 10 * time.Second

// task is one task of a copy.
type task struct {
	def     *mesh.Task
	policy  mesh.EffectiveRestart
	window  mesh.Window // restarts that the policy counts
	status  mesh.TaskStatus
	attempt int  // the last that was ordered or seen
	live    bool // it was ordered, and has not been observed to end

	next      time.Duration // in Backoff: when to start again
	charge    bool          // the restart at next is yet to be counted
	tellAgain time.Duration // in Stopping: when to order the stop again
	overdue   bool          // it ends because its time is over

	unwell string // why the attempt is stopped for another to start: its service fails, or startsAnew; or ""

	services   []mesh.ServiceRef // that its texts refer to
	node       bool              // they refer to the node
	stale      bool              // its files may be other ones by now
	rendered   [sha256.Size]byte // the sum of its files, as they were rendered last
	known      bool              // that is known: not so after a restart of the agent
	renderAt   time.Duration     // since boot: not before then they are rendered again
	unrendered string            // why not, as was told last

	idling idling // of its devices

	recent []*mesh.Checkpoint // what was saved before the latest, and nobody else has yet
	tries  int                // to restore what was saved, without success
}

func newTask(job *mesh.Job, def *mesh.Task) *task {
	t := &task{def: def, policy: mesh.RestartFor(job, def)}
	t.policy.Attempts = min(t.policy.Attempts, mesh.WindowMax)
	t.window.Interval = t.policy.Interval
	t.services, t.node = def.Refers()
	t.status = mesh.TaskStatus{Name: def.Name, Lifecycle: def.Lifecycle, State: mesh.Pending}
	return t
}

// warnTime is the time between the decision that the task ends, of which it is warned if it wants that, and
// the signal that asks it to.
func (t *task) warnTime() time.Duration {
	if t.def.WarnSignal == "" {
		return t.def.WarnBefore.Std()
	}
	return cmp.Or(t.def.WarnBefore.Std(), mesh.DefaultWarnBefore)
}

// grace is the time between that signal and SIGKILL.
func (t *task) grace() time.Duration {
	if t.def.KillGrace == 0 {
		return mesh.DefaultKillGrace
	}
	return t.def.KillGrace.Std()
}

// count counts a restart, as the policy wants it when the recovery starts.
func (t *task) count(now Now) {
	t.window.Add(now.Boot)
	kept := t.window.Count(now.Boot)
	times := append(t.status.RestartedAt, now.Wall)
	t.status.RestartedAt = append([]time.Time(nil), times[max(0, len(times)-kept):]...)
}

// task is the task of that name, or nil.
func (c *Copy) task(name string) *task {
	for _, t := range c.tasks {
		if t.def.Name == name {
			return t
		}
	}
	return nil
}

// observed takes what the driver saw. What is about an older attempt, or one
// that has ended, changes nothing.
func (c *Copy) observed(o Observation) {
	t := c.task(o.Task)
	if t == nil || o.Alloc != c.alloc.ID || !t.live || o.Attempt != t.attempt {
		return
	}
	switch o.Kind {
	case Started, Adopted:
		c.started(t, o)
		c.saved(t, o) // meanwhile
		c.left(t, o)
	case Exited, StartFailed:
		c.saved(t, o)
		c.left(t, o)
		c.ended(t, o)
	case Restored:
		c.restored(t, o)
	case RestoreFailed:
		c.unrestored(t, o)
	case FilesMissing:
		c.withoutFiles(t, o)
	case PortTaken:
		c.portTaken(t, o)
	case Saved:
		c.saved(t, o)
	case Fetching, FetchedSome, Fetched:
		c.fetching(t, o)
	case Kept:
		c.left(t, o)
	case Rendered:
		c.renderedAnew(t, o)
	}
}

// portTaken fails a copy that cannot have its port here: it has not begun, and to try again would be
// in vain as long as the other program is there.
func (c *Copy) portTaken(t *task, o Observation) {
	t.live = false
	if c.ending() {
		c.stopped(t)
		return
	}
	t.unbegin()
	c.fail(t, cause(o))
}

// unbegin takes back that a task has begun which had only been ordered to: also what is unsafe has not.
func (t *task) unbegin() {
	if t.status.StartedAt.IsZero() && t.status.FinishedAt.IsZero() {
		t.status.FirstStart, t.status.FirstUptime = time.Time{}, 0
	}
}

// fetching shows what a task waits for before it can start.
func (c *Copy) fetching(t *task, o Observation) {
	if t.status.State == mesh.Starting {
		t.status.Reason = "fetching artifact " + o.Err
		if o.Kind == Fetched {
			t.status.Reason = ""
		}
	}
	switch o.Kind {
	case Fetching:
		c.event(mesh.TaskFetching, t, "fetching artifact "+o.Err)
	case Fetched:
		c.event(mesh.TaskFetched, t, "fetched artifact "+o.Err)
	}
}

func (c *Copy) started(t *task, o Observation) {
	t.begin(c.now)
	t.status.Unrestored, t.tries = time.Time{}, 0
	t.status.PID, t.status.StartedAt = o.PID, o.StartedAt
	t.status.FinishedAt, t.status.ExitCode = time.Time{}, nil
	if t.status.State != mesh.Stopping {
		t.status.State, t.status.Reason = mesh.Running, ""
	}
	if o.Kind == Started {
		t.status.Services = nil
	}
	kind, verb := mesh.TaskStarted, "started"
	if o.Kind == Adopted {
		kind, verb = mesh.TaskAdopted, "adopted"
	}
	if o.PID > 0 { // a container's is its engine's
		verb += fmt.Sprintf(" with pid %d", o.PID)
	}
	c.event(kind, t, fmt.Sprintf("%s (attempt %d)", verb, o.Attempt))
}

// ended decides what follows the end of an attempt.
func (c *Copy) ended(t *task, o Observation) {
	t.live = false
	t.idling, t.status.IdleSince = idling{}, time.Time{}
	t.status.Unrestored, t.tries = time.Time{}, 0
	t.status.PID, t.status.FinishedAt, t.status.ExitCode = 0, o.At, nil
	if !o.StartedAt.IsZero() {
		t.status.StartedAt = o.StartedAt
	}
	if o.Kind == Exited && o.ExitCode >= 0 {
		code := o.ExitCode
		t.status.ExitCode = &code
	}
	cause, unwell := cause(o), t.unwell
	t.unwell, t.status.Services = "", nil
	c.event(mesh.TaskExited, t, cause)
	switch {
	case t.is(mesh.Poststop):
		c.cleaned(t, o, cause)
	case c.ending():
		c.stopped(t)
	case o.Expired:
		// Not the task's fault, so not counted against it.
		t.status.State, t.status.Reason = mesh.Pending, c.leaseOver()+"; "+c.goesOn()
	case unwell == startsAnew:
		if c.timeOut(c.now.bootAt(o.At)); !c.ending() {
			c.await(t, startsAnew)
		}
	case unwell != "":
		if c.timeOut(c.now.bootAt(o.At)); !c.ending() {
			c.recover(t, unwell)
		}
	case o.Kind == Exited && t.def.Succeeds(o.ExitCode) && c.completes(t):
		t.status.State, t.status.Reason = mesh.Complete, ""
	default:
		if c.timeOut(c.now.bootAt(o.At)); !c.ending() {
			c.recover(t, cause)
		}
	}
}

// cause is why an attempt ended, in words.
func cause(o Observation) string {
	text := fmt.Sprintf("exit code %d", o.ExitCode)
	switch {
	case o.Kind == StartFailed, o.Kind == PortTaken:
		return "could not start: " + o.Err
	case o.Kind == FilesMissing:
		return "the job's files cannot be had: " + o.Err
	case o.Kind == RestoreFailed:
		return "nothing can be had of what was saved: " + o.Err
	case o.ExitCode < 0:
		return o.Err
	case o.OOM:
		text = outOfMemory(o)
	case o.Signal > 0:
		text = fmt.Sprintf("killed by signal %d", o.Signal)
	}
	if o.Err != "" {
		text += " (" + o.Err + ")"
	}
	return text
}

// outOfMemory says of what memory there was no more.
func outOfMemory(o Observation) string {
	if o.Limit == 0 {
		return "oom_killed: the machine was out of memory"
	}
	if o.Peak == 0 { // not every kernel says
		return fmt.Sprintf("oom_killed: its limit is %v", o.Limit)
	}
	return fmt.Sprintf("oom_killed: used %v of %v", o.Peak, o.Limit)
}

// recover restarts a task as its policy allows.
func (c *Copy) recover(t *task, cause string) {
	p := t.policy
	used := t.window.Count(c.now.Boot)
	switch why := t.once(); {
	case why != "":
		c.fail(t, cause+"; "+why)
	case !p.Enabled || p.Attempts <= 0:
		c.fail(t, cause+"; restarts are off")
	case used < p.Attempts:
		t.count(c.now)
		n := t.window.Count(c.now.Boot)
		delay := p.Delays.After(n)
		c.backOff(t, delay, fmt.Sprintf("%s; restarting in %v (attempt %d of %d)",
			cause, mesh.Duration(delay), n, p.Attempts))
	case p.Mode == mesh.RestartDelay:
		delay := t.window.Opens(c.now.Boot)
		t.charge = true
		c.backOff(t, delay, fmt.Sprintf("%s; %s; restarting in %v",
			cause, t.spent(), mesh.Duration(delay.Round(100*time.Millisecond))))
	default:
		c.fail(t, cause+"; "+t.spent())
	}
}

// spent says that the restarts are used up.
func (t *task) spent() string {
	within := mesh.Duration(t.policy.Interval)
	if t.policy.Attempts == 1 {
		return fmt.Sprintf("the one restart within %v is used up", within)
	}
	return fmt.Sprintf("%d restarts within %v are used up", t.policy.Attempts, within)
}

func (c *Copy) backOff(t *task, delay time.Duration, reason string) {
	c.wait(t, delay, reason)
	c.event(mesh.TaskRestarting, t, reason)
}

func (c *Copy) wait(t *task, delay time.Duration, reason string) {
	t.next = c.now.Boot + delay
	t.status.State, t.status.Reason, t.status.NextStart = mesh.Backoff, reason, c.now.Wall.Add(delay)
}

// fail ends a task for good, and with it the copy.
func (c *Copy) fail(t *task, reason string) {
	t.status.State, t.status.Reason, t.status.NextStart = mesh.Failed, reason, time.Time{}
	next := ""
	if !c.ending() || t.is(mesh.Poststop) {
		next = nextIs + mesh.Follows(c.job, t.def, c.begun())
	}
	c.event(mesh.TaskFailed, t, reason+next)
	c.shareFate(t)
}

// nextIs begins what an event says of what follows.
const nextIs = "; next: "

// begun says whether a task that must not run twice has begun.
func (c *Copy) begun() bool {
	return slices.ContainsFunc(c.tasks, func(t *task) bool { return t.def.Safety.Mark() != "" && t.status.HasBegun() })
}

// shareFate ends the copy because of a task that has failed, unless that one
// comes after its end.
func (c *Copy) shareFate(t *task) {
	if t.is(mesh.Poststop) {
		return
	}
	c.conclude(mesh.Failed, fmt.Sprintf("task %q failed", t.def.Name))
}

// resume takes up the copy where the agent before left it.
func (c *Copy) resume(in Resume) {
	if in.Status != nil {
		c.fence = in.Status.Fence
		c.end = end{in.Status.Outcome, in.Status.Reason}
		for _, s := range in.Status.Tasks {
			if t := c.task(s.Name); t != nil {
				t.restore(s, c.now)
				c.recount(t, in.Status)
				t.overdue = s.State == mesh.Stopping && s.Reason == after(t.timeout())
				if s.State == mesh.Stopping && !t.overdue && !c.ending() {
					t.unwell = s.Reason
				}
				if s.State == mesh.Failed {
					c.shareFate(t) // an older release does not say what the copy comes to
				}
			}
		}
	}
	last := map[string]Observation{}
	for _, o := range in.Found {
		if o.Alloc == c.alloc.ID && o.Attempt >= last[o.Task].Attempt {
			last[o.Task] = o
		}
	}
	for _, t := range c.tasks {
		if _, found := last[t.def.Name]; found && t.is(mesh.Poststop) {
			c.conclude(mesh.Stopped, "its poststop tasks had been started") // if the status is lost
		}
	}
	// What became of the main tasks says whether the work was done, whatever the others did.
	for _, main := range []bool{true, false} {
		for _, t := range c.tasks {
			if o, found := last[t.def.Name]; t.is("") == main {
				c.reconcile(t, o, found)
			}
		}
		c.complete()
	}
}

// restore takes over what was said about the task before.
func (t *task) restore(s mesh.TaskStatus, now Now) {
	t.status = s
	for _, at := range s.RestartedAt {
		t.window.Add(now.Boot - now.Wall.Sub(at))
	}
	switch s.State {
	case mesh.Starting, mesh.Pending:
		t.attempt = s.Restarts
	case mesh.Running, mesh.Stopping, mesh.Backoff, mesh.Complete, mesh.Failed, mesh.Stopped, mesh.TimedOut:
		t.attempt = s.Restarts + 1
	}
	if s.State == mesh.Backoff {
		// The clock on the wall may have been moved: no longer than was meant.
		wait := min(max(s.NextStart.Sub(now.Wall), 0), max(t.policy.Interval, t.policy.Delays.Max))
		t.next = now.Boot + wait
		n := len(s.RestartedAt)
		t.charge = t.policy.Mode == mesh.RestartDelay && n > 0 && s.RestartedAt[n-1].Before(s.FinishedAt)
	}
}

// reconcile brings what was said about a task together with what was found.
func (c *Copy) reconcile(t *task, o Observation, found bool) {
	was := t.status.State
	ran := was == mesh.Running || was == mesh.Stopping
	switch {
	case found && (o.Attempt > t.attempt || o.Attempt == t.attempt && ran):
		t.attempt, t.live = o.Attempt, true
		t.status.Restarts, t.status.State, t.status.NextStart = o.Attempt-1, mesh.Running, time.Time{}
		t.charge = false
		t.begin(c.now)
		c.observed(o)
	case ran:
		t.live = true
		c.ended(t, Observation{
			Alloc: c.alloc.ID, Task: t.def.Name, Attempt: t.attempt, Kind: Exited, ExitCode: -1,
			Err: "it was gone when the agent came back", At: c.now.Wall,
		})
	case was == mesh.Starting:
		// The order never reached the driver. If it did after all, the driver
		// knows that this attempt was started.
		t.status.State = mesh.Pending
	}
}
