package crdt

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// entry is a good entry of another node.
func entry(key, origin string, seq uint64) Entry {
	return Entry{
		Key: key, Value: []byte(origin + key), Dot: Dot{origin, seq},
		Stamp: Stamp{Wall: noon.UnixMilli(), Logical: uint32(seq), Node: origin},
	}
}

func TestMergeCommutesAndAssociates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, y, z := drawEntries(t, "x"), drawEntries(t, "y"), drawEntries(t, "z")
		all := func(parts ...[]Entry) Digest {
			r, _ := NewReplica("q", Kept{})
			for _, p := range parts {
				r.Merge(p, noon)
			}
			return r.Digest()
		}
		want := all(x, y, z)
		others := []Digest{
			all(z, y, x), all(y, slices.Concat(x, z)), all(slices.Concat(z, x), y, x),
		}
		for i, got := range others {
			if got != want {
				t.Fatalf("order %d gives another copy", i)
			}
		}
	})
}

func TestAHigherFenceBeatsALaterStamp(t *testing.T) {
	r := open(t, "n1", Kept{})
	old := entry("k", "n2", 1)
	old.Fence = Fence{Epoch: 1, Ballot: 2}
	r.Merge([]Entry{old}, noon)
	lost := r.Put("k", []byte("mine"), Fence{Epoch: 1, Ballot: 1}, noon.Add(time.Hour))
	if got, _ := r.Get("k"); got.Dot != old.Dot {
		t.Errorf("the lower fence won: %v", got)
	}
	if !r.Seen().Has(lost.Dot) {
		t.Error("the write that lost at once is not seen: peers would ask for it for ever")
	}
	if _, ok := r.Delete("k", Fence{Epoch: 1, Ballot: 1}, noon); ok {
		t.Error("deleted under the lower fence")
	}
	if _, ok := r.Delete("k", old.Fence, noon); !ok {
		t.Error("not deleted under the same fence")
	}
	if _, ok := r.Delete("k", old.Fence, noon); ok {
		t.Error("deleted twice")
	}
}

func TestForgedTwinsOfAWriteConverge(t *testing.T) {
	one, two := entry("k", "n2", 1), entry("k", "n2", 1)
	two.Value = []byte("another")
	a, b := open(t, "n1", Kept{}), open(t, "n3", Kept{})
	a.Merge([]Entry{one, two}, noon)
	b.Merge([]Entry{two, one}, noon)
	if a.Digest() != b.Digest() {
		t.Error("the order in which they came decides")
	}
}

func TestMalformedEntriesAreQuarantined(t *testing.T) {
	for _, tc := range []struct {
		name string
		bend func(*Entry)
		want string
	}{
		{"empty key", func(e *Entry) { e.Key = "" }, "key of 0 bytes"},
		{"long key", func(e *Entry) { e.Key = strings.Repeat("k", MaxKey+1) }, "key of 513 bytes"},
		{"key not text", func(e *Entry) { e.Key = "\xff" }, "not UTF-8"},
		{"long value", func(e *Entry) { e.Value = make([]byte, MaxValue+1) }, "over the"},
		{"deletion with a value", func(e *Entry) { e.Deleted = true }, "deletion with a value"},
		{"no origin", func(e *Entry) { e.Dot.Origin = "" }, "impossible origin"},
		{"long origin", func(e *Entry) { e.Dot.Origin = strings.Repeat("o", 100) }, "impossible origin"},
		{"another's stamp", func(e *Entry) { e.Stamp.Node = "n3" }, `stamped by "n3"`},
		{"number 0", func(e *Entry) { e.Dot.Seq = 0 }, "impossible number"},
		{"number 2^64-2", func(e *Entry) { e.Dot.Seq = math.MaxUint64 - 1 }, "impossible number"},
		{"epoch 2^63-1", func(e *Entry) { e.Fence.Epoch = math.MaxInt64 }, "impossible fence"},
		{"ballot 2^64-1", func(e *Entry) { e.Fence.Ballot = math.MaxUint64 }, "impossible fence"},
		{"time 2^63-1", func(e *Entry) { e.Stamp.Wall = math.MaxInt64 }, "impossible time"},
		{"time below 0", func(e *Entry) { e.Stamp.Wall = -1 }, "impossible time"},
		{"not ours to read", func(e *Entry) { e.Value = []byte("bad") }, "cannot read it"},
		{
			"ours, and unknown", func(e *Entry) { e.Dot.Origin, e.Stamp.Node = "n1", "n1" },
			"went back in time",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := open(t, "n1", Kept{})
			r.Valid = func(e Entry) error {
				if string(e.Value) == "bad" {
					return errors.New("cannot read it")
				}
				return nil
			}
			bad := entry("k", "n2", 7)
			tc.bend(&bad)
			m := r.Merge([]Entry{bad, entry("good", "n2", 1)}, noon)
			if len(m.Refused) != 1 || !strings.Contains(m.Refused[0].Err.Error(), tc.want) {
				t.Fatalf("refused: %v, want %q", m.Refused, tc.want)
			}
			if len(m.News) != 1 || m.News[0].Key != "good" {
				t.Errorf("news: %v, want the good entry", m.News)
			}
			if r.Len() != 1 || r.Seen().Has(bad.Dot) {
				t.Errorf("it was applied, or is seen: %v", r.Seen())
			}
			if q := r.Quarantine(); len(q) != 1 || !strings.Contains(q[0].Reason, tc.want) {
				t.Errorf("quarantine: %v", q)
			}
			b := r.Flush()
			if len(b.Quarantine) != 1 || len(b.Quarantine[0].Entry.Value) > quarantinedValue {
				t.Errorf("to be kept: %v", b.Quarantine)
			}
			for _, e := range entriesOf(r) {
				if e.Key != "good" {
					t.Errorf("passed on: %v", e)
				}
			}
		})
	}
}

func TestNumbersThatOthersHaveSeenAreNotUsedAgain(t *testing.T) {
	r := open(t, "n1", Kept{})
	r.Merge([]Entry{entry("k", "n1", 41)}, noon)
	if e := r.Put("x", []byte("1"), Fence{}, noon); e.Dot.Seq != 42 {
		t.Errorf("next number: got %d, want 42", e.Dot.Seq)
	}
	r.Merge([]Entry{entry("k", "n1", MaxSeq)}, noon)
	if e := r.Put("x", []byte("2"), Fence{}, noon); e.Dot.Seq != 43 {
		t.Errorf("a forger moved the number to %d", e.Dot.Seq)
	}
}

func TestEarlyEntriesWaitAside(t *testing.T) {
	r := open(t, "n1", Kept{Life: 1})
	early := entry("k", "n2", 1)
	early.Stamp.Wall = noon.Add(time.Hour).UnixMilli()
	m := r.Merge([]Entry{early, entry("other", "n2", 2)}, noon)
	if len(m.Refused) != 1 || !IsSkew(m.Refused[0].Err) || len(m.News) != 1 {
		t.Fatalf("got %+v", m)
	}
	if a := r.Aside(); len(a) != 1 || a[0].Entry.Key != "k" {
		t.Fatalf("aside: %v", a)
	}
	if r.Seen().Has(early.Dot) || len(entriesOf(r)) != 1 {
		t.Error("it is seen, or passed on")
	}
	if m := r.Merge(nil, noon.Add(58*time.Minute)); len(m.News) != 0 {
		t.Errorf("came in too early: %v", m.News)
	}
	m = r.Merge(nil, noon.Add(59*time.Minute))
	if len(m.News) != 1 || m.News[0].Key != "k" || len(r.Aside()) != 0 || !r.Seen().Has(early.Dot) {
		t.Errorf("when its time came: %+v, aside %v", m, r.Aside())
	}
}

func TestWhatReplacesARefusedEntryReleasesIt(t *testing.T) {
	r := open(t, "n1", Kept{})
	r.Valid = func(e Entry) error {
		if e.Dot.Seq == 1 {
			return errors.New("cannot read it")
		}
		return nil
	}
	r.Merge([]Entry{entry("k", "n2", 1)}, noon)
	first := r.Flush()
	r.Merge([]Entry{entry("k", "n2", 2)}, noon)
	if len(r.Quarantine()) != 0 || !r.Seen().Has(Dot{"n2", 1}) {
		t.Errorf("quarantine %v, seen %v", r.Quarantine(), r.Seen())
	}
	if b := r.Flush(); len(b.Release) != 1 || b.Release[0] != first.Quarantine[0].ID {
		t.Errorf("released on disk: %v, want %v", b.Release, first.Quarantine)
	}
}

func TestRefusedEntriesAreBounded(t *testing.T) {
	r := open(t, "n1", Kept{})
	r.Valid = func(Entry) error { return errors.New("no") }
	for i := range 3 * MaxHeld {
		r.Merge([]Entry{entry(fmt.Sprint(i), "n2", uint64(i+1))}, noon)
		early := entry(fmt.Sprint(i), "n3", uint64(i+1))
		early.Stamp.Wall += 1e9
		early.Value = make([]byte, MaxValue)
		r.Valid = nil
		r.Merge([]Entry{early}, noon)
		r.Valid = func(Entry) error { return errors.New("no") }
	}
	if n := len(r.Quarantine()); n != MaxHeld {
		t.Errorf("%d in quarantine, want %d", n, MaxHeld)
	}
	if n := len(r.Aside()); n != maxHeldBytes/MaxValue-1 {
		t.Errorf("%d aside, want as many as fit into %d bytes", n, maxHeldBytes)
	}
}

func TestAnOwnWriteThatCannotBePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	open(t, "n1", Kept{}).Put("", nil, Fence{}, noon)
}

func TestScanGoesOnWhileTheCopyChanges(t *testing.T) {
	r := fill(t, "n1", 100)
	r.Put("n0", []byte("before"), Fence{}, noon)
	n := 0
	for e := range r.Scan("n1/") {
		n++
		r.Delete(e.Key, Fence{}, noon)
		r.Put("n1/new"+e.Key, []byte("x"), Fence{}, noon)
		if n == 50 {
			r.Delete("n1/00099", Fence{}, noon)
		}
	}
	if n != 99 {
		t.Errorf("got %d of 99 entries", n)
	}
	for e := range r.Scan("n1/0005") {
		t.Errorf("deleted, and still there: %v", e.Key)
	}
}

// TestWhatLostToAnEarlyEntryIsNotSeen: a copy that put aside what has beaten it elsewhere
// has got neither, and says so to others.
func TestWhatLostToAnEarlyEntryIsNotSeen(t *testing.T) {
	ahead, a, b := open(t, "n1", Kept{Life: 1}), open(t, "n2", Kept{Life: 2}), open(t, "n3", Kept{Life: 3})
	first := ahead.Put("k", []byte("1"), Fence{}, noon)
	ahead.Put("k", []byte("2"), Fence{}, noon.Add(time.Hour))
	ahead.Put("other", []byte("1"), Fence{}, noon.Add(time.Hour))
	for _, talk := range [][2]*Replica{{a, ahead}, {b, a}} {
		asks, answers := talk[0], talk[1]
		session(t, asks, answers, noon)
		if asks.Seen().Has(first.Dot) {
			t.Fatalf("%s has seen %v, and has %v", asks.Self(), first.Dot, entriesOf(asks))
		}
	}
	if m := a.Merge(nil, noon.Add(time.Hour)); len(m.News) != 2 {
		t.Errorf("when their time came: %+v", m)
	}
}
