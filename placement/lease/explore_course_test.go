package lease

import (
	"fmt"
	"slices"
)

// A course is how things go where nothing goes wrong: what was sent arrives
// once, and time passes when nothing is left to arrive. Explorations begin
// somewhere along one, and from every state one must lead to a good end.
type course struct {
	*explorer
	s     state
	holds func(f *flight) bool // what does not arrive
	keeps func(f *flight) bool // what is there to arrive again, after the course
	kept  []uint32
}

// coursePasses is how often time may pass until what is to come has come.
const coursePasses = 100

func (x *explorer) courseFrom(s state) *course {
	c := &course{explorer: x, s: s, keeps: func(*flight) bool { return false }}
	c.holds = func(f *flight) bool { return f.msg == nil }
	return c
}

// until goes on until something is so. It is false if that does not come.
func (c *course) until(so func() bool) bool {
	for passes := 0; passes < coursePasses; passes++ {
		for c.deliver(so) {
		}
		if so() {
			return true
		}
		if !c.pass() {
			return false
		}
	}
	return false
}

// pass lets time pass. It is false if nothing will ever be due.
func (c *course) pass() bool {
	t, _, ok := c.try(c.s, move{pass, 0, 0})
	if ok {
		c.s = slices.Clone(t)
	}
	return ok
}

// must is until, on a course that is known to come there.
func (c *course) must(what string, so func() bool) {
	if !c.until(so) {
		panic(fmt.Sprintf("explore %s: no course leads to where %s", c.name, what))
	}
}

// deliver lets all that is on its way arrive. It is false if that was nothing,
// or if what is to come has come.
func (c *course) deliver(so func() bool) bool {
	delivered := false
	for at := 0; at < len(c.sent(c.s)); {
		if so() {
			return false
		}
		id := c.sent(c.s)[at]
		f := &c.flights.all[id]
		if c.s[f.to] == 0 || c.holds(f) {
			at++
			continue
		}
		delivered = true
		if c.keeps(f) {
			c.kept = append(c.kept, id)
		}
		c.arrive(id)
	}
	return delivered
}

// tell lets an agent tell its node what it otherwise may tell at any time.
func (c *course) tell(k int) {
	if _, waits := slices.BinarySearch(c.sent(c.s), c.laterID[k]); waits {
		c.arrive(c.laterID[k])
	}
}

// arrive lets a message arrive, whether or not it was sent.
func (c *course) arrive(id uint32) {
	at, found := slices.BinarySearch(c.sent(c.s), id)
	if !found {
		c.s = slices.Insert(c.s, c.fixed()+at, id)
	}
	t, _, ok := c.try(c.s, move{arrive, uint8(at), 0})
	if ok {
		c.s = slices.Clone(t)
	}
	if at, found = slices.BinarySearch(c.sent(c.s), id); found {
		c.s = slices.Delete(c.s, c.fixed()+at, c.fixed()+at+1)
	}
}

// end is the state that the course has come to. What has arrived, and is not
// kept, was lost for good.
func (c *course) end() state {
	s := append(slices.Clone(c.s), c.kept...)
	slices.Sort(c.sent(s))
	return s[:c.fixed()+len(slices.Compact(c.sent(s)))]
}

// among lets only messages between some nodes arrive.
func (c *course) among(nodes ...int) {
	c.holds = func(f *flight) bool {
		return f.msg == nil || !slices.Contains(nodes, f.from) || !slices.Contains(nodes, f.to)
	}
}

// lose takes out all messages but some. What agents tell later is none.
func (c *course) lose(but func(f *flight) bool) {
	kept := slices.DeleteFunc(slices.Clone(c.sent(c.s)), func(id uint32) bool {
		f := &c.flights.all[id]
		return f.msg != nil && !but(f)
	})
	c.s = append(c.s[:c.fixed()], kept...)
}

func (c *course) loseAll() { c.lose(func(*flight) bool { return false }) }

func anything(*flight) bool { return true }

// onItsWay says whether there is such a message.
func (c *course) onItsWay(is func(f *flight) bool) bool {
	return slices.ContainsFunc(c.sent(c.s), func(id uint32) bool {
		f := &c.flights.all[id]
		return f.msg != nil && is(f)
	})
}

// holder is the node that holds the slot, or -1.
func (c *course) holder() int {
	for i := range c.nodes {
		if c.s[i] != 0 && !c.node(i).held.IsZero() {
			return i
		}
	}
	return -1
}

// node is the state of the party of node i, which is up.
func (c *course) node(i int) *frozen { return &c.parties.all[c.s[i]] }
