package sim

import (
	"slices"

	"mn/mesh/core"
)

// saying is a hint on its way: a few bytes that one node has said to all. Gossip carries it as Serf does
// its events: whoever hears of one tells others a few times, and exchanges of whole lists bring what was
// said lately, also to who has just started and to who was cut off. So it may come late, after what was
// said later, and again to an agent after the one that heard it.
type saying struct {
	core.Hinted
	number int // of all that were said
	times  int // that it is yet to be told
}

// Bounds of hints.
const (
	sayingsCarried = 8   // with a message
	sayingsKept    = 512 // as Serf's
	sizeSaying     = 60
)

// hearsay is what gossip carries that is not about gossip.
type hearsay struct {
	heard  map[int]bool // in this life of the agent
	tell   []saying     // the next first
	lately []saying     // for exchanges, the latest last
}

// say tells all nodes something, this one included.
func (g *gossip) say(said core.Hinted) {
	g.h.w.said++
	g.hearSaying(saying{Hinted: said, number: g.h.w.said})
}

// hearSaying takes a hint, if it is new.
func (g *gossip) hearSaying(s saying) {
	y := &g.hearsay
	if y.heard[s.number] {
		return
	}
	if y.heard == nil {
		y.heard = map[int]bool{}
	}
	y.heard[s.number] = true
	g.h.tell(s.Hinted)
	s.times = retransmit * order(g.alive+1)
	y.tell = slices.Insert(y.tell, 0, s)
	y.lately = append(y.lately[max(0, len(y.lately)+1-sayingsKept):], s)
	g.round()
}

// take is what to tell with a message: what was told least comes first.
func (y *hearsay) take() []saying {
	if len(y.tell) == 0 {
		return nil
	}
	told := slices.Clone(y.tell[:min(sayingsCarried, len(y.tell))])
	y.tell = y.tell[len(told):]
	for _, s := range told {
		if s.times--; s.times > 0 {
			y.tell = append(y.tell, s)
		}
	}
	return told
}

// hearAll takes what was said lately, as another knows it.
func (g *gossip) hearAll(all []saying) {
	for _, s := range all {
		g.hearSaying(s)
	}
}
