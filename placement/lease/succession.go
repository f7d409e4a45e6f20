package lease

import (
	"crypto/ed25519"
	"math/bits"
	"time"

	"mn/mesh"
)

// The limits of a succession.
const (
	driveTries = 4 // repetitions before a driver starts a new ballot
	roundMax   = 1 << 40
	turnTime   = time.Minute // for which the voter before has the roster to itself
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

// keepBallot makes the box durable. Like a promise of a slot, what is in it must
// not be forgotten.
func (p *Party) keepBallot() {
	p.grow()
	p.keep(keyBallot, p.box)
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

// govern does what is due for the roster.
func (p *Party) govern() {
	p.mature()
	p.tell()
	if p.seat < 0 || !p.voter.open || !p.voter.knows || p.evicted {
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

// wantsChange says whether this voter should drive a change: it has voted and
// does not know who won, or the roster is not what it should be and it is its turn.
// The voters that seem to be alive take turns in the order of their seats: the first
// may be stuck. Nothing is tried without a living majority.
func (p *Party) wantsChange() bool {
	if !p.Majority(func(id mesh.NodeID) bool { return p.peers[id].alive }) {
		p.fineAt = p.now
		return false
	}
	if p.voter.sealed {
		return true
	}
	if choose(p.roster.Voters, p.candidates()) == nil {
		p.fineAt = p.now
		return false
	}
	turn := p.fineAt
	for _, v := range p.roster.Voters[:p.seat] {
		if p.peers[v.ID].alive {
			turn += turnTime
		}
	}
	return p.now >= turn
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
		p.keepBallot()
	}
	p.send(from, Message{Vow: &vow{Ballot: m.Ballot, Voted: p.box.Voted, Entry: p.box.Entry}})
}

// electing says whether this node votes on a successor, and from may drive.
func (p *Party) electing(from mesh.NodeID) bool {
	return p.seat >= 0 && p.voter.open && p.voter.knows && p.roster.Seat(from) >= 0
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
		p.keepBallot()
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
		p.keepBallot()
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
