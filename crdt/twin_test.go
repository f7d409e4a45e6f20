package crdt

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// open opens a copy, and ends the test if that cannot be.
func open(t testing.TB, self string, kept Kept) *Replica {
	t.Helper()
	r, err := NewReplica(self, kept)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// fill is a copy with n entries of its own.
func fill(t testing.TB, self string, n int) *Replica {
	t.Helper()
	r := open(t, self, Kept{Life: 1})
	for i := range n {
		r.Put(fmt.Sprintf("%s/%05d", self, i), []byte("value"), Fence{}, noon)
	}
	return r
}

// drawEntry draws an entry of few keys and few writers, so that they meet. Its
// dot decides all the rest, as it does where nobody lies.
func drawEntry(t *rapid.T) Entry {
	origin := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "origin")
	seq := rapid.Uint64Range(1, 20).Draw(t, "seq")
	h := (seq*31 + uint64(origin[0])) * 2654435761
	e := Entry{
		Key:   fmt.Sprintf("k%d", h>>3%5),
		Fence: Fence{Epoch: h >> 7 % 2, Ballot: h >> 9 % 3},
		Stamp: Stamp{Wall: noon.UnixMilli() + int64(seq), Node: origin},
		Dot:   Dot{origin, seq},
	}
	if e.Deleted = h>>11%3 == 0; !e.Deleted {
		e.Value = []byte(fmt.Sprint(origin, seq))
	}
	return e
}

func drawEntries(t *rapid.T, label string) []Entry {
	return rapid.SliceOfN(rapid.Custom(drawEntry), 0, 30).Draw(t, label)
}

// fold is the dumb twin of a Replica: of each key, the highest of all entries.
func fold(entries []Entry) map[string]Entry {
	m := map[string]Entry{}
	for _, e := range entries {
		if o, ok := m[e.Key]; !ok || e.Compare(&o) > 0 {
			m[e.Key] = e
		}
	}
	return m
}

// entriesOf is what a copy passes on to one that has nothing, in order.
func entriesOf(r *Replica) []Entry {
	list, _, _ := r.pick(0, 1<<30, nil, func(*item) bool { return true })
	return list
}

// contents is everything that a copy holds, tombstones too.
func contents(r *Replica) map[string]Entry {
	m := map[string]Entry{}
	for key, it := range r.items {
		m[key] = it.Entry
	}
	return m
}

func mustHold(t interface{ Fatalf(string, ...any) }, r *Replica, want map[string]Entry) {
	if got := contents(r); !reflect.DeepEqual(got, want) {
		t.Fatalf("copy of %s holds\n%v, want\n%v", r.self, got, want)
	}
	live := slices.Sorted(maps.Keys(want))
	live = slices.DeleteFunc(live, func(key string) bool { return want[key].Deleted })
	var scanned []string
	for e := range r.Scan("") {
		scanned = append(scanned, e.Key)
	}
	if !slices.Equal(scanned, live) {
		t.Fatalf("scan of %s: got %v, want %v", r.self, scanned, live)
	}
	var sum Digest
	for _, e := range want {
		if !e.Deleted {
			sum = sum.plus(hashOf(r.secret, &e))
		}
	}
	if r.Digest() != sum {
		t.Fatalf("digest of %s: got %v, want %v", r.self, r.Digest(), sum)
	}
}

func TestMergeIsAFoldInAnyOrderAndNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := drawEntries(t, "entries")
		r, _ := NewReplica("z", Kept{})
		order := rapid.Permutation(append(slices.Clone(entries), entries...)).Draw(t, "order")
		for len(order) > 0 {
			n := rapid.IntRange(1, len(order)).Draw(t, "batch")
			if m := r.Merge(order[:n], noon); len(m.Refused) > 0 {
				t.Fatalf("refused: %v", m.Refused)
			}
			order = order[n:]
		}
		mustHold(t, r, fold(entries))
		for _, e := range entries {
			if !r.Seen().Has(e.Dot) {
				t.Fatalf("%v was merged and is not seen", e.Dot)
			}
		}
		if m := r.Merge(entries, noon); len(m.News) > 0 {
			t.Fatalf("merged before, news again: %v", m.News)
		}
	})
}

func TestWhatIsKeptIsTheCopy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var kept Kept
		r, _ := NewReplica("a", kept)
		last := uint64(0)
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			key := rapid.SampledFrom([]string{"k0", "k1", "k2"}).Draw(t, "key")
			switch rapid.IntRange(0, 5).Draw(t, "do") {
			case 0, 1:
				e := r.Put(key, []byte(key), Fence{}, noon)
				if e.Dot.Seq <= last {
					t.Fatalf("number %d is used twice", e.Dot.Seq)
				}
				last = e.Dot.Seq
			case 2:
				if e, ok := r.Delete(key, Fence{}, noon); ok {
					last = e.Dot.Seq
				}
			case 3:
				bad := Entry{Key: key, Deleted: true, Value: []byte{1}, Dot: Dot{"b", 1}}
				r.Merge([]Entry{bad}, noon)
			case 4:
				r.Merge([]Entry{entry(key, "b", 1)}, noon)
			case 5:
				r.Reset()
			}
			if rapid.Bool().Draw(t, "flush") {
				kept.Apply(r.Flush())
				if b := r.Flush(); !b.Empty() {
					t.Fatalf("flushed twice: %+v", b)
				}
				again, err := NewReplica("a", kept)
				if err != nil {
					t.Fatal(err)
				}
				mustHold(t, again, contents(r))
				if !again.Seen().Equal(r.Seen()) || again.next != r.next {
					t.Fatalf("kept %v next %d, have %v next %d", again.seen, again.next, r.seen, r.next)
				}
				if !reflect.DeepEqual(again.Quarantine(), r.Quarantine()) {
					t.Fatalf("kept %v, have %v", again.Quarantine(), r.Quarantine())
				}
			}
		}
	})
}

func TestACrashForgetsOnlyWhatWasNotFlushed(t *testing.T) {
	var kept Kept
	r := open(t, "a", kept)
	r.Put("k", []byte("1"), Fence{}, noon)
	kept.Apply(r.Flush())
	r.Put("k", []byte("2"), Fence{}, noon.Add(time.Second))
	again := open(t, "a", kept)
	if e, ok := again.Get("k"); !ok || string(e.Value) != "1" {
		t.Fatalf("got %v, %v", e, ok)
	}
	if e := again.Put("k", []byte("3"), Fence{}, noon.Add(-time.Hour)); e.Dot.Seq != 2 {
		t.Errorf("the next write has number %d, want 2", e.Dot.Seq)
	} else if got, _ := again.Get("k"); string(got.Value) != "3" {
		t.Errorf("a write after the wall clock was set back lost: %v", got)
	}
}

func TestNoNumberIsUsedTwiceWhateverIsKept(t *testing.T) {
	for name, kept := range map[string]Kept{
		"only the number":  {NextSeq: 8},
		"only what it saw": {Seen: Seen{"a": {Head: 7}}},
		"only an entry":    {Entries: []Entry{entry("k", "a", 7)}},
	} {
		r := open(t, "a", kept)
		if e := r.Put("new", []byte("x"), Fence{}, noon); e.Dot.Seq != 8 {
			t.Errorf("%s: got number %d, want 8", name, e.Dot.Seq)
		}
	}
}
