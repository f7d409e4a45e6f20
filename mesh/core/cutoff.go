package core

import (
	"slices"
	"time"

	"mn/mesh"
	"mn/runner"
)

// Eager copies with stop_after have a dead-man's switch, too. Their own node puts it off, as
// long as it is not cut off from the voters.

// longAgo is before anything that a copy waits for.
const longAgo = 1000 * time.Hour

// renewOwn puts off the dead-man's switches of our eager copies that have one: until their
// time after we heard a majority of the voters last. Voters that we have not heard for a while
// are asked.
func (c *Core) renewOwn() {
	var due []mesh.AllocID
	for id, t := range c.tend.copies {
		if t.self && t.askAt <= c.now.Boot {
			due = append(due, id)
		}
	}
	if len(due) == 0 {
		return
	}
	slices.Sort(due)
	heard := c.majorityHeard()
	for _, id := range due {
		t := c.tend.copies[id]
		t.askAt = heard + t.lease/renewPart
		if left := heard + t.lease - c.now.Boot; left > 0 {
			c.step(id, runner.Renew{Lease: left})
		}
		if t.askAt <= c.now.Boot {
			t.askAt = c.now.Boot + startEvery
			c.hearVoters(heard)
		}
	}
}

// majorityHeard is when we heard a majority of the voters last: they have answered what we
// asked them then, or later. What was on its way while we slept says nothing. Long ago if we
// never have.
func (c *Core) majorityHeard() time.Duration {
	roster := c.party.Roster()
	var at []time.Duration
	for _, v := range roster.Voters {
		switch p := c.peers[v.ID]; {
		case v.ID == c.self:
			at = append(at, c.now.Boot)
		case p != nil && p.heard > 0:
			at = append(at, p.heard)
		}
	}
	slices.Sort(at)
	if n := roster.Quorum(); n > 0 && len(at) >= n {
		return at[len(at)-n]
	}
	return -longAgo
}

// hearVoters asks the voters in sight that we have not heard since an instant, or at that.
func (c *Core) hearVoters(since time.Duration) {
	for _, v := range c.party.Roster().Voters {
		p := c.peers[v.ID]
		if p != nil && p.liveness == mesh.Alive && p.heard <= since && p.asked+startEvery <= c.now.Boot {
			c.begin(v.ID)
		}
	}
}
