package core

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"mn/crdt"
	"mn/mesh"
	"mn/placement/lease"
	"mn/placement/reconcile"
)

const (
	// confirmEvery is how long to wait until a voter is asked again to keep a decision.
	confirmEvery = 250 * time.Millisecond
	// confirmFor is within what time a majority must have kept a decision. A voter
	// whose disk loses something learns again what was kept, from the others, and
	// waits until none of them can be asked for what it has said that it keeps.
	confirmFor = 5 * time.Second
)

// Confirm asks a voter to make decisions durable, and to say so.
type Confirm struct {
	Epoch   uint64        `json:"epoch"` // of the roster under which the asker leads
	Sent    time.Duration `json:"sent"`  // on the asker's boot clock
	Life    uint64        `json:"life"`  // of the asker: another boot shows the same times again
	Entries []crdt.Entry  `json:"entries"`
}

// Confirmed answers Confirm: these writes are durable at a voter of that epoch.
type Confirmed struct {
	Epoch uint64        `json:"epoch"`
	Sent  time.Duration `json:"sent"` // of what it answers
	Life  uint64        `json:"life"`
	Dots  []crdt.Dot    `json:"dots"`
}

// confirm is a decision that a majority of the voters must keep before its copy
// may start.
type confirm struct {
	dot   crdt.Dot // of the decision
	epoch uint64
	began time.Duration        // only answers to what was sent since count
	by    map[mesh.NodeID]bool // who has answered
	kept  bool                 // enough have, in time
	sent  time.Duration        // last
	waits *waiting
}

// waiting is a node that wants to run the copy, or asks for another.
type waiting struct {
	node mesh.NodeID
	asks Renew
}

// confirms are the decisions, and permits, that are being confirmed, or are, by their keys.
type confirms struct {
	of     map[string]*confirm
	queued map[string]bool // to be sent with this step
}

func newConfirms() confirms {
	return confirms{of: map[string]*confirm{}, queued: map[string]bool{}}
}

// exclusive says whether a job never runs a copy twice.
func exclusive(j *mesh.Job) bool { return j.Recovery.Partition() != mesh.Eager }

// confirmed says whether a record, of the decision about a copy that has not been started
// or of a permit, is durable at a majority of the voters. If it is not, they are asked.
func (c *Core) confirmed(key string) bool {
	e, ok := c.replica.Get(key)
	if !ok {
		return false
	}
	roster := c.party.Roster()
	f := c.confirms.of[key]
	if f == nil || f.dot != e.Dot || f.epoch != roster.Epoch || !f.kept && f.began+confirmFor < c.now.Boot {
		begun := &confirm{
			dot: e.Dot, epoch: roster.Epoch, began: c.now.Boot, by: map[mesh.NodeID]bool{}, sent: -confirmEvery,
		}
		if f != nil {
			begun.waits = f.waits
		}
		f, c.confirms.of[key] = begun, begun
	}
	n := 0
	for _, v := range roster.Voters {
		if f.by[v.ID] || v.ID == c.self && c.party.Keeps(roster.Epoch) {
			n++
		}
	}
	f.kept = f.kept || n >= roster.Quorum()
	if !f.kept && f.sent+confirmEvery <= c.now.Boot {
		c.confirms.queued[key] = true
	}
	return f.kept
}

// sendConfirms asks the voters, with one message each for all that was decided
// in this step.
func (c *Core) sendConfirms() {
	if len(c.confirms.queued) == 0 {
		return
	}
	keys := slices.Sorted(maps.Keys(c.confirms.queued))
	clear(c.confirms.queued)
	// Some may not be asked for any more.
	keys = slices.DeleteFunc(keys, func(key string) bool { return c.confirms.of[key] == nil })
	roster := c.party.Roster()
	for _, v := range roster.Voters {
		var entries []crdt.Entry
		for _, key := range keys {
			f := c.confirms.of[key]
			f.sent = c.now.Boot
			if e, ok := c.replica.Get(key); ok && e.Dot == f.dot && !f.by[v.ID] {
				entries = append(entries, e)
			}
		}
		if v.ID == c.self {
			continue
		}
		for part := range parts(entries) {
			c.send(v.ID, Message{Confirm: &Confirm{roster.Epoch, c.now.Boot, c.life, part}})
		}
	}
}

// keepFor answers a coordinator: for what is here now, and so durable before the
// answer goes out. A later decision in its place is not what was asked for.
func (c *Core) keepFor(from mesh.NodeID, m *Confirm) {
	c.merged(from, c.replica.Merge(m.Entries, c.now.Wall))
	if !c.party.Keeps(m.Epoch) {
		return
	}
	answer := &Confirmed{Epoch: m.Epoch, Sent: m.Sent, Life: m.Life}
	for _, e := range m.Entries {
		if mine, ok := c.replica.Get(e.Key); ok && mine.Dot == e.Dot {
			answer.Dots = append(answer.Dots, e.Dot)
		}
	}
	if len(answer.Dots) > 0 {
		c.take(c.party.Step(c.now.Boot, lease.Promised{}))
		c.send(from, Message{Confirmed: answer})
	}
}

// kept counts a voter's answer. A copy that has waited for it may start now.
func (c *Core) kept(from mesh.NodeID, m *Confirmed) {
	if m.Life != c.life {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(c.confirms.of)) {
		f := c.confirms.of[key]
		late := m.Sent < f.began || f.began+confirmFor < c.now.Boot
		if late || f.epoch != m.Epoch || !slices.Contains(m.Dots, f.dot) {
			continue
		}
		f.by[from] = true
		if w := f.waits; w != nil && c.confirmed(key) {
			f.waits = nil
			c.renew(w.node, &w.asks)
		}
	}
	c.give()
}

// mayStart says whether a copy that wants to run may. If it has run before, its
// decision was kept then; else its node is told once a majority keeps it.
func (c *Core) mayStart(id mesh.AllocID, from mesh.NodeID, asked *Renew) bool {
	if s, ok := c.records.statuses[id][cmp.Or(asked.For, from)]; ok && s.State.Final() {
		return false // its node must have forgotten that it has ended
	} else if ok && begun(&s) {
		delete(c.confirms.of, mesh.KeyAlloc(id))
		return !c.ranUnsafe(id, &s) // its node must have forgotten that it has run
	}
	if v := c.records.verdicts[id]; v.Kind == mesh.ReviewLost && v.Approve {
		return false // it will be stopped: another takes its place
	}
	if c.overtaken(id) {
		return false // another follows, under a fence of now
	}
	if c.rival(id) {
		return false // it will be stopped; or else its node asks again
	}
	if c.confirmed(mesh.KeyAlloc(id)) {
		a, ok := c.records.effective(id)
		return ok && c.hasPermit(&a, from, asked)
	}
	if f := c.confirms.of[mesh.KeyAlloc(id)]; f != nil {
		one := *asked
		one.Allocs = []mesh.AllocID{id}
		f.waits = &waiting{from, one}
	}
	return false
}

// overtaken stops a copy if another of its index was decided later: that one has
// perhaps run, and no fence may be lower than one before it. It also counts if
// who had no majority has stopped it since.
func (c *Core) overtaken(id mesh.AllocID) bool {
	a, ok := c.records.effective(id)
	if !ok {
		return true
	}
	later := slices.ContainsFunc(c.records.allocsOf(a.Job), func(o mesh.AllocView) bool {
		return o.Seat() == a.Seat() && c.records.granted[o.ID].Fence.Compare(a.Fence) > 0
	})
	if fence, granted, ok := c.right(mesh.SlotOf(a.Job)); later && ok && granted {
		c.stopAlloc(reconcile.Stop{Alloc: id, Reason: "another copy was decided later"}, fence, granted)
	}
	return later
}

// rival says whether another copy in the place of one may run.
func (c *Core) rival(id mesh.AllocID) bool {
	a, ok := c.records.effective(id)
	if !ok {
		return true
	}
	job, ok := c.records.job(a.Job)
	return !ok || reconcile.Rival(c.scene(&job), &job, &a.Alloc) != ""
}

// begun says whether some task of a copy has ever been ordered to start.
func begun(s *mesh.Status) bool {
	return slices.ContainsFunc(s.Tasks, func(t mesh.TaskStatus) bool {
		return t.State != mesh.Pending || t.Restarts > 0 || !t.StartedAt.IsZero()
	})
}
