package lease

import (
	"errors"
	"math"
	"slices"
	"time"

	"mn/mesh"
)

// grant is a lease as a voter sees it.
type grant struct {
	holder mesh.NodeID // "" in a carried grant whose holder is not certain
	ballot uint64
	until  time.Duration // on the voter's clock
}

// asker is one run of a bidder, by its nonce. A ballot that an earlier run was promised is not
// the present run's: its fence would be granted twice.
type asker struct {
	ID  mesh.NodeID `json:"i"`
	Run uint64      `json:"r"`
}

// voter is this node as a voter of the current roster. Ballots and owners are
// durable before they are told to anyone; grants are not written at all, see
// [Party.remember].
type voter struct {
	ballot [mesh.Slots]uint64 // highest promised
	owner  [mesh.Slots]asker  // whom it was promised to
	grant  [mesh.Slots]grant
	dirty  bool // promises changed in this step

	sealed bool          // voted for a successor: grants nothing in this epoch any more
	blank  time.Duration // grants nothing before
	openAt time.Duration // leases of the epoch before have run out by then
	open   bool          // they have, and that is kept
	since  time.Duration // it votes in this epoch, in this life
	knows  bool          // what was decided before this epoch; kept
	knew   bool          // it has known that, whether or not it does; kept
}

// holdTime is how long a voter counts a lease: from the receipt of the request,
// long enough even if its own clock is the fastest allowed.
func (p *Party) holdTime(length time.Duration) time.Duration {
	return length + drift(length, p.cfg.Rate)
}

// validTime is how long a holder counts a lease: from before the request is
// sent, short enough even if its own clock is the slowest allowed.
func (p *Party) validTime() time.Duration {
	return p.roster.Length - drift(p.roster.Length, p.cfg.Rate)
}

func drift(d time.Duration, rate float64) time.Duration {
	return time.Duration(math.Ceil(float64(d) * rate))
}

// onPrepare promises a bidder the slots that are free, or its own already, and
// whose ballot it beats. A slot that another holds is refused without a trace,
// so that waiting bidders do not disturb the holder.
func (p *Party) onPrepare(from asker, m *prepare) {
	v := &p.voter
	if p.seat < 0 || v.sealed {
		return
	}
	reply := promise{Run: from.Run, Ballot: m.Ballot}
	var higher group
	for slot := range m.Slots.All() {
		switch {
		case p.hasty():
			reply.Busy = addBusy(reply.Busy, "", p.renewTime(), slot)
		case !v.knows:
			reply.Busy = addBusy(reply.Busy, "", max(v.blank-p.now, p.lessonWait()), slot)
		case v.blank > p.now:
			reply.Busy = addBusy(reply.Busy, "", v.blank-p.now, slot)
		case v.taken(p.now, slot, from.ID):
			g := v.grant[slot]
			reply.Busy = addBusy(reply.Busy, g.holder, g.until-p.now, slot)
		case !p.promise(slot, from, m.Ballot):
			higher.Ballot = max(higher.Ballot, v.ballot[slot])
			higher.Slots.Add(slot)
		default:
			reply.Slots.Add(slot)
		}
	}
	if !higher.Slots.Empty() {
		reply.Higher = &higher
	}
	p.send(from.ID, Message{Promise: &reply})
}

// addBusy adds a slot to the refusals of its holder; the shortest wait counts,
// as the bidder asks again then. Holders past the bound are left out: the
// bidder asks for those slots again by itself.
func addBusy(list []busy, holder mesh.NodeID, wait time.Duration, slot mesh.Slot) []busy {
	i := slices.IndexFunc(list, func(b busy) bool { return b.Holder == holder })
	if i < 0 {
		if len(list) == busyMax {
			return list
		}
		return append(list, busy{holder, wait, SlotsOf(slot)})
	}
	list[i].Wait = min(list[i].Wait, wait)
	list[i].Slots.Add(slot)
	return list
}

// taken says whether somebody other than id may hold slot at now.
func (v *voter) taken(now time.Duration, slot mesh.Slot, id mesh.NodeID) bool {
	g := v.grant[slot]
	return g.until > now && g.holder != id
}

// promise promises ballot of slot to a bidder: not below what was promised
// before, and the same ballot only to the same bidder, so that no two nodes are
// ever granted the same ballot. One far above all others is refused: nobody
// shall use up the numbers.
func (p *Party) promise(slot mesh.Slot, to asker, ballot uint64) bool {
	v := &p.voter
	had := v.ballot[slot]
	if ballot == had && v.owner[slot] == to {
		return true
	}
	if ballot <= had || ballot > had+ballotJump {
		return false
	}
	v.ballot[slot], v.owner[slot] = ballot, to
	v.dirty = true
	p.grow()
	return true
}

// onPropose grants what was promised, or could be: a voter that missed the
// promise makes it now. A renewal of the promised ballot writes nothing.
func (p *Party) onPropose(from asker, m *propose) {
	v := &p.voter
	if p.seat < 0 || v.sealed || v.blank > p.now || !v.knows || p.hasty() {
		return
	}
	reply := accept{Run: from.Run, Sent: m.Sent, Clock: p.now}
	var higher group
	until := p.now + p.holdTime(p.roster.Length)
	for _, g := range m.Groups {
		granted := group{Ballot: g.Ballot}
		for slot := range g.Slots.All() {
			switch {
			case v.taken(p.now, slot, from.ID):
			case v.owner[slot] == from && g.Ballot < v.ballot[slot]:
				// It has asked with a higher ballot since: nobody outbid it.
			case !p.promise(slot, from, g.Ballot):
				higher.Ballot = max(higher.Ballot, v.ballot[slot])
				higher.Slots.Add(slot)
			default:
				v.grant[slot] = grant{from.ID, g.Ballot, until}
				granted.Slots.Add(slot)
			}
		}
		if !granted.Slots.Empty() {
			reply.Groups = append(reply.Groups, granted)
		}
	}
	if !higher.Slots.Empty() {
		reply.Higher = &higher
	}
	p.send(from.ID, Message{Accept: &reply})
}

// onRelease forgets grants that their holder gives back. The promises stay, so
// the next fence is higher.
func (p *Party) onRelease(from mesh.NodeID, m *release) {
	for _, g := range m.Groups {
		for slot := range g.Slots.All() {
			held := &p.voter.grant[slot]
			if held.holder == from && held.ballot == g.Ballot {
				*held = grant{}
			}
		}
	}
}

// lessonWait is after what time to ask a voter again that is not informed yet: soon
// at first, for a lesson takes a few round trips on a good network, and then ever
// later, for it may be that those who could teach it are out of reach.
func (p *Party) lessonWait() time.Duration {
	return min(max(p.cfg.Retry/8, (p.now-p.voter.since)/4), p.renewTime())
}

// carry is what a voter that seals its epoch knows about leases that may still
// run: slot by slot 1 + the position of the holder in Holders, 0 if there is
// none, [carryUnsure] if it could be one of several.
type carry struct {
	Holders []mesh.NodeID `json:"h"`
	Of      []uint16      `json:"w"`
}

const carryUnsure = mesh.Slots + 1

var errCarry = errors.New("carry that does not fit the slots")

func (c *carry) check() error {
	if c == nil {
		return nil
	}
	if len(c.Of) != mesh.Slots || len(c.Holders) > mesh.Slots {
		return errCarry
	}
	for _, k := range c.Of {
		if k != carryUnsure && int(k) > len(c.Holders) {
			return errCarry
		}
	}
	return nil
}

// carryOut is this voter's part of the carry.
func (p *Party) carryOut() *carry {
	c := &carry{Of: make([]uint16, mesh.Slots)}
	for i, g := range p.voter.grant {
		switch {
		case p.voter.blank > p.now:
			c.Of[i] = carryUnsure
		case g.until > p.now:
			c.Of[i] = c.position(g.holder)
		}
	}
	return c
}

func (c *carry) position(holder mesh.NodeID) uint16 {
	if holder == "" {
		return carryUnsure
	}
	i := slices.Index(c.Holders, holder)
	if i < 0 {
		i = len(c.Holders)
		c.Holders = append(c.Holders, holder)
	}
	return uint16(i + 1)
}

func (c *carry) holder(k uint16) mesh.NodeID {
	if k == carryUnsure {
		return ""
	}
	return c.Holders[k-1]
}

// merge adds another voter's part. Every lease that still runs was granted by a
// voter of any majority, so a majority's parts together miss none.
func (c *carry) merge(o *carry) {
	for i, k := range o.Of {
		switch {
		case k == 0:
		case c.Of[i] == 0:
			c.Of[i] = c.position(o.holder(k))
		case c.Of[i] != carryUnsure && c.holder(c.Of[i]) != o.holder(k):
			c.Of[i] = carryUnsure
		}
	}
}

// carryIn lets the holders of the epoch before go on, instead of granting
// nothing until their leases have run out (R3): each is treated as if it had
// been granted its slots at this instant, so it may ask at once, and others
// wait. Only a voter that has not granted anything in this epoch takes it. One
// that has restarted does not know whether it had, but what it has promised: such
// a slot has moved on since, and is closed to all but the one it was promised to.
func (p *Party) carryIn(c *carry) {
	v := &p.voter
	if c == nil || p.seat < 0 || v.open || v.blank <= p.now {
		return
	}
	until := p.now + p.holdTime(p.longest())
	v.blank = p.now
	for i, k := range c.Of {
		if k != 0 && v.ballot[i] == 0 {
			v.grant[i] = grant{holder: c.holder(k), until: until}
		}
	}
	v.openAt = until
}
