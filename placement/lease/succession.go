package lease

import (
	"crypto/ed25519"
	"errors"
	"math/bits"
	"slices"
	"time"

	"mn/mesh"
)

// The limits of a succession.
const (
	driveTries  = 4  // repetitions before a driver starts a new ballot
	spreadTries = 10 // repetitions of a new roster; who missed all of them asks
	roundMax    = 1 << 40
)

// ballotBox is this voter's part in choosing the successor of the roster of an
// epoch: single-decree Paxos. It is durable before it is told to anyone (R1).
// A vote seals the epoch for this voter (R2): the lease of no slot is granted or
// renewed under it any more, whoever wins.
type ballotBox struct {
	Epoch    uint64  `json:"e"`
	Promised uint64  `json:"p"`
	Voted    uint64  `json:"v,omitempty"` // ballot of the vote
	Entry    *Roster `json:"n,omitempty"` // what it was for
}

// drive is an attempt of this voter to find a successor.
type drive struct {
	ballot uint64 // 0: there is none
	vows   uint8  // by seat
	best   uint64 // the highest ballot of a vote that we heard of
	value  *Roster
	asked  bool // the votes are asked for
	votes  uint8
	signs  [VotersMax][]byte
	carry  *carry
	next   time.Duration
	tries  int
}

// spread is a new roster on its way to those whom it concerns.
type spread struct {
	msg   Message
	to    []mesh.NodeID // who has not answered yet
	next  time.Duration
	tries int
}

// govern does what is due for the roster.
func (p *Party) govern() {
	p.mature()
	p.tell()
	if p.seat < 0 || !p.voter.open || p.evicted {
		return
	}
	d := &p.drive
	if d.ballot != 0 {
		if p.now >= d.next {
			p.pursue()
		}
		return
	}
	if p.now < d.next {
		return
	}
	d.next = p.now + p.renewTime()
	if p.wantsChange() {
		p.seek()
	}
}

// mature notes that all leases of earlier epochs have run out. Until then this
// voter takes no part in the next change, so that one is finished before
// another begins (R6).
func (p *Party) mature() {
	v := &p.voter
	if p.seat < 0 || v.open || p.now < v.openAt {
		return
	}
	v.open = true
	p.keep(keyOpen, p.roster.Epoch)
}

// wantsChange says whether this voter should drive a change: it has voted and
// does not know who won, or the roster is not what it should be and no voter
// before it seems to be alive. Nothing is tried without a living majority.
func (p *Party) wantsChange() bool {
	if !p.Majority(func(id mesh.NodeID) bool { return p.peers[id].alive }) {
		return false
	}
	if p.voter.sealed {
		return true
	}
	for _, v := range p.roster.Voters[:p.seat] {
		if p.peers[v.ID].alive {
			return false
		}
	}
	return choose(p.roster.Voters, p.candidates()) != nil
}

// seek begins a ballot: above all that this voter knows, and its own alone, for
// the seat is part of the number.
func (p *Party) seek() {
	round := p.box.Promised/VotersMax + 1
	if round > roundMax {
		return
	}
	p.drive = drive{
		ballot: round*VotersMax + uint64(p.seat),
		carry:  &carry{Of: make([]uint16, mesh.Slots)},
		next:   p.now + p.cfg.Retry,
	}
	p.broadcast(Message{Seek: &seek{p.drive.ballot}})
}

// pursue repeats the question of the present ballot, or gives it up.
func (p *Party) pursue() {
	d := &p.drive
	d.tries++
	if d.tries > driveTries {
		p.giveUp()
		return
	}
	d.next = p.now + p.cfg.Retry
	if d.asked {
		p.broadcast(Message{Elect: &elect{d.ballot, *d.value}})
	} else {
		p.broadcast(Message{Seek: &seek{d.ballot}})
	}
}

// giveUp ends the ballot; another begins after a random wait, so that two
// drivers do not outbid each other for ever.
func (p *Party) giveUp() {
	p.drive = drive{next: p.now + p.cfg.Retry + p.backoff(backoffMax)}
}

func (p *Party) onSeek(from mesh.NodeID, m *seek) {
	if !p.electing(from) || m.Ballot/VotersMax > roundMax {
		return
	}
	if m.Ballot < p.box.Promised {
		p.send(from, Message{Vow: &vow{Ballot: m.Ballot, Higher: p.box.Promised}})
		return
	}
	if m.Ballot > p.box.Promised {
		p.box.Epoch, p.box.Promised = p.roster.Epoch, m.Ballot
		p.keep(keyBallot, p.box)
	}
	p.send(from, Message{Vow: &vow{Ballot: m.Ballot, Voted: p.box.Voted, Entry: p.box.Entry}})
}

// electing says whether this node votes on a successor, and from may drive.
func (p *Party) electing(from mesh.NodeID) bool {
	return p.seat >= 0 && p.voter.open && p.roster.Seat(from) >= 0
}

// onVow counts a promise. With a quorum of them, what may have been chosen
// before must be asked for; only if nothing was is the choice free.
func (p *Party) onVow(seat int, m *vow) {
	d := &p.drive
	if d.ballot == 0 || m.Ballot != d.ballot || d.asked {
		return
	}
	if m.Higher > d.ballot {
		p.outbid(m.Higher)
		return
	}
	d.vows |= 1 << seat
	if m.Entry != nil && m.Voted >= d.best && m.Entry.checkNext(p.roster) == nil {
		d.best, d.value = m.Voted, m.Entry
	}
	if bits.OnesCount8(d.vows) < p.quorum {
		return
	}
	if d.value == nil {
		voters := choose(p.roster.Voters, p.candidates())
		if voters == nil || p.roster.Epoch == epochMax {
			p.giveUp()
			return
		}
		d.value = &Roster{
			Epoch: p.roster.Epoch + 1, Voters: voters,
			Length: p.roster.Length, Prev: p.roster.digest(),
		}
	}
	d.asked, d.tries, d.next = true, 0, p.now+p.cfg.Retry
	p.broadcast(Message{Elect: &elect{d.ballot, *d.value}})
}

// outbid gives up for a higher ballot, and remembers it so that the next one is
// above it. Nothing is promised by that.
func (p *Party) outbid(higher uint64) {
	if higher/VotersMax <= roundMax && higher > p.box.Promised {
		p.box.Epoch, p.box.Promised = p.roster.Epoch, higher
		p.keep(keyBallot, p.box)
	}
	p.giveUp()
}

// onElect votes, if no higher ballot was promised. The vote and with it the
// seal are kept before the answer goes out.
func (p *Party) onElect(from mesh.NodeID, m *elect) {
	if !p.electing(from) || m.Ballot/VotersMax > roundMax {
		return
	}
	if m.Ballot < p.box.Promised {
		p.send(from, Message{Vote: &vote{Ballot: m.Ballot, Higher: p.box.Promised}})
		return
	}
	if err := m.Entry.checkNext(p.roster); err != nil {
		p.refuse(from, err)
		return
	}
	if m.Ballot != p.box.Voted {
		entry := m.Entry
		entry.Proof = Proof{}
		p.box = ballotBox{p.roster.Epoch, m.Ballot, m.Ballot, &entry}
		p.keep(keyBallot, p.box)
	}
	p.voter.sealed = true
	if p.drive.ballot == 0 { // whoever drives has the first chance to finish
		p.drive.next = p.now + 2*p.cfg.Retry + p.backoff(backoffMax)
	}
	p.send(from, Message{Vote: &vote{
		Ballot: m.Ballot,
		Sign:   ed25519.Sign(p.key, p.box.Entry.ballotText(m.Ballot)),
		Carry:  p.carryOut(),
	}})
}

// onVote counts a vote. A quorum of one ballot chooses the roster, and their
// signatures are its proof.
func (p *Party) onVote(seat int, m *vote) {
	d := &p.drive
	if d.ballot == 0 || m.Ballot != d.ballot || !d.asked || d.votes&(1<<seat) != 0 {
		return
	}
	if m.Higher > d.ballot {
		p.outbid(m.Higher)
		return
	}
	key := ed25519.PublicKey(p.roster.Voters[seat].Key)
	if m.Carry == nil || !ed25519.Verify(key, d.value.ballotText(d.ballot), m.Sign) {
		return
	}
	d.votes |= 1 << seat
	d.signs[seat] = m.Sign
	d.carry.merge(m.Carry)
	if bits.OnesCount8(d.votes) < p.quorum {
		return
	}
	entry, old, carried := *d.value, p.roster, d.carry
	entry.Proof = Proof{Ballot: d.ballot}
	for i, sign := range d.signs {
		if sign != nil {
			by := old.Voters[i].ID
			entry.Proof.Votes = append(entry.Proof.Votes, Signature{by, sign})
		}
	}
	p.append(entry)
	p.enthrone(carried)
	p.announce(old, entry, carried)
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
		if err := p.follow(r); err != nil {
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

// follow appends the next roster, if it is proven or vouched for.
func (p *Party) follow(r Roster) error {
	check := r.proven(p.roster)
	if r.Forced != "" {
		check = r.vouched(p.roster, p.keyOf)
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
	p.voter = voter{blank: wait, openAt: wait}
	p.box, p.drive = ballotBox{}, drive{next: p.now + p.cfg.Retry}
	p.carryIn(carried)
	p.rebid()
	r := p.roster
	c := Change{Kind: Elected, Roster: &r, Text: r.String()}
	if wasVoter && !p.voting {
		c.Kind = Retired
	}
	p.out.Changes = append(p.out.Changes, c)
}
