package core

import (
	"testing"
	"time"

	"mn/crdt"
	"mn/mesh"
)

func TestLoneNodeForgetsDeletesToo(t *testing.T) {
	l := newLab(t, 1)
	c := l.nodes[0].core
	c.put("test/x", "of a newer release", crdt.Fence{})
	c.drop("test/x", crdt.Fence{})
	l.step(l.nodes[0], Tick{})
	l.after(crdt.TombstoneAge - time.Minute)
	if tombstones(c) != 1 {
		t.Error("a delete is forgotten too early")
	}
	l.after(time.Minute + 2*collectEvery)
	if tombstones(c) != 0 {
		t.Error("a delete is remembered for ever")
	}
}

func TestWhatAPeerSaidBeforeItWasAwayCountsNoMore(t *testing.T) {
	l := newLab(t, 2)
	l.after(15 * time.Second)
	h, other := l.nodes[0], l.nodes[1]
	h.core.put("test/x", "of a newer release", crdt.Fence{})
	h.core.drop("test/x", crdt.Fence{})
	l.step(h, Tick{})
	l.after(2 * time.Minute)
	l.cut = func(a, b mesh.NodeID) bool { return true }
	l.step(h, Seen{other.self.ID, mesh.Lost})
	l.step(h, Seen{other.self.ID, mesh.Alive}) // with less than it had, for all we know
	l.after(2 * crdt.TombstoneAge)
	if tombstones(h.core) != 1 {
		t.Error("a delete is forgotten though a peer may not have seen it")
	}
	l.cut = func(a, b mesh.NodeID) bool { return false }
	l.after(2 * collectEvery)
	if tombstones(h.core) != 0 {
		t.Error("a delete is remembered though the peer has said that it has seen it")
	}
}
