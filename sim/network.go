package sim

import (
	"strings"
	"time"

	"mn/mesh/core"
)

// class is what a message is about, for the figures.
type class string

// network carries messages between hosts: it delays, loses and repeats them as
// the scenario says and faults have it, and keeps none back for ever.
type network struct {
	w    *world
	dice chance
	base Network

	cut     map[link]int // how many faults have cut it
	worse   []*Network   // what faults add
	parted  bool         // some link is cut
	traffic map[class]*Traffic
}

// link is one direction between two hosts, by their places.
type link struct{ from, to int }

// Traffic is what was sent.
type Traffic struct {
	Messages int64 `json:"messages"`
	Bytes    int64 `json:"bytes"`
}

func newNetwork(w *world, base Network) *network {
	return &network{
		w: w, dice: chanceOf(w.options.Seed, "network"), base: base,
		cut: map[link]int{}, traffic: map[class]*Traffic{},
	}
}

// reaches says whether messages get from one host to another now.
func (n *network) reaches(from, to *host) bool {
	return !n.parted || n.cut[link{from.place, to.place}] == 0
}

// send puts a message on its way. It is taken off the network, if it gets
// there, by arrive.
func (n *network) send(from, to *host, c class, size int, arrive func()) {
	t := n.traffic[c]
	if t == nil {
		t = &Traffic{}
		n.traffic[c] = t
	}
	t.Messages++
	t.Bytes += int64(size)
	copies := 1
	if n.dice.hits(n.sum(func(c *Network) Share { return c.Duplicate })) {
		copies = 2
		n.w.counts.add(Repeated)
	}
	for range copies {
		if n.dice.hits(n.sum(func(c *Network) Share { return c.Loss })) {
			n.w.counts.add(Dropped)
			continue
		}
		n.w.plan(n.delay()+from.lag()+to.lag(), func() {
			if !n.reaches(from, to) {
				n.w.counts.add(Dropped)
				return
			}
			arrive()
		})
	}
}

// sum adds up a share over the base and what faults add.
func (n *network) sum(of func(*Network) Share) Share {
	s := of(&n.base)
	for _, w := range n.worse {
		s += of(w)
	}
	return min(s, Whole)
}

// delay draws how long a message takes.
func (n *network) delay() time.Duration {
	d := n.base.Delay.Std() + n.dice.upTo(n.base.Jitter.Std())
	for _, w := range n.worse {
		d += w.Delay.Std() + n.dice.upTo(w.Jitter.Std())
	}
	if n.dice.hits(n.sum(func(c *Network) Share { return c.Late })) {
		d += n.dice.upTo(n.base.LateBy.Std())
	}
	return d
}

// worsen adds to how badly messages fare until the returned function is called.
func (n *network) worsen(by Network) (end func()) {
	n.worse = append(n.worse, &by)
	return func() {
		for i, w := range n.worse {
			if w == &by {
				n.worse = append(n.worse[:i:i], n.worse[i+1:]...)
				return
			}
		}
	}
}

// part cuts links until the returned function is called. A link that several
// faults have cut carries nothing until all of them have ended.
func (n *network) part(links []link) (mend func()) {
	for _, l := range links {
		n.cut[l]++
	}
	n.parted = len(n.cut) > 0
	return func() {
		for _, l := range links {
			if n.cut[l]--; n.cut[l] == 0 {
				delete(n.cut, l)
			}
		}
		n.parted = len(n.cut) > 0
	}
}

// between is both directions between hosts of different groups. Hosts that are
// in no group see all.
func between(groups [][]*host) []link {
	var links []link
	for i, a := range groups {
		for j, b := range groups {
			if i == j {
				continue
			}
			for _, from := range a {
				for _, to := range b {
					links = append(links, link{from.place, to.place})
				}
			}
		}
	}
	return links
}

// total is what was sent so far.
func (n *network) total() map[class]Traffic {
	all := map[class]Traffic{}
	for c, t := range n.traffic {
		all[c] = *t
	}
	return all
}

// noteMessage counts what messages say.
func (w *world) noteMessage(m *core.Message) {
	if m.Reserved != nil && strings.HasPrefix(m.Reserved.Refusal, "fence ") {
		w.counts.add(StaleRefused)
	}
	if m.Lease != nil && m.Lease.Contested() {
		w.counts.add(Contested)
	}
}
