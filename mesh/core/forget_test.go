package core

import (
	"crypto/ed25519"
	"testing"
	"time"

	"mn/mesh"
	"mn/placement/reconcile"
)

// TestForgottenNodeIsReplaced: a node that is lost and evicted may still run what must
// never run twice, and that is waited for. Once a person vouches that it is off nobody
// waits for it any more, and nothing shows it.
func TestForgottenNodeIsReplaced(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	keep, moored, agent := service("keep", 3), service("moored", 3), service("agent", 1)
	keep.Recovery.OnPartition, moored.Recovery.Mode, agent.Type = mesh.Keep, mesh.LocalRestart, mesh.System
	keep.Strategy, moored.Strategy = mesh.Spread, mesh.Spread
	for _, job := range []*mesh.Job{keep, moored, agent} {
		l.ask(l.nodes[0], Submit{Job: job})
	}
	l.after(5 * time.Second)
	by, h := l.nodes[0], l.nodes[2]
	if n := l.running()[h.name]; n != 3 {
		t.Fatalf("%d copies run on the node, want one of each job\n%s", n, l.events())
	}
	if r := l.ask(by, Evict{Node: h.self.ID, Off: true}); r.Fault == nil || r.Fault.Kind != mesh.Conflict {
		t.Errorf("forget a node that is alive: got %+v, want a conflict", r)
	}
	l.kill(h, true)
	l.after(5 * time.Second)

	l.ask(by, Evict{Node: h.self.ID, Reason: "burnt"})
	l.after(2 * time.Minute)
	if n := by.core.View().Node(h.self.ID); n == nil || !n.Evicted || l.total() != 6 {
		t.Errorf("evicted: its view is %+v, and %v run, want no copy replaced", n, l.running())
	}
	if plan := outlookOf(by, "agent"); plan.Status != mesh.JobRunning || plan.Wanted["loop"] != 2 {
		t.Errorf("evicted: the job on each node is %s, wants %v", plan.Status, plan.Wanted)
	}

	if r := l.ask(by, Evict{Node: h.self.ID, Off: true}); r.Fault != nil {
		t.Fatal(r.Fault)
	}
	l.after(30 * time.Second)
	if l.total() != 8 {
		t.Errorf("forgotten: %v run, want 3 of keep, 3 of moored, 2 of agent\n%s", l.running(), l.events())
	}
	for _, o := range l.nodes[:2] {
		if o.core.View().Node(h.self.ID) != nil || o.core.Roster().Seat(h.self.ID) >= 0 {
			t.Errorf("%s still has it: %+v, voters %v", o.name, o.core.View().Node(h.self.ID), o.core.Roster())
		}
	}
	if e := by.core.records.evicted[h.self.ID]; e.Reason != "burnt" || !e.Off {
		t.Errorf("got %+v, want the reason kept", e)
	}
	heir := l.member(h)
	heir.Key, heir.Token = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey), "t"
	heir.ID = mesh.NodeIDOf(heir.Key)
	token := mesh.Token{ID: "t", Hash: []byte("x"), Uses: 9, ExpiresAt: l.clock().Wall.Add(time.Hour)}
	l.ask(by, PutToken{Token: token})
	if r := l.ask(by, Admit{Member: heir, Secret: token.Hash}); r.Fault != nil {
		t.Errorf("its name is not free: %v", r.Fault)
	}

	// It was not off after all: it learns what has become of it, and stops.
	l.start(h)
	l.step(h, Tick{})
	l.meet(h)
	l.after(15 * time.Second)
	if h.core.Out() == "" || l.running()[h.name] != 0 || l.total() != 8 {
		t.Errorf("back: out %q, %v run\n%s", h.core.Out(), l.running(), l.events())
	}
}

func outlookOf(h *host, id mesh.JobID) reconcile.Plan {
	plan, _, _ := h.core.Outlook(h.core.View().Job(id))
	return plan
}

// TestNobodyForgetsWhatMayYetShowItself: an agent that has just started has seen nobody.
func TestNobodyForgetsWhatMayYetShowItself(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	by, h := l.nodes[0], l.nodes[2]
	l.kill(by, true)
	l.kill(h, true)
	l.after(5 * time.Second)
	l.start(by)
	l.step(by, Tick{})
	if r := l.ask(by, Evict{Node: h.self.ID, Off: true}); r.Fault == nil || r.Fault.Kind != mesh.Unavailable {
		t.Errorf("at once: got %+v, want it unavailable", r)
	}
	l.meet(by)
	l.after(15 * time.Second)
	if r := l.ask(by, Evict{Node: h.self.ID, Off: true}); r.Fault != nil {
		t.Errorf("later: %v", r.Fault)
	}
	if r := l.ask(by, Evict{Node: by.self.ID, Off: true}); r.Fault == nil || r.Fault.Kind != mesh.Conflict {
		t.Errorf("forget oneself: got %+v, want a conflict", r)
	}
}
