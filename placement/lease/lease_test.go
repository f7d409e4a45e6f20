package lease

import (
	"testing"
	"time"

	"mn/mesh"
)

func TestLoneFounderHoldsAllSlotsInOneStep(t *testing.T) {
	w := newWorld(1, 1)
	w.found(t)
	n := w.nodes[0]
	n.step(Bid{AllSlots()})
	if f, ok := n.party.Held(n.local(), 77); !ok || f.Epoch != 1 || f.Ballot != 1 {
		t.Fatalf("slot 77 is held %v under %v, want under 1.1", ok, f)
	}
	n.stop()
	n.start(t)
	w.members()
	n.step(Bid{AllSlots()})
	if f, ok := n.party.Held(n.local(), 77); !ok || f.Ballot != 2 {
		t.Fatalf("after a restart slot 77 is held %v under %v, want at once under 1.2", ok, f)
	}
}

func TestRosterGrowsAndHolderGoesOn(t *testing.T) {
	w := newWorld(2, 3)
	w.found(t)
	w.bid(0, w.slots...)
	lost := time.Duration(0)
	for range 1000 {
		w.run(10 * time.Millisecond)
		if w.holder(w.slots[0]) == nil {
			lost += 10 * time.Millisecond
		}
	}
	p := w.nodes[2].party
	if r := p.Roster(); r.Epoch != 2 || len(r.Voters) != 3 {
		t.Fatalf("roster is %v, want epoch 2 with 3 voters", r)
	}
	if lost > 0 {
		t.Errorf("nobody held the slot for %v while the roster changed", lost)
	}
	if f := w.fences[w.slots[0]]; f.Epoch != 2 {
		t.Errorf("fence is %v, want one of epoch 2", f)
	}
	if len(w.broken) > 0 {
		t.Fatal(w.broken)
	}
}

func TestDeadHoldersSlotIsTakenWhenItsLeaseEnds(t *testing.T) {
	w := newWorld(3, 3)
	w.found(t)
	w.run(10 * time.Second)
	w.bid(0, 5)
	w.slots = []mesh.Slot{5}
	w.run(5 * time.Second)
	if w.holder(5) != w.nodes[0] {
		t.Fatal("the first node does not hold slot 5")
	}
	died := w.now
	w.nodes[0].stop()
	w.bid(1, 5)
	for w.holder(5) == nil && w.now < died+20*time.Second {
		w.run(time.Millisecond)
	}
	if took := w.now - died; took > w.cfg.Length+20*time.Millisecond {
		t.Errorf("the slot was free for %v, want at most the lease of %v", took, w.cfg.Length)
	}
}
