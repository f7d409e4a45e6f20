package lease

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"time"

	"mn/crdt"
	"mn/mesh"
)

// slotExplored is the one slot that is bid for.
const slotExplored mesh.Slot = 0

// A machine takes the steps of an exploration, with real parties. States of
// parties, messages and disks are numbered as they are met, and what came of a
// step is remembered: to take it again is to look it up.
type machine struct {
	*model
	cast    []*node // their ids and keys
	scratch []Party // one for each node, to thaw states in
	buffer  []byte
	freezer freezer

	parties catalogue[frozen]
	flights catalogue[flight]
	disks   catalogue[disk]

	steps  map[uint64]*result   // by party and flight
	starts map[start]*result    // by node, disk and what it has been told
	ages   map[aged]uint32      // a party, or a flight, some time later
	kept   map[keeping]uint32   // a disk after facts
	rests  map[[2]uint32]string // what is wrong between a party and its disk
	losses map[[2]uint32]string // or between a disk and a later one
}

// catalogue numbers things by a text that tells them apart. 0 is none.
type catalogue[T any] struct {
	all []T
	by  map[string]uint32
}

func newCatalogue[T any]() catalogue[T] {
	return catalogue[T]{all: make([]T, 1), by: map[string]uint32{}}
}

// number is the number of a thing, which is made if it is new.
func (c *catalogue[T]) number(name []byte, what func() T) uint32 {
	if n, ok := c.by[string(name)]; ok {
		return n
	}
	n := uint32(len(c.all))
	c.by[string(name)] = n
	c.all = append(c.all, what())
	return n
}

// frozen is a state of a party, and what is asked of it often.
type frozen struct {
	node    int
	state   []byte
	due     time.Duration // from now: when something next changes by itself
	wake    time.Duration // from now: when it wants a Tick
	held    crdt.Fence
	granted time.Duration // from now: until when this voter has granted the slot
	epoch   uint64
	sealed  bool
	evicted bool
	tried   uint64 // the ballot of a bid that goes on
	voters  int    // of its roster
	bids    bool
}

// flight is a message on its way to a node, or what its own agent tells it.
type flight struct {
	from, to int      // from below 0: it comes from no node
	msg      *Message // nil: it comes from the node's agent
	told     []Input
	clock    int           // whose clock an age is on; below 0 if there is none
	age      time.Duration // since the request was sent that this is, or answers
	spends   bool          // it is an answer that can come to mean nothing
}

// Ages of requests of an earlier life of the bidder. It is told from its life
// by the boot clock; if the machine was off, the clock may show anything.
const (
	ageless = time.Duration(-1) // as if sent at this instant, whenever that is
	ancient = time.Duration(1<<63 - 1)
)

// What the time of sending is in requests of an earlier life, as the voters see
// it, who only repeat it.
const (
	sentAgeless = 2 * thawedAt
	sentAncient = 0
)

// disk is the facts of a node.
type disk struct {
	facts   []Fact // by key
	rosters map[uint64]uint64
	box     ballotBox
	kept    ledger
	run     run
}

// result is what came of a step.
type result struct {
	party   uint32
	sends   []uint32
	facts   []Fact
	changes []Change
	idle    bool   // nothing came of it
	flaw    string // what must never be, in the step itself
}

type (
	start struct {
		node uint32
		disk uint32
		told uint32 // bits of what it was told by its agent since the beginning
	}
	aged struct {
		what uint32
		by   time.Duration
		kind uint8
	}
	keeping struct {
		disk, n uint32
		of      *result
	}
)

func newMachine(m *model) *machine {
	return &machine{
		model: m, cast: newWorld(1, m.nodes).nodes, scratch: make([]Party, m.nodes),
		parties: newCatalogue[frozen](), flights: newCatalogue[flight](), disks: newCatalogue[disk](),
		steps: map[uint64]*result{}, starts: map[start]*result{}, ages: map[aged]uint32{},
		kept: map[keeping]uint32{}, rests: map[[2]uint32]string{}, losses: map[[2]uint32]string{},
		freezer: freezer{slot: slotExplored, fields: map[reflect.Type][]string{}},
	}
}

// chance is what a party draws: the same each time, so that a step is a function
// of the state. Nodes draw differently, so that their duels end.
type chance int

// Uint64 makes Float64 next to 0 for every other node and next to a half for the
// rest. It is odd, for IntN draws again for some numbers, and would for ever.
func (c chance) Uint64() uint64 { return uint64(c%2)<<52 | 1 }

// birth is what a party draws when it is made: another number in each life.
type birth struct {
	node int
	life uint64
}

func (b birth) Uint64() uint64 { return uint64(b.node)<<32 | b.life }

// party thaws a state.
func (x *machine) party(id uint32) *Party {
	f := &x.parties.all[id]
	p := &x.scratch[f.node]
	x.dress(p, f.node)
	x.freezer.thaw(p, f.state)
	return p
}

// dress gives a party what is the same in all its states.
func (x *machine) dress(p *Party, i int) {
	n := x.cast[i]
	p.self, p.key, p.cfg, p.rng = n.id, n.key, x.cfg, rand.New(chance(i))
}

// add numbers the state that p is in.
func (x *machine) add(i int, p *Party) uint32 {
	x.restrain(p)
	x.buffer = x.freezer.freeze(p, append(x.buffer[:0], byte(i)))
	return x.parties.number(x.buffer, func() frozen {
		return x.look(i, p, slices.Clone(x.buffer[1:]))
	})
}

// restrain keeps a party from asking for a newer roster, where that is not wanted.
func (x *machine) restrain(p *Party) {
	if !x.oneRoster && !x.calm {
		return
	}
	p.bidder.askAt = p.now + time.Hour
	if t := &p.bidder.claims[slotExplored].try; !t.proposed {
		t.tries = 0 // only who would ask reads it
	}
}

func (x *machine) look(i int, p *Party, state []byte) frozen {
	c := &p.bidder.claims[slotExplored]
	f := frozen{
		node: i, state: state, wake: p.Wake() - p.now,
		granted: p.voter.grant[slotExplored].until - p.now,
		epoch:   p.roster.Epoch, sealed: p.voter.sealed, evicted: p.evicted,
		tried: c.try.ballot, voters: len(p.roster.Voters), bids: c.wanted,
	}
	f.held, _ = p.Held(p.now, slotExplored)
	for _, at := range []time.Duration{
		p.Wake(), p.voter.blank, p.voter.openAt, p.voter.grant[slotExplored].until, c.until,
	} {
		if at > p.now && (f.due == 0 || at-p.now < f.due) {
			f.due = at - p.now
		}
	}
	return f
}

// tick is the flight that says no more than that time has passed.
const tick uint32 = 0

// step is what comes of an input to a party.
func (x *machine) step(party, input uint32) *result {
	key := uint64(party)<<32 | uint64(input)
	if r, ok := x.steps[key]; ok {
		return r
	}
	before := x.parties.all[party]
	p := x.party(party)
	in := []Input{Tick{}}
	if input != tick {
		in = x.inputs(&x.flights.all[input], p)
	}
	r := x.came(before.node, p, x.take(p, in))
	r.idle = r.party == party && len(r.sends)+len(r.facts) == 0
	after := &x.parties.all[r.party]
	if before.sealed && after.epoch == before.epoch && after.granted > max(before.granted, 0) {
		r.flaw = "a voter that has sealed its epoch grants under it"
	}
	x.steps[key] = r
	return r
}

// take gives a party some inputs, one after the other.
func (x *machine) take(p *Party, inputs []Input) Output {
	var all Output
	step := func(in Input) Output { return told(p, p.now, in) }
	for _, in := range inputs {
		var out Output
		if x.bug.step != nil {
			out = x.bug.step(p, in, step)
		} else {
			out = step(in)
		}
		all.Facts = append(all.Facts, out.Facts...)
		all.Send = append(all.Send, out.Send...)
		all.Changes = append(all.Changes, out.Changes...)
	}
	return all
}

// told gives a party an input, and takes back what it counts beside its lives.
// That tells disks that went back in time, of which there are none here, and
// would keep apart states that are one.
func told(p *Party, now time.Duration, in Input) Output {
	made := p.run.Made
	out := informed(p, now, p.Step(now, in))
	if p.run.Made == made {
		return out
	}
	p.run.Made = made
	for i := range out.Send {
		out.Send[i].Msg.Run.Made = made
	}
	for i := range out.Facts {
		if out.Facts[i].Key == keyRun {
			out.Facts[i].Value = encode(p.run)
		}
	}
	return out
}

// informed lets a voter that a new roster has brought in know at once what was
// decided before: here nothing is decided.
func informed(p *Party, now time.Duration, out Output) Output {
	if l := p.Lesson(); l.Epoch > 0 {
		more := p.Step(now, Informed{l.Epoch})
		out.Facts = append(out.Facts, more.Facts...)
		out.Send = append(out.Send, more.Send...)
		out.Changes = append(out.Changes, more.Changes...)
	}
	return out
}

// came takes down what came of a step of node i.
func (x *machine) came(i int, p *Party, out Output) *result {
	r := &result{facts: out.Facts, changes: out.Changes}
	for _, e := range out.Send {
		to := slices.IndexFunc(x.cast, func(n *node) bool { return n.id == e.To })
		r.sends = append(r.sends, x.send(i, to, e.Msg, p.now))
	}
	r.party = x.add(i, p)
	return r
}

// send puts a message on its way. What is said in it of a clock becomes an age.
func (x *machine) send(from, to int, m Message, now time.Duration) uint32 {
	f := flight{from: from, to: to, clock: -1}
	switch {
	case m.Propose != nil:
		p := *m.Propose
		f.clock, f.age, p.Sent = from, ageOf(p.Sent, now), 0
		m.Propose = &p
	case m.Accept != nil:
		a := *m.Accept
		f.clock, f.age, a.Sent, a.Clock = to, ageOf(a.Sent, now), 0, 0 // clocks are good here
		m.Accept = &a
	}
	f.msg = &m
	f.spends = m.Promise != nil || m.Accept != nil && m.Accept.Higher == nil
	return x.addFlight(f)
}

func (x *machine) addFlight(f flight) uint32 {
	name := []byte{byte(f.from), byte(f.to)}
	name = binary.AppendVarint(name, int64(f.age))
	if f.msg != nil {
		name = append(name, encode(f.msg)...)
	} else {
		name = fmt.Append(name, f.told)
	}
	return x.flights.number(name, func() flight { return f })
}

// inputs are the flight as p hears it.
func (x *machine) inputs(f *flight, p *Party) []Input {
	if f.msg == nil {
		return f.told
	}
	m := *f.msg
	sent := p.now - f.age
	switch f.age {
	case ageless:
		sent = sentAgeless
	case ancient:
		sent = sentAncient
	}
	switch {
	case m.Propose != nil:
		m.Propose = &propose{sent, m.Propose.Groups}
	case m.Accept != nil:
		a := *m.Accept
		a.Sent = min(sent, p.now)
		m.Accept = &a
	}
	return []Input{Received{x.cast[f.from].id, m}}
}

func ageOf(sent, now time.Duration) time.Duration {
	switch sent {
	case sentAgeless:
		return ageless
	case sentAncient:
		return ancient
	}
	return now - sent
}

// boot is what comes of starting node i with a disk, after its agent had told it
// some things that it tells it again.
func (x *machine) boot(i int, from uint32, told uint32) *result {
	key := start{uint32(i), from, told}
	if r, ok := x.starts[key]; ok {
		return r
	}
	p := x.born(i, from, thawedAt)
	if x.bug.birth != nil {
		x.bug.birth(p)
	}
	r := x.came(i, p, x.take(p, x.briefing(i, told)))
	x.starts[key] = r
	return r
}

// born is node i when it starts from a disk.
func (x *machine) born(i int, from uint32, at time.Duration) *Party {
	d := &x.disks.all[from]
	p, err := New(x.cast[i].id, x.cast[i].key, x.cfg, d.facts, rand.New(birth{i, d.run.Count + 1}), at)
	if err != nil {
		panic(err)
	}
	x.dress(p, i)
	return p
}

// keep is a disk after the first n facts of a result.
func (x *machine) keep(on uint32, r *result, n int) uint32 {
	if n == 0 {
		return on
	}
	key := keeping{on, uint32(n), r}
	if d, ok := x.kept[key]; ok {
		return d
	}
	facts := map[string][]byte{}
	for _, f := range x.disks.all[on].facts {
		facts[f.Key] = f.Value
	}
	for _, f := range r.facts[:n] {
		facts[f.Key] = f.Value
	}
	d := x.addDisk(facts)
	x.kept[key] = d
	return d
}

func (x *machine) addDisk(facts map[string][]byte) uint32 {
	var list []Fact
	sum := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(facts)) {
		list = append(list, Fact{key, facts[key]})
		fmt.Fprintf(sum, "%q %x\n", key, facts[key])
	}
	return x.disks.number(sum.Sum(nil), func() disk { return readDisk(list) })
}

// older is a party some time later on its own clock.
func (x *machine) older(party uint32, by time.Duration) uint32 {
	key := aged{party, by, 'p'}
	if id, ok := x.ages[key]; ok {
		return id
	}
	p := x.party(party)
	p.now += by
	id := x.add(x.parties.all[party].node, p)
	x.ages[key] = id
	return id
}

// olderFlight is a flight some time later on the clock that its age is on. An
// age beyond what matters to the bidder stays there.
func (x *machine) olderFlight(id uint32, by time.Duration) uint32 {
	f := x.flights.all[id]
	if f.age == ageless || f.age == ancient {
		return id
	}
	key := aged{id, by, 'f'}
	if id, ok := x.ages[key]; ok {
		return id
	}
	most := theLease(&Party{cfg: x.cfg})
	f.age = min(f.age+by, most)
	x.ages[key] = x.addFlight(f)
	return x.ages[key]
}

// orphan is a flight after its bidder has started again, on the clock of the
// same boot or of another.
func (x *machine) orphan(id uint32, age time.Duration) uint32 {
	f := x.flights.all[id]
	f.age = age
	return x.addFlight(f)
}
