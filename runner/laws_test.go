package runner

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mn/crdt"
	"mn/mesh"
)

// lab is a copy with a driver that is a model: attempts that run until they are
// told to end, or please to.
type lab struct {
	t       *rapid.T
	job     mesh.Job
	copy    *Copy
	now     time.Duration
	runs    map[string]*attempt // the last of each task that reached the driver
	stopped string              // why it was told to stop
	atOnce  bool
	until   time.Duration              // of the lease
	cleaned map[string]int             // times that poststop tasks were started
	again   map[string][]time.Duration // when tasks were started again that had failed
	over    bool
}

type attempt struct {
	task    string
	number  int
	told    bool // of its start
	dying   bool
	ended   bool
	end     Observation
	started time.Duration
}

const labStart = 100 * time.Hour

func (l *lab) instant() Now { return Now{Boot: l.now, Wall: epoch.Add(l.now - labStart)} }

func (l *lab) newCopy() {
	a := mesh.Alloc{ID: "a1", Job: "lab", Fence: crdt.Fence{Epoch: 1, Ballot: 1}}
	l.copy = NewCopy(a, l.job.Groups()[0], &l.job, Facts{Root: "/allocs", Name: "n1", Boot: "b1"})
}

// anyJob is a job of one group, with a main task at least.
func anyJob(t *rapid.T) mesh.Job {
	zero, two := 0, 2
	delayed := &mesh.RestartPolicy{
		Attempts: &two, Interval: mesh.Duration(20 * time.Second), Delay: mesh.Duration(time.Second),
		DelayFunction: mesh.Constant, Mode: mesh.RestartDelay,
	}
	pick := func(name string, values ...any) any { return rapid.SampledFrom(values).Draw(t, name) }
	j := mesh.Job{Name: "lab", Type: pick("type", mesh.Service, mesh.Batch).(mesh.JobType)}
	j.Timeout = pick("timeout", mesh.Duration(0), mesh.Duration(0), mesh.Duration(9*time.Second)).(mesh.Duration)
	j.Restart = pick("restart", (*mesh.RestartPolicy)(nil), &mesh.RestartPolicy{Attempts: &zero}, delayed).(*mesh.RestartPolicy)
	j.Recovery.OnPartition = pick("partition", mesh.Eager, mesh.Majority).(mesh.OnPartition)
	for i := range rapid.IntRange(1, 5).Draw(t, "tasks") {
		task := mesh.Task{Name: fmt.Sprint("t", i), Group: "g", Command: []string{"run"}, KillGrace: mesh.Duration(time.Second)}
		task.Timeout = pick("task timeout", mesh.Duration(0), mesh.Duration(0), mesh.Duration(5*time.Second)).(mesh.Duration)
		if i > 0 {
			task.Lifecycle = pick("lifecycle", mesh.Lifecycle(""), mesh.Prestart, mesh.Sidecar, mesh.Poststop).(mesh.Lifecycle)
		}
		j.Tasks = append(j.Tasks, task)
	}
	return j
}

func (l *lab) leased() bool { return l.job.Recovery.OnPartition == mesh.Majority }

// step gives the copy an input, holds what it orders to the laws, and carries it
// out, unless the agent dies before it can.
func (l *lab) step(in Input, lost bool) {
	out := l.copy.Step(l.instant(), in)
	for _, o := range out.Orders {
		switch o.Verb {
		case DoStart:
			l.lawful(o.Spec)
			if r := l.runs[o.Task]; !lost && (r == nil || r.number < o.Spec.Attempt) {
				l.bounded(r)
				l.runs[o.Task] = &attempt{task: o.Task, number: o.Spec.Attempt, started: l.now}
				if l.is(o.Task, mesh.Poststop) {
					l.cleaned[o.Task]++
				}
			}
		case DoStop:
			if r := l.runs[o.Task]; !lost && r != nil {
				r.dying = true
			}
		case DoRetire:
			l.over = true
		case DoRenew, DoRemove:
		}
	}
	l.check()
}

func (l *lab) is(task string, of mesh.Lifecycle) bool { return l.copy.task(task).is(of) }

// lawful holds the start of a task to the laws.
func (l *lab) lawful(s *Spec) {
	name := s.Task
	for _, t := range l.job.Tasks {
		r := l.runs[t.Name]
		running := r != nil && !r.ended
		switch {
		case t.Name == name && running && r.number < s.Attempt:
			l.t.Fatalf("%s is started beside itself", name)
		case !l.is(name, mesh.Prestart) && t.Lifecycle == mesh.Prestart && !l.is(name, mesh.Poststop) &&
			(r == nil || !r.ended || r.end.ExitCode != 0):
			l.t.Fatalf("%s is started, and the prestart task %s has not completed", name, t.Name)
		case l.is(name, mesh.Poststop) && t.Lifecycle != mesh.Poststop && running:
			l.t.Fatalf("%s is started, and %s runs", name, t.Name)
		}
	}
	switch poststop := l.is(name, mesh.Poststop); {
	case l.over:
		l.t.Fatalf("%s is started when the copy is over", name)
	case l.stopped != "" && !poststop, l.atOnce:
		l.t.Fatalf("%s is started after the copy was told to stop", name)
	case poststop && (s.Attempt > 1 || l.cleaned[name] > 1):
		l.t.Fatalf("%s is started again", name)
	case l.leased() && l.now >= l.until:
		l.t.Fatalf("%s is started without a lease", name)
	}
}

// bounded: in mode delay no task that fails starts again more often than its policy says,
// however often the agent does. Whoever waits for a lease may do so later.
func (l *lab) bounded(failed *attempt) {
	if failed == nil || failed.end.Expired || l.leased() || l.job.Restart == nil || l.job.Restart.Mode != mesh.RestartDelay {
		return
	}
	p := l.job.Restart
	since := l.now - p.Interval.Std()/2 // what is counted may start a little later
	times := slices.DeleteFunc(l.again[failed.task], func(at time.Duration) bool { return at <= since })
	l.again[failed.task] = append(times, l.now)
	if n := len(times) + 1; n > *p.Attempts {
		l.t.Fatalf("%s is started again %d times within half of %v", failed.task, n, p.Interval)
	}
}

// check holds the copy's status to the laws.
func (l *lab) check() {
	s := l.copy.Status()
	if s.State.Final() != l.over {
		l.t.Fatalf("it is %s, and retired: %v", s.State, l.over)
	}
	if !l.over {
		return
	}
	count := map[mesh.AllocState]int{}
	for _, t := range s.Tasks {
		if r := l.runs[t.Name]; r != nil && !r.ended {
			l.t.Fatalf("it is %s, and %s runs", s.State, t.Name)
		}
		if t.Lifecycle != mesh.Poststop && (t.Lifecycle != mesh.Sidecar || t.State != mesh.Stopped) {
			count[t.State]++
		}
	}
	work := count[mesh.Failed] + count[mesh.TimedOut] + count[mesh.Stopped]
	switch {
	case s.State == mesh.Complete && work > 0,
		count[mesh.TimedOut] > 0 && s.State != mesh.TimedOut,
		count[mesh.Failed] > 0 && s.State != mesh.Failed:
		l.t.Fatalf("it is %s, of %s", s.State, draw(s))
	}
}

// observe has a task that runs be seen to start, or to end.
func (l *lab) observe(r *attempt, code int, expired bool) {
	if !r.told {
		r.told = true
		if rapid.Bool().Draw(l.t, "seen to start") {
			l.step(Observed{l.sight(r, Started)}, false)
			return
		}
	}
	r.ended = true
	r.end = l.sight(r, Exited)
	r.end.ExitCode, r.end.Expired = code, expired
	l.step(Observed{r.end}, false)
}

func (l *lab) sight(r *attempt, kind Kind) Observation {
	return Observation{
		Alloc: "a1", Task: r.task, Attempt: r.number, Kind: kind, PID: 7,
		StartedAt: epoch.Add(r.started), At: l.instant().Wall,
	}
}

// restart is the end of an agent, and the beginning of the next.
func (l *lab) restart() {
	status := l.copy.Status()
	in := Resume{Status: &status}
	l.newCopy()
	for _, t := range l.job.Tasks {
		switch r := l.runs[t.Name]; {
		case r == nil:
		case r.ended:
			in.Found = append(in.Found, r.end)
		default:
			r.told = true
			in.Found = append(in.Found, l.sight(r, Adopted))
		}
	}
	l.step(in, false)
	if l.stopped != "" {
		l.step(Stop{Reason: l.stopped, AtOnce: l.atOnce}, false)
	} else {
		l.step(Run{}, false)
	}
}

// running are the tasks that run, in order.
func (l *lab) running() []*attempt {
	var all []*attempt
	for _, t := range l.job.Tasks {
		if r := l.runs[t.Name]; r != nil && !r.ended {
			all = append(all, r)
		}
	}
	return all
}

// expire ends what has lost its lease, as supervisors do.
func (l *lab) expire() {
	for _, r := range l.running() {
		if l.leased() && l.now >= l.until {
			r.told = true
			l.observe(r, 143, true)
		}
	}
}

// act does one of the things that can happen.
func (l *lab) act() {
	running := l.running()
	actions := []string{"wait", "wake", "renew", "restart", "die"}
	if len(running) > 0 {
		actions = append(actions, "end", "end", "end")
	}
	if rapid.IntRange(0, 9).Draw(l.t, "enough") == 0 {
		actions = []string{"stop"}
	}
	switch rapid.SampledFrom(actions).Draw(l.t, "action") {
	case "wait":
		l.now += time.Duration(rapid.IntRange(1, 40).Draw(l.t, "tenths")) * 100 * time.Millisecond
		l.expire()
		l.step(Tick{}, false)
	case "wake":
		l.wake(false)
	case "renew":
		if l.stopped == "" {
			l.until = l.now + 15*time.Second
			l.step(Renew{Lease: 15 * time.Second}, false)
		}
	case "restart":
		l.restart()
	case "die": // with what it has just decided on its disk
		l.wake(true)
		l.restart()
	case "end":
		r := rapid.SampledFrom(running).Draw(l.t, "of")
		l.observe(r, rapid.SampledFrom([]int{0, 0, 1}).Draw(l.t, "code"), false)
	case "stop":
		l.stopped = "enough"
		l.atOnce = l.atOnce || rapid.IntRange(0, 3).Draw(l.t, "at once") == 0
		l.step(Stop{Reason: l.stopped, AtOnce: l.atOnce}, rapid.Bool().Draw(l.t, "die"))
		l.restart()
	}
}

// wake does what the copy waits for, if it waits for an instant.
func (l *lab) wake(die bool) bool {
	at := l.copy.Wake()
	if at == Never {
		return false
	}
	l.now = max(l.now, at)
	l.expire()
	l.step(Tick{}, die)
	return true
}

// finish tells the copy to stop, which must end it although its tasks end only
// when they are told to.
func (l *lab) finish() {
	l.stopped = "the end"
	l.step(Stop{Reason: l.stopped}, false)
	for range 100 {
		if l.over {
			return
		}
		if i := slices.IndexFunc(l.running(), func(r *attempt) bool { return r.dying }); i >= 0 {
			r := l.running()[i]
			r.told = true
			l.observe(r, 143, false)
			continue
		}
		if !l.wake(false) {
			break
		}
	}
	l.t.Fatalf("it was told to stop, and does not end: %s", draw(l.copy.Status()))
}

// TestCopiesKeepTheLaws, whatever happens in whatever order: nothing starts
// before its turn, or when the copy has ended; no poststop task starts twice; and
// each copy that is told to stop ends.
func TestCopiesKeepTheLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := &lab{
			t: t, job: anyJob(t), now: labStart, until: labStart + 15*time.Second,
			runs: map[string]*attempt{}, again: map[string][]time.Duration{}, cleaned: map[string]int{},
		}
		l.newCopy()
		l.step(Run{}, false)
		l.step(Renew{Lease: 15 * time.Second}, false)
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			if l.over {
				return
			}
			l.act()
		}
		if !l.over {
			l.finish()
		}
	})
}
