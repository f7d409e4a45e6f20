package lease

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"mn/crdt"
)

// A state is everything at one instant: for each node its party, 0 if it is
// down, and its disk; what may still go wrong; the highest fence so far; and
// the messages that were sent, in order of their numbers. Nothing in it says what
// time it is.
//
// A message that was sent may arrive at any time from then on, in any order, any
// number of times, or never. So the network has no moves and no bounds of its own.
type state []uint32

// The words of a state after those of its nodes. The messages follow.
const (
	faultsLeft = iota
	lastFence
	ofNodes
)

// fault is what a state has a number of left, 8 bits each.
type fault uint8

// The faults.
const (
	crashes fault = 0 // of a node
	delays  fault = 8 // of a node's tick beyond the instant at which it is due
)

func (x *machine) fixed() int                 { return 2*x.nodes + ofNodes }
func (x *machine) sent(s state) []uint32      { return s[x.fixed():] }
func (x *machine) disk(s state, i int) uint32 { return s[x.nodes+i] }

func (x *machine) left(s state, f fault) uint32 { return s[2*x.nodes+faultsLeft] >> f & 0xff }
func (x *machine) spend(s state, f fault)       { s[2*x.nodes+faultsLeft] -= 1 << f }

func (x *machine) fence(s state) crdt.Fence {
	w := s[2*x.nodes+lastFence]
	return crdt.Fence{Epoch: uint64(w >> 20), Ballot: uint64(w & (1<<20 - 1))}
}

func (x *machine) setFence(s state, f crdt.Fence) {
	s[2*x.nodes+lastFence] = uint32(f.Epoch<<20 | f.Ballot)
}

// digest is 128 bits, so that two of a billion states share one with a chance
// of 1 to 10^20.
type digest [2]uint64

func (s state) digest() digest {
	h := digest{0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9}
	for _, w := range s {
		for i, k := range (digest{0xd6e8feb86659fd93, 0xa0761d6478bd642f}) {
			hi, lo := bits.Mul64(h[i]^uint64(w), k)
			h[i] = hi ^ lo + k
		}
	}
	return h
}

// sentMax is how many messages a move can tell apart.
const sentMax = 1 << 8

// move is one thing that may happen.
type move struct {
	kind moveKind
	at   uint8 // the position of the message, or the node
	n    uint8 // how many facts are kept
}

type moveKind uint8

// The kinds of moves.
const (
	arrive  moveKind = iota // a message arrives
	tear                    // a message arrives, and the node crashes after n facts
	pass                    // time goes on to the next instant at which something is due
	delay                   // the same, but the node gets no tick
	wake                    // the node gets its late tick
	crash                   // the node crashes
	restart                 // the agent starts again
	reboot                  // the machine starts again, and its clock with it
)

// moves are all that could be possible in a state.
func (x *explorer) moves(s state) func(func(move) bool) {
	return func(yield func(move) bool) {
		if len(x.sent(s)) > sentMax {
			panic("explore: there are more messages than a move can name")
		}
		for at, id := range x.sent(s) {
			to := x.flights.all[id].to
			if s[to] == 0 {
				continue
			}
			if !yield(move{arrive, uint8(at), 0}) {
				return
			}
			if !x.canCrash(s, to) {
				continue
			}
			for n := range x.step(s[to], id).facts {
				if !yield(move{tear, uint8(at), uint8(n + 1)}) {
					return
				}
			}
		}
		if !yield(move{pass, 0, 0}) {
			return
		}
		for i := range x.nodes {
			for kind := delay; kind <= reboot; kind++ {
				if x.could(s, i, kind) && !yield(move{kind, uint8(i), 0}) {
					return
				}
			}
		}
	}
}

// could says whether something may happen to a node.
func (x *explorer) could(s state, i int, kind moveKind) bool {
	up := s[i] != 0
	switch kind {
	case delay:
		return up && x.left(s, delays) > 0
	case wake:
		return up && x.parties.all[s[i]].wake <= 0
	case crash:
		return up && x.canCrash(s, i)
	case reboot:
		return !up && x.reboots
	}
	return !up && !slices.Contains(x.dead, i)
}

func (x *explorer) canCrash(s state, i int) bool {
	return x.left(s, crashes) > 0 && (x.mortal == nil || slices.Contains(x.mortal, i))
}

// try does a move in s, into a state that stands until the next try. It is
// false if nothing comes of it. A breach is what must never be.
func (x *explorer) try(s state, m move) (t state, breach string, ok bool) {
	i := int(m.at)
	t = append(x.spare[:0], s...)
	ok = true
	switch m.kind {
	case arrive, tear:
		t, breach, ok = x.arrival(t, m)
	case pass, delay:
		t, breach, ok = x.passage(t, m)
	case wake:
		t, breach = x.perform(t, i, x.step(t[i], tick))
	case crash:
		x.spend(t, crashes)
		x.say(i, "crashes")
		t[i] = 0
	case restart, reboot:
		t, breach = x.begin(t, i, m.kind == reboot)
	}
	if ok {
		t = x.forget(t)
	}
	x.spare = t
	return t, breach, ok
}

// arrival lets a message arrive.
func (x *explorer) arrival(t state, m move) (state, string, bool) {
	at := x.fixed() + int(m.at)
	id := t[at]
	f := &x.flights.all[id]
	r := x.step(t[f.to], id)
	if f.msg == nil {
		t = slices.Delete(t, at, at+1)
	} else if m.kind == arrive && r.party == t[f.to] && len(r.facts) == 0 && x.wereSent(t, r.sends) {
		return t, "", false
	}
	x.hear(f)
	if m.kind == arrive {
		t, breach := x.perform(t, f.to, r)
		return t, breach, true
	}
	x.spend(t, crashes)
	breach := x.write(t, f.to, r, int(m.n))
	t[f.to] = 0
	x.say(f.to, "crashes with %d of %d facts kept and nothing sent", m.n, len(r.facts))
	return t, breach, true
}

// write keeps the first n facts of a result.
func (x *explorer) write(t state, i int, r *result, n int) string {
	before := x.disk(t, i)
	t[x.nodes+i] = x.keep(before, r, n)
	return x.lost(before, x.disk(t, i))
}

func (x *explorer) wereSent(t state, ids []uint32) bool {
	for _, id := range ids {
		if _, found := slices.BinarySearch(x.sent(t), id); !found {
			return false
		}
	}
	return true
}

// perform does what a step of node i asks.
func (x *explorer) perform(t state, i int, r *result) (state, string) {
	t[i] = r.party
	breach := cmp.Or(r.flaw, x.write(t, i, r, len(r.facts)))
	for _, id := range r.sends {
		if at, found := slices.BinarySearch(x.sent(t), id); !found {
			t = slices.Insert(t, x.fixed()+at, id)
		}
	}
	for _, c := range r.changes {
		x.say(i, "%v", c)
		if c.Kind != Taken {
			continue
		}
		if last := x.fence(t); c.Fence.Compare(last) <= 0 {
			breach = fmt.Sprintf("the fence goes from %v to %v", last, c.Fence)
		}
		x.setFence(t, c.Fence)
	}
	return t, breach
}

// passage lets time pass to the next instant at which something is due, and
// gives each node that wants it a tick, but for one that is late.
func (x *explorer) passage(t state, m move) (state, string, bool) {
	d := x.untilDue(t)
	if d == 0 {
		return t, "", false
	}
	x.clock += d
	for i := range x.nodes {
		if t[i] != 0 {
			t[i] = x.older(t[i], x.rate(i).of(d))
		}
	}
	t = x.renumber(t, func(f *flight) bool { return f.clock >= 0 }, func(id uint32) uint32 {
		return x.olderFlight(id, x.rate(x.flights.all[id].clock).of(d))
	})
	breach, ok := "", m.kind == pass
	for i := range x.nodes {
		if t[i] == 0 || x.parties.all[t[i]].wake > 0 {
			continue
		}
		if m.kind == delay && i == int(m.at) {
			x.spend(t, delays)
			x.say(i, "is late")
			ok = true
			continue
		}
		var flaw string
		if t, flaw = x.perform(t, i, x.step(t[i], tick)); flaw != "" {
			breach = flaw
		}
	}
	return t, breach, ok
}

// untilDue is the true time until something is due anywhere, 0 if nothing is.
func (x *explorer) untilDue(t state) time.Duration {
	least := time.Duration(0)
	for i := range x.nodes {
		if t[i] == 0 {
			continue
		}
		if d := x.parties.all[t[i]].due; d > 0 {
			if d = x.rate(i).until(d); least == 0 || d < least {
				least = d
			}
		}
	}
	return least
}

// begin starts node i from its disk. The questions of its earlier life and the
// answers to them are still on their way.
func (x *explorer) begin(t state, i int, machine bool) (state, string) {
	age, text := ancient, "starts again"
	if machine {
		age, text = ageless, "starts again, its clock anew"
	}
	x.say(i, "%s", text)
	t = x.renumber(t, func(f *flight) bool { return f.clock == i }, func(id uint32) uint32 {
		return x.orphan(id, age)
	})
	return x.perform(t, i, x.boot(i, x.disk(t, i), x.told(t, i)))
}

// renumber exchanges some of the messages for others.
func (x *explorer) renumber(t state, which func(*flight) bool, by func(uint32) uint32) state {
	sent := x.sent(t)
	for at, id := range sent {
		if which(&x.flights.all[id]) {
			sent[at] = by(id)
		}
	}
	slices.Sort(sent)
	return t[:x.fixed()+len(slices.Compact(sent))]
}

// told is, by bits, what node i was told by its agent since the beginning.
func (x *explorer) told(t state, i int) uint32 {
	bits := uint32(0)
	for k, l := range x.later {
		if _, waits := slices.BinarySearch(x.sent(t), x.laterID[k]); l.node == i && !waits {
			bits |= 1 << k
		}
	}
	return bits
}
