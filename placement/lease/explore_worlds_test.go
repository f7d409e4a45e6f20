package lease

import "slices"

// The worlds that are explored. Nodes are numbered from 0 here, and are called n1
// and so on in stories.

var (
	three = []int{0, 1, 2}
	four  = []int{0, 1, 2, 3}
	bids  = true
)

// everyone is what each node sees where all see the same.
func everyone(nodes []int, bidders ...int) []view {
	var views []view
	for i := range nodes {
		views = append(views, view{nodes, nodes, slices.Contains(bidders, i)})
	}
	return views
}

func worlds() []*model {
	return []*model{
		twoBid(), threeBid(), lateTicks(), restarts(), reboots(), clocks(), twoDrivers(), growth(),
		eviction(), youngEpoch(),
	}
}

// twoBid has three voters, two of which bid.
func twoBid() *model {
	return &model{
		name: "two bid", nodes: 3, voters: three, views: everyone(three, 0, 1),
		cfg: beats(), oneRoster: true,
		shows: []sight{heldOnce, contested},
	}
}

// threeBid has a bidder besides that is no voter, so that all its grants come late.
func threeBid() *model {
	return &model{
		name: "three bid", nodes: 4, voters: three, views: everyone(four, 0, 1, 3),
		cfg: beats(), oneRoster: true,
		shows: []sight{heldOnce, contested},
	}
}

func lateTicks() *model {
	m := twoBid()
	m.name, m.delays, m.lead = "late ticks", 3, held(0)
	return m
}

func restarts() *model {
	m := twoBid()
	m.name, m.crashes, m.lead = "restarts", 2, held(0)
	m.shows = append(m.shows, someDown)
	return m
}

// reboots begins where a node that is no voter holds the slot, and the answers
// that it got are on their way once more.
func reboots() *model {
	m := threeBid()
	m.name, m.crashes, m.reboots, m.views = "reboots", 1, true, everyone(four, 3)
	m.shows = []sight{heldOnce, someDown}
	m.lead = func(x *explorer, s state) state {
		c := x.courseFrom(s)
		c.among(0, 1, 3)
		c.keeps = func(f *flight) bool { return f.to == 3 }
		c.must("n4 holds", func() bool { return c.holder() == 3 })
		c.loseAll()
		return c.end()
	}
	return m
}

// clocks has a holder whose clock is as slow as allowed, a voter whose clock is as
// fast, and one whose clock is right. Each clock shows whole numbers at all
// instants of the others.
func clocks() *model {
	m := twoBid()
	m.name, m.lead, m.rates = "clocks", held(0), []rate{{15, 16}, {17, 16}, {16, 16}}
	const beat = 16 * 15 * 17 * 250_000
	m.cfg.Rate = 1. / 16
	m.cfg.Length, m.cfg.Renew, m.cfg.Retry, m.cfg.Replace = 3*beat, beat, beat, 4*beat
	return m
}

// twoDrivers has two voters that want another roster each, while a node bids in
// the old epoch and one in whichever is the new.
func twoDrivers() *model {
	withN1, withN3 := []int{0, 1, 3}, []int{1, 2, 3}
	return &model{
		name: "two drivers", nodes: 4, voters: three, cfg: beats(),
		views: []view{
			{withN1, withN1, !bids}, {withN3, withN3, !bids}, {four, four, bids}, {four, four, bids},
		},
		shows: []sight{heldOnce, contested, twoEpochs, someSealed},
	}
}

// growth is a mesh of one that becomes one of three. The first node holds the
// slot, and the second wants it.
func growth() *model {
	one := []int{0}
	return &model{
		name: "growth", nodes: 3, voters: one, cfg: beats(), crashes: 1,
		views: []view{{one, one, bids}, {three, three, bids}, {three, three, !bids}},
		later: []later{{0, view{three, three, bids}}},
		shows: []sight{heldOnce, contested, twoEpochs, someDown},
	}
}

// eviction has a holder that is a voter too, and is no longer admitted, which the
// nodes learn at different times.
func eviction() *model {
	rest := []int{1, 2, 3}
	return &model{
		name: "eviction", nodes: 4, voters: three, views: everyone(four, 0, 1),
		cfg: beats(), lead: held(0),
		later: []later{
			{0, view{rest, four, bids}}, {1, view{rest, four, bids}}, {2, view{rest, four, !bids}},
		},
		gone:  []int{0},
		shows: []sight{heldOnce, contested, twoEpochs, someSealed, someEvicted},
	}
}

// held leads to where a node holds the slot, and the messages that led there are
// gone.
func held(by int) func(*explorer, state) state {
	return func(x *explorer, s state) state {
		c := x.courseFrom(s)
		c.holds = func(f *flight) bool { return f.from != by && f.to != by || f.msg == nil }
		c.must("the slot is held", func() bool { return c.holder() == by })
		c.loseAll()
		return c.end()
	}
}

// youngEpoch begins where a roster has just changed, and a slot that its holder
// has carried over has changed hands since. The news of the change, with the
// leases that went on then, is on its way to a voter once more.
func youngEpoch() *model {
	some := []int{0, 1, 3}
	m := &model{
		name: "young epoch", nodes: 4, voters: three, views: everyone(four, 0),
		cfg: beats(), crashes: 1, mortal: []int{1},
		later: []later{
			{0, view{some, some, bids}}, // it makes a roster without n3
			{0, view{some, some, !bids}},
			{3, view{four, four, bids}},
			{0, view{some, some, bids}},
		},
		shows: []sight{heldOnce, contested, someDown},
	}
	m.lead = func(x *explorer, s state) state {
		c := x.courseFrom(s)
		c.keeps = func(f *flight) bool {
			return f.to == 1 && f.msg.Chain != nil && f.msg.Chain.Carry != nil
		}
		c.must("n1 holds", func() bool { return c.holder() == 0 })
		c.tell(0)
		c.must("n1 holds in the new epoch", func() bool {
			return c.holder() == 0 && c.node(0).held.Epoch == 2 && c.node(3).epoch == 2
		})
		c.tell(1)
		c.must("all know that it does no more", func() bool { return !c.onItsWay(anything) })
		c.tell(2)
		c.holds = func(f *flight) bool {
			return f.msg == nil || f.from == 0 || f.to == 0 && f.msg.Prepare == nil
		}
		c.must("n4 holds without the grant of n1", func() bool { return c.holder() == 3 })
		c.loseAll()
		c.tell(3)
		c.among()
		c.must("n1 bids above it", func() bool { return c.node(0).tried > 2 })
		return c.end()
	}
	return m
}
