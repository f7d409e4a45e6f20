package core

import (
	"fmt"
	"time"

	"mn/crdt"
	"mn/mesh"
)

// What people want of a node is a record that any peer takes, also while the node
// is away or a peer has just restarted. Coordinators move what is on a node that is
// to be drained (placement/reconcile/drain.go); nobody runs the drain, so nobody's
// end stops it.

// administer takes what people want of a node from now on.
func (c *Core) administer(a mesh.Administration) (reply any, none crdt.Entry, f *mesh.Fault) {
	if !c.admitted(a.Node) {
		return nil, none, mesh.Faultf(mesh.NotFound, "no node %q", a.Node).Hint("mn node ls")
	}
	before := c.records.admin[a.Node]
	a.By, a.At, a.GivenUp = c.self, c.now.Wall.UTC(), before.GivenUp
	if f := fits(mesh.KeyAdmin(a.Node), a); f != nil {
		return nil, none, f
	}
	text := c.name(a.Node)
	if a.Mode == mesh.Draining {
		text += fmt.Sprintf(", until %s at the latest", a.Deadline.UTC().Format("15:04:05 UTC"))
	}
	if a.Reason != "" {
		text += ": " + a.Reason
	}
	switch a.Mode {
	case mesh.InService:
		text += "; next: it takes work"
	case mesh.Maintenance:
		text += "; next: it takes no new work, and keeps what it has"
	}
	draining := before.Mode == mesh.Draining && !c.hasDrained(a.Node)
	c.event(mesh.Event{Kind: administered(draining, a.Mode), Peer: a.Node, Text: text})
	return Kept{}, c.put(mesh.KeyAdmin(a.Node), a, crdt.Fence{}), nil
}

// giveUp has nobody give a node any time to come back from where it is now. Whoever
// hears of it judges by its own clocks for how long the node has been out of sight: one
// that hears of it late, or has restarted since, may give the node its time.
func (c *Core) giveUp(g GiveUp) (reply any, none crdt.Entry, f *mesh.Fault) {
	n := mesh.NodeView{Node: mesh.Node{ID: g.Node}}
	switch c.liveness(&n); {
	case !c.admitted(g.Node):
		return nil, none, mesh.Faultf(mesh.NotFound, "no node %q", g.Node).Hint("mn node ls")
	case n.Liveness == mesh.Alive:
		return nil, none, mesh.Faultf(mesh.Conflict, "node %q is in sight: nobody waits for it", c.name(g.Node))
	}
	a := c.records.admin[g.Node]
	a.Node, a.GivenUp = g.Node, c.now.Wall.UTC()
	text := c.name(g.Node)
	if g.Reason != "" {
		text += ": " + g.Reason
	}
	text += "; next: its copies are replaced now, where their jobs allow that, and not when lost_after is over"
	c.event(mesh.Event{Kind: mesh.NodeGivenUp, Peer: g.Node, Text: text})
	return Kept{}, c.put(mesh.KeyAdmin(g.Node), a, crdt.Fence{}), nil
}

// administered is the kind of event that a change of mode is, of a node of which
// something had to go still, or nothing.
func administered(draining bool, now mesh.AdminMode) mesh.EventKind {
	switch {
	case now == mesh.Draining:
		return mesh.NodeDrainStarted
	case draining:
		return mesh.NodeDrainCancelled
	case now == mesh.Maintenance:
		return mesh.NodeMaintenanceEnabled
	}
	return mesh.NodeMaintenanceDisabled
}

// draining is how far the drain of this node has got, as it was told last.
type draining struct {
	asked time.Time // for that drain
	left  int       // copies
	over  bool
}

// drainDone is what is told of a drain that is over.
const drainDone = "nothing is left on it that had to go; " +
	"next: it takes no new work until a person says so: mn node undrain --mark-eligible"

// tellDrained says how the drain of this node goes on, and once that it is over.
func (c *Core) tellDrained() {
	admin := c.records.admin[c.self]
	if admin.Mode != mesh.Draining || c.drain.over && c.drain.asked == admin.At {
		return
	}
	now := c.drained()
	was := c.drain
	c.drain = now
	switch {
	case now.over:
		c.event(mesh.Event{Kind: mesh.NodeDrainCompleted, Peer: c.self, Text: drainDone})
	case was.asked == now.asked && now.left < was.left:
		text := fmt.Sprintf("%d of its copies have to go still", now.left)
		if now.left == 1 {
			text = "one of its copies has to go still"
		}
		c.event(mesh.Event{Kind: mesh.NodeDrainProgress, Peer: c.self, Text: text})
	}
}

// drained is how far the drain of this node has got.
func (c *Core) drained() draining {
	c.records.refresh()
	admin, holds := c.records.admin[c.self], c.records.picture.holds[c.self]
	d := draining{asked: admin.At, left: holds.Free, over: c.hasDrained(c.self)}
	if admin.System {
		d.left += holds.Bound
	}
	return d
}

// hasDrained says whether nothing is left on a node that is drained, as far as is known here.
func (c *Core) hasDrained(id mesh.NodeID) bool {
	c.records.refresh()
	n := mesh.NodeView{Admin: c.records.admin[id], Holds: c.records.picture.holds[id]}
	return n.Drained()
}
