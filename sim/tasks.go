package sim

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"mn/mesh"
	"mn/runner"
)

// process is a task that runs, with its supervisor: it lives until its work is
// done, it is stopped, its lease ends, or its machine goes down. It needs no
// agent.
type process struct {
	h       *host
	key     string // allocation and task
	spec    runner.Spec
	copy    copyID
	pid     int
	fence   uint64 // as the task was told
	since   time.Duration
	until   time.Duration // on the boot clock: the dead-man's switch; 0 without
	missed  []func()      // what was due while the machine slept
	dying   bool          // it was told to end
	expired bool
	asked   string        // "agent" or "lease": who told it
	done    time.Duration // how much work it had done when it began
	saving  bool
	known   floor // of what was saved of it, when it was saved last
	is      condition
	ill     map[string][]time.Duration // when its checks failed without a break, by check
	unwell  bool                       // its agent was told to restart it, as they do
}

// copyID names a task of a copy of a job, whichever allocation runs it.
type copyID struct {
	job   mesh.JobID
	task  string
	index int
	node  string // of a job with a copy on each
}

// String is "web[2]", or "web@n1"; the task is mostly the only one.
func (id copyID) String() string {
	if id.node != "" {
		return string(id.job) + "@" + id.node
	}
	return fmt.Sprintf("%s[%d]", id.job, id.index)
}

// How tasks end.
const (
	codeTerm = 128 + 15
	codeKill = 128 + 9
	crashed  = 1
	wakeLag  = 50 * time.Millisecond // until a supervisor acts after a sleep
)

// order carries out an order to the driver.
func (h *host) order(o runner.Order) {
	key := string(o.Alloc) + "/" + o.Task
	h.w.story(h, "order", "%v", o)
	switch o.Verb {
	case runner.DoStart:
		h.startTask(key, *o.Spec)
	case runner.DoStop:
		if r := h.agent.restores[key]; r != nil {
			r.stopped = true
		}
		h.command(key, func(p *process) { p.stop(o.Grace, "agent") })
	case runner.DoRenew:
		if r := h.agent.restores[key]; r != nil {
			r.until = max(r.until, o.Until)
		}
		h.command(key, func(p *process) { p.renew(o.Until) })
	case runner.DoRetire:
	case runner.DoRemove:
		for key, r := range h.disk.runs {
			if r.alloc == o.Alloc && h.tasks[key] == nil {
				delete(h.disk.runs, key)
			}
		}
	}
}

// command tells a task's supervisor something. One that is about to fork its task
// is told then, if the agent still runs.
func (h *host) command(key string, tell func(*process)) {
	if p := h.tasks[key]; p != nil {
		tell(p)
	} else if r, ok := h.disk.runs[key]; ok && !r.ended && r.started.IsZero() {
		h.early[key] = append(h.early[key], tell)
	}
}

// startTask starts an attempt, unless it was started before: then what became
// of it is observed.
func (h *host) startTask(key string, s runner.Spec) {
	if r, ok := h.disk.runs[key]; ok && r.attempt >= s.Attempt {
		if p := h.tasks[key]; p != nil {
			h.observe(h.sighting(r, runner.Started), think)
		} else if r.ended {
			h.observe(h.ending(r), think)
		}
		return
	}
	if s.Saving != nil && len(s.Saving.From) > 0 {
		h.restore(key, s)
		return
	}
	h.launch(key, s, 0)
}

// launch has a supervisor fork the task soon, which has done so much work before.
func (h *host) launch(key string, s runner.Spec, done time.Duration) {
	delete(h.early, key)
	h.disk.runs[key] = run{alloc: s.Alloc, task: s.Task, attempt: s.Attempt, boot: h.self.Boot}
	h.w.plan(h.w.tasks.upTo(h.w.scenario.Tasks.Start.Std())+h.lag(), func() { h.fork(key, s, done) })
}

// fork is the moment at which a task begins to run.
func (h *host) fork(key string, s runner.Spec, done time.Duration) {
	r := h.disk.runs[key]
	if r.attempt != s.Attempt || r.boot != h.self.Boot || !h.on || r.ended || h.tasks[key] != nil {
		return // its machine went down before, or it was given up
	}
	if h.asleep > 0 {
		h.forks = append(h.forks, func() { h.fork(key, s, done) })
		return
	}
	now := h.now()
	if s.Until > 0 && now.Boot >= s.Until { // its supervisor looks first
		r.ended, r.expired, r.at = true, true, now.Wall
		h.disk.runs[key] = r
		h.observe(h.ending(r), think)
		return
	}
	h.w.pids++
	r.pid, r.started = h.w.pids, now.Wall
	h.disk.runs[key] = r
	p := &process{
		h: h, key: key, spec: s, pid: r.pid, since: h.w.now, until: s.Until,
		copy: h.copyOf(s), fence: fenceOf(s), done: done,
	}
	h.tasks[key] = p
	h.w.changes++
	h.w.checkStart(p)
	h.w.noteStart(p)
	delete(h.w.yields[p.copy.job], p.copy)
	h.observe(h.sighting(r, runner.Started), think)
	p.work()
	p.saveLater()
	p.fare()
	p.watch()
	for _, tell := range h.early[key] {
		tell(p)
	}
	delete(h.early, key)
}

// copyOf reads from a task's environment which copy it is.
func (h *host) copyOf(s runner.Spec) copyID {
	index, _ := strconv.Atoi(variable(s, mesh.VarAllocIndex))
	id := copyID{job: mesh.JobID(variable(s, mesh.VarJob)), task: s.Task, index: index}
	if job := h.w.people.job(id.job); job != nil && job.Type.PerNode() {
		id.node = h.name
	}
	return id
}

func fenceOf(s runner.Spec) uint64 {
	n, _ := strconv.ParseUint(variable(s, mesh.VarFence), 10, 64)
	return n
}

func variable(s runner.Spec, name string) string {
	for _, v := range s.Env {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

// work plans the end that the task comes to by itself, if it does.
func (p *process) work() {
	t, dice := &p.h.w.scenario.Tasks, p.h.w.tasks
	job := p.h.w.people.job(p.copy.job)
	if g := p.program(job); g != nil {
		p.play(g)
		return
	}
	switch {
	case job == nil || job.Type.Long():
		if t.Crash > 0 {
			p.in(dice.about(t.Crash.Std()), func() { p.exit(crashed, 0) })
		}
	case dice.hits(t.Fail):
		p.in(dice.about(t.Work.Std()), func() { p.exit(crashed, 0) })
	default:
		p.in(dice.about(t.Work.Std()), func() { p.exit(0, 0) })
	}
}

// in does something after d, as long as the task lives then. What falls into
// the sleep of its machine is done when that wakes.
func (p *process) in(d time.Duration, do func()) {
	p.h.w.plan(d, func() {
		switch {
		case p.h.tasks[p.key] != p:
		case p.h.asleep > 0:
			p.missed = append(p.missed, do)
		default:
			do()
		}
	})
}

// stop ends the task as its supervisor does: it is told, and after the grace it
// is killed.
func (p *process) stop(grace time.Duration, who string) {
	if p.dying {
		return
	}
	p.dying, p.asked = true, who
	p.h.w.checkStop(p)
	takes := p.h.w.tasks.upTo(p.h.w.scenario.Tasks.Stop.Std())
	if p.h.w.tasks.hits(p.h.w.scenario.Tasks.Stubborn) || takes > grace {
		p.in(grace, func() { p.exit(codeKill, codeKill-128) })
		return
	}
	p.in(takes, func() { p.exit(codeTerm, codeTerm-128) })
}

// renew moves the end of the task's lease, never back.
func (p *process) renew(until time.Duration) {
	if p.until == 0 || until <= p.until {
		return
	}
	p.until = until
	p.watch()
}

// watch is the dead-man's switch.
func (p *process) watch() {
	if p.until == 0 {
		return
	}
	until := p.until
	p.h.w.at(p.h.clock.when(p.h.w.now, until), func() {
		switch {
		case p.h.tasks[p.key] != p || p.until > until:
		case p.h.asleep > 0:
			// resumeTasks will see that it is over.
		case p.h.now().Boot < p.until:
			p.watch() // the clock's rate has changed
		default:
			p.expire()
		}
	})
}

func (p *process) expire() {
	if p.dying {
		return
	}
	p.expired = true
	p.h.w.counts.add(SwitchFired)
	p.h.w.checkExpired(p)
	p.stop(p.spec.Grace, "lease")
}

// exit is the end of a task.
func (p *process) exit(code, signal int) {
	h := p.h
	delete(h.tasks, p.key)
	h.w.changes++
	r := h.disk.runs[p.key]
	r.ended, r.code, r.signal, r.expired, r.at = true, code, signal, p.expired, h.now().Wall
	h.disk.runs[p.key] = r
	h.w.noteExit(p, code)
	h.w.noteEnd(p, code, itself)
	h.observe(h.ending(r), think)
}

// killTasks is what a power cut does to tasks.
func (h *host) killTasks() {
	for _, key := range slices.Sorted(maps.Keys(h.tasks)) {
		p := h.tasks[key]
		delete(h.tasks, key)
		h.w.changes++
		if p.saving {
			h.w.counts.add(SavesCutOff)
		}
		h.w.noteLoss(p)
		h.w.noteEnd(p, 0, lost)
	}
	h.forks = nil
}

// resumeTasks does what was due while the machine slept.
func (h *host) resumeTasks() {
	forks := h.forks
	h.forks = nil
	for _, fork := range forks {
		fork()
	}
	for _, key := range slices.Sorted(maps.Keys(h.tasks)) {
		p := h.tasks[key]
		missed := p.missed
		p.missed = nil
		for _, do := range missed {
			p.in(h.w.tasks.upTo(wakeLag), do)
		}
		if p.until > 0 && h.now().Boot >= p.until {
			p.in(h.w.tasks.upTo(wakeLag), p.expire)
		}
	}
}

// found is what the driver finds when the agent starts: tasks that run, and how
// the others ended. What ran when the machine went down is buried.
func (h *host) found() []runner.Observation {
	var found []runner.Observation
	for _, r := range h.disk.records() {
		key := string(r.alloc) + "/" + r.task
		p := h.tasks[key]
		switch {
		case p != nil:
			found = append(found, h.sighting(r, runner.Adopted))
		case r.boot == h.self.Boot && !r.ended && r.started.IsZero():
			// Its supervisor is about to fork it, and will say so.
		case !r.ended:
			r.ended, r.code, r.at = true, -1, h.now().Wall
			r.err = "lost with the previous boot of the machine"
			h.disk.runs[key] = r
			found = append(found, h.ending(r))
		default:
			found = append(found, h.ending(r))
		}
	}
	return found
}

func (h *host) sighting(r run, kind runner.Kind) runner.Observation {
	return runner.Observation{
		Alloc: r.alloc, Task: r.task, Attempt: r.attempt, Kind: kind,
		PID: r.pid, StartedAt: r.started, At: h.now().Wall,
	}
}

func (h *host) ending(r run) runner.Observation {
	o := h.sighting(r, runner.Exited)
	o.PID, o.ExitCode, o.Signal, o.Expired, o.Err, o.At = 0, r.code, r.signal, r.expired, r.err, r.at
	return o
}
