package core

import (
	"cmp"
	"maps"
	"slices"

	"mn/crdt"
	"mn/mesh"
	"mn/placement/lease"
	"mn/runner"
)

// A node is out for good if the mesh has evicted it, or if its disk turns out to
// be of an earlier time: what it has promised since is forgotten, and another may
// live under its key. From the step in which it learns so it leads nothing, says
// nothing to anybody, and stops all that it runs (R9). Its agent ends then; the
// machine may join anew, under another key.

// leaveIfOut has this node leave once there is a reason to.
func (c *Core) leaveIfOut() {
	if c.out != "" {
		return
	}
	if e, evicted := c.records.evicted[c.self]; evicted {
		c.out = "the mesh has evicted this node"
		if e.Reason != "" {
			c.out += ": " + e.Reason
		}
	} else if c.out = c.party.Barred(); c.out == "" {
		return
	}
	c.event(mesh.Event{Kind: mesh.NodeOut, Peer: c.self, Text: c.out})
	c.ready.Send, c.loopback = nil, nil
	c.lead.members, c.lead.bidAt, c.tend.retry = true, 0, true
	for _, id := range slices.Sorted(maps.Keys(c.tend.copies)) {
		c.step(id, runner.Stop{Reason: c.out, AtOnce: true})
	}
}

// Out is why this node is no longer part of the mesh, once nothing of it runs
// here any more; or "". Its agent ends then.
func (c *Core) Out() string {
	if len(c.tend.copies)+len(c.tend.found) > 0 {
		return ""
	}
	return c.out
}

// admitted says whether the mesh has let a node in, and has not evicted it since.
func (c *Core) admitted(id mesh.NodeID) bool {
	_, member := c.records.members[id]
	return member && !c.Evicted(id)
}

// evict has the mesh do without a node for good, whatever that is up to.
func (c *Core) evict(call Evict) (reply any, none crdt.Entry, f *mesh.Fault) {
	if _, member := c.records.members[call.Node]; !member {
		return nil, none, mesh.Faultf(mesh.NotFound, "no node %q", call.Node).Hint("mn node ls")
	}
	before, evicted := c.records.evicted[call.Node]
	if evicted && (before.Off || !call.Off) {
		return Kept{}, none, nil
	}
	if f := cmp.Or(c.mayForget(call), c.mayDoWithout(call.Node)); f != nil {
		return nil, none, f
	}
	reason := cmp.Or(call.Reason, before.Reason)
	e := mesh.Evicted{Node: call.Node, Reason: reason, By: c.self, At: c.now.Wall.UTC(), Off: call.Off}
	if f := fits(mesh.KeyEvicted(call.Node), e); f != nil {
		return nil, none, f
	}
	kind, text := mesh.NodeEvicted, c.name(call.Node)
	if call.Off {
		kind, text = mesh.NodeForgotten, text+", which a person says is off for good"
	}
	if reason != "" {
		text += ": " + reason
	}
	c.event(mesh.Event{Kind: kind, Peer: call.Node, Text: text})
	return Kept{}, c.put(mesh.KeyEvicted(call.Node), e, crdt.Fence{}), nil
}

// mayDoWithout says why a voter cannot be put out, if so: nobody could decide any more, and
// nobody let another in, also none in its place.
func (c *Core) mayDoWithout(node mesh.NodeID) *mesh.Fault {
	sees := func(id mesh.NodeID) bool {
		p := c.peers[id]
		return id == c.self || p != nil && p.liveness == mesh.Alive
	}
	others := func(id mesh.NodeID) bool { return id != node && sees(id) }
	if !c.party.Majority(sees) || c.party.Majority(others) {
		return nil
	}
	return mesh.Faultf(mesh.Conflict, "node %q is a voter, and there is no majority of the %d voters without it",
		c.name(node), len(c.party.Roster().Voters)).
		Hint("let another node in, and wait until it votes: mn node ls")
}

// mayForget says why nobody can vouch that a node is off, if so: we see it, or have
// only just begun to look.
func (c *Core) mayForget(call Evict) *mesh.Fault {
	name, p := c.name(call.Node), c.peers[call.Node]
	switch {
	case !call.Off:
		return nil
	case call.Node == c.self || p != nil && p.liveness == mesh.Alive:
		return mesh.Faultf(mesh.Conflict, "node %q is alive: only a machine that is off for good is forgotten", name).
			Hint("mn node evict %s puts it out, whatever it is up to", name)
	case p == nil && !c.graceOver():
		return mesh.Faultf(mesh.Unavailable, "this agent has only just started, and node %q may yet show itself", name).
			Hint("try again in %v", mesh.Duration(c.cfg.JoinGrace))
	}
	return nil
}

// forgotten says whether a person has vouched that a node is off for good.
func (c *Core) forgotten(id mesh.NodeID) bool { return c.records.evicted[id].Off && id != c.self }

// forgottenIDs are all nodes of which that is so, sorted.
func (c *Core) forgottenIDs() []mesh.NodeID {
	var ids []mesh.NodeID
	for id := range c.records.evicted {
		if c.forgotten(id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Evicted says whether the mesh does without a node for good, as this node knows.
func (c *Core) Evicted(id mesh.NodeID) bool {
	_, evicted := c.records.evicted[id]
	return evicted
}

// refuseEvicted refuses all that an evicted node says, and tells it so.
func (c *Core) refuseEvicted(from mesh.NodeID, m *Message) bool {
	if !c.Evicted(from) || from == c.self {
		return false
	}
	if e, ok := c.replica.Get(mesh.KeyEvicted(from)); ok && m.Push == nil {
		c.send(from, Message{Push: &Push{Entries: []crdt.Entry{e}}})
	}
	return true
}

// rewound has this node leave: peers know writes of its own that it does not
// know. A disk that has lost records and knows so is another matter.
func (c *Core) rewound() {
	if !c.damaged && !c.party.Forgot() {
		c.take(c.party.Step(c.now.Boot, lease.Rewound{}))
	}
}
