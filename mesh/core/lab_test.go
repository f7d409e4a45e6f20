package core

import (
	"cmp"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"mn/crdt"
	"mn/mesh"
	"mn/placement/lease"
	"mn/runner"
)

// lab runs whole cores in virtual time: a queue of deliveries, disks that keep
// what was kept, and tasks that start when told and run until stopped.
type lab struct {
	t     *testing.T
	now   time.Duration
	seq   int
	queue []delivery
	nodes []*host
	cut   func(a, b mesh.NodeID) bool  // whether a's messages do not reach b
	tap   func(from *host, e Envelope) // sees what is sent; nil: nobody
	lose  func(from *host, e Envelope) bool

	fetches int // that were asked for
}

// delivery is an event on its way to a host.
type delivery struct {
	at  time.Duration
	seq int
	to  *host
	run int // of the host; an earlier run's mail is lost
	ev  Event
	// sure says whether what gossip says still holds on arrival; nil: yes
	sure func() bool
}

// host is a machine: a disk that outlives crashes, and what runs on it.
type host struct {
	name   string
	key    ed25519.PrivateKey
	self   mesh.Node
	kept   crdt.Kept
	facts  map[string][]byte
	core   *Core // nil while it is down
	run    int
	tasks  map[string]runner.Observation // that run, by allocation and task
	untils map[string]time.Duration      // when they stop by themselves, if they do
	calls  map[uint64]Reply
	log    []mesh.Event
	boots  int
	wakes  int
	trees  map[string]bool // contents on its disk
	offers []Watch         // whose services pass, but those in sick
	sick   map[string]bool
	broken string // why it can start nothing
	fails  bool   // to fetch any
	orders []runner.Order
}

const (
	labDelay  = time.Millisecond        // of a message
	labDetect = 1500 * time.Millisecond // until gossip sees a crash
	labFork   = 2 * time.Millisecond
)

var labEpoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func newLab(t *testing.T, n int) *lab {
	l := &lab{t: t, now: time.Hour, cut: func(a, b mesh.NodeID) bool { return false }}
	for i := range n {
		var seed [ed25519.SeedSize]byte
		binary.BigEndian.PutUint64(seed[:], uint64(i+1))
		key := ed25519.NewKeyFromSeed(seed[:])
		h := &host{
			name: fmt.Sprintf("n%d", i+1), key: key, facts: map[string][]byte{},
			tasks: map[string]runner.Observation{}, calls: map[uint64]Reply{}, untils: map[string]time.Duration{},
			trees: map[string]bool{},
		}
		h.self = mesh.Node{
			ID: mesh.NodeIDOf(key.Public().(ed25519.PublicKey)), Name: h.name, Role: mesh.Worker,
			Address: fmt.Sprintf("10.0.0.%d:7000", i+1),
			Drivers: []string{"exec"}, Capacity: mesh.Resources{CPU: 8 * mesh.Core, Memory: 8 * mesh.GiB, Disk: 100 * mesh.GiB},
		}
		l.nodes = append(l.nodes, h)
	}
	l.found()
	return l
}

// found makes the first node's mesh, and admits the others by hand.
func (l *lab) found() {
	first := l.nodes[0]
	l.start(first)
	ready, err := first.core.Bootstrap(l.clock(), l.member(first))
	if err != nil {
		l.t.Fatal(err)
	}
	l.perform(first, ready)
	l.wake(first, ready.Wake)
	for _, h := range l.nodes[1:] {
		first.core.put(mesh.KeyMember(h.self.ID), l.member(h), crdt.Fence{})
	}
	l.step(first, Tick{})
	for _, h := range l.nodes[1:] {
		l.start(h)
		ready, err := h.core.Adopt(l.clock(), first.core.Chain())
		if err != nil {
			l.t.Fatal(err)
		}
		l.perform(h, ready)
		l.step(h, Tick{})
		l.meet(h)
	}
}

func (l *lab) member(h *host) mesh.Member {
	return mesh.Member{ID: h.self.ID, Name: h.name, Key: h.key.Public().(ed25519.PublicKey)}
}

func (l *lab) clock() Now { return Now{Boot: l.now, Wall: labEpoch.Add(l.now)} }

// start starts a host's agent from its disk.
func (l *lab) start(h *host) {
	h.run++
	h.boots++
	h.self.Boot, h.self.StartedAt = mesh.BootID(fmt.Sprintf("boot%d", h.boots)), l.clock().Wall
	h.kept.Life++
	h.kept.Secret = []byte("lab")
	disk := Disk{Replica: h.kept}
	for _, k := range slices.Sorted(keysOf(h.facts)) {
		disk.Facts = append(disk.Facts, lease.Fact{Key: k, Value: h.facts[k]})
	}
	for _, k := range slices.Sorted(keysOf(h.tasks)) {
		o := h.tasks[k]
		o.Kind = runner.Adopted
		disk.Found = append(disk.Found, o)
	}
	c, err := New(l.clock(), Config{
		Self: h.self, Key: h.key, Lease: lease.Default(), JoinGrace: 8 * time.Second,
		Tasks: runner.Facts{Node: h.self.ID, Name: h.name, Boot: h.self.Boot, Root: "/lab"},
		Rand:  rand.New(rand.NewPCG(uint64(h.boots), uint64(slices.Index(l.nodes, h)))),
	}, disk)
	if err != nil {
		l.t.Fatal(err)
	}
	h.core = c
}

func keysOf[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// meet has gossip tell a host and those that run about each other.
func (l *lab) meet(h *host) {
	for _, o := range l.nodes {
		if o != h && o.core != nil && !l.cut(h.self.ID, o.self.ID) {
			l.post(h, labDelay, Seen{o.self.ID, mesh.Alive})
			l.post(o, labDelay, Seen{h.self.ID, mesh.Alive})
		}
	}
}

// kill ends a host's agent, and its tasks too if the whole machine loses power.
func (l *lab) kill(h *host, power bool) {
	h.core, h.run = nil, h.run+1
	if power {
		clear(h.tasks)
	}
	for _, o := range l.nodes {
		if o.core != nil {
			l.postIf(o, labDetect, Seen{h.self.ID, mesh.Lost}, func() bool { return h.core == nil })
		}
	}
}

func (l *lab) post(h *host, after time.Duration, ev Event) {
	l.postIf(h, after, ev, nil)
}

// postIf posts an event that counts only if sure says so on its arrival.
func (l *lab) postIf(h *host, after time.Duration, ev Event, sure func() bool) {
	l.seq++
	d := delivery{at: l.now + after, seq: l.seq, to: h, run: h.run, ev: ev, sure: sure}
	i, _ := slices.BinarySearchFunc(l.queue, d, func(a, b delivery) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.seq, b.seq))
	})
	l.queue = slices.Insert(l.queue, i, d)
}

// wake has a host step again at a boot time; only the last wish counts.
func (l *lab) wake(h *host, at time.Duration) {
	h.wakes++
	if n := h.wakes; at < never {
		l.postIf(h, max(at-l.now, 0), Tick{}, func() bool { return h.wakes == n })
	}
}

func (l *lab) step(h *host, ev Event) {
	before := h.core.Abstains()
	ready := h.core.Step(l.clock(), ev)
	l.perform(h, ready)
	l.wake(h, ready.Wake)
	if now := h.core.Abstains(); now != before {
		for _, o := range l.nodes {
			if o != h && o.core != nil {
				l.post(o, labDelay, Abstained{h.self.ID, now})
			}
		}
	}
}

// perform is the world's part: what is kept survives, what is sent arrives.
func (l *lab) perform(h *host, r Ready) {
	h.kept.Apply(r.Keep)
	for _, f := range r.Facts {
		if f.Value == nil {
			delete(h.facts, f.Key)
		} else {
			h.facts[f.Key] = f.Value
		}
	}
	for _, e := range r.Send {
		l.deliver(h, e)
	}
	for _, o := range r.Orders {
		l.order(h, o)
		h.orders = append(h.orders, o)
	}
	for _, w := range r.Watch {
		l.check(h, w)
	}
	for _, f := range r.Fetch {
		l.post(h, labFork, l.fetch(h, f))
	}
	for _, reply := range r.Reply {
		h.calls[reply.ID] = reply
	}
	h.log = append(h.log, r.Events...)
}

// deliver sends a message through its encoding, as the wire does.
func (l *lab) deliver(h *host, e Envelope) {
	if l.tap != nil {
		l.tap(h, e)
	}
	if l.lose != nil && l.lose(h, e) {
		return
	}
	b, err := crdt.Encode(e.Msg)
	if err != nil {
		l.t.Fatal(err)
	}
	var m Message
	if err := crdt.Decode(b, &m); err != nil {
		l.t.Fatalf("decode message: %v", err)
	}
	for _, to := range l.nodes {
		if to.self.ID == e.To && to.core != nil && !l.cut(h.self.ID, to.self.ID) {
			l.post(to, labDelay, Received{From: h.self.ID, Msg: m})
		}
	}
}

// fetch brings content from a peer that has it.
func (l *lab) fetch(h *host, f Fetch) Fetched {
	l.fetches++
	for _, o := range l.nodes {
		if !h.fails && o.core != nil && o.trees[f.Tree] && !l.cut(h.self.ID, o.self.ID) {
			h.trees[f.Tree] = true
			return Fetched{Tree: f.Tree}
		}
	}
	return Fetched{Tree: f.Tree, Err: "nobody has it"}
}

// restore brings what an attempt goes on from, as the driver does, and says whether it may
// start.
func (l *lab) restore(h *host, s *runner.Spec) bool {
	seen := runner.Observation{Alloc: s.Alloc, Task: s.Task, Attempt: s.Attempt, At: l.clock().Wall}
	if s.Saving == nil || len(s.Saving.From) == 0 {
		return true
	}
	for i := range s.Saving.From {
		c := &s.Saving.From[i]
		if h.trees[c.Tree] || l.fetch(h, Fetch{c.Tree, c.Nodes}).Err == "" {
			seen.Kind, seen.Checkpoint = runner.Restored, c
			l.post(h, labDelay, Observed{seen})
			return true
		}
	}
	seen.Kind, seen.Err = runner.RestoreFailed, "nobody has it"
	l.post(h, labDelay, Observed{seen})
	return false
}

func (l *lab) order(h *host, o runner.Order) {
	key := string(o.Alloc) + "/" + o.Task
	switch o.Verb {
	case runner.DoStart:
		if !l.restore(h, o.Spec) {
			return
		}
		if h.broken != "" {
			l.post(h, labFork, Observed{runner.Observation{
				Alloc: o.Alloc, Task: o.Task, Attempt: o.Spec.Attempt, Kind: runner.StartFailed,
				Err: h.broken, Broken: true, At: l.clock().Wall,
			}})
			return
		}
		obs := runner.Observation{
			Alloc: o.Alloc, Task: o.Task, Attempt: o.Spec.Attempt, Kind: runner.Started,
			PID: 1000 + l.seq, StartedAt: l.clock().Wall, At: l.clock().Wall,
		}
		h.tasks[key] = obs
		l.post(h, labFork, Observed{obs})
		l.lease(h, key, o.Spec.Until)
	case runner.DoStop:
		if obs, ok := h.tasks[key]; ok {
			delete(h.tasks, key)
			obs.Kind, obs.ExitCode, obs.Signal = runner.Exited, 143, 15
			l.post(h, labFork, Observed{obs})
		}
	case runner.DoRenew:
		l.lease(h, key, o.Until)
	case runner.DoRetire, runner.DoRemove:
	}
}

// lease is the supervisor's dead-man's switch: it stops a task at until, unless
// it has been put off by then. It needs no agent.
func (l *lab) lease(h *host, key string, until time.Duration) {
	if until == 0 {
		return
	}
	h.untils[key] = max(h.untils[key], until)
	obs, runs := h.tasks[key]
	if !runs {
		return
	}
	obs.Kind, obs.Expired, obs.ExitCode = runner.Exited, true, 143
	l.postIf(h, until-l.now, Observed{obs}, func() bool {
		if h.untils[key] > until || h.tasks[key].PID != obs.PID {
			return false
		}
		delete(h.tasks, key)
		return true
	})
}

// after runs the lab for d.
func (l *lab) after(d time.Duration) { l.until(d, func() bool { return false }) }

// until runs the lab until done, for at most d, and says whether it got there
// and how long it took.
func (l *lab) until(d time.Duration, done func() bool) (time.Duration, bool) {
	from := l.now
	for !done() {
		if len(l.queue) == 0 || l.queue[0].at > from+d {
			l.now = from + d
			return d, done()
		}
		next := l.queue[0]
		l.queue = l.queue[1:]
		l.now = next.at
		sure := next.sure == nil || next.sure()
		if sure && next.to.core != nil && next.to.run == next.run {
			l.step(next.to, next.ev)
		}
	}
	return l.now - from, true
}

// ask makes a call on a host and runs the lab until the answer.
func (l *lab) ask(h *host, call Call) Reply {
	l.t.Helper()
	l.seq++
	id := uint64(l.seq)
	l.post(h, 0, Asked{ID: id, Call: call})
	if _, ok := l.until(shareWait+time.Second, func() bool { _, ok := h.calls[id]; return ok }); !ok {
		l.t.Fatalf("%s gives no answer to %T", h.name, call)
	}
	return h.calls[id]
}

// running counts the tasks of a job that run, by host.
func (l *lab) running() map[string]int {
	n := map[string]int{}
	for _, h := range l.nodes {
		for range h.tasks {
			n[h.name]++
		}
	}
	return n
}

func (l *lab) total() int {
	n := 0
	for _, c := range l.running() {
		n += c
	}
	return n
}

// events are the events of all hosts in order, for a test that failed.
func (l *lab) events() string {
	type line struct {
		host string
		mesh.Event
	}
	var all []line
	for _, h := range l.nodes {
		for _, e := range h.log {
			all = append(all, line{h.name, e})
		}
	}
	slices.SortStableFunc(all, func(a, b line) int { return a.At.Compare(b.At) })
	s := ""
	for _, e := range all {
		s += fmt.Sprintf("%v %s %s %s/%s peer %s fence %v: %s\n",
			e.At.Sub(labEpoch)-time.Hour, e.host, e.Kind, e.Job, e.Alloc, e.Peer.Short(), e.Fence, e.Text)
	}
	return s
}
