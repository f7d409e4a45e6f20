package sim

import (
	"cmp"
	"math/bits"
	"slices"
	"time"

	"mn/mesh"
	"mn/mesh/core"
)

// gossip is one node's part in a model of SWIM (Das, Gupta, Motivala 2002) with
// suspicion, as memberlist does it and mesh/membership sets it up: each node
// probes one other after the other, by way of others if it gets no answer,
// suspects who does not answer, and declares the loss if nobody refutes in
// time. News travels on probes, on gossip to a few, and by an exchange of whole
// lists now and then. Who is lost is looked for, for ever.
//
// It is a model and no oracle: it errs about nodes that are slow, stopped for a
// while, or badly connected, and two nodes may differ for seconds. What it
// leaves out: packets that are too large, and the doubt of
// mesh/membership about a loss after a pause of its own.
type gossip struct {
	h    *host
	dice chance
	run  int // numbers its lives: what was planned in an earlier one is void

	incarnation uint32
	abstains    bool       // the node says that it cannot lead
	peers       []sighting // by place
	ring        []int      // whom to probe next
	news        rumours
	telling     bool // a round of gossip is planned
	alive       int  // peers thought to be alive or suspected
	acks        map[uint64]bool
	probe       uint64
	missing     map[int]call // who is looked for
	hearsay     hearsay
}

// sighting is what a node thinks of another.
type sighting struct {
	state       state
	incarnation uint32
	abstains    bool
	changed     int // numbers the opinions: a timer of an earlier one is void
}

// state is an opinion, in the order in which they override each other within
// an incarnation.
type state uint8

const (
	unknown state = iota
	alive
	suspect
	dead
	left
)

// call is the next try to reach a node that is not here.
type call struct{ at, pause time.Duration }

// news is a change of opinion about a node, and how often it is yet to be told.
type news struct {
	place       int
	state       state
	incarnation uint32
	abstains    bool
	times       int
	number      int // among a node's rumours
}

// The timing of memberlist as the profile "lab" of mesh/membership has it.
const (
	probeEvery    = 350 * time.Millisecond
	probeTimeout  = 175 * time.Millisecond
	suspicionMult = 4
	gossipEvery   = 100 * time.Millisecond
	exchangeEvery = 30 * time.Second
	indirect      = 3 // others that are asked to probe
	fanOut        = 3 // nodes that a round of gossip goes to
	retransmit    = 4 // times the order of the size
	newsMax       = 24
	callFirst     = time.Second
	callLast      = 30 * time.Second
	callAtOnce    = 8
)

// The sizes of messages in bytes, roughly as memberlist encodes and seals them.
const (
	sizeProbe = 90
	sizeNews  = 45
	sizePeer  = 120 // of a whole list
)

func newGossip(h *host) *gossip {
	return &gossip{h: h, dice: chanceOf(h.w.options.Seed, "gossip", uint64(h.place))}
}

// start begins a new life: all that a node knows of its peers is where they are.
func (g *gossip) start() {
	g.run++
	g.incarnation, g.abstains = 1, false
	g.peers, g.ring, g.news, g.telling, g.alive = nil, nil, rumours{}, false, 0
	g.acks, g.missing, g.hearsay = map[uint64]bool{}, map[int]call{}, hearsay{}
	g.every(probeEvery, g.dice.upTo(probeEvery), g.probeNext)
	g.later(g.dice.upTo(exchangeEvery), g.exchangeNext)
	for _, o := range g.h.w.hosts {
		if o != g.h && o.joined && !o.gone {
			g.missing[o.place] = call{at: g.h.w.now, pause: callFirst}
		}
	}
	g.every(callFirst/4, g.dice.upTo(callFirst/4), g.callMissing)
}

func (g *gossip) stop() { g.run++ }

// later does something after d in this life, when the agent runs.
func (g *gossip) later(d time.Duration, do func()) {
	run := g.run
	g.h.w.plan(d, func() {
		if g.run == run {
			g.h.whenUp(do)
		}
	})
}

// every does something again and again.
func (g *gossip) every(period, first time.Duration, do func()) {
	var again func()
	again = func() {
		do()
		g.later(period, again)
	}
	g.later(first, again)
}

// peer is the opinion of a host.
func (g *gossip) peer(place int) *sighting {
	for len(g.peers) <= place {
		g.peers = append(g.peers, sighting{})
	}
	return &g.peers[place]
}

// some are up to n peers thought to be alive, but these, at random.
func (g *gossip) some(n int, but []int) []*host {
	if g.alive == 0 {
		return nil
	}
	var chosen []*host
	for tries := 0; len(chosen) < n && tries < 3*n+len(g.peers); tries++ {
		place := g.dice.IntN(len(g.peers))
		s := g.peers[place].state
		h := g.h.w.hosts[place]
		if (s == alive || s == suspect) && h != g.h && !slices.Contains(but, place) && !slices.Contains(chosen, h) {
			chosen = append(chosen, h)
		}
	}
	return chosen
}

// send sends something to another node's gossip, with the news that there is
// room for.
func (g *gossip) send(to *host, size int, arrive func(*gossip)) {
	carried, said := g.news.take(newsMax), g.hearsay.take()
	from := g.h
	g.h.w.network.send(from, to, classGossip, size+len(carried)*sizeNews+len(said)*sizeSaying, func() {
		if !to.listens() {
			return
		}
		to.whenUp(func() {
			for _, n := range carried {
				to.gossip.hear(n)
			}
			to.gossip.hearAll(said)
			arrive(to.gossip)
		})
	})
}

// tell makes sure that an opinion gets about.
func (g *gossip) tell(place int, s sighting) {
	times := retransmit * order(g.alive+1)
	g.news.add(news{place: place, state: s.state, incarnation: s.incarnation, abstains: s.abstains, times: times})
	g.round()
}

// order is how many digits a number has: memberlist's measure of a mesh's size.
func order(n int) int {
	digits := 1
	for ; n >= 10; n /= 10 {
		digits++
	}
	return digits
}

// round plans a round of gossip while there is news.
func (g *gossip) round() {
	if g.telling || g.news.none() && len(g.hearsay.tell) == 0 {
		return
	}
	g.telling = true
	g.later(gossipEvery, func() {
		g.telling = false
		for _, to := range g.some(fanOut, nil) {
			g.send(to, sizeProbe, func(*gossip) {})
		}
		g.round()
	})
}

// hear takes an opinion of another node.
func (g *gossip) hear(n news) {
	if n.place == g.h.place {
		doubted := n.state >= suspect && n.incarnation >= g.incarnation
		if doubted || n.incarnation > g.incarnation { // of an earlier life
			g.incarnation = n.incarnation + 1
			g.tell(n.place, g.self())
		}
		return
	}
	p := g.peer(n.place)
	newer := n.incarnation > p.incarnation || p.state == unknown
	same := n.incarnation == p.incarnation && n.state > p.state
	if !newer && !same {
		return
	}
	g.think(n.place, n.state, n.incarnation)
	if n.state == alive && n.abstains != p.abstains {
		p.abstains = n.abstains
		g.h.tell(core.Abstained{Node: g.h.w.hosts[n.place].self.ID, Abstains: n.abstains})
	}
	g.tell(n.place, *p)
}

// self is what a node says of itself.
func (g *gossip) self() sighting {
	return sighting{state: alive, incarnation: g.incarnation, abstains: g.abstains}
}

// abstain tells all when the node begins or ceases to say that it cannot lead.
func (g *gossip) abstain(now bool) {
	if g.abstains != now {
		g.incarnation++
		g.abstains = now
		g.tell(g.h.place, g.self())
	}
}

// think changes the opinion of a node, and what the core is told of it.
func (g *gossip) think(place int, s state, incarnation uint32) {
	p := g.peer(place)
	was := p.state
	p.state, p.incarnation = s, incarnation
	p.changed++
	here := func(s state) bool { return s == alive || s == suspect }
	switch {
	case here(s) && !here(was):
		g.alive++
		delete(g.missing, place)
		g.report(place, mesh.Alive)
	case !here(s) && here(was):
		g.alive--
		if s == left {
			g.report(place, mesh.Left)
		} else {
			g.h.w.noteAlarm(g.h, g.h.w.hosts[place])
			g.report(place, mesh.Lost)
			g.missing[place] = call{at: g.h.w.now + callFirst, pause: callFirst}
		}
	}
	if s == suspect {
		opinion := p.changed
		g.later(g.suspicion(), func() {
			if q := g.peer(place); q.changed == opinion {
				g.think(place, dead, incarnation)
				g.tell(place, *q)
			}
		})
	}
}

// suspicion is how long a node is suspected before its loss is declared.
func (g *gossip) suspicion() time.Duration {
	return suspicionMult * time.Duration(max(1, order(g.alive+1)-1)) * probeEvery
}

func (g *gossip) report(place int, l mesh.Liveness) {
	o := g.h.w.hosts[place]
	g.h.w.story(g.h, "gossip", "%s is %s", o.name, l)
	g.h.tell(core.Seen{Node: o.self.ID, Liveness: l})
}

// probeNext asks the next peer in turn whether it is there.
func (g *gossip) probeNext() {
	to := g.next()
	if to == nil {
		return
	}
	g.probe++
	id := g.probe
	g.acks[id] = false
	incarnation := g.peer(to.place).incarnation
	g.send(to, sizeProbe, func(o *gossip) { o.answer(g.h, id) })
	g.later(probeTimeout, func() {
		if g.acks[id] {
			return
		}
		for _, by := range g.some(indirect, []int{to.place}) {
			g.send(by, sizeProbe, func(o *gossip) {
				o.send(to, sizeProbe, func(t *gossip) {
					t.send(o.h, sizeProbe, func(back *gossip) { back.answer(g.h, id) })
				})
			})
		}
	})
	g.later(probeEvery-time.Nanosecond, func() {
		answered := g.acks[id]
		delete(g.acks, id)
		if p := g.peer(to.place); !answered && p.state == alive && p.incarnation == incarnation {
			g.think(to.place, suspect, incarnation)
			g.tell(to.place, *p)
		}
	})
}

// answer says to who asked that a probe has arrived.
func (g *gossip) answer(asker *host, id uint64) {
	g.send(asker, sizeProbe, func(o *gossip) {
		if _, open := o.acks[id]; open {
			o.acks[id] = true
		}
	})
}

// next is the next peer to probe: all in turn, in an order that is drawn anew
// each time.
func (g *gossip) next() *host {
	for tries := 0; tries <= len(g.peers); tries++ {
		if len(g.ring) == 0 {
			for place := range g.peers {
				if s := g.peers[place].state; s == alive || s == suspect {
					g.ring = append(g.ring, place)
				}
			}
			g.dice.Shuffle(len(g.ring), func(i, j int) { g.ring[i], g.ring[j] = g.ring[j], g.ring[i] })
		}
		if len(g.ring) == 0 {
			return nil
		}
		place := g.ring[0]
		g.ring = g.ring[1:]
		if s := g.peers[place].state; s == alive || s == suspect {
			return g.h.w.hosts[place]
		}
	}
	return nil
}

// exchangeNext swaps lists with some node, and again after a while that grows with
// the mesh: memberlist adds a period for each doubling above 32 nodes.
func (g *gossip) exchangeNext() {
	if to := g.some(1, nil); len(to) > 0 {
		g.exchange(to[0])
	}
	const often = 5 // bits of a number of nodes that changes nothing
	periods := max(1, bits.Len(uint(g.alive))-often+1)
	g.later(time.Duration(periods)*exchangeEvery, g.exchangeNext)
}

// exchange swaps the whole lists with another node.
func (g *gossip) exchange(to *host) {
	mine, said := g.list(), slices.Clone(g.hearsay.lately)
	g.send(to, len(mine)*sizePeer+len(said)*sizeSaying, func(o *gossip) {
		theirs, lately := o.list(), slices.Clone(o.hearsay.lately)
		o.merge(mine)
		o.hearAll(said)
		o.send(g.h, len(theirs)*sizePeer+len(lately)*sizeSaying, func(back *gossip) {
			back.merge(theirs)
			back.hearAll(lately)
		})
	})
}

// list is all that a node thinks, of itself first.
func (g *gossip) list() []news {
	list := []news{{place: g.h.place, state: alive, incarnation: g.incarnation, abstains: g.abstains}}
	for place, p := range g.peers {
		if p.state != unknown && place != g.h.place {
			list = append(list, news{place: place, state: p.state, incarnation: p.incarnation, abstains: p.abstains})
		}
	}
	return list
}

// merge takes a whole list. What others take for dead is only suspected, so
// that the node itself can refute it.
func (g *gossip) merge(list []news) {
	for _, n := range list {
		if n.state == dead {
			n.state = suspect
		}
		g.hear(n)
	}
}

// callMissing tries to reach some of those who are not here, whoever has waited
// longest first. One that answers brings all that it knows.
func (g *gossip) callMissing() {
	var due []int
	for place, c := range g.missing {
		switch h := g.h.w.hosts[place]; {
		case h.gone || g.peer(place).state == left:
			delete(g.missing, place)
		case c.at <= g.h.w.now:
			due = append(due, place)
		}
	}
	slices.SortFunc(due, func(a, b int) int {
		return cmp.Or(cmp.Compare(g.missing[a].at, g.missing[b].at), cmp.Compare(a, b))
	})
	for _, place := range due[:min(len(due), callAtOnce)] {
		c := g.missing[place]
		g.missing[place] = call{at: g.h.w.now + c.pause, pause: min(2*c.pause, callLast)}
		g.exchange(g.h.w.hosts[place])
	}
}

// leave says goodbye.
func (g *gossip) leave() {
	n := news{place: g.h.place, state: left, incarnation: g.incarnation}
	for _, to := range g.some(fanOut*2, nil) {
		g.h.w.network.send(g.h, to, classGossip, sizeNews, func() {
			if to.listens() {
				to.whenUp(func() { to.gossip.hear(n) })
			}
		})
	}
}
