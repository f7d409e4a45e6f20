// Package health decides, by how checks end, whether services can be used, and when to check next.
//
// It is a state machine: what is offered and how checks have ended come in with the time, checks to
// run and changes to tell go out. It has no clock, starts no goroutine and knows no network, so the
// simulator runs it too.
package health

import (
	"cmp"
	"container/heap"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"mn/mesh"
)

// Rhythms and bounds of checks.
const (
	firstWithin = time.Second     // of its start a task is checked first, all at random
	startEvery  = 2 * time.Second // in its grace a check that has not passed yet is run so often
	tellEvery   = time.Second     // changes of one task are told this often at most,
	minorEvery  = 10 * tellEvery  // and this often if nothing passes or fails that did not before
	tellRate    = 50              // changes that are told in a second at most, of all tasks,
	tellBurst   = 200             // but for so many that come at once,
	minorLeaves = tellBurst / 2   // of which minor ones leave as many to others
	reasonMax   = 256             // bytes of why a check failed
)

// Now is the time: as the machine has been up, and of the day.
type Now struct {
	Boot time.Duration
	Wall time.Time
}

// Of names a task of a copy.
type Of struct {
	Alloc mesh.AllocID
	Task  string
}

// Target is what there is to check of an attempt of a task.
type Target struct {
	Of
	Attempt int
	Started time.Duration // by the time that the machine has been up
	// Services have their ports as numbers.
	Services []mesh.ServiceDef
	// Known is what was said of them before the agent was restarted, if the attempt is as old.
	Known []mesh.ServiceStatus
}

// Probe is a check to be run now. Its end is told to [Machine.Ended].
type Probe struct {
	ID      uint64
	Of      Of
	Attempt int
	Service mesh.ServiceDef
	Check   mesh.Check
}

// notChecked is the reason of a check that has not ended yet.
const notChecked = "not checked yet"

// Change is what the services of a task have come to.
type Change struct {
	Of
	Attempt  int
	Services []mesh.ServiceStatus
	// Minor: all are as healthy as they were, and there is something else to say of a check.
	Minor bool
	// Restart is why the task is to be restarted, or "".
	Restart string
}

// Machine is the state of all checks of a node.
type Machine struct {
	rand    *rand.Rand
	targets map[Of]*target
	due     queue
	running map[uint64]*check
	last    uint64
	tokens  float64
	filled  time.Duration
	dirty   []*target // in the order in which they changed
}

type target struct {
	Target
	services []mesh.ServiceStatus
	checks   []*check
	dirty    bool
	said     []mesh.ServiceStatus // what was last told, and when
	told     time.Duration
	restart  string
}

// check is one check of a target: service and at are where its status is.
type check struct {
	of          *target
	def         *mesh.Check
	service, at int
	at0         time.Duration // what its turns count from
	next        time.Duration
	index       int // in the queue; -1 while it runs
	successes   int
	failures    int
	unwell      int // failures that count for a restart of the task
	passed      bool
}

// New makes the state of a node without any service.
func New(r *rand.Rand) *Machine {
	return &Machine{rand: r, targets: map[Of]*target{}, running: map[uint64]*check{}, tokens: tellBurst}
}

// Watch has the services of an attempt checked, in place of those of an earlier one.
func (m *Machine) Watch(t Target, now Now) {
	if old := m.targets[t.Of]; old != nil {
		if old.Attempt == t.Attempt {
			return
		}
		m.Forget(t.Of)
	}
	at := &target{Target: t, told: now.Boot - minorEvery}
	m.targets[t.Of] = at
	for i := range t.Services {
		s := &t.Services[i]
		status := mesh.ServiceStatus{Name: s.Name, Since: now.Wall}
		known := statusOf(t.Known, s.Name)
		for j := range s.Checks {
			c := m.check(at, i, j, known, now)
			status.Checks = append(status.Checks, c.first(known, now))
		}
		status.Health = Sum(status.Checks)
		if known != nil && known.Health == status.Health {
			status.Since = known.Since
		}
		at.services = append(at.services, status)
	}
	m.touch(at)
}

// check makes a check and its first turn: soon for a new attempt, and at any time within its interval
// for one that was checked before, so that an agent that restarts does not check all at once.
func (m *Machine) check(at *target, service, i int, known *mesh.ServiceStatus, now Now) *check {
	c := &check{of: at, def: &at.Services[service].Checks[i], service: service, at: i}
	within := min(c.def.Every(), firstWithin)
	if known != nil {
		within = c.def.Every()
	}
	c.at0 = now.Boot + time.Duration(m.rand.Int64N(int64(within)))
	c.next = c.at0
	at.checks = append(at.checks, c)
	heap.Push(&m.due, c)
	return c
}

// first is the status of a check before it has run, or as it was before the agent was restarted.
func (c *check) first(known *mesh.ServiceStatus, now Now) mesh.CheckStatus {
	s := mesh.CheckStatus{Name: c.def.Title(), Health: mesh.Warning, Since: now.Wall, Required: c.def.IsRequired()}
	s.Reason = notChecked
	if known != nil {
		for _, k := range known.Checks {
			if k.Name == s.Name {
				s.Health, s.Since, s.Reason = k.Health, k.Since, k.Reason
				c.passed = k.Health == mesh.Passing
			}
		}
	}
	return s
}

// clip is the beginning of why a check failed, as it may be shown, and never nothing.
func clip(why string) string {
	plain := strings.TrimSpace(mesh.Plain(why, reasonMax))
	if len(why) > reasonMax {
		plain += "…"
	}
	return cmp.Or(plain, "it failed")
}

func statusOf(all []mesh.ServiceStatus, name string) *mesh.ServiceStatus {
	for i := range all {
		if all[i].Name == name {
			return &all[i]
		}
	}
	return nil
}

// Sum is what its checks say of a service: critical if a required one is, in warning if another
// is not passing.
func Sum(checks []mesh.CheckStatus) mesh.Health {
	sum := mesh.Passing
	for _, c := range checks {
		h := c.Health
		if h == mesh.Critical && !c.Required {
			h = mesh.Warning
		}
		sum = sum.Worse(h)
	}
	return sum
}

// Forget ends the checks of a task. Those that run end for nothing.
func (m *Machine) Forget(of Of) {
	t := m.targets[of]
	if t == nil {
		return
	}
	delete(m.targets, of)
	for _, c := range t.checks {
		if c.index >= 0 {
			heap.Remove(&m.due, c.index)
		}
	}
	maps.DeleteFunc(m.running, func(_ uint64, c *check) bool { return c.of == t })
	if t.dirty {
		m.dirty = slices.DeleteFunc(m.dirty, func(o *target) bool { return o == t })
	}
}

// Due are the checks whose turn it is. None is due again before it has ended.
func (m *Machine) Due(now Now) []Probe {
	var all []Probe
	for len(m.due) > 0 && m.due[0].next <= now.Boot {
		c := heap.Pop(&m.due).(*check)
		m.last++
		m.running[m.last] = c
		all = append(all, Probe{
			ID: m.last, Of: c.of.Of, Attempt: c.of.Attempt, Service: c.of.Services[c.service], Check: *c.def,
		})
	}
	return all
}

// Ended takes how a check has ended: fault is why it failed, or "".
func (m *Machine) Ended(id uint64, fault string, now Now) {
	c := m.running[id]
	if c == nil {
		return // of a task that is not watched any more
	}
	delete(m.running, id)
	if fault == "" {
		m.succeeded(c, now)
	} else {
		m.failed(c, clip(fault), now)
	}
	c.plan(now)
	heap.Push(&m.due, c)
}

// plan gives a check its next turn: a whole number of intervals after its first, so that it does not
// drift, whatever it took; it never waits for turns that were missed.
func (c *check) plan(now Now) {
	if every := min(c.def.Every(), startEvery); !c.passed && c.inGrace(now) {
		c.next = now.Boot + every
		return
	}
	every := c.def.Every()
	turns := max(now.Boot-c.at0, 0)/every + 1
	c.next = c.at0 + turns*every
}

func (c *check) inGrace(now Now) bool { return now.Boot < c.of.Started+c.def.Grace.Std() }

func (c *check) status() *mesh.CheckStatus { return &c.of.services[c.service].Checks[c.at] }

func (m *Machine) succeeded(c *check, now Now) {
	c.failures, c.unwell = 0, 0
	s := c.status()
	switch c.successes++; {
	case c.successes >= c.def.ToPass():
		c.passed = true
		m.become(c, mesh.Passing, "", now)
	case s.Health == mesh.Passing:
		m.become(c, mesh.Passing, "", now)
	case s.Reason == notChecked:
		m.become(c, s.Health, "has not succeeded often enough yet", now)
	default:
		m.become(c, s.Health, s.Reason, now)
	}
}

func (m *Machine) failed(c *check, why string, now Now) {
	c.successes = 0
	s := c.status()
	if !c.passed && c.inGrace(now) {
		m.become(c, s.Health, "is still starting: "+why, now)
		return
	}
	c.failures++
	switch {
	case c.failures >= c.def.ToFail():
		m.become(c, mesh.Critical, why, now)
	case c.failures >= c.def.ToWarn() && s.Health != mesh.Critical:
		m.become(c, mesh.Warning, why, now)
	default:
		m.become(c, s.Health, why, now)
	}
	m.restart(c, why, now)
}

// restart counts a failure of a check that restarts its task.
func (m *Machine) restart(c *check, why string, now Now) {
	r := c.of.Services[c.service].Restart
	if r == nil || r.IgnoreWarnings && !c.def.IsRequired() || now.Boot < c.of.Started+r.Grace.Std() {
		return
	}
	if c.unwell++; c.unwell < r.Limit || c.of.restart != "" {
		return
	}
	times := "once"
	if c.unwell > 1 {
		times = fmt.Sprintf("%d times in a row", c.unwell)
	}
	c.of.restart = fmt.Sprintf("check %q of service %q failed %s: %s",
		c.def.Title(), c.of.Services[c.service].Name, times, why)
	m.touch(c.of)
}

// become notes what a check has come to, and why.
func (m *Machine) become(c *check, h mesh.Health, why string, now Now) {
	s := c.status()
	failures := c.failures
	if h == mesh.Critical {
		failures = 0
	}
	if s.Health == h && s.Reason == why && s.Failures == failures {
		return
	}
	if s.Health != h {
		s.Since = now.Wall
	}
	s.Health, s.Reason, s.Failures = h, why, failures
	service := &c.of.services[c.service]
	if sum := Sum(service.Checks); sum != service.Health {
		service.Health, service.Since = sum, now.Wall
	}
	m.touch(c.of)
}

func (m *Machine) touch(t *target) {
	if !t.dirty {
		t.dirty = true
		m.dirty = append(m.dirty, t)
	}
}

// Changes are what tasks have come to and nobody was told yet. How many there are of one task, and of
// all, is bounded; what comes to nothing meanwhile is never told.
func (m *Machine) Changes(now Now) []Change {
	m.tokens = min(tellBurst, m.tokens+tellRate*max(now.Boot-m.filled, 0).Seconds())
	m.filled = now.Boot
	var all []Change
	m.dirty = slices.DeleteFunc(m.dirty, func(t *target) bool {
		if now.Boot < m.tellAt(t) {
			return false
		}
		minor := t.minor()
		if t.dirty = false; !minor || !slices.EqualFunc(t.said, t.services, identical) {
			m.tokens--
			c := t.change()
			c.Minor = minor
			all = append(all, c)
			t.said, t.told, t.restart = c.Services, now.Boot, ""
		}
		return true
	})
	return all
}

// tellAt is when what a task has come to may be told, unless others are told before.
func (m *Machine) tellAt(t *target) time.Duration {
	every, tokens := tellEvery, 1.0
	if t.minor() {
		every, tokens = minorEvery, 1+minorLeaves
	}
	return max(t.told+every, m.filled+time.Duration(max(tokens-m.tokens, 0)/tellRate*float64(time.Second)))
}

// minor says whether all services of a task are as healthy as was last told.
func (t *target) minor() bool {
	return t.restart == "" && slices.EqualFunc(t.said, t.services, same)
}

// same says whether the health of a service, and of each of its checks, is the same; one that has not
// ended yet is not the same as one that has.
func same(a, b mesh.ServiceStatus) bool {
	alike := func(a, b mesh.CheckStatus) bool {
		return a.Health == b.Health && (a.Reason == notChecked) == (b.Reason == notChecked)
	}
	return a.Name == b.Name && a.Health == b.Health && slices.EqualFunc(a.Checks, b.Checks, alike)
}

// identical says whether there is nothing new to say of a service that is the same.
func identical(a, b mesh.ServiceStatus) bool {
	alike := func(a, b mesh.CheckStatus) bool { return a.Reason == b.Reason && a.Failures == b.Failures }
	return slices.EqualFunc(a.Checks, b.Checks, alike)
}

func (t *target) change() Change {
	services := slices.Clone(t.services)
	for i := range services {
		services[i].Checks = slices.Clone(services[i].Checks)
	}
	return Change{Of: t.Of, Attempt: t.Attempt, Services: services, Restart: t.restart}
}

// Next is when there is something to do, and whether there ever is if nothing comes in.
func (m *Machine) Next() (time.Duration, bool) {
	next, any := time.Duration(0), false
	at := func(d time.Duration) {
		if !any || d < next {
			next, any = d, true
		}
	}
	if len(m.due) > 0 {
		at(m.due[0].next)
	}
	for _, t := range m.dirty {
		at(m.tellAt(t))
	}
	return next, any
}

// queue is a heap of checks by their next turn.
type queue []*check

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].next < q[j].next }

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push is for package heap.
func (q *queue) Push(x any) {
	c := x.(*check)
	c.index = len(*q)
	*q = append(*q, c)
}

// Pop is for package heap.
func (q *queue) Pop() any {
	last := len(*q) - 1
	c := (*q)[last]
	*q, c.index = (*q)[:last], -1
	return c
}
