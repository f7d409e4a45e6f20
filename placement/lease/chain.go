package lease

import (
	"crypto/ed25519"
	"errors"
	"slices"
	"time"

	"mn/mesh"
)

// spreadTries is how often a new roster is repeated; who missed all asks for it.
const spreadTries = 10

// spread is a new roster on its way to those whom it concerns.
type spread struct {
	msg   Message
	to    []mesh.NodeID // who has not answered yet
	next  time.Duration
	tries int
}

// mature notes that all leases of earlier epochs have run out. Until then this
// voter takes no part in the next change, so that one is finished before
// another begins (R6).
func (p *Party) mature() {
	v := &p.voter
	if p.seat < 0 || v.open || !v.knows || p.now < v.openAt {
		return
	}
	v.open = true
	p.keep(keyOpen, p.roster.Epoch)
}

// announce sends a new roster to the voters of both epochs.
func (p *Party) announce(old, entry Roster, carried *carry) {
	to := map[mesh.NodeID]bool{}
	for _, v := range append(slices.Clone(old.Voters), entry.Voters...) {
		to[v.ID] = v.ID != p.self
	}
	p.spread = spread{msg: Message{Chain: &chain{[]Roster{entry}, carried}}, next: p.now}
	for id, other := range to {
		if other {
			p.spread.to = append(p.spread.to, id)
		}
	}
	slices.Sort(p.spread.to)
	p.tell()
}

// tell repeats the new roster to who has not shown that it knows it.
func (p *Party) tell() {
	s := &p.spread
	if len(s.to) == 0 || p.now < s.next {
		return
	}
	s.tries++
	s.next = p.now + p.cfg.Retry<<min(s.tries, backoffMax)
	for _, id := range s.to {
		p.send(id, s.msg)
	}
	if s.tries == spreadTries {
		s.to = nil
	}
}

// knowing notes that a peer has shown that it knows the present roster.
func (p *Party) knowing(id mesh.NodeID) {
	p.spread.to = slices.DeleteFunc(p.spread.to, func(to mesh.NodeID) bool { return to == id })
}

// onChain takes over newer rosters, as far as they are proven.
func (p *Party) onChain(from mesh.NodeID, m *chain) {
	if len(p.chain) == 0 {
		p.refuse(from, errNoRoster)
		return
	}
	before, view := p.roster.Epoch, p.view
	for _, r := range m.Entries {
		if r.Epoch < p.roster.Epoch || r.view() == p.view {
			continue
		}
		if err := p.follow(r, from); err != nil {
			p.refuse(from, err)
			break
		}
	}
	last := len(m.Entries) - 1
	switch {
	case last < 0:
		return
	case p.view != view:
		var carried *carry
		if m.Entries[last].Epoch == p.roster.Epoch && p.roster.Epoch == before+1 {
			carried = m.Carry
		}
		p.enthrone(carried)
	case m.Entries[last].view() == p.view:
		p.carryIn(m.Carry)
	default:
		return // nothing in it could be followed
	}
	p.send(from, Message{}) // this is where we are: done, or send more
}

var errNoRoster = errors.New("there is no roster yet that another could follow")

// follow appends the next roster, if it is proven, or vouched for as from says.
func (p *Party) follow(r Roster, from mesh.NodeID) error {
	check := r.proven(p.roster)
	if r.Forced != "" {
		check = r.vouched(p.roster, from, p.keyOf)
	}
	if check != nil {
		return check
	}
	p.append(r)
	return nil
}

// keyOf is the key of a node that may vouch: admitted, or a voter.
func (p *Party) keyOf(id mesh.NodeID) ed25519.PublicKey {
	if peer, ok := p.peers[id]; ok {
		return peer.key
	}
	if seat := p.roster.Seat(id); seat >= 0 {
		return p.roster.Voters[seat].Key
	}
	return nil
}

// append adds a roster to the chain.
func (p *Party) append(r Roster) {
	p.chain = slices.DeleteFunc(p.chain, func(o Roster) bool { return o.Epoch == r.Epoch })
	p.chain = append(p.chain, r)
	p.keep(rosterKey(r.Epoch), r)
	if len(p.chain) > chainMax {
		p.keepBytes(rosterKey(p.chain[0].Epoch), nil)
		p.chain = slices.Delete(p.chain, 0, 1)
	}
	p.stand(r)
}

// stand makes r the roster that counts.
func (p *Party) stand(r Roster) {
	p.roster, p.view, p.seat, p.quorum = r, r.view(), r.Seat(p.self), r.Quorum()
}

// enthrone starts the epoch of a new roster. Its voters grant nothing until the
// leases of the epoch before have run out, counted from now: whoever learns of
// a roster learns of it after the last seal (R3).
func (p *Party) enthrone(carried *carry) {
	wasVoter := p.voting
	p.voting = p.seat >= 0
	wait := p.now + p.holdTime(p.longest())
	p.voter = voter{since: p.now, blank: wait, openAt: wait}
	p.arrive()
	p.box, p.drive, p.fineAt = ballotBox{}, drive{next: p.now + p.cfg.Retry}, p.now
	p.carryIn(carried)
	p.rebid()
	r := p.roster
	c := Change{Kind: Elected, Roster: &r, Text: r.String()}
	if wasVoter && !p.voting {
		c.Kind = Retired
	}
	p.out.Changes = append(p.out.Changes, c)
}
