package sim

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"time"

	"mn/mesh"
	"mn/mesh/core"
	"mn/placement/lease"
	"mn/runner"
)

// host is a machine with one node on it: clocks, a disk, tasks, and an agent
// while it runs. A machine that has lost its disk comes back as another host,
// with another key.
type host struct {
	w     *world
	place int // among all hosts
	name  string
	key   ed25519.PrivateKey
	self  mesh.Node

	clock    clock
	disk     *disk
	past     []*disk // what it held before it was lost, or restored
	backup   *disk   // an earlier state, for a restore
	backedUp time.Duration
	known    *disk  // a later one, of which others have heard
	exposed  bool   // they must have found out that it was restored
	restores []span // what restored disks have forgotten
	tasks    map[string]*process
	forks    []func()                    // starts that fell into a sleep
	early    map[string][]func(*process) // what the agent has told supervisors that were about to fork
	gossip   *gossip
	agent    *agent   // nil while it does not run
	parked   []func() // what an agent that is stopped, or asleep, will do when it goes on
	boots    int
	starts   int

	on        bool                // it has power
	offAt     time.Duration       // since when it has none, the last time
	gone      bool                // for good: its disk is lost, or it was taken away
	joined    bool                // it is a member
	letIn     []lease.Roster      // the roster with which it was let in, until that is on its disk
	asleep    int                 // faults that have suspended it
	halted    int                 // faults that have stopped its agent
	slow      int                 // faults that have slowed it down
	full      int                 // faults that have filled its disk
	sluggish  int                 // faults that have slowed its disk
	doomed    bool                // it crashes within the effects of its next step
	power     bool                // the doom is a power cut
	wokenAt   time.Duration       // from the last sleep
	barred    bool                // its disk was restored: it may not go on under its key
	vouched   bool                // people have said that it is off, and a node goes on without it
	evicted   bool                // people have asked for that
	sick      int                 // faults that have the services of its tasks
	ails      condition           // be so
	spoilt    bool                // its disk has lost records
	wanted    mesh.Administration // what people want of it
	wantedAt  time.Duration       // since when
	epoch     uint64              // of its roster, when last looked at
	lastWrite uint64              // the number of its last write
	durable   uint64              // the number of the last that a disk of its has, or had
	ableAs    *agent              // see able
	ableSince time.Duration
	sight     sight
	wentOn    time.Duration // from the last time that its agent was stopped or asleep
	diskDice  chance
	crashDice chance
}

// agent is a run of the node's agent: the core, and the loop around it.
type agent struct {
	core  *core.Core
	inbox []core.Event
	lost  int  // messages that found no room
	due   bool // a turn is planned
	busy  bool // its last effects are not all done
	steps int
	kept  int // of the steps, those that are durable
	wakes int // numbers the planned wake-ups: only the last one counts
	calls map[uint64]func(core.Reply)

	restores map[string]*restoring // by task
	checks   *checks               // of services; nil while there is none
	sayings  sayings
	cuts     int // sources that had something and did not give all of it, or were out of sight
}

// Bounds and delays of the loop around a core, as in mesh/daemon.
const (
	inboxMax  = 4096
	tickMin   = time.Millisecond
	tickMax   = time.Second
	retryDisk = 500 * time.Millisecond
	think     = 100 * time.Microsecond // from an event to its step
	lagMax    = 400 * time.Millisecond // of a slow host, each way
	slowSync  = 3 * time.Second        // of a sluggish disk
	joinGrace = 8 * time.Second        // as the daemon's
)

func (w *world) newHost(name string, m Machine) *host {
	place := len(w.hosts)
	key := keyOf(w.options.Seed, place)
	h := &host{
		w: w, place: place, name: name, key: key, disk: newDisk(), tasks: map[string]*process{},
		early:     map[string][]func(*process){},
		diskDice:  chanceOf(w.options.Seed, "disk", uint64(place)),
		crashDice: chanceOf(w.options.Seed, "crash", uint64(place)),
	}
	h.self = mesh.Node{
		ID: mesh.NodeIDOf(key.Public().(ed25519.PublicKey)), Name: name, Role: mesh.Worker,
		Address: name, Release: "sim", OS: "sim", Arch: "sim", Drivers: []string{"exec"},
		Labels: m.Labels, Capacity: m.Resources, Devices: gpusOf(name, m.GPUs), StartedAt: epoch,
	}
	if m.Role != "" {
		h.self.Role = m.Role
	}
	if m.Resources == (mesh.Resources{}) {
		h.self.Capacity = mesh.Resources{CPU: 8 * mesh.Core, Memory: 8 * mesh.GiB, Disk: 100 * mesh.GiB}
	}
	h.clock = clock{since: w.now, boot: time.Hour, wall: w.now, ppm: int64(m.PPM)}
	h.boot()
	h.gossip = newGossip(h)
	w.hosts = append(w.hosts, h)
	w.byID[h.self.ID] = h
	return h
}

// keyOf derives a node's key. Places stand for ids, so that a run with the same
// seed has the same ids, and each seed has others.
func keyOf(seed uint64, place int) ed25519.PrivateKey {
	dice := chanceOf(seed, "key", uint64(place))
	var s [ed25519.SeedSize]byte
	for i := range s {
		s[i] = byte(dice.Uint32())
	}
	return ed25519.NewKeyFromSeed(s[:])
}

func (h *host) member() mesh.Member {
	return mesh.Member{ID: h.self.ID, Name: h.name, Key: h.key.Public().(ed25519.PublicKey), AdmittedAt: epoch}
}

// boot turns the machine on.
func (h *host) boot() {
	h.boots++
	h.on = true
	h.self.Boot = mesh.BootID(fmt.Sprintf("%s-%d", h.name, h.boots))
}

// up says whether the host's agent runs and can be expected to answer.
func (h *host) up() bool { return h.agent != nil && h.asleep == 0 && h.halted == 0 }

// now is what the host's clocks show.
func (h *host) now() core.Now { return h.clock.read(h.w.now) }

// lag is what a slow host adds to each message.
func (h *host) lag() time.Duration {
	if h.slow == 0 {
		return 0
	}
	return h.crashDice.upTo(lagMax)
}

// start starts the agent from what its disk holds.
func (h *host) start() {
	if h.agent != nil || !h.on || h.gone {
		return
	}
	h.starts++
	h.lastWrite = h.durable // what died with the agent before it was durable has never been: its numbers come again
	h.self.StartedAt = h.now().Wall
	found := h.found()
	loaded := h.disk.load()
	loaded.Found = found
	timing := lease.Default()
	h.w.scenario.Mesh.apply(&timing)
	c, err := core.New(h.now(), core.Config{
		Self: h.self, Key: h.key, Lease: timing, JoinGrace: joinGrace,
		Horizon: h.w.scenario.Mesh.Horizon.Std(),
		Tasks:   runner.Facts{Node: h.self.ID, Name: h.name, Boot: h.self.Boot, Root: "/sim"},
		Rand:    chanceOf(h.w.options.Seed, "core", uint64(h.place), uint64(h.starts)).Rand,
	}, loaded)
	if err != nil {
		h.w.breach("starts", "%s does not start from its own disk: %v", h.name, err)
		return
	}
	h.agent = &agent{core: c, calls: map[uint64]func(core.Reply){}, restores: map[string]*restoring{}}
	h.w.spans.end(h.w.now, h, Down, "")
	h.gossip.start()
	h.tell(core.Tick{})
	h.w.adopt(h)
	if slices.ContainsFunc(h.w.scenario.Programs, func(p Program) bool { return p.Saves > 0 }) {
		h.collect()
	}
}

func (s *Settings) apply(c *lease.Config) {
	if s.Lease > 0 {
		c.Length = s.Lease.Std()
		c.Renew = c.Length / 3
		c.Retry = min(c.Retry, c.Renew)
	}
	if s.Replace > 0 {
		c.Replace = max(s.Replace.Std(), c.Length)
	}
}

// kill ends the agent at once. Supervisors and tasks go on.
func (h *host) kill() {
	if h.agent == nil {
		return
	}
	for _, id := range h.agent.open() {
		h.w.people.died(id)
	}
	h.agent, h.parked, h.doomed = nil, nil, false
	clear(h.early)
	h.w.spans.begin(h.w.now, h, Down, "")
	h.gossip.stop()
}

// cutPower ends everything on the machine at once.
func (h *host) cutPower() {
	h.kill()
	if h.on {
		h.on, h.offAt = false, h.w.now
		h.killTasks()
	}
}

// tell hands an event to the core, in its turn.
func (h *host) tell(ev core.Event) {
	a := h.agent
	if a == nil || h.asleep > 0 {
		return
	}
	if _, message := ev.(core.Received); message && len(a.inbox) >= inboxMax { // all else waits its turn
		a.lost++
		h.w.counts.add(Dropped)
		h.arm() // it may have been stopped while the others came
		return
	}
	a.inbox = append(a.inbox, ev)
	h.arm()
}

// arm plans the agent's next turn, if there is something to do and it can.
func (h *host) arm() {
	a := h.agent
	if a == nil || a.due || a.busy || len(a.inbox) == 0 || !h.up() {
		return
	}
	a.due = true
	h.w.plan(think+h.lag(), func() {
		a.due = false
		if h.agent == a && h.up() && !a.busy {
			h.turn()
		}
	})
}

// turn takes what has come in one step, and performs what comes of it.
func (h *host) turn() {
	a := h.agent
	var batch []core.Event
	batch, a.inbox = core.Batch(a.inbox)
	h.w.noteSayings(h, batch)
	h.do(a, func() core.Ready { return a.core.Step(h.now(), batch...) })
}

// do runs a step of the core, checks what it did, and performs it.
func (h *host) do(a *agent, step func() core.Ready) {
	h.w.lookBefore(h)
	ready := step()
	h.w.steps++
	a.steps++
	h.w.checkStep(h, &ready)
	h.gossip.abstain(a.core.Abstains())
	h.keep(a, ready)
}

// wake plans a step at the latest when the core wants one, as the loop's timer
// does.
func (h *host) wake(a *agent, at time.Duration) {
	now := h.now().Boot
	at = min(max(at, now+tickMin), now+tickMax)
	a.wakes++
	n := a.wakes
	h.w.at(h.clock.when(h.w.now, at), func() {
		if h.agent == a && a.wakes == n {
			h.tell(core.Tick{})
		}
	})
}

// sleep suspends the machine: nothing of it runs, while its boot clock goes on.
func (h *host) sleep() (wake func()) {
	h.asleep++
	return func() {
		if h.asleep--; h.asleep == 0 {
			h.wokenAt, h.wentOn = h.w.now, h.w.now
			h.resumeTasks()
			h.w.checkWake(h)
			h.unpark()
		}
	}
}

// halt stops the agent, as SIGSTOP does. What it is sent waits.
func (h *host) halt() (resume func()) {
	h.halted++
	return func() {
		if h.halted--; h.halted == 0 {
			h.wentOn = h.w.now
			h.unpark()
		}
	}
}

// whenUp does something of the agent's now, or as soon as it goes on.
func (h *host) whenUp(do func()) {
	switch {
	case h.up():
		do()
	case h.agent != nil:
		h.parked = append(h.parked, do)
	}
}

// unpark lets an agent that goes on do what it has missed.
func (h *host) unpark() {
	if !h.up() {
		return
	}
	parked := h.parked
	h.parked = nil
	for _, do := range parked {
		h.whenUp(do)
	}
	h.tell(core.Tick{})
}

// open are the calls that wait for an answer, in order.
func (a *agent) open() []uint64 {
	ids := make([]uint64, 0, len(a.calls))
	for id := range a.calls {
		ids = append(ids, id)
	}
	sortIDs(ids)
	return ids
}
