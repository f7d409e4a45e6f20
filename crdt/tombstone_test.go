package crdt

import (
	"slices"
	"testing"
	"time"
)

// later is when a tombstone written at noon may be collected.
var later = noon.Add(TombstoneAge)

// sync makes the copies equal: each asks each other one, to the end.
func sync(t testing.TB, wall time.Time, copies ...*Replica) {
	t.Helper()
	for range 2 {
		for _, a := range copies {
			for _, b := range copies {
				if a != b {
					session(t, a, b, wall)
				}
			}
		}
	}
}

// traffic is what a session cost.
type traffic struct {
	bytes int
	trips float64 // there and back; a push after the last answer is half of one
}

// session is one comparison: a asks b until there is nothing left, and b gets
// what it lacks. Everything goes over the wire.
func session(t testing.TB, a, b *Replica, wall time.Time) (cost traffic) {
	t.Helper()
	const tripsMax = 10_000
	req := a.Request()
	for next := &req; next != nil; {
		var r Request
		var ans Answer
		cost.bytes += wire(t, next, &r) + wire(t, b.Answer(r), &ans)
		cost.trips++
		out := a.Apply(ans, wall)
		var push []Entry
		if len(out.Push) > 0 {
			cost.bytes += wire(t, out.Push, &push)
			cost.trips += 0.5
			b.Merge(push, wall)
		}
		if next = out.Next; cost.trips > tripsMax {
			t.Fatal("the session does not end")
		}
	}
	return cost
}

// reports is what others say to r that they have.
func reports(t testing.TB, r *Replica, others ...*Replica) []Report {
	t.Helper()
	var list []Report
	for _, o := range others {
		req := o.Request()
		p, ok := r.Asker(req)
		if !ok {
			if p, ok = r.Asker(*o.Apply(r.Answer(req), noon).Next); !ok {
				t.Fatalf("%s says nothing of what it has", o.self)
			}
		}
		list = append(list, p)
	}
	return list
}

// wire sends a message, and says how large it was.
func wire(t testing.TB, from, to any) int {
	t.Helper()
	b, err := Encode(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := Decode(b, to); err != nil {
		t.Fatal(err)
	}
	return len(b)
}

func TestTombstonesGoWhenEveryNodeHasSeenThem(t *testing.T) {
	a, b, c := fill(t, "a", 3), fill(t, "b", 0), fill(t, "c", 0)
	sync(t, noon, a, b, c)
	a.Delete("a/00001", Fence{}, noon)
	session(t, b, a, later)
	session(t, a, b, later)
	if got := b.Collect(reports(t, b, a, c), later); len(got) != 0 {
		t.Errorf("collected %v before c has seen it", got)
	}
	session(t, c, b, later)
	if got := c.Collect(nil, later); len(got) != 1 {
		t.Errorf("alone: collected %v, want the tombstone", got)
	}
	b.Flush()
	if got := b.Collect(reports(t, b, a, c), later); !slices.Equal(got, []string{"a/00001"}) {
		t.Errorf("collected %v, want the tombstone", got)
	}
	if got := b.Flush().Remove; !slices.Equal(got, []string{"a/00001"}) {
		t.Errorf("removed from disk: %v", got)
	}
	// c and b no longer have the tombstone, a still has: equal all the same.
	sync(t, later, a, b, c)
	if a.Digest() != b.Digest() || b.Digest() != c.Digest() || b.Len() != 2 {
		t.Errorf("digests %v %v %v, %d keys", a.Digest(), b.Digest(), c.Digest(), b.Len())
	}
}

func TestAnOldMessageBringsNothingBack(t *testing.T) {
	a, b := fill(t, "a", 1), fill(t, "b", 0)
	old, _ := a.Get("a/00000")
	oldAnswer := a.Answer(*b.Apply(a.Answer(b.Request()), noon).Next)
	sync(t, noon, a, b)
	a.Delete(old.Key, Fence{}, noon)
	sync(t, later, a, b)
	if got := a.Collect(reports(t, a, b), later); len(got) != 1 {
		t.Fatalf("collected %v", got)
	}
	if got := b.Collect(reports(t, b, a), later); len(got) != 1 {
		t.Fatalf("collected %v", got)
	}
	if m := b.Merge([]Entry{old}, later); len(m.News) != 0 {
		t.Errorf("a push brought back %v", m.News)
	}
	if len(oldAnswer.Entries) != 1 {
		t.Fatalf("the old answer has %v", oldAnswer.Entries)
	}
	if out := b.Apply(oldAnswer, later); len(out.News) != 0 {
		t.Errorf("an answer brought back %v", out.News)
	}
}

func TestCollectWaitsForWritesThatLostElsewhere(t *testing.T) {
	// x writes the key, and only then sees b's tombstone. That x has seen the
	// tombstone does not mean that b has seen the write.
	b, x := fill(t, "b", 0), fill(t, "x", 0)
	b.Put("k", []byte("1"), Fence{}, noon)
	lost := x.Put("k", []byte("2"), Fence{}, noon.Add(-time.Minute))
	b.Delete("k", Fence{}, noon)
	x.Merge(entriesOf(b), later)
	b.Merge(nil, later)
	said := reports(t, b, x)
	if got := b.Collect(said, later); len(got) != 0 {
		t.Fatalf("collected %v with a write under way", got)
	}
	b.Merge([]Entry{lost}, later)
	if _, ok := b.Get("k"); ok {
		t.Fatal("resurrected")
	}
	if got := b.Collect(said, later); len(got) != 1 {
		t.Errorf("collected %v, want the tombstone", got)
	}
	if m := b.Merge([]Entry{lost}, later); len(m.News) != 0 {
		t.Errorf("resurrected by %v", m.News)
	}
}

func TestYoungTombstonesStay(t *testing.T) {
	a := fill(t, "a", 1)
	a.Delete("a/00000", Fence{}, noon)
	if got := a.Collect(nil, later.Add(-time.Millisecond)); len(got) != 0 {
		t.Errorf("collected %v", got)
	}
}

func TestAResetCopyResurrectsNothing(t *testing.T) {
	a, away := fill(t, "a", 3), fill(t, "away", 2)
	sync(t, noon, a, away)
	before := away.Put("away/unheard", []byte("x"), Fence{}, noon)
	a.Delete("a/00000", Fence{}, noon)
	a.Delete("away/00000", Fence{}, noon)
	a.Merge(nil, later)
	a.Collect(nil, later) // away was given up
	answer := a.Answer(*away.Apply(a.Answer(away.Request()), noon).Next)

	var kept Kept
	kept.Apply(away.Flush())
	away.Reset()
	kept.Apply(away.Flush())
	if len(kept.Entries)+len(kept.Seen) != 0 {
		t.Fatalf("after the reset the disk has %v", kept)
	}
	out := away.Apply(answer, later)
	if len(out.News) != len(answer.Entries) || len(away.Seen()) > 1 {
		t.Errorf("an answer to an earlier life counts: %v, seen %v", out.Merged, away.Seen())
	}
	away.Reset()
	sync(t, later, a, away)
	if a.Digest() != away.Digest() || away.Len() != 3 {
		t.Errorf("after the reset: %d keys, want the 3 that a has", away.Len())
	}
	if e := away.Put("new", []byte("x"), Fence{}, later); e.Dot.Seq != before.Dot.Seq+1 {
		t.Errorf("next number: got %d, want %d", e.Dot.Seq, before.Dot.Seq+1)
	}
}
