package lease

import (
	"fmt"
	"slices"
)

// goodEnd says what is missing at the end of a course from s on which nothing
// goes wrong any more: all nodes are up, all see the truth, and what is sent
// arrives. Of what was sent before, all arrives or all is lost. There must be one
// holder, and one roster of the right size that all know.
func (x *explorer) goodEnd(s state, lost bool) string {
	c := x.courseFrom(slices.Clone(s))
	if lost {
		c.loseAll()
	}
	for i := range x.nodes {
		if c.s[i] == 0 {
			t, _, _ := c.try(c.s, move{restart, uint8(i), 0})
			c.s = slices.Clone(t)
		}
	}
	for k := range x.later {
		c.tell(k)
	}
	for i := range x.nodes {
		c.arrive(x.truth(i))
	}
	missing := ""
	c.until(func() bool {
		missing = c.missing()
		return missing == ""
	})
	return missing
}

// truth is what node i is told in the end.
func (x *explorer) truth(i int) uint32 {
	var v view
	for k := range x.nodes {
		if !slices.Contains(x.gone, k) {
			v.admitted = append(v.admitted, k)
		}
	}
	v.alive = v.admitted
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
func (c *course) missing() string {
	if c.holder() < 0 && slices.ContainsFunc(c.views, func(v view) bool { return v.bids }) {
		return "nobody holds the slot"
	}
	epoch := uint64(0)
	for i := range c.nodes {
		if slices.Contains(c.gone, i) {
			continue
		}
		switch p := c.node(i); {
		case p.voters != seats(c.nodes-len(c.gone)):
			return fmt.Sprintf("%s knows a roster of %d", c.cast[i].name(), p.voters)
		case epoch != 0 && epoch != p.epoch:
			return fmt.Sprintf("%s knows epoch %d, another %d", c.cast[i].name(), p.epoch, epoch)
		default:
			epoch = p.epoch
		}
	}
	return ""
}
