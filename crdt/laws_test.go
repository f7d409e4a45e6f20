package crdt

import (
	"encoding/binary"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The laws of what merges: any order, any grouping and any number of times give
// the same. They are held against models that are simply sets and numbers.

// drawSeen draws a Seen of few origins together with its twin.
func drawSeen(t *rapid.T, label string) (Seen, map[string]dots) {
	s, twin := Seen{}, map[string]dots{}
	for _, origin := range []string{"a", "b", "c"} {
		if k, set := drawKnown(t, label+origin); len(set) > 0 {
			s[origin], twin[origin] = k, set
		}
	}
	return s, twin
}

func mustBeSame(t *rapid.T, law string, a, b Known) {
	if !a.equal(b) {
		t.Fatalf("%s: %v is not %v", law, a, b)
	}
}

func TestWhatIsSeenIsALattice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, _ := drawKnown(t, "a")
		b, _ := drawKnown(t, "b")
		c, _ := drawKnown(t, "c")
		for _, op := range []struct {
			name string
			do   func(Known, Known) Known
			over func(Known, Known) Known
		}{{"join", Known.join, Known.meet}, {"meet", Known.meet, Known.join}} {
			mustBeSame(t, op.name+" commutes", op.do(a, b), op.do(b, a))
			mustBeSame(t, op.name+" associates", op.do(op.do(a, b), c), op.do(a, op.do(b, c)))
			mustBeSame(t, op.name+" is idempotent", op.do(a, a), a)
			mustBeSame(t, op.name+" absorbs", op.do(a, op.over(a, b)), a)
			mustBeSame(t, op.name+" distributes",
				op.do(a, op.over(b, c)), op.over(op.do(a, b), op.do(a, c)))
		}
		mustBeSame(t, "nothing is neutral in a join", a.join(Known{}), a)
		mustBeSame(t, "nothing is all of a meet", a.meet(Known{}), Known{})
		if a.covers(b) != a.join(b).equal(a) || a.covers(b) != a.meet(b).equal(b) {
			t.Fatalf("%v covers %v: %v, and join and meet say otherwise", a, b, a.covers(b))
		}
	})
}

func TestDotsAreSeenInAnyOrderAndNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want, twin := drawSeen(t, "seen")
		var all []Dot
		for origin, set := range twin {
			for seq := range set {
				all = append(all, Dot{origin, seq}, Dot{origin, seq})
			}
		}
		slices.SortFunc(all, func(a, b Dot) int {
			return (&Entry{Dot: a}).Compare(&Entry{Dot: b})
		})
		got := Seen{}
		for _, d := range rapid.Permutation(all).Draw(t, "order") {
			if !got.add(d) {
				t.Fatalf("%v was not noted", d)
			}
		}
		if !got.Equal(want) || got.String() != want.String() {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestDigestsAreSums(t *testing.T) {
	modulus := new(big.Int).Lsh(big.NewInt(1), 128)
	number := func(d Digest) *big.Int { return new(big.Int).SetBytes(d[:]) }
	drawDigest := rapid.Custom(func(t *rapid.T) (d Digest) {
		// Halves at the ends, where carries are.
		half := rapid.OneOf(rapid.Uint64(), rapid.SampledFrom([]uint64{0, 1, 1<<64 - 1}))
		binary.BigEndian.PutUint64(d[:8], half.Draw(t, "high"))
		binary.BigEndian.PutUint64(d[8:], half.Draw(t, "low"))
		return d
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawDigest.Draw(t, "a"), drawDigest.Draw(t, "b")
		sum := new(big.Int).Add(number(a), number(b))
		if got, want := number(a.plus(b)), sum.Mod(sum, modulus); got.Cmp(want) != 0 {
			t.Fatalf("%v + %v is %x, want %x", a, b, got, want)
		}
		difference := new(big.Int).Sub(number(a), number(b))
		if got, want := number(a.minus(b)), difference.Mod(difference, modulus); got.Cmp(want) != 0 {
			t.Fatalf("%v - %v is %x, want %x", a, b, got, want)
		}
		if a.plus(b) != b.plus(a) || a.plus(b).minus(b) != a || a.plus(Digest{}) != a {
			t.Fatalf("%v and %v: sums depend on the order", a, b)
		}
	})
}

// TestEntriesOfAKeyAreInOneOrder: that which stays of a key is the highest, so
// the order must be total, also where a forger gives two writes one dot.
func TestEntriesOfAKeyAreInOneOrder(t *testing.T) {
	draw := rapid.Custom(func(t *rapid.T) Entry {
		e := Entry{
			Key: "k", Fence: Fence{Epoch: rapid.Uint64Range(0, 1).Draw(t, "epoch")},
			Stamp: Stamp{Wall: rapid.Int64Range(0, 1).Draw(t, "wall"), Node: "a"},
			Dot:   Dot{"a", rapid.Uint64Range(1, 2).Draw(t, "seq")},
		}
		if e.Deleted = rapid.Bool().Draw(t, "deleted"); !e.Deleted {
			e.Value = []byte{byte(rapid.IntRange(0, 1).Draw(t, "value"))}
		}
		return e
	})
	same := func(a, b *Entry) bool {
		return a.Compare(b) == 0 && a.Deleted == b.Deleted && string(a.Value) == string(b.Value)
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := draw.Draw(t, "a"), draw.Draw(t, "b"), draw.Draw(t, "c")
		if a.Compare(&b) != -b.Compare(&a) {
			t.Fatalf("%v and %v compare differently from both sides", a, b)
		}
		if got, want := a.beats(&b) != b.beats(&a), !same(&a, &b); got != want {
			t.Fatalf("of %v and %v one wins: %v, want %v", a, b, got, want)
		}
		if a.beats(&b) && b.beats(&c) && !a.beats(&c) {
			t.Fatalf("%v beats %v beats %v, but not the last", a, b, c)
		}
	})
}
