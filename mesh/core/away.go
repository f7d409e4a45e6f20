package core

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"mn/crdt"
	"mn/mesh"
	"mn/placement/lease"
)

// collectEvery is how often deletes are looked for that may be forgotten: they
// are kept for an hour at least, and nobody waits for it.
const collectEvery = time.Minute

// collect forgets the deletes that every admitted node has seen. A node out of
// sight for longer than the horizon is waited for no more: it is marked as
// away, and from the next time on it does not count. Only who has been with a
// majority of the voters all that time, and awake, may say so: if both sides of a split
// marked each other, both would empty their copies when they meet.
func (c *Core) collect() {
	if c.now.Boot < c.sync.collect {
		return
	}
	if c.now.Boot-c.sync.collect > collectEvery {
		c.sync.awake = c.now.Boot // it slept
	}
	c.sync.collect = c.now.Boot + collectEvery
	var said []crdt.Report
	complete := true
	for _, id := range c.records.memberIDs() {
		p := c.peers[id]
		since := c.started
		if p != nil {
			since = p.since
		}
		_, marked := c.records.away[id]
		if p != nil && !p.saidIn.Equal(c.records.nodes[id].StartedAt) {
			c.disbelieve(id) // its disk may have lost something since
		}
		switch {
		case id == c.self || !c.admitted(id):
		case marked:
			c.disbelieve(id) // when it is back, it is with less
		case p != nil && p.liveness == mesh.Alive:
			said = append(said, p.said) // nothing, before it has said what it has
		case c.now.Boot-max(since, c.lead.majorityAt, c.sync.awake) >= c.cfg.Horizon:
			c.put(mesh.KeyAway(id), mesh.Away{Node: id, Since: c.now.Wall.UTC()}, crdt.Fence{})
			complete = false // the mark spreads before anything is forgotten
		case p != nil:
			said = append(said, p.said)
		default:
			complete = false // not heard of since we started
		}
	}
	if complete {
		c.replica.Collect(said, c.now.Wall)
	}
}

// refuseStale refuses data from a node that is marked as away, and tells it.
// What it has may have been deleted, and the delete forgotten.
func (c *Core) refuseStale(from mesh.NodeID, m *Message) bool {
	mark, marked := c.replica.Get(mesh.KeyAway(from))
	if !marked || mark.Deleted || from == c.self {
		return false
	}
	if m.Push == nil && m.Sync == nil && m.Answer == nil && m.Confirm == nil {
		return false
	}
	c.send(from, Message{Stale: &Stale{Mark: mark.Dot}})
	return true
}

// stale empties this node's copy because a peer says that it was away for too
// long; what it runs goes on until the copy is filled again, and what it kept as a
// voter it must learn again. A peer that has done so is no longer marked. Who was away
// itself may know of a mark that is gone: only a copy that was emptied since can have
// seen the mark and not have it.
func (c *Core) stale(from mesh.NodeID, s *Stale) {
	if s.Emptied {
		c.disbelieve(from)
		c.drop(mesh.KeyAway(from), crdt.Fence{})
		c.begin(from)
		return
	}
	_, marked := c.records.away[c.self]
	since := s.Mark == c.emptied && c.now.Boot-c.started < c.cfg.Horizon/2 // it was told by several
	if s.Mark != (crdt.Dot{}) && (since || !marked && c.replica.Seen().Has(s.Mark)) {
		c.send(from, Message{Stale: &Stale{Emptied: true}})
		c.begin(from) // it has refused what we asked it
		return
	}
	c.event(mesh.Event{Kind: mesh.RecordRefused, Peer: from, Text: fmt.Sprintf(
		"this node was away beyond %v: it empties its copy of %d records and takes the mesh's",
		c.cfg.Horizon, c.replica.Len())})
	c.replica.Reset()
	c.emptied = s.Mark
	c.records, c.fresh = newRecords(), nil
	c.stir()
	c.take(c.party.Step(c.now.Boot, lease.Forgot{}))
	c.beginAnew()
	c.study()
	c.describe()
	for _, id := range slices.Sorted(maps.Keys(c.tend.copies)) {
		c.putStatus(c.tend.copies[id].Status())
	}
	c.send(from, Message{Stale: &Stale{Emptied: true}})
	c.begin(from)
}

// beginAnew has this node wait for what its peers know, as after a start, now
// that its copy is empty. Nobody is told that a write is durable that is gone.
func (c *Core) beginAnew() {
	c.started, c.sync.settled = c.now.Boot, false
	c.unlearn()
	c.lead.degraded, c.lead.members = false, true
	c.lead.graceAt = c.now.Boot + c.cfg.JoinGrace
	c.tend.settleAt = c.lead.graceAt
	for _, w := range c.waits.list {
		c.ready.Reply = append(c.ready.Reply, Reply{ID: w.reply.ID, Fault: mesh.Faultf(
			mesh.Unavailable, "this node was away for too long, and has taken the mesh's data for its own").
			Hint("ask again")})
	}
	c.waits.list = nil
}
