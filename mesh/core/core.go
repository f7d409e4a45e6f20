// Package core is the behaviour of one node: what it keeps, sends, starts,
// stops and answers when something happens.
//
// A [Core] is a state machine without clock, goroutine, socket or randomness
// of its own. [Core.Step] takes the time and what happened, and returns a
// [Ready]: effects in the order in which they must be performed. The daemon
// performs them on Badger, QUIC and processes; the simulator on models of
// these. Both run this same code.
//
// It is a junction: the thinking is done by machines below, each tested alone.
// Data converges in crdt.Replica; who may decide about a slot is settled by
// lease.Party; what should be done about a job by reconcile; what fits on this
// node by placement.Ledger; what becomes of a copy by runner.Copy. The core
// routes between them: sync.go exchanges data with peers, lead.go decides
// about the jobs of the slots that this node leads, tend.go looks after the
// allocations that are placed here, request.go takes what people ask for.
package core

import (
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"time"

	"mn/crdt"
	"mn/mesh"
	"mn/placement"
	"mn/placement/lease"
	"mn/runner"
)

const settleMax = 64 // rounds of messages to ourselves in one step

// Config is what a core is made with.
type Config struct {
	Self  mesh.Node          // what this node says about itself
	Key   ed25519.PrivateKey // signs rosters
	Lease lease.Config
	// JoinGrace is how long after its start a node waits for peers that it has
	// not seen before it takes them for lost. 10 s if zero.
	JoinGrace time.Duration
	// Horizon is how long deletes are remembered for a node out of sight.
	// crdt.Horizon if zero.
	Horizon time.Duration
	Tasks   runner.Facts // what tasks are told about this node
	Rand    *rand.Rand
}

// Disk is what a core finds when it starts.
type Disk struct {
	Replica crdt.Kept
	Facts   []lease.Fact
	Found   []runner.Observation // tasks that the driver found, running or ended
}

// Core is one node. It is not safe for concurrent use: one goroutine owns it.
type Core struct {
	cfg     Config
	self    mesh.NodeID
	started time.Duration // or emptied its copy
	now     Now

	replica *crdt.Replica
	records *records
	party   *lease.Party
	ledger  *placement.Ledger

	peers peers
	sync  syncer
	lead  lead
	tend  tend
	waits waits

	out        string   // why this node is out; see out.go
	damaged    bool     // its disk has lost something, and has said so
	emptied    crdt.Dot // the mark for which it has emptied its copy
	drain      draining // of this node, as it was told last
	abstention abstention
	inform     inform
	confirms   confirms
	permits    permits
	keep       keeper
	fired      fired
	brought    []string // names of what was fetched for copies here, the latest last
	trouble    trouble
	life       uint64 // of this run, to know answers to it

	view      *mesh.View // nil when something has changed since it was built
	viewedAt  Now
	nodeViews []mesh.NodeView  // as view
	queued    []mesh.QueueView // as view
	nodesAt   Now

	loopback []Message // to ourselves, not yet handled
	fresh    []crdt.Entry
	hints    map[mesh.ServiceKey]hint // of services, by gossip
	ready    Ready
}

// New makes the core of a node from what its disk holds.
func New(now Now, cfg Config, disk Disk) (*Core, error) {
	if cfg.JoinGrace == 0 {
		cfg.JoinGrace = 10 * time.Second
	}
	if cfg.Horizon == 0 {
		cfg.Horizon = crdt.Horizon
	}
	replica, err := crdt.NewReplica(string(cfg.Self.ID), disk.Replica)
	if err != nil {
		return nil, fmt.Errorf("open replica of node %s: %w", cfg.Self.ID, err)
	}
	party, err := lease.New(cfg.Self.ID, cfg.Key, cfg.Lease, disk.Facts, cfg.Rand, now.Boot)
	if err != nil {
		return nil, fmt.Errorf("read the voter's facts of node %s: %w", cfg.Self.ID, err)
	}
	c := &Core{
		cfg:        cfg,
		self:       cfg.Self.ID,
		started:    now.Boot,
		now:        now,
		replica:    replica,
		records:    newRecords(),
		party:      party,
		ledger:     placement.NewLedger(cfg.Self.ID, cfg.Self.Capacity),
		peers:      peers{},
		sync:       syncer{next: now.Boot, unread: map[mesh.NodeID]bool{}, refused: map[mesh.NodeID]time.Duration{}},
		lead:       newLead(now.Boot + cfg.JoinGrace),
		tend:       newTend(disk.Found, now.Boot+cfg.JoinGrace),
		damaged:    len(disk.Replica.Damage) > 0,
		abstention: newAbstention(),
		waits:      waits{last: cfg.Rand.Uint64() >> 1}, // no answer to an earlier run names a push of this one
		inform:     newInform(now.Boot),
		confirms:   newConfirms(),
		hints:      map[mesh.ServiceKey]hint{},
		permits:    newPermits(),
		keep:       newKeeper(now.Boot),
		fired:      newFired(now.Boot),
		trouble:    newTrouble(),
		life:       cfg.Rand.Uint64(),
	}
	replica.Valid = func(e crdt.Entry) error { return c.records.valid(e) }
	for e := range replica.Scan("") {
		if err := c.records.valid(e); err != nil { // kept by a release that did not know better
			c.event(mesh.Event{Kind: mesh.RecordRefused, Text: err.Error()})
			continue
		}
		c.touch(c.records.apply(e))
	}
	if old := c.records.nodes[c.self]; c.cfg.Self.Devices == nil { // until we are told
		c.cfg.Self.Devices, c.cfg.Self.Foreign = old.Devices, old.Foreign
	}
	c.ledger.Found(c.cfg.Self.Devices, c.cfg.Self.Foreign)
	c.rebuild()
	if len(disk.Replica.Damage) > 0 {
		c.take(party.Step(now.Boot, lease.Forgot{})) // what it kept as a voter may be lost
	}
	c.study()
	c.drain = c.drained() // told by the agent before
	c.describe()
	return c, nil
}

// rebuild fills the ledger with what is decided to run here.
func (c *Core) rebuild() {
	var mine []mesh.Alloc
	for _, a := range c.records.allocs() {
		if a.Node == c.self && !a.State().Final() {
			mine = append(mine, a.Alloc)
		}
		c.ledger.Raise(a.Job, a.Fence)
		c.remember(&a)
		if a.Node == c.self && started(a.Status) {
			c.broughtFor(&a.Alloc)
		}
	}
	c.ledger.Rebuild(mine)
}

// Bootstrap founds a mesh with this node as its first member and voter.
func (c *Core) Bootstrap(now Now, self mesh.Member) (Ready, error) {
	c.now = now
	c.put(mesh.KeyMember(self.ID), self, crdt.Fence{})
	out, err := c.party.Bootstrap(now.Boot)
	if err != nil {
		return Ready{}, fmt.Errorf("found mesh: %w", err)
	}
	c.take(out)
	return c.flush(), nil
}

// Adopt takes the roster that came with this node's certificate.
func (c *Core) Adopt(now Now, chain []lease.Roster) (Ready, error) {
	c.now = now
	out, err := c.party.Adopt(now.Boot, chain)
	if err != nil {
		return Ready{}, fmt.Errorf("adopt roster: %w", err)
	}
	c.take(out)
	return c.flush(), nil
}

// Step takes what happened at time now, and returns what must be done about
// it. Several events in one step cost one write to the disk.
func (c *Core) Step(now Now, events ...Event) Ready {
	missed := now.Boot - c.now.Boot
	c.now = now
	if missed > sleptAfter {
		c.slept()
	}
	for _, ev := range events {
		c.handle(ev)
	}
	c.tick()
	for range settleMax {
		work := c.loopback
		c.loopback = nil
		for _, m := range work {
			c.receive(c.self, m)
		}
		c.leaveIfOut()
		tended := c.tendAllocs()
		told := c.tellCopies()
		led := c.leadSlots()
		if len(c.loopback) == 0 && !tended && !told && !led {
			break
		}
	}
	c.tellDrained()
	return c.flush()
}

func (c *Core) handle(ev Event) {
	switch ev := ev.(type) {
	case Tick:
	case Received:
		c.heard(ev.From)
		c.receive(ev.From, ev.Msg)
	case Seen:
		c.seen(ev)
	case Abstained:
		c.abstained(ev)
	case Observed:
		c.observed(ev.Observation)
	case Fetched:
		c.fetched(ev)
	case Inventory:
		c.found(ev)
	case Worked:
		c.worked(ev)
	case Hinted:
		c.hinted(ev)
	case Checked:
		c.step(ev.Alloc, ev.Checked)
	case Appeared:
		c.appeared(ev)
	case Asked:
		c.asked(ev)
	}
}

func (c *Core) receive(from mesh.NodeID, m Message) {
	switch {
	case c.refuseEvicted(from, &m):
	case m.Stale != nil:
		c.stale(from, m.Stale)
	case c.refuseStale(from, &m):
	case m.Push != nil:
		c.pushed(from, m.Push)
	case m.Ack != nil:
		c.acked(from, m.Ack.ID)
	case m.Sync != nil:
		c.compare(from, &m)
	case m.Answer != nil:
		c.answered(from, &m)
	case m.Confirm != nil:
		c.keepFor(from, m.Confirm)
	case m.Confirmed != nil:
		c.kept(from, m.Confirmed)
	case m.Lease != nil:
		c.answeredBy(from, m.Lease)
		c.take(c.party.Step(c.now.Boot, lease.Received{From: from, Msg: *m.Lease}))
	case m.Hold != nil:
		c.hold(from, m.Hold)
	case m.Holds != nil:
		c.holds(from, m.Holds)
	case m.Reserve != nil:
		c.reserve(from, m.Reserve.Alloc, m.Reserve.Ask)
	case m.Reserved != nil:
		c.reserved(from, m.Reserved)
	case m.Release != nil:
		c.release(from, m.Release)
	case m.AskPermit != nil:
		c.permit(from, m.AskPermit)
	case m.Permitted != nil:
		c.permitted(m.Permitted)
	case m.ReturnPermits != nil:
		c.returned(from, m.ReturnPermits)
	case m.Renew != nil:
		c.renew(from, m.Renew)
	case m.Renewed != nil:
		c.renewed(from, m.Renewed)
	}
}

func ptr[T any](v T) *T { return &v }

// tick does what is due by now.
func (c *Core) tick() {
	if c.party.Wake() <= c.now.Boot {
		c.take(c.party.Step(c.now.Boot, lease.Tick{}))
	}
	c.informDue()
	c.syncDue()
	c.waitsDue()
	c.abstain()
	c.leadDue()
	c.tendDue()
	c.keepDue()
	c.troubleDue()
	c.occurDue()
}

// take performs what the agreement machine asks for.
func (c *Core) take(out lease.Output) {
	c.ready.Facts = append(c.ready.Facts, out.Facts...)
	var last Message
	for _, e := range out.Send {
		if last.Lease == nil || *last.Lease != e.Msg {
			last.Lease = &e.Msg
		}
		c.send(e.To, last) // the same message to all voters, to be encoded once
	}
	for _, ch := range out.Changes {
		c.changed(ch)
	}
}

// send queues a message. One to ourselves is handled within this step.
func (c *Core) send(to mesh.NodeID, m Message) {
	if c.out != "" {
		return
	}
	if to == c.self {
		c.loopback = append(c.loopback, m)
		return
	}
	c.ready.Send = append(c.ready.Send, Envelope{to, m})
}

// put writes a record of ours: here at once, on peers with this step's push.
func (c *Core) put(key string, record any, fence crdt.Fence) crdt.Entry {
	value, err := crdt.Encode(record)
	if err != nil {
		panic(fmt.Sprintf("core: encode record %q: %v", key, err))
	}
	e := c.replica.Put(key, value, fence, c.now.Wall)
	c.wrote(e)
	return e
}

// drop deletes a record that is ours to delete; the entry is zero if there is none.
func (c *Core) drop(key string, fence crdt.Fence) crdt.Entry {
	e, ok := c.replica.Delete(key, fence, c.now.Wall)
	if ok {
		c.wrote(e)
	}
	return e
}

func (c *Core) wrote(e crdt.Entry) {
	c.fresh = append(c.fresh, e)
	c.touch(c.records.apply(e))
}

// touch marks for another look what a changed record was about.
func (c *Core) touch(t touched) {
	c.stir()
	c.stirAround(t)
	if t.job != "" {
		c.lead.dirty[t.job] = true
		for job := range c.records.followers[t.job] {
			c.lead.dirty[job] = true
		}
		c.supplied(t.job)
		delete(c.fired.over, t.job)
		if of, run := c.records.course.runOf[t.job]; run {
			c.lead.dirty[of] = true
		}
	}
	for id := range c.records.course.triggered[t.occurred] {
		c.lead.dirty[id] = true
	}
	if t.spec {
		c.tend.retry = true
		if _, carries := c.records.carriers[t.job]; carries {
			c.keep.next = c.now.Boot
		}
	}
	if t.alloc != "" {
		c.tend.dirty[t.alloc] = true
		if _, ok := c.records.effective(t.alloc); !ok { // whoever has forgotten it
			delete(c.lead.renewed, t.alloc)
			delete(c.confirms.of, mesh.KeyAlloc(t.alloc))
			c.permits.forget(t.alloc)
		}
	}
	for _, id := range t.queued {
		if a, ok := c.records.effective(id); ok {
			c.lead.dirty[a.Job] = true
		}
	}
	delete(c.confirms.of, t.permit)
	if t.freed {
		c.freed()
	}
	if t.permit != "" {
		delete(c.permits.back, t.permit)
		c.seekAgain()
	}
	if t.nodes {
		c.ledger.Share(c.cfg.Self.Capacity, c.records.sharing[c.self].Share)
		c.lead.allDirty = true
		c.lead.members = true
	}
	if p := c.peers[t.evicted]; p != nil {
		c.seen(Seen{Node: t.evicted, Liveness: p.liveness})
	}
}

// event notes something that happened or was decided.
func (c *Core) event(e mesh.Event) {
	e.At, e.Node = c.now.Wall, c.self
	c.ready.Events = append(c.ready.Events, e)
}

// flush ends a step.
func (c *Core) flush() Ready {
	c.sendConfirms()
	c.pushFirst()
	c.ready.Keep = c.replica.Flush()
	c.ready.Wake = c.wake()
	r := c.ready
	c.ready = Ready{}
	return r
}

func (c *Core) wake() time.Duration {
	return max(c.now.Boot, min(c.party.Wake(), c.sync.next, c.waits.wake(), c.lead.wake(), c.tend.wake(),
		c.abstainWake(), c.inform.next, c.keep.next, c.trouble.until, c.occurWake()))
}

// found takes what is on this machine now.
func (c *Core) found(i Inventory) {
	for _, e := range deviceEvents(c.cfg.Self.Devices, i.Devices) {
		c.event(e)
	}
	c.cfg.Self.Devices, c.cfg.Self.Foreign, c.cfg.Self.Programs = i.Devices, i.Foreign, i.Programs
	c.cfg.Self.Closed = i.Closed
	if i.Drivers != nil {
		c.cfg.Self.Drivers, c.cfg.Self.Engine = i.Drivers, i.Engine
	}
	c.ledger.Found(i.Devices, i.Foreign)
	c.describe()
}

// describe writes what this node says about itself, if that has changed. A
// node that is only being made has not booted, and has nothing to say yet.
func (c *Core) describe() {
	if c.cfg.Self.Boot == "" {
		return
	}
	if old, ok := c.records.nodes[c.self]; !ok || !sameNode(old, c.cfg.Self) {
		c.put(mesh.KeyNode(c.self), c.cfg.Self, crdt.Fence{})
	}
}
