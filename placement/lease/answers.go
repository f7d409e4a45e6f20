package lease

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"mn/crdt"
	"mn/mesh"
)

func byID(a, b Voter) int { return cmp.Compare(a.ID, b.ID) }

// Held is the fence under which this node holds slot at now. Whoever acts on it
// asks again right before, with a clock read anew.
func (p *Party) Held(now time.Duration, slot mesh.Slot) (crdt.Fence, bool) {
	c := &p.bidder.claims[slot]
	if !c.valid(max(now, p.now)) {
		return crdt.Fence{}, false
	}
	return c.held, true
}

// Coordinator is the node that is known to hold slot at now, or "": a hint.
func (p *Party) Coordinator(now time.Duration, slot mesh.Slot) mesh.NodeID {
	if _, held := p.Held(now, slot); held {
		return p.self
	}
	if g := p.voter.grant[slot]; p.seat >= 0 && now < g.until && g.holder != "" {
		return g.holder
	}
	if c := &p.bidder.claims[slot]; now < c.holds {
		return c.holder
	}
	return ""
}

// Barred is why this node must join anew, or "".
func (p *Party) Barred() string { return p.barred }

// Forgot says whether this node's disk has lost something that it has not learned
// again.
func (p *Party) Forgot() bool { return p.forgot }

// Roster is the roster that stands. Its epoch is 0 before there is one.
func (p *Party) Roster() Roster { return p.roster }

// Chain is the rosters that a joining node adopts, newest last.
func (p *Party) Chain() []Roster {
	return slices.Clone(p.chain[max(len(p.chain)-entriesMax, 0):])
}

// Majority says whether more than half of all voters are alive: dead ones are
// counted, for a majority of the living is no majority (R5).
func (p *Party) Majority(alive func(mesh.NodeID) bool) bool {
	n := 0
	for _, v := range p.roster.Voters {
		if alive(v.ID) {
			n++
		}
	}
	return p.roster.Epoch != 0 && n >= p.quorum
}

// Wake is when the Party wants a Tick, at the latest.
func (p *Party) Wake() time.Duration {
	const idle = time.Minute
	wake := p.now + idle
	if p.barred != "" || p.roster.Epoch == 0 || p.evicted {
		return wake
	}
	wake = min(wake, p.bidder.renewAt, p.bidder.askAt)
	for _, c := range p.claimed() {
		wake = min(wake, p.wakeFor(c))
	}
	if len(p.spread.to) > 0 {
		wake = min(wake, p.spread.next)
	}
	switch {
	case p.seat < 0 || !p.voter.knows: // it is told when it is
	case !p.voter.open:
		wake = min(wake, p.voter.openAt)
	default:
		wake = min(wake, p.drive.next)
	}
	return wake
}

// wakeFor is when a claim has something due.
func (p *Party) wakeFor(c *claim) time.Duration {
	wake := time.Duration(1<<63 - 1)
	if !c.held.IsZero() {
		wake = c.until
	}
	current := !c.held.IsZero() && c.held.Epoch == p.roster.Epoch
	switch {
	case c.try.ballot != 0:
		wake = min(wake, c.try.next)
	case c.wanted && (!current || c.contested):
		wake = min(wake, c.next)
	}
	if !c.wanted && (!c.held.IsZero() || c.try.ballot != 0) {
		wake = min(wake, c.dropped+p.cfg.Yield)
	}
	return wake
}

// Holdings yields the slots that this node holds at now, each with its fence.
func (p *Party) Holdings(now time.Duration) iter.Seq2[mesh.Slot, crdt.Fence] {
	return func(yield func(mesh.Slot, crdt.Fence) bool) {
		for slot, c := range p.claimed() {
			if c.valid(max(now, p.now)) && !yield(slot, c.held) {
				return
			}
		}
	}
}
