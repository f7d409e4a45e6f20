package placement

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"mn/mesh"
)

func nodeIDs(n int) []mesh.NodeID {
	ids := make([]mesh.NodeID, n)
	for i := range ids {
		ids[i] = mesh.NodeID(fmt.Sprintf("node-%04d", i))
	}
	return ids
}

// TestRankNeverChanges pins the order: nodes of different releases must agree
// on it, so a change here is a change of protocol.
func TestRankNeverChanges(t *testing.T) {
	got := fmt.Sprint(Rank("web", nodeIDs(5)), RankSlot(7, nodeIDs(5)))
	want := "[node-0001 node-0000 node-0003 node-0004 node-0002] [node-0003 node-0004 node-0001 node-0000 node-0002]"
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestRankIgnoresTheOrderGiven(t *testing.T) {
	ids := nodeIDs(50)
	want := Rank("web", ids)
	slices.Reverse(ids)
	if got := Rank("web", ids); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestRankIsBalanced gives 1,000 nodes 10 keys each on average: the numbers
// that they get deviate as those of fair dice do.
func TestRankIsBalanced(t *testing.T) {
	const nodes, each = 1000, 10
	ids := nodeIDs(nodes)
	count := map[mesh.NodeID]int{}
	for k := range nodes * each {
		best, most := mesh.NodeID(""), uint64(0)
		key := fmt.Sprintf("job-%d", k)
		for _, id := range ids {
			if w := Weight(key, id); w >= most {
				best, most = id, w
			}
		}
		count[best]++
	}
	chi2 := 0.0
	for _, id := range ids {
		d := float64(count[id] - each)
		chi2 += d * d / each
	}
	// With 999 degrees of freedom chi² has mean 999 and deviation √1998.
	if off := math.Abs(chi2-(nodes-1)) / math.Sqrt(2*(nodes-1)); off > 5 {
		t.Errorf("chi² is %.0f, %.1f deviations off", chi2, off)
	}
}

// TestRankMovesOnlyTheShareOfWhoLeft is what rendezvous hashing is for.
func TestRankMovesOnlyTheShareOfWhoLeft(t *testing.T) {
	ids := nodeIDs(20)
	without := slices.Delete(slices.Clone(ids), 7, 8)
	moved := 0
	for s := range mesh.Slots {
		before, after := RankSlot(mesh.Slot(s), ids), RankSlot(mesh.Slot(s), without)
		if before[0] == ids[7] {
			moved++
			if after[0] != before[1] {
				t.Errorf("slot %d went to %s, not to the next in rank, %s", s, after[0], before[1])
			}
		} else if after[0] != before[0] {
			t.Errorf("slot %d moved from %s to %s, and neither left", s, before[0], after[0])
		}
	}
	if moved == 0 {
		t.Error("the node that left had no slot")
	}
}

// TestLeadersAreFirstInRank, whoever comes and goes.
func TestLeadersAreFirstInRank(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l Leaders
		all := nodeIDs(12)
		for range rapid.IntRange(1, 8).Draw(t, "changes") {
			some := rapid.SliceOfDistinct(rapid.SampledFrom(all), rapid.ID).Draw(t, "nodes")
			slices.Sort(some)
			l.Set(some)
			more := rapid.SampledFrom(all).Draw(t, "more")
			for s := range mesh.Slots {
				var want mesh.NodeID
				if len(some) > 0 {
					want = RankSlot(mesh.Slot(s), some)[0]
				}
				if got := l.Of(mesh.Slot(s)); got != want {
					t.Fatalf("slot %d of %v: got %q, want %q", s, some, got, want)
				}
				want = RankSlot(mesh.Slot(s), append(slices.Clone(some), more))[0]
				if got := l.With(mesh.Slot(s), more); got != want {
					t.Fatalf("slot %d of %v and %s: got %q, want %q", s, some, more, got, want)
				}
			}
		}
	})
}

func BenchmarkLeaders(b *testing.B) {
	ids := nodeIDs(1000)
	var l Leaders
	for i := 0; b.Loop(); i++ {
		at := i % len(ids)
		l.Set(slices.Delete(slices.Clone(ids), at, at+1))
		l.Set(ids)
	}
}

func BenchmarkRankSlot(b *testing.B) {
	ids := nodeIDs(32)
	for i := 0; b.Loop(); i++ {
		RankSlot(mesh.Slot(i), ids)
	}
}
