package core

import (
	"fmt"
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
	_, evicted := c.records.evicted[id]
	return member && !evicted
}

// evict has the mesh do without a node for good, whatever that is up to.
func (c *Core) evict(call Evict) (reply any, none crdt.Entry, f *mesh.Fault) {
	if _, member := c.records.members[call.Node]; !member {
		return nil, none, mesh.Faultf(mesh.NotFound, "no node %q", call.Node).Hint("mn node ls")
	}
	if _, evicted := c.records.evicted[call.Node]; evicted {
		return Kept{}, none, nil
	}
	e := mesh.Evicted{Node: call.Node, Reason: call.Reason, By: c.self, At: c.now.Wall.UTC()}
	if f := fits(mesh.KeyEvicted(call.Node), e); f != nil {
		return nil, none, f
	}
	text := fmt.Sprintf("%s: %s", c.name(call.Node), call.Reason)
	c.event(mesh.Event{Kind: mesh.NodeEvicted, Peer: call.Node, Text: text})
	return Kept{}, c.put(mesh.KeyEvicted(call.Node), e, crdt.Fence{}), nil
}

// refuseEvicted refuses all that an evicted node says, and tells it so.
func (c *Core) refuseEvicted(from mesh.NodeID, m *Message) bool {
	if _, evicted := c.records.evicted[from]; !evicted || from == c.self {
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
