package placement

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mn/crdt"
	"mn/mesh"
)

var full = mesh.Resources{CPU: 4 * mesh.Core, Memory: 8 * mesh.GiB, Disk: 100 * mesh.GiB}

func asks(id string, memory mesh.Bytes) mesh.Alloc {
	return mesh.Alloc{ID: mesh.AllocID(id), Job: "web", Node: "n1", Resources: mesh.Resources{Memory: memory}}
}

var fence1 = crdt.Fence{Epoch: 1, Ballot: 1}

func TestLedgerAdmitsAtomically(t *testing.T) {
	l := NewLedger("n1", full)
	if _, err := l.Reserve(fence1, asks("a", 6*mesh.GiB), 0); err != nil {
		t.Fatalf("reserve a: %v", err)
	}
	if _, err := l.Reserve(fence1, asks("a", 6*mesh.GiB), 0); err != nil {
		t.Errorf("reserve a again: %v", err)
	}
	_, err := l.Reserve(fence1, asks("b", 3*mesh.GiB), 0)
	var r *Refusal
	if !errors.As(err, &r) || r.Filter != "capacity" || r.Error() != "memory: needs 3 GiB, 2 GiB free" {
		t.Errorf("reserve b: got %v", err)
	}
	if _, err := l.Reserve(fence1, asks("a", 9*mesh.GiB), 0); err == nil {
		t.Error("a grew beyond the node")
	}
	if got := l.Used(0).Memory; got != 6*mesh.GiB {
		t.Errorf("%v is in use, want 6 GiB", got)
	}
	l.Release("a")
	l.Release("a")
	if _, err := l.Reserve(fence1, asks("b", 8*mesh.GiB), 0); err != nil {
		t.Errorf("reserve b after a was released: %v", err)
	}
}

func TestLedgerHoldsExpireUnlessConfirmed(t *testing.T) {
	l := NewLedger("n1", full)
	for _, id := range []string{"held", "prolonged", "confirmed"} {
		if _, err := l.Reserve(fence1, asks(id, 2*mesh.GiB), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Confirm(asks("confirmed", 2*mesh.GiB), time.Second); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"prolonged", "confirmed"} {
		if _, err := l.Reserve(fence1, asks(id, 2*mesh.GiB), HoldFor-1); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		now  time.Duration
		want mesh.Bytes
	}{
		{HoldFor - 1, 6 * mesh.GiB},
		{HoldFor, 4 * mesh.GiB},
		{2*HoldFor - 1, 2 * mesh.GiB},
		{1000 * HoldFor, 2 * mesh.GiB},
	} {
		if got := l.Used(step.now).Memory; got != step.want {
			t.Errorf("at %v %v is in use, want %v", step.now, got, step.want)
		}
	}
}

// TestLedgerRefusesALateDecisionWithoutRoom: the hold ran out, another copy has
// the room now, and then the decision comes after all.
func TestLedgerRefusesALateDecisionWithoutRoom(t *testing.T) {
	l := NewLedger("n1", full)
	late, other := asks("late", 5*mesh.GiB), asks("other", 5*mesh.GiB)
	if _, err := l.Reserve(fence1, late, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Reserve(fence1, other, HoldFor); err != nil {
		t.Fatal(err)
	}
	if err := l.Confirm(late, HoldFor); err == nil {
		t.Error("late was admitted beside other")
	}
	l.Release(other.ID)
	if err := l.Confirm(late, HoldFor); err != nil {
		t.Errorf("late, with room again: %v", err)
	}
}

func TestLedgerRefusesWhoseTimeIsOver(t *testing.T) {
	tests := []struct {
		name  string
		fence crdt.Fence
		ok    bool
	}{
		{"same", crdt.Fence{Epoch: 2, Ballot: 5}, true},
		{"later", crdt.Fence{Epoch: 2, Ballot: 6}, true},
		{"later epoch", crdt.Fence{Epoch: 3, Ballot: 1}, true},
		{"earlier ballot", crdt.Fence{Epoch: 2, Ballot: 4}, false},
		{"earlier epoch", crdt.Fence{Epoch: 1, Ballot: 9}, false},
		{"degraded", crdt.Fence{Ballot: 1700000000}, true},
		{"degraded before another", crdt.Fence{Ballot: 1600000000}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := NewLedger("n1", full)
			l.Raise("web", crdt.Fence{Epoch: 2, Ballot: 5})
			l.Raise("web", crdt.Fence{Ballot: 1650000000})
			_, err := l.Reserve(tt.fence, asks("a", mesh.GiB), 0)
			if (err == nil) != tt.ok {
				t.Errorf("got %v", err)
			}
			if high := l.Fence("web", true); high.Compare(crdt.Fence{Epoch: 2, Ballot: 5}) < 0 {
				t.Errorf("the highest fence went down to %v", high)
			}
		})
	}
}

func TestLedgerRefusesWhatIsNotForIt(t *testing.T) {
	l := NewLedger("n1", full)
	foreign, negative := asks("a", mesh.GiB), asks("b", -mesh.GiB)
	foreign.Node = "n2"
	for _, a := range []mesh.Alloc{foreign, negative} {
		if _, err := l.Reserve(fence1, a, 0); err == nil {
			t.Errorf("%s was admitted", a.ID)
		}
	}
	if l.Used(0).Resources != (mesh.Resources{}) {
		t.Errorf("%v is in use", l.Used(0))
	}
}

// TestLedgerNeverExceedsTheNode has coordinators reserve, confirm and release
// in any order while time passes, against a twin that adds up from scratch.
func TestLedgerNeverExceedsTheNode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, now := NewLedger("n1", full), time.Duration(0)
		type held struct {
			mesh.Resources
			expires time.Duration
		}
		twin := map[mesh.AllocID]held{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now += time.Duration(rapid.IntRange(0, 4).Draw(t, "seconds")) * time.Second
			a := asks(fmt.Sprint(rapid.IntRange(1, 6).Draw(t, "id")), mesh.Bytes(rapid.IntRange(0, 5).Draw(t, "GiB"))*mesh.GiB)
			a.Resources.CPU = mesh.Cores(rapid.IntRange(0, 3).Draw(t, "cores")) * mesh.Core
			for id, h := range twin {
				if h.expires <= now {
					delete(twin, id)
				}
			}
			switch rapid.IntRange(0, 3).Draw(t, "call") {
			case 0, 1:
				if _, err := l.Reserve(fence1, a, now); err == nil {
					twin[a.ID] = held{a.Resources, max(now+HoldFor, twin[a.ID].expires)}
				}
			case 2:
				if l.Confirm(a, now) == nil {
					twin[a.ID] = held{a.Resources, 1 << 60}
				}
			case 3:
				l.Release(a.ID)
				delete(twin, a.ID)
			}
			var sum mesh.Resources
			for _, h := range twin {
				sum = sum.Add(h.Resources)
			}
			if got := l.Used(now).Resources; got != sum {
				t.Fatalf("%v is in use, want %v", got, sum)
			}
			if lacks := full.Lacks(l.Used(now).Resources); lacks != "" {
				t.Fatalf("more than the node has: %s", lacks)
			}
		}
	})
}

// TestRebuildTakesWhatRuns even if the node has shrunk, and then admits nothing.
func TestRebuildTakesWhatRuns(t *testing.T) {
	l := NewLedger("n1", mesh.Resources{Memory: 4 * mesh.GiB})
	l.Rebuild([]mesh.Alloc{asks("a", 3*mesh.GiB), asks("b", 3*mesh.GiB), asks("a", 2*mesh.GiB)})
	if got := l.Used(1 << 60).Memory; got != 5*mesh.GiB {
		t.Errorf("%v is in use, want 5 GiB", got)
	}
	if _, err := l.Reserve(fence1, asks("c", 1), 0); err == nil {
		t.Error("c was admitted to a node that is more than full")
	}
	if err := l.Confirm(asks("a", 2*mesh.GiB), 0); err != nil {
		t.Errorf("a, which runs: %v", err)
	}
}

// A node has one copy of what it has one copy of, whoever asks and whatever they call it.
func TestLedgerRefusesASecondCopyOfTheNodes(t *testing.T) {
	l := NewLedger("n1", full)
	of := func(id string, index int, target mesh.NodeID) mesh.Alloc {
		a := asks(id, mesh.MiB)
		a.Group, a.Index, a.Target = "web", index, target
		return a
	}
	if _, err := l.Reserve(fence1, of("a", 0, "n1"), 0); err != nil {
		t.Fatal(err)
	}
	var r *Refusal
	if _, err := l.Reserve(crdt.Fence{Ballot: 1}, of("b", 0, "n1"), 0); !errors.As(err, &r) || r.Filter != "copy" {
		t.Errorf("a second copy of the node's: got %v", err)
	}
	if err := l.Confirm(of("b", 0, "n1"), 0); !errors.As(err, &r) || r.Filter != "copy" {
		t.Errorf("a second copy of the node's, as a late decision: got %v", err)
	}
	other := of("c", 0, "n1")
	other.Job = "api"
	for _, a := range []mesh.Alloc{of("a", 0, "n1"), other, of("d", 0, ""), of("e", 0, "")} {
		if _, err := l.Reserve(fence1, a, 0); err != nil {
			t.Errorf("%s: %v", a.ID, err)
		}
	}
	l.Release("a")
	if _, err := l.Reserve(fence1, of("b", 0, "n1"), 0); err != nil {
		t.Errorf("after the first has ended: %v", err)
	}
}
