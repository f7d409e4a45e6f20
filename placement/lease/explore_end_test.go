package lease

import (
	"fmt"
	"slices"
)

// ending is how a course goes on which nothing goes wrong any more: all nodes
// are up, all see the truth, and what is sent arrives.
type ending struct {
	lost bool // what was sent before does not
	dead int  // a node that stays down, -1 if none does
}

// endings are those that must be good for a state. A node may be missing only where
// a majority of voters is left without it.
func (x *explorer) endings(s sample) []ending {
	list := []ending{{true, -1}, {false, -1}}
	for i := range x.nodes {
		if s.state[i] != 0 && x.parties.all[s.state[i]].voters < 3 {
			return list
		}
	}
	return append(list, ending{true, int(s.number) % x.nodes})
}

// goodEnd says what is missing at the end of a course from s. There must be one
// holder, and one roster of the right size that all know.
func (x *explorer) goodEnd(s state, e ending) string {
	c := x.courseFrom(slices.Clone(s))
	if e.lost {
		c.loseAll()
	}
	for i := range x.nodes {
		switch {
		case i == e.dead:
			c.s[i] = 0
		case c.s[i] == 0:
			t, _, _ := c.try(c.s, move{restart, uint8(i), 0})
			c.s = slices.Clone(t)
		}
	}
	for i := range x.nodes {
		if i == e.dead {
			continue
		}
		for k, l := range x.later {
			if l.node == i {
				c.tell(k)
			}
		}
		c.arrive(x.truth(i, e.dead))
	}
	missing := ""
	c.until(func() bool {
		missing = c.missing(e.dead)
		return missing == ""
	})
	return missing
}

// truth is what node i is told in the end.
func (x *explorer) truth(i, dead int) uint32 {
	var v view
	for k := range x.nodes {
		if !slices.Contains(x.gone, k) {
			v.admitted = append(v.admitted, k)
		}
	}
	v.alive = slices.DeleteFunc(slices.Clone(v.admitted), func(k int) bool { return k == dead })
	v.bids = x.views[i].bids
	for _, l := range x.later {
		if l.node == i {
			v.bids = l.view.bids
		}
	}
	return x.addFlight(flight{
		from: -1 - len(x.later), to: i, clock: -1, told: []Input{x.members(v), v.bid()},
	})
}

// missing is what a good end still lacks.
func (c *course) missing(dead int) string {
	epoch, bidder := uint64(0), false
	for i := range c.nodes {
		if i == dead || slices.Contains(c.gone, i) {
			continue
		}
		p := c.node(i)
		bidder = bidder || p.bids
		switch {
		case p.voters != seats(c.nodes-len(c.gone)):
			return fmt.Sprintf("%s knows a roster of %d", c.cast[i].name(), p.voters)
		case epoch != 0 && epoch != p.epoch:
			return fmt.Sprintf("%s knows epoch %d, another %d", c.cast[i].name(), p.epoch, epoch)
		}
		epoch = p.epoch
	}
	if bidder && c.holder() < 0 {
		return "nobody holds the slot"
	}
	return ""
}
