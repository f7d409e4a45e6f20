package core

import (
	"strings"
	"testing"
	"time"

	"mn/mesh"
)

// TestPersonVouchesForNewVoters: three of five machines burn. What is left of the mesh
// decides nothing about work that must never run twice, until a person says that they
// are off. One of them was not.
func TestPersonVouchesForNewVoters(t *testing.T) {
	l := newLab(t, 5)
	l.after(time.Minute)
	keep := service("keep", 5)
	keep.Recovery.OnPartition, keep.Strategy = mesh.Keep, mesh.Spread
	l.ask(l.nodes[0], Submit{Job: keep})
	l.after(5 * time.Second)
	by, burnt := l.nodes[0], l.nodes[2:]
	vouch := Vouch{Reason: "the rack burned"}
	refused := func(call Vouch, text string) {
		t.Helper()
		r := l.ask(by, call)
		if r.Fault == nil || !strings.Contains(r.Fault.Error(), text) {
			t.Errorf("got %+v, want a fault that says %q", r, text)
		}
	}
	refused(vouch, "a majority of 5 voters is in sight")
	for _, h := range burnt {
		l.kill(h, true)
	}
	l.after(time.Minute)
	if n := l.total(); n != 2 {
		t.Fatalf("%d copies run, want the 2 that are left", n)
	}

	refused(Vouch{Off: []string{"n3"}}, "there must be a reason")
	vouch.Off = []string{"n3", string(burnt[1].self.ID)}
	refused(vouch, "out of sight will never run anything again: n5")
	vouch.Off = append(vouch.Off, burnt[2].self.ID.Short(), "n2")
	refused(vouch, `node "n2" is alive`)
	vouch.Off, vouch.DryRun = vouch.Off[:3], true
	before := by.core.Roster()
	if r := l.ask(by, vouch); r.Fault != nil || r.Value.(Vouched).Voter != "n1" || by.core.Roster().Epoch != before.Epoch {
		t.Fatalf("a dry run: %+v, %v", r, by.core.Roster())
	}
	vouch.DryRun = false
	r := l.ask(by, vouch)
	said, ok := r.Value.(Vouched)
	if r.Fault != nil || !ok || said.Before != before.Epoch || said.Epoch <= before.Epoch || said.Copies != 2 {
		t.Fatalf("got %+v", r)
	}
	l.after(30 * time.Second)
	if l.total() != 5 {
		t.Errorf("%v run, want all 5\n%s", l.running(), l.events())
	}
	for _, h := range l.nodes[:2] {
		if now := h.core.Roster(); now.Forced != vouch.Reason || len(h.core.View().Nodes) != 2 {
			t.Errorf("%s has the voters %v, and %d nodes", h.name, now, len(h.core.View().Nodes))
		}
	}

	h := burnt[0]
	l.start(h)
	l.step(h, Tick{})
	l.meet(h)
	l.after(15 * time.Second)
	if h.core.Out() == "" || l.total() != 5 {
		t.Errorf("one that was not off: %q, and %v run", h.core.Out(), l.running())
	}
}

// TestVoterThatForgotIsNoMajority: one of three voters burns, and another has lost what it
// kept, which only both others together could teach it. Nobody decides any more, though a
// majority of the voters is in sight.
func TestVoterThatForgotIsNoMajority(t *testing.T) {
	l := newLab(t, 3)
	l.after(30 * time.Second)
	keep := service("keep", 3)
	keep.Recovery.OnPartition, keep.Strategy = mesh.Keep, mesh.Spread
	l.ask(l.nodes[0], Submit{Job: keep})
	l.after(5 * time.Second)
	by, burnt, damaged := l.nodes[0], l.nodes[1], l.nodes[2]
	l.kill(burnt, true)
	l.kill(damaged, false)
	damaged.kept.Damage = []string{"a table"}
	l.start(damaged)
	damaged.kept.Damage = nil
	l.step(damaged, Tick{})
	l.meet(damaged)
	vouch := Vouch{Off: []string{"n2"}, Reason: "it burned"}
	l.after(20 * time.Second)
	if r := l.ask(by, vouch); r.Fault == nil {
		t.Error("a voter that may yet be taught was passed over")
	}
	l.after(2 * time.Minute)
	if n := l.total(); n != 2 {
		t.Fatalf("%d copies run, want the 2 that are left: nobody decides", n)
	}
	if r := l.ask(by, vouch); r.Fault != nil {
		t.Fatal(r.Fault)
	}
	l.after(time.Minute)
	if n := l.total(); n != 3 {
		t.Errorf("%v run, want all 3\n%s", l.running(), l.events())
	}
	if r := l.ask(by, vouch); r.Fault == nil || r.Fault.Kind != mesh.Conflict {
		t.Errorf("said again: %+v, want that there is a majority", r)
	}
}
