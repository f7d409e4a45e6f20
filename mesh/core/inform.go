package core

import (
	"iter"
	"maps"
	"slices"
	"time"

	"mn/mesh"
	"mn/placement/lease"
)

// A lease gives the right to decide. To decide rightly about work that must
// never run twice, a coordinator has to know what its predecessors have let run,
// and what they wrote reaches it when it will. So:
//
//  1. A copy of a keep or majority job starts only when the coordinator lets it
//     (tend.go asks), and that lets it only once the decision is durable at a
//     majority of the voters (Confirm, in confirm.go).
//  2. A coordinator plans nothing, and lets nothing run, before it has compared
//     its data with a majority of the voters since it took the slot.
//
// Two majorities share a voter, so the coordinator knows of every copy that may
// run. DESIGN.md has the argument, also for when the voters change.

// learnEvery is how long to wait until voters are asked again.
const learnEvery = 250 * time.Millisecond

// reading is a comparison of data that was whole: what the peer had when it
// began is here.
type reading struct {
	began    time.Duration // on our boot clock
	standing lease.Standing
}

// inform is what this node knows of what others have decided.
type inform struct {
	read     map[mesh.NodeID]reading // the latest of each peer
	open     map[mesh.NodeID]reading // that has begun last with each peer, and was answered
	taken    map[mesh.Slot]time.Duration
	informed map[mesh.Slot]bool // of those taken: nothing before is unknown here
	learned  time.Duration      // since when what we read counts for our voter
	next     time.Duration      // when to ask voters; never if we know all that we must
}

func newInform(now time.Duration) inform {
	return inform{
		read: map[mesh.NodeID]reading{}, open: map[mesh.NodeID]reading{}, taken: map[mesh.Slot]time.Duration{},
		informed: map[mesh.Slot]bool{}, learned: now, next: now,
	}
}

// standing is what a peer may say of decisions at the beginning of a comparison
// that takes more than one message: the least of what it says during it.
func (c *Core) standing(from mesh.NodeID, m *Message) {
	if p := c.peers[from]; p != nil && m.Began >= c.started && m.Began <= c.now.Boot {
		p.heard = max(p.heard, m.Began)
	}
	r, ok := c.inform.open[from]
	if !ok || r.began != m.Began {
		r = reading{m.Began, m.Standing}
	}
	r.standing.Knows = min(r.standing.Knows, m.Standing.Knows)
	r.standing.Past = min(r.standing.Past, m.Standing.Past)
	c.inform.open[from] = r
}

// compared notes that a comparison that began at an instant was whole.
func (c *Core) compared(from mesh.NodeID, began time.Duration) {
	r := c.inform.open[from]
	if r.began != began || began > c.now.Boot || began < c.started {
		return // another has begun since, or this one before our copy was emptied
	}
	if old, ok := c.inform.read[from]; !ok || began >= old.began {
		c.inform.read[from] = r
	}
	if p := c.peers[from]; p != nil && p.liveness == mesh.Alive && !p.fresh && began >= p.since {
		p.fresh = true
		c.touch(touched{nodes: true})
	}
	if c.inform.next != never {
		c.learn()
	}
}

// taken notes that slots are held: anew, or without a break since before.
func (c *Core) taken(slots iter.Seq[mesh.Slot]) {
	for s := range slots {
		if _, held := c.inform.taken[s]; !held {
			c.inform.taken[s], c.lead.heldSince[s] = c.now.Boot, c.now.Boot
			c.inform.next = c.now.Boot
		}
	}
}

// unlearn has this node read everything again: its copy of the data is empty.
func (c *Core) unlearn() {
	held := c.inform.taken
	c.inform = newInform(c.now.Boot)
	for s := range held {
		c.inform.taken[s] = c.now.Boot
	}
}

// lost notes that slots are held no more.
func (c *Core) lost(slots iter.Seq[mesh.Slot]) {
	for s := range slots {
		delete(c.inform.taken, s)
		delete(c.inform.informed, s)
		c.permits.lost(s)
	}
}

// informed says whether this node knows all that was let run under earlier
// holders of a slot that it holds.
func (c *Core) informed(s mesh.Slot) bool { return c.inform.informed[s] }

// study begins anew to learn what our voter must know. What it has said that it
// keeps, and has forgotten, may count with others for a little while yet: they
// are read after that, by any clock.
func (c *Core) study() {
	c.inform.learned = c.now.Boot
	if c.party.Lesson().Again {
		c.inform.learned += confirmFor + confirmFor/10
	}
	c.inform.next = c.now.Boot
}

// learn finds out what this node knows by now.
func (c *Core) learn() {
	if l := c.party.Lesson(); l.Epoch > 0 {
		for _, id := range l.From {
			r, ok := c.inform.read[id]
			if id == c.self || ok && r.began >= c.inform.learned && l.Counts(r.standing) {
				l.Quorum--
			}
		}
		fellow := slices.ContainsFunc(l.Fellows, func(id mesh.NodeID) bool {
			r, ok := c.inform.read[id]
			return ok && r.began >= c.inform.learned && r.standing.Knows == l.Epoch
		})
		if l.Quorum <= 0 || fellow {
			c.take(c.party.Step(c.now.Boot, lease.Informed{Epoch: l.Epoch}))
		}
	}
	for s, since := range c.inform.taken {
		if !c.inform.informed[s] && c.haveRead(since) {
			c.inform.informed[s] = true
			c.lead.allDirty = true
		}
	}
}

// haveRead says whether a majority of the voters was read since an instant: of
// those who know what was decided before their roster.
func (c *Core) haveRead(since time.Duration) bool {
	roster := c.party.Roster()
	n := 0
	for _, v := range roster.Voters {
		r, ok := c.inform.read[v.ID]
		if v.ID == c.self {
			r, ok = reading{c.now.Boot, c.party.Standing()}, true
		}
		if ok && r.began >= since && r.standing.Knows == roster.Epoch {
			n++
		}
	}
	return n >= roster.Quorum()
}

// informDue asks the voters, as long as there is something that this node must
// know and does not.
func (c *Core) informDue() {
	if c.now.Boot < c.inform.next {
		return
	}
	c.learn()
	ask := map[mesh.NodeID]bool{}
	l := c.party.Lesson()
	for _, id := range slices.Concat(l.From, l.Fellows) {
		ask[id] = true
	}
	for s := range c.inform.taken {
		if !c.inform.informed[s] {
			for _, v := range c.party.Roster().Voters {
				ask[v.ID] = true
			}
			break
		}
	}
	delete(ask, c.self)
	c.inform.next = never
	for _, id := range slices.Sorted(maps.Keys(ask)) {
		c.inform.next = c.now.Boot + learnEvery
		c.begin(id)
	}
}
