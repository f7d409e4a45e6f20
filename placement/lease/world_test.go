package lease

import (
	"cmp"
	"container/heap"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"mn/crdt"
	"mn/mesh"
)

// A world is some parties with clocks that run at different rates, a network
// that loses, delays, repeats and reorders, and disks that keep facts. It has
// one true time, which no party can see, and checks after every event what must
// never be broken.
type world struct {
	rng    *rand.Rand
	cfg    Config
	now    time.Duration // true time
	events eventQueue
	seq    int
	nodes  []*node
	slots  []mesh.Slot // those that are bid for and checked
	net    network
	deaf   bool        // no agent informs its voter
	mutant func(*node) // a planted bug: spoils a party after each of its steps

	fences  map[mesh.Slot]crdt.Fence
	rosters map[uint64]Roster
	broken  []string
	seen    counters
	log     func(format string, args ...any)
}

// network is how badly messages fare.
type network struct {
	loss, repeat float64
	spite        float64       // how often a vote for a roster is followed by a split
	delay        time.Duration // mean
	until        time.Duration // no other split or healing before
	steady       bool          // each message takes just that
	cut          map[[2]int]bool
}

// counters show that a run met what it is meant to test.
type counters struct {
	taken, expired, yielded, elected, retired, restarts, refused int
	bytesMax, bytes, messages                                    int
}

// node is a machine: its clock, its disk, and its party while it is up.
type node struct {
	w        *world
	at       int
	id       mesh.NodeID
	key      ed25519.PrivateKey
	member   mesh.Member
	disk     map[string][]byte
	offset   time.Duration
	skew     float64
	party    *Party
	tick     int // numbers the planned ticks: only the last one counts
	crash    bool
	joined   bool
	gone     bool   // evicted
	learning *Party // that is about to compare its data with the voters before it
}

func newWorld(seed uint64, nodes int) *world {
	w := &world{
		rng: rand.New(rand.NewPCG(seed, 1)), cfg: Default(), fences: map[mesh.Slot]crdt.Fence{},
		rosters: map[uint64]Roster{}, slots: []mesh.Slot{0, 1, 2, 255},
		net: network{delay: time.Millisecond, cut: map[[2]int]bool{}},
	}
	for i := range nodes {
		var s [ed25519.SeedSize]byte
		binary.BigEndian.PutUint64(s[:], uint64(i)+1)
		key := ed25519.NewKeyFromSeed(s[:])
		pub := key.Public().(ed25519.PublicKey)
		id := mesh.NodeIDOf(pub)
		w.nodes = append(w.nodes, &node{
			w: w, id: id, key: key, disk: map[string][]byte{},
			member: mesh.Member{ID: id, Name: fmt.Sprint("n", i), Key: pub},
		})
	}
	// Seats go by id: let the numbers of the nodes do so too.
	slices.SortFunc(w.nodes, func(a, b *node) int { return cmp.Compare(a.id, b.id) })
	for i, n := range w.nodes {
		n.at = i
		n.offset = time.Duration(w.rng.Int64N(int64(time.Hour)))
	}
	return w
}

// local is what the node's boot clock shows now.
func (n *node) local() time.Duration {
	return n.offset + n.w.now + time.Duration(float64(n.w.now)*n.skew)
}

// after is the true time until the node's clock shows at.
func (n *node) after(at time.Duration) time.Duration {
	d := float64(at-n.local()) / (1 + n.skew)
	return max(time.Duration(d)+1, 0)
}

func (n *node) start(t testing.TB) {
	t.Helper()
	var facts []Fact
	for _, key := range slices.Sorted(maps.Keys(n.disk)) {
		facts = append(facts, Fact{key, n.disk[key]})
	}
	rng := rand.New(rand.NewPCG(n.w.rng.Uint64(), 2))
	p, err := New(n.id, n.key, n.w.cfg, facts, rng, n.local())
	if err != nil {
		t.Fatalf("start %s: %v", n.member.Name, err)
	}
	n.party, n.crash = p, false
	if n.w.mutant != nil {
		n.w.mutant(n)
	}
	n.step(Tick{})
}

func (n *node) stop() {
	n.party = nil
	n.tick++
}

func (n *node) step(in Input) {
	if n.party == nil {
		return
	}
	out := n.party.Step(n.local(), in)
	if n.w.mutant != nil {
		n.w.mutant(n)
	}
	n.perform(out)
}

// perform does what an Output asks, in its order. A node that is to crash does
// so after some of it.
func (n *node) perform(out Output) {
	w := n.w
	for i, f := range out.Facts {
		if n.crash && i >= w.rng.IntN(len(out.Facts)+1) {
			n.stop()
			return
		}
		n.disk[f.Key] = f.Value
		if f.Value == nil {
			delete(n.disk, f.Key)
		}
	}
	for i, e := range out.Send {
		if n.crash && i >= w.rng.IntN(len(out.Send)+1) {
			n.stop()
			return
		}
		w.carry(n, e)
	}
	for _, c := range out.Changes {
		w.note(n, c)
	}
	if n.crash {
		n.stop()
		return
	}
	n.learn()
	n.tick++
	tick := n.tick
	w.plan(n.after(n.party.Wake()), func() {
		if n.tick == tick {
			n.step(Tick{})
		}
	})
}

// learn lets a new voter know what was decided before its epoch, once it reaches
// a majority of the voters of then, or one of now that knows.
func (n *node) learn() {
	if n.party.Lesson().Epoch > 0 && n.learning != n.party && !n.w.deaf {
		n.learning = n.party
		n.w.plan(2*n.w.net.delay, func() { n.lesson(n.party) })
	}
}

func (n *node) lesson(p *Party) {
	if p == nil || n.party != p || n.learning != p {
		return // it has stopped meanwhile
	}
	l := p.Lesson()
	reached := func(o *node) bool {
		return o.party != nil && !n.w.net.cut[[2]int{o.at, n.at}] && !n.w.net.cut[[2]int{n.at, o.at}]
	}
	for _, id := range l.From {
		if o := n.w.node(id); reached(o) && l.Counts(o.party.Standing()) {
			l.Quorum--
		}
	}
	for _, id := range l.Fellows {
		if o := n.w.node(id); reached(o) && o.party.Standing().Knows == l.Epoch {
			l.Quorum = 0
		}
	}
	if l.Quorum > 0 {
		n.w.plan(n.w.cfg.Retry, func() { n.lesson(p) })
		return
	}
	n.learning = nil
	if l.Epoch > 0 {
		n.step(Informed{l.Epoch})
	}
}

// carry takes a message over the network, as bytes.
func (w *world) carry(from *node, e Envelope) {
	to := w.node(e.To)
	raw, err := crdt.Encode(e.Msg)
	if err != nil {
		panic(err)
	}
	w.seen.messages++
	w.seen.bytes += len(raw)
	w.seen.bytesMax = max(w.seen.bytesMax, len(raw))
	if e.Msg.Vote != nil && w.rng.Float64() < w.net.spite {
		w.plan(w.net.delay, func() { w.estrange(to) })
	}
	copies := 1
	if w.rng.Float64() < w.net.repeat {
		copies = 2
	}
	for range copies {
		if w.rng.Float64() < w.net.loss {
			continue
		}
		delay := time.Duration(w.rng.ExpFloat64() * float64(w.net.delay))
		if w.net.steady {
			delay = w.net.delay
		}
		w.plan(delay, func() {
			if w.net.cut[[2]int{from.at, to.at}] || to.party == nil {
				return
			}
			var m Message
			if err := crdt.Decode(raw, &m); err != nil {
				panic(err)
			}
			w.tell(to, "<- %s %v", from.name(), m)
			to.step(Received{from.id, m})
		})
	}
}

func (w *world) node(id mesh.NodeID) *node {
	i := slices.IndexFunc(w.nodes, func(n *node) bool { return n.id == id })
	return w.nodes[i]
}

// tell adds a line to the story, if somebody wants to read it.
func (w *world) tell(n *node, format string, args ...any) {
	if w.log != nil {
		w.log("%7v %s "+format,
			append([]any{w.now.Round(time.Millisecond), n.name()}, args...)...)
	}
}

// estrange cuts the driver of a change off from the other voters, as they have
// just voted and do not know what was chosen. Who is no voter hears them all.
func (w *world) estrange(driver *node) {
	if w.net.spite == 0 || driver.party == nil || w.now < w.net.until {
		return
	}
	w.net.until = w.now + 3*w.cfg.Length
	w.split(0)
	for _, v := range driver.party.roster.Voters {
		w.apart(driver, w.node(v.ID))
	}
}

// apart cuts two nodes off from each other.
func (w *world) apart(a, b *node) {
	w.net.cut[[2]int{a.at, b.at}], w.net.cut[[2]int{b.at, a.at}] = a != b, a != b
}

// note checks a change against all changes before it.
func (w *world) note(n *node, c Change) {
	w.tell(n, "%v", c)
	switch c.Kind {
	case Taken:
		w.seen.taken++
		for s := range c.Slots.All() {
			if c.Fence.Compare(w.fences[s]) <= 0 {
				w.breach("fence of slot %d went from %v to %v", s, w.fences[s], c.Fence)
			}
			w.fences[s] = c.Fence
		}
	case Expired:
		w.seen.expired++
	case Yielded:
		w.seen.yielded++
	case Refused, Barred:
		w.seen.refused++
	case Elected, Retired:
		w.seen.elected++
		if c.Kind == Retired {
			w.seen.retired++
		}
		r := *c.Roster
		if old, ok := w.rosters[r.Epoch]; ok && old.view() != r.view() && r.Forced == "" {
			w.breach("two rosters: %v and %v", old, r)
		}
		w.rosters[r.Epoch] = r
	}
}

func (w *world) breach(format string, args ...any) {
	w.broken = append(w.broken, fmt.Sprintf("at %v: ", w.now)+fmt.Sprintf(format, args...))
}

// oneHolder is the invariant: no slot has two holders at one true instant.
func (w *world) oneHolder() {
	for _, s := range w.slots {
		var holders []string
		for _, n := range w.nodes {
			if n.party == nil {
				continue
			}
			if f, ok := n.party.Held(n.local(), s); ok {
				holders = append(holders, fmt.Sprintf("%s@%v", n.member.Name, f))
			}
		}
		if len(holders) > 1 {
			w.breach("slot %d has holders %v", s, holders)
		}
	}
}

// run lets the world go on for d, or until something is broken.
func (w *world) run(d time.Duration) {
	end := w.now + d
	for len(w.events) > 0 && w.events[0].at <= end && len(w.broken) == 0 {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
		w.oneHolder()
	}
	w.now = end
}

func (w *world) plan(in time.Duration, do func()) {
	w.seq++
	heap.Push(&w.events, event{w.now + in, w.seq, do})
}

// found starts all nodes: the first one founds the mesh, the others have its
// roster from their join.
func (w *world) found(t testing.TB) {
	t.Helper()
	for _, n := range w.nodes {
		w.join(t, n)
	}
}

func (w *world) join(t testing.TB, n *node) {
	t.Helper()
	n.start(t)
	founder := w.nodes[0].party
	var out Output
	var err error
	if n.at == 0 {
		out, err = n.party.Bootstrap(n.local())
	} else {
		out, err = n.party.Adopt(n.local(), founder.Chain())
	}
	if err != nil {
		t.Fatal(err)
	}
	n.joined = true
	n.perform(out)
	w.members()
}

// members tells every node who is admitted and, truthfully, who is alive.
func (w *world) members() {
	var m Members
	for _, n := range w.nodes {
		if n.joined && !n.gone {
			m.Admitted = append(m.Admitted, n.member)
		}
	}
	for _, n := range w.nodes {
		m.Alive = nil
		for _, o := range w.nodes {
			if o.party != nil && !w.net.cut[[2]int{o.at, n.at}] {
				m.Alive = append(m.Alive, o.id)
			}
		}
		n.step(m)
	}
}

// bid tells node i which slots it should hold.
func (w *world) bid(i int, slots ...mesh.Slot) { w.nodes[i].step(Bid{SlotsOf(slots...)}) }

// holder is the node that holds slot, or nil.
func (w *world) holder(slot mesh.Slot) *node {
	for _, n := range w.nodes {
		if n.party != nil {
			if _, ok := n.party.Held(n.local(), slot); ok {
				return n
			}
		}
	}
	return nil
}

// split cuts the nodes of a set, by bits, off from the others; 0 heals.
func (w *world) split(set int) {
	clear(w.net.cut)
	for a := range w.nodes {
		for b := range w.nodes {
			if set>>a&1 != set>>b&1 {
				w.net.cut[[2]int{a, b}] = true
			}
		}
	}
}
