package lease

import (
	"time"

	"mn/crdt"
)

// The limits of a holder.
const (
	stuckAfter = 3  // repetitions after which the roster may be an old one
	groupsFew  = 3  // ballots held side by side before they are made one again
	askCalm    = 10 // renewal times between questions for a newer roster
)

// valid says whether the claim holds its slot at now.
func (c *claim) valid(now time.Duration) bool { return !c.held.IsZero() && now < c.until }

// expire gives up what was not renewed in time.
func (p *Party) expire() {
	for slot, c := range p.claimed() {
		if !c.held.IsZero() && !c.valid(p.now) {
			p.change(Expired, c.held, slot)
			c.held = crdt.Fence{}
		}
	}
}

// yield gives back slots that have not been wanted for long enough. It holds
// them no longer from this instant on, before anybody is told.
func (p *Party) yield() {
	var groups []group
	for slot, c := range p.claimed() {
		if c.wanted || p.now < c.dropped+p.cfg.Yield {
			continue
		}
		if c.try.ballot != 0 {
			groups = addTo(groups, c.try.ballot, slot)
			c.try = attempt{}
		}
		if c.held.IsZero() {
			continue
		}
		if c.held.Epoch == p.roster.Epoch {
			groups = addTo(groups, c.held.Ballot, slot)
		}
		p.change(Yielded, c.held, slot)
		c.held = crdt.Fence{}
	}
	p.release(groups)
}

// renewed says whether a quorum has granted the newest renewal.
func (p *Party) renewed() bool {
	for _, c := range p.claimed() {
		if c.held.Epoch == p.roster.Epoch && !c.held.IsZero() &&
			c.acks.since(p.quorum) < p.bidder.sent {
			return false
		}
	}
	return true
}

// renew asks the voters to go on: one message to each for all slots. Bids of
// several occasions have several ballots; when they become many, one new bid
// makes them one, while the old ones still hold.
func (p *Party) renew() {
	b := &p.bidder
	if p.now < b.renewAt {
		return
	}
	var groups, lasting []group
	for slot, c := range p.claimed() {
		if !c.valid(p.now) || c.held.Epoch != p.roster.Epoch {
			continue
		}
		groups = addTo(groups, c.held.Ballot, slot)
		if c.wanted {
			lasting = addTo(lasting, c.held.Ballot, slot)
		}
	}
	if len(groups) == 0 {
		b.renewAt = p.now + p.renewTime()
		if p.Outpaced() || p.hasty() { // only answers can show that the clocks are good again
			p.broadcast(Message{Propose: &propose{Sent: p.now}})
		}
		return
	}
	b.sent, b.pending = p.now, true
	b.renewAt = p.now + min(p.cfg.Retry, p.renewTime())
	p.propose(groups)
	if len(lasting) > groupsFew {
		for _, c := range p.claimed() {
			c.contested = c.contested || c.wanted && !c.held.IsZero()
		}
	}
}

// renewTime is how often to renew: the roster's length may be shorter than what
// this node is configured for.
func (p *Party) renewTime() time.Duration { return min(p.cfg.Renew, p.roster.Length/3) }

// inquire asks some peer whether there is a newer roster: now and then, and
// soon if the voters that this node knows do not answer.
func (p *Party) inquire() {
	b := &p.bidder
	if p.now < b.askAt {
		return
	}
	peers := p.peers.alive(p.self)
	if len(peers) > 0 {
		p.send(peers[p.rng.IntN(len(peers))], Message{})
	}
	b.askAt = p.now + p.renewTime()
	if !p.stuck() {
		b.askAt = p.now + askCalm*p.renewTime()
	}
}

func (p *Party) stuck() bool {
	for _, c := range p.claimed() {
		if c.try.tries >= stuckAfter {
			return true
		}
	}
	return false
}

// drop gives up everything at once, without a word to anyone.
func (p *Party) drop(kind ChangeKind) {
	var slots SlotSet
	for slot, c := range p.claimed() {
		if !c.held.IsZero() {
			slots.Add(slot)
		}
		c.held, c.try = crdt.Fence{}, attempt{}
	}
	p.out.Changes = append(p.out.Changes, Change{Kind: kind, Slots: slots})
}
