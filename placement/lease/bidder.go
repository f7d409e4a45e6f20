package lease

import (
	"iter"
	"math/bits"
	"slices"
	"time"

	"mn/crdt"
	"mn/mesh"
)

// backoffMax is how often the wait between two attempts doubles.
const backoffMax = 4

// proposalsMax is how often a proposal is repeated until it is given up.
const proposalsMax = 3

const never = time.Duration(-1 << 62)

// acks is, by voter's seat, when the newest request that it granted was sent,
// on the bidder's own clock.
type acks [VotersMax]time.Duration

func noAcks() acks {
	var a acks
	for i := range a {
		a[i] = never
	}
	return a
}

// since is the latest time such that a quorum granted requests sent then or
// later: each of them keeps its grant for a lease's length after that.
func (a *acks) since(quorum int) time.Duration {
	sorted := *a
	slices.Sort(sorted[:])
	return sorted[VotersMax-quorum]
}

// attempt is a bid for a slot under one ballot.
type attempt struct {
	ballot   uint64 // 0: there is none
	promised uint8  // by seat
	refused  uint8  // by seat: a higher ballot was promised
	proposed bool   // a quorum has promised
	acks     acks
	next     time.Duration // asks again
	tries    int
}

// claim is this node's side of one slot.
type claim struct {
	wanted    bool
	dropped   time.Duration // since when it is not wanted
	held      crdt.Fence    // zero: not held
	acks      acks
	until     time.Duration // of what is held
	contested bool          // a voter has promised a higher ballot: take one above it
	top       uint64        // highest ballot heard of
	next      time.Duration // no attempt begins before
	losses    int
	try       attempt
	busy      [VotersMax]time.Duration // by seat: granted to another until then
	holder    mesh.NodeID              // the other, as far as known
	holds     time.Duration            // until then
}

// idle says whether there is nothing to do about a claim, whatever the time.
func (c *claim) idle() bool { return !c.wanted && c.held.IsZero() && c.try.ballot == 0 }

// bidder is this node as one that bids for slots and holds them.
type bidder struct {
	claims  [mesh.Slots]claim
	active  SlotSet // all claims that are not idle, and perhaps some that are
	wanted  SlotSet
	sent    time.Duration // the newest renewal
	pending bool          // not yet granted by a quorum
	renewAt time.Duration
	askAt   time.Duration // asks a peer for a newer roster
}

func newBidder(now time.Duration) bidder {
	b := bidder{renewAt: now, askAt: now}
	for i := range b.claims {
		b.claims[i].acks = noAcks()
	}
	return b
}

func (p *Party) onBid(wanted SlotSet) {
	b := &p.bidder
	for slot := range wanted.Without(b.wanted).All() {
		b.claims[slot].wanted = true
		b.active.Add(slot)
	}
	for slot := range b.wanted.Without(wanted).All() {
		c := &b.claims[slot]
		c.wanted, c.dropped = false, p.now
	}
	b.wanted = wanted
}

// bid does what is due for leases, at most once a slot.
func (p *Party) bid() {
	p.expire()
	if p.roster.Epoch == 0 || p.evicted {
		return
	}
	p.yield()
	p.repeat()
	p.begin()
	p.renew()
	p.inquire()
}

// claimed yields every slot that this node wants, holds or bids for, with its
// claim. In a mesh of many nodes these are few of all.
func (p *Party) claimed() iter.Seq2[mesh.Slot, *claim] {
	return func(yield func(mesh.Slot, *claim) bool) {
		for slot := range p.bidder.active.All() {
			c := &p.bidder.claims[slot]
			if c.idle() {
				p.bidder.active.Remove(slot)
			} else if !yield(slot, c) {
				return
			}
		}
	}
}

// repeat asks again where answers are missing. A bid that some voter refused
// for a higher ballot, and that no quorum wants, starts again above it. One that
// some have granted, and no quorum will, gives that back: another bidder may have
// the other voters, and both would wait for each other for ever.
func (p *Party) repeat() {
	var asks, proposals, quits []group
	for slot, c := range p.claimed() {
		t := &c.try
		if t.ballot == 0 || p.now < t.next {
			continue
		}
		if t.refused != 0 {
			p.lose(c, p.backoff(c.losses))
			continue
		}
		if t.proposed && t.tries == proposalsMax {
			if c.held.IsZero() { // else the voters' grants are those of what is held too
				quits = addTo(quits, t.ballot, slot)
			}
			p.lose(c, p.backoff(c.losses+1))
			continue
		}
		t.tries++
		t.next = p.now + min(p.cfg.Retry<<min(t.tries, backoffMax), p.renewTime())
		if t.proposed {
			proposals = addTo(proposals, t.ballot, slot)
		} else {
			asks = addTo(asks, t.ballot, slot)
		}
	}
	for _, g := range asks {
		ask := prepare(g)
		p.broadcast(Message{Prepare: &ask})
	}
	p.release(quits)
	p.propose(proposals)
}

func (p *Party) propose(groups []group) {
	for part := range slices.Chunk(groups, groupsMax) {
		p.broadcast(Message{Propose: &propose{p.now, part}})
	}
}

func (p *Party) release(groups []group) {
	for part := range slices.Chunk(groups, groupsMax) {
		p.broadcast(Message{Release: &release{part}})
	}
}

// lose ends an attempt; the next one takes a higher ballot, after a wait.
func (p *Party) lose(c *claim, wait time.Duration) {
	c.try = attempt{}
	c.next = p.now + wait
	c.losses++
}

// backoff is none for the first loss, which is mostly news of a ballot that was
// unknown here; then a random wait that doubles with the losses. All slots of one step
// wait equally if they lost equally often, so that they stay in one message.
func (p *Party) backoff(losses int) time.Duration {
	if losses == 0 {
		return 0
	}
	if p.jitter < 0 {
		p.jitter = p.rng.Float64()
	}
	span := p.cfg.Retry << min(losses, backoffMax)
	return time.Duration(p.jitter * float64(span))
}

// begin bids for all slots that are wanted and not held, under one ballot above
// all that it has heard of: one message to each voter.
func (p *Party) begin() {
	var slots SlotSet
	ballot := uint64(0)
	for slot, c := range p.claimed() {
		holding := c.held.Epoch == p.roster.Epoch && !c.held.IsZero() && !c.contested
		if !c.wanted || holding || c.try.ballot != 0 || p.now < c.next {
			continue
		}
		slots.Add(slot)
		ballot = max(ballot, c.top)
	}
	ballot++
	if slots.Empty() || ballot > ballotMax {
		return
	}
	for slot := range slots.All() {
		c := &p.bidder.claims[slot]
		c.top = ballot
		c.try = attempt{ballot: ballot, acks: noAcks(), next: p.now + p.cfg.Retry}
	}
	p.broadcast(Message{Prepare: &prepare{ballot, slots}})
}

// onPromise counts a voter's promises. The slots that have a quorum of them are
// proposed at once, together.
func (p *Party) onPromise(seat int, m *promise) {
	if m.Run != p.run.Nonce || p.paces[seat].is == fast {
		return // to an earlier life of this node, or by a clock that forgets too early
	}
	bit := uint8(1) << seat
	if m.Higher != nil && p.asking(m.Ballot, m.Higher.Slots) {
		p.hear(seat, m.Higher)
	}
	var ready SlotSet
	for slot := range m.Slots.All() {
		c := &p.bidder.claims[slot]
		t := &c.try
		if t.ballot != m.Ballot {
			continue
		}
		t.promised |= bit
		c.busy[seat] = 0
		if !t.proposed && bits.OnesCount8(t.promised) >= p.quorum {
			t.proposed, t.tries, t.next = true, 0, p.now+p.cfg.Retry
			ready.Add(slot)
		}
	}
	for _, b := range m.Busy {
		p.await(seat, m.Ballot, b)
	}
	if !ready.Empty() {
		p.propose([]group{{m.Ballot, ready}})
	}
}

// asking says whether the answer is about the present attempts: one about an
// earlier ballot may name this node's own later one as the higher.
func (p *Party) asking(ballot uint64, slots SlotSet) bool {
	for slot := range slots.All() {
		if p.bidder.claims[slot].try.ballot == ballot {
			return true
		}
	}
	return false
}

// hear takes note of a higher ballot, promised to another. A bid
// that can no longer reach a quorum is given up; a slot that is held gets a
// higher ballot in time, before the voters that still renew it become too few.
func (p *Party) hear(seat int, higher *group) {
	if higher == nil {
		return
	}
	for slot := range higher.Slots.All() {
		c := &p.bidder.claims[slot]
		c.top = max(c.top, min(higher.Ballot, c.top+ballotJump))
		t := &c.try
		switch {
		case t.ballot != 0 && higher.Ballot >= t.ballot:
			t.refused |= 1 << seat
			if bits.OnesCount8(t.refused) > len(p.roster.Voters)-p.quorum {
				p.lose(c, p.backoff(c.losses))
			}
		case t.ballot == 0 && !c.held.IsZero() && !c.contested:
			c.contested = true
			c.next = p.now
		}
	}
}

// await plans to ask again at the instant at which enough voters will be free,
// and at each renewal time before, in case the holder gives its slot back.
func (p *Party) await(seat int, ballot uint64, b busy) {
	wait := min(max(b.Wait, 0), p.holdTime(lengthMax))
	until := p.now + wait + drift(wait, 2*p.cfg.Rate)
	for slot := range b.Slots.All() {
		c := &p.bidder.claims[slot]
		c.holder, c.holds = b.Holder, until
		t := &c.try
		if t.ballot != ballot || t.promised&(1<<seat) != 0 {
			continue
		}
		c.busy[seat] = until
		var waits []time.Duration
		for _, w := range c.busy[:len(p.roster.Voters)] {
			if w > p.now {
				waits = append(waits, w)
			}
		}
		slices.Sort(waits)
		promises := bits.OnesCount8(t.promised)
		missing := p.quorum - promises
		if missing < 1 || missing > len(waits) {
			continue
		}
		if promises+len(waits) == len(p.roster.Voters) {
			t.tries, t.next = 0, p.now+p.renewTime() // all have answered
		}
		t.next = min(t.next, waits[missing-1])
	}
}

// onAccept counts a voter's grants, each from when its request was sent.
func (p *Party) onAccept(seat int, run uint64, m *accept) {
	if m.Run != p.run.Nonce || m.Sent > p.now || m.Sent < p.started {
		return // not what this run has asked; the clock of another boot may show any time
	}
	p.measure(seat, run, m)
	p.hear(seat, m.Higher)
	if p.paces[seat].is == fast {
		return
	}
	for _, g := range m.Groups {
		fence := crdt.Fence{Epoch: p.roster.Epoch, Ballot: g.Ballot}
		for slot := range g.Slots.All() {
			c := &p.bidder.claims[slot]
			switch {
			case c.try.ballot == g.Ballot && c.try.proposed:
				p.granted(slot, seat, m.Sent, fence)
			case c.held == fence:
				c.acks[seat] = max(c.acks[seat], m.Sent)
				c.until = max(c.until, c.acks.since(p.quorum)+p.validTime())
			}
		}
	}
	if p.bidder.pending && p.renewed() {
		p.bidder.pending = false
		p.bidder.renewAt = p.bidder.sent + p.renewTime()
	}
}

// granted counts one grant of an attempt. With a quorum of them the slot is
// held, unless the answers took longer than the lease.
func (p *Party) granted(slot mesh.Slot, seat int, sent time.Duration, fence crdt.Fence) {
	c := &p.bidder.claims[slot]
	c.try.acks[seat] = max(c.try.acks[seat], sent)
	since := c.try.acks.since(p.quorum)
	if since == never || p.now >= since+p.validTime() {
		return
	}
	if !c.held.IsZero() && !c.valid(p.now) {
		p.change(Expired, c.held, slot) // another may have held it since
	}
	c.held, c.acks, c.until = fence, c.try.acks, since+p.validTime()
	c.contested, c.losses, c.try = false, 0, attempt{}
	c.holder = ""
	p.bidder.renewAt = min(p.bidder.renewAt, since+p.renewTime())
	p.change(Taken, fence, slot)
}

// rebid starts anew under a new roster: what is held stays held until its time,
// and is bid for again at once.
func (p *Party) rebid() {
	for i := range p.bidder.claims {
		c := &p.bidder.claims[i]
		c.try, c.top, c.losses, c.contested = attempt{}, 0, 0, false
		c.next, c.busy = p.now, [VotersMax]time.Duration{}
	}
	p.bidder.pending = false
	paces, of := p.paces, p.pacesOf // there may have been other rosters in between
	p.paces, p.pacesOf = [VotersMax]pace{}, p.roster.Voters
	for seat, v := range p.roster.Voters {
		if was := slices.IndexFunc(of, func(o Voter) bool { return o.ID == v.ID }); was >= 0 {
			p.paces[seat] = paces[was]
		}
	}
}
