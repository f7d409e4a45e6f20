package core

import (
	"slices"
	"time"

	"mn/mesh"
	"mn/placement/lease"
)

// A node can be alive to gossip and yet unable to lead: it reaches others only
// by a detour that gossip finds and messages do not, its disk is full, or the
// voters do not listen to it any more. Its slots would have no coordinator for
// as long as that lasts, for the others see it and stand by. So a node that no
// majority of the voters answers says that it abstains, by gossip, and the
// others rank without it. It goes on asking for the slots that would be its
// own, and leads again when it is answered. Like who is alive, it is a hint:
// leases decide.

// abstention is who cannot lead, this node included.
type abstention struct {
	self   bool
	others map[mesh.NodeID]bool
	// heard is when each voter answered last, answered when a majority of them
	// last had.
	heard    map[mesh.NodeID]time.Duration
	answered time.Duration
	asks     time.Duration // since when we ask for slots without a break; never if we ask for none
}

func newAbstention() abstention {
	return abstention{others: map[mesh.NodeID]bool{}, heard: map[mesh.NodeID]time.Duration{}, asks: never}
}

// Abstains says whether this node cannot lead, as far as it can tell.
func (c *Core) Abstains() bool { return c.abstention.self }

// patience is for how long voters may be silent: whoever waits for a slot is
// told when to ask again, at most a lease later.
func (c *Core) patience() time.Duration {
	return 2 * max(c.cfg.Lease.Length, c.party.Roster().Length)
}

// abstained takes a peer's word that it cannot lead, or can again.
func (c *Core) abstained(ev Abstained) {
	if c.abstention.others[ev.Node] == ev.Abstains {
		return
	}
	if ev.Abstains {
		c.abstention.others[ev.Node] = true
	} else {
		delete(c.abstention.others, ev.Node)
	}
	c.touch(touched{nodes: true})
}

// answeredBy notes that a voter has answered a bid or a renewal.
func (c *Core) answeredBy(from mesh.NodeID, m *lease.Message) {
	if m.Promise == nil && m.Accept == nil {
		return
	}
	a := &c.abstention
	a.heard[from] = c.now.Boot
	recent := func(id mesh.NodeID) bool {
		at, ok := a.heard[id]
		return id == c.self || ok && c.now.Boot-at < c.patience()/2
	}
	if c.party.Majority(recent) {
		a.answered = c.now.Boot
	}
}

// unheard takes lost leases for what they are, if none is left: too few voters
// have answered in time. They must do so anew.
func (c *Core) unheard() {
	for s := range mesh.Slots {
		if _, held := c.party.Held(c.now.Boot, mesh.Slot(s)); held {
			return
		}
	}
	clear(c.abstention.heard)
	c.abstention.answered = min(c.abstention.answered, c.now.Boot-c.patience())
}

// abstain finds out whether this node can lead. With no majority of the voters
// in sight that is another question: see degrade.
func (c *Core) abstain() {
	a := &c.abstention
	self := c.out != "" || c.party.Outpaced() || c.lead.majorityAt != never && c.silentAt() <= c.now.Boot
	if self == a.self {
		return
	}
	a.self, c.lead.members = self, true
	text := "a majority of the voters answers this node again: it leads"
	if self {
		text = "no majority of the voters answers this node, or counts for it: others lead in its place"
	}
	c.event(mesh.Event{Kind: mesh.LeadChanged, Text: text})
}

// silentAt is when the voters have been silent for too long, unless they answer before.
// Whoever asks them for nothing, or needs no other, hears none.
func (c *Core) silentAt() time.Duration {
	alone := c.party.Majority(func(id mesh.NodeID) bool { return id == c.self })
	if c.lead.majorityAt == never || c.abstention.asks == never || alone {
		return never
	}
	return max(c.abstention.answered, c.abstention.asks, c.lead.majorityAt, c.started) + c.patience()
}

// abstainWake is when to find out.
func (c *Core) abstainWake() time.Duration {
	if c.abstention.self {
		return never // an answer wakes us
	}
	return c.silentAt()
}

// leaders are those of the nodes in sight that can lead; all of them if that
// is nobody, or where no majority of the voters is in sight anyway.
func (c *Core) leaders(live []mesh.NodeID) []mesh.NodeID {
	able := live
	if c.abstention.self || len(c.abstention.others) > 0 {
		able = slices.DeleteFunc(slices.Clone(live), func(id mesh.NodeID) bool {
			return c.abstention.others[id] || id == c.self && c.abstention.self
		})
	}
	if c.out != "" || len(able) > 0 && !c.lead.degraded {
		return able
	}
	return live
}

// wanted are the slots to ask for: those in which this node ranks first, and if
// it abstains those in which it would.
func (c *Core) wanted() lease.SlotSet {
	var slots lease.SlotSet
	for s := range mesh.Slots {
		first := c.lead.leaders.Of(mesh.Slot(s))
		if c.abstention.self {
			first = c.lead.leaders.With(mesh.Slot(s), c.self)
		}
		if first == c.self {
			slots.Add(mesh.Slot(s))
		}
	}
	switch {
	case slots.Empty():
		c.abstention.asks = never
	case c.abstention.asks == never:
		c.abstention.asks = c.now.Boot
	}
	return slots
}
