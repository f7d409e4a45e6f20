package lease

// Worlds in which planted bugs are found. Each begins as near to its danger as it
// can without the bug, and is to be safe without it.

func traps() []*model {
	return []*model{
		stranger(), lastBeat(), split(), givesBack(), voted(), sealed(), carried(), waiting(), changed(),
	}
}

// stranger has a bidder that is no voter. Its grants have been on their way for so
// long that they are over.
func stranger() *model {
	m := threeBid()
	m.name, m.views, m.dead = "stranger", everyone(four, 3), []int{2}
	m.later = []later{{1, view{four, four, bids}}}
	m.lead = func(x *explorer, s state) state {
		c := x.courseFrom(s)
		c.holds = func(f *flight) bool { return f.msg == nil || f.msg.Accept != nil }
		granted := func(by int) bool {
			return c.onItsWay(func(f *flight) bool { return f.msg.Accept != nil && f.from == by })
		}
		c.must("n1 and n2 have granted", func() bool { return granted(0) && granted(1) })
		c.lose(func(f *flight) bool { return f.msg.Accept != nil })
		for range 3 {
			c.pass()
		}
		return c.end()
	}
	return m
}

// lastBeat is as clocks, late in a lease that the fast voter has granted, and the
// right one has not.
func lastBeat() *model {
	m := clocks()
	m.name, m.views = "last beat", everyone(three, 0)
	m.later = []later{{1, view{three, three, bids}}}
	m.lead = func(x *explorer, s state) state {
		c := x.courseFrom(s)
		c.holds = func(f *flight) bool { return f.msg == nil || f.to == 2 && f.msg.Propose != nil }
		c.must("n1 holds", func() bool { return c.holder() == 0 })
		c.loseAll()
		c.tell(0)
		c.among(1, 2)
		c.must("n2 knows how to bid above it", func() bool { return c.node(1).tried > 1 })
		for c.node(1).granted > x.cfg.Renew {
			c.pass()
		}
		c.loseAll()
		return c.end()
	}
	return m
}

// split has nodes that see different ones alive.
func split() *model {
	m := twoBid()
	m.name = "split"
	m.views[0].alive, m.views[1].alive = []int{0}, []int{1, 2}
	return m
}

// givesBack has a holder that will be told to bid no more.
func givesBack() *model {
	m := twoBid()
	m.name, m.lead = "gives back", held(0)
	m.later = []later{{0, view{three, three, !bids}}}
	return m
}

// oneDriver has a voter that will want another roster: without n3, which bids
// in the old one, and with n4, which bids in the new.
func oneDriver(name string) *model {
	some := []int{0, 1, 3}
	return &model{
		name: name, nodes: 4, voters: three, views: everyone(four, 2, 3), cfg: beats(), calm: true,
		later: []later{{0, view{some, some, !bids}}},
	}
}

// voted begins where n1 has elected with the vote of n2, and nobody else knows.
// n2 wants another roster.
func voted() *model {
	other := []int{1, 2, 3}
	m := oneDriver("voted")
	m.views = everyone(four)
	m.views[1] = view{other, other, !bids}
	m.crashes, m.mortal = 1, []int{1}
	m.lead = func(x *explorer, s state) state {
		c := x.courseFrom(s)
		c.tell(0)
		c.holds = func(f *flight) bool {
			return f.msg == nil || f.to == 2 || f.from == 1 && f.msg.Vow == nil && f.msg.Vote == nil
		}
		c.must("n1 has elected", func() bool { return c.node(0).epoch == 2 })
		c.loseAll()
		return c.end()
	}
	return m
}

// sealed begins where n1 has elected with the vote of n2, and n3 has asked n2 for a
// grant in the old epoch, which has not arrived.
func sealed() *model {
	m := oneDriver("sealed")
	asks := func(f *flight) bool { return f.from == 2 && f.to == 1 && f.msg.Propose != nil }
	m.lead = func(x *explorer, s state) state {
		c := x.courseFrom(s)
		c.among(1, 2)
		c.must("n3 asks", func() bool { return c.onItsWay(asks) })
		c.tell(0)
		c.among(0, 1)
		c.must("n1 has elected", func() bool { return c.node(0).epoch == 2 })
		c.lose(func(f *flight) bool { return asks(f) || f.to == 3 && f.msg.Chain != nil })
		return c.end()
	}
	return m
}

// carried begins where n3 holds, and the voters of the new roster know it.
func carried() *model {
	m := oneDriver("carried")
	m.lead = func(x *explorer, s state) state {
		c := x.courseFrom(s)
		c.among(0, 2)
		c.must("n3 holds", func() bool { return c.holder() == 2 })
		c.elect()
		c.loseAll()
		return c.end()
	}
	return m
}

// waiting is as carried, with a bidder that is a voter of both rosters.
func waiting() *model {
	m := carried()
	m.name, m.views = "waiting", everyone(four, 1, 2)
	m.crashes, m.mortal = 2, []int{0, 1}
	return m
}

// changed begins where the roster has changed, nobody holds, and n3, which is no
// voter any more, does not know it.
func changed() *model {
	m := oneDriver("changed")
	m.lead = func(x *explorer, s state) state {
		c := x.courseFrom(s)
		c.elect()
		c.lose(func(f *flight) bool { return f.msg.Prepare != nil })
		return c.end()
	}
	return m
}

// elect goes on until n1, n2 and n4 know the new roster and n3 does not.
func (c *course) elect() {
	c.tell(0)
	c.holds = func(f *flight) bool {
		return f.msg == nil || f.from == 3 || f.to == 2 || f.from == 2
	}
	c.must("the roster has changed", func() bool {
		return c.node(0).epoch == 2 && c.node(1).epoch == 2 && c.node(3).epoch == 2
	})
}
