package crdt

import (
	"fmt"
	"testing"
	"time"
)

// What a session may cost: the records that differ, half as much again, and
// this many bytes: the digests of all groups, and what was seen of the few
// origins that fall into one group with one that differs.
const sessionBytes = 3 << 10

// pair is two copies that have the same entries of some origins.
type pair struct {
	a, b    *Replica
	entries int
	seqs    []uint64 // written last, by origin
	writes  int64
}

func newPair(entries, origins int) *pair {
	p := &pair{entries: entries, seqs: make([]uint64, origins)}
	p.a, _ = NewReplica("a", Kept{Life: 1})
	p.b, _ = NewReplica("b", Kept{Life: 1})
	var list []Entry
	for i := range entries {
		list = append(list, p.write(i, i%origins))
	}
	p.a.Merge(list, noon)
	p.b.Merge(list, noon)
	return p
}

func (p *pair) write(key, origin int) Entry {
	p.seqs[origin]++
	p.writes++
	e := status(key, originName(origin), p.seqs[origin])
	e.Stamp.Wall = noon.Add(-time.Hour).UnixMilli() + p.writes // it wins
	return e
}

// difference is what one of two copies lacks, or each of them.
type difference struct {
	a, b   int  // records that it lacks
	spread bool // over all origins; else all are of one
}

func (d difference) String() string {
	where := "one origin"
	if d.spread {
		where = "many origins"
	}
	return fmt.Sprintf("A lacks %d, B lacks %d, of %s", d.a, d.b, where)
}

// differences are those that are measured.
func differences() []difference {
	list := []difference{{}}
	for _, n := range []int{1, 10, 100, 1000} {
		for _, spread := range []bool{false, true} {
			list = append(list, difference{n, 0, spread}, difference{0, n, spread})
			if n > 1 {
				list = append(list, difference{n / 2, n - n/2, spread})
			}
		}
	}
	return list
}

// part makes the copies differ, and says how many bytes the records take that
// are in one of them only.
func (p *pair) part(t testing.TB, d difference) (bytes int) {
	var onlyA, onlyB []Entry
	for i := range d.a + d.b {
		origin := 2
		if d.spread {
			origin = i * 7 % len(p.seqs)
		}
		e := p.write(i*(p.entries/(d.a+d.b)), origin)
		bytes += wire(t, e, new(Entry))
		if i < d.a {
			onlyB = append(onlyB, e)
		} else {
			onlyA = append(onlyA, e)
		}
	}
	p.a.Merge(onlyA, noon)
	p.b.Merge(onlyB, noon)
	return bytes
}

// join makes the copies equal again: if b lacks more than one push brings, it
// asks in its turn.
func (p *pair) join(t testing.TB) traffic {
	cost := session(t, p.a, p.b, noon)
	if p.a.Digest() != p.b.Digest() {
		more := session(t, p.b, p.a, noon)
		cost.bytes, cost.trips = cost.bytes+more.bytes, cost.trips+more.trips
	}
	return cost
}

// originName is an id as nodes have it, status an entry as large as a status.
func originName(i int) string { return fmt.Sprintf("origin%010d", i) }

func status(key int, origin string, seq uint64) Entry {
	e := entry(fmt.Sprintf("status/%016d", key), origin, seq)
	e.Value = make([]byte, 200)
	copy(e.Value, fmt.Sprint(origin, seq))
	return e
}

func TestEqualCopiesExchangeLittle(t *testing.T) {
	const limit = 100
	for _, origins := range []int{3, 100, 1000} {
		p := newPair(2000, origins)
		req := p.a.Request()
		ans := p.b.Answer(req)
		there, back := wire(t, req, new(Request)), wire(t, ans, new(Answer))
		t.Logf("%d origins: %d bytes there, %d back", origins, there, back)
		if there > limit || back > limit {
			t.Errorf("%d origins: %d bytes there and %d back, want at most %d", origins, there, back, limit)
		}
		if out := p.a.Apply(ans, noon); !out.Over {
			t.Errorf("%d origins: the session goes on with %+v", origins, out.Next)
		}
	}
}

func TestASessionCostsWhatTheCopiesDifferIn(t *testing.T) {
	for _, origins := range []int{3, 100, 1000} {
		p := newPair(10_000, origins)
		for _, d := range differences() {
			bytes := p.part(t, d)
			cost := p.join(t)
			t.Logf("%d origins, %v: %d bytes for %d that differ, %v round trips", origins, d, cost.bytes, bytes, cost.trips)
			if limit := bytes + bytes/2 + sessionBytes; cost.bytes > limit {
				t.Errorf("%d origins, %v: it took %d bytes, want at most %d", origins, d, cost.bytes, limit)
			}
			tripsMax := 2.5
			if bytes > PushBytes {
				tripsMax += 2
			}
			if cost.trips > tripsMax {
				t.Errorf("%d origins, %v: it took %v round trips, want at most %v", origins, d, cost.trips, tripsMax)
			}
			if p.a.Digest() != p.b.Digest() || !p.a.Seen().Equal(p.b.Seen()) {
				t.Fatalf("%d origins, %v: the copies are not equal", origins, d)
			}
		}
	}
}

func BenchmarkSession(b *testing.B) {
	for _, origins := range []int{3, 100, 1000} {
		p := newPair(10_000, origins)
		for _, n := range []int{0, 1, 10, 100, 1000} {
			d := difference{n / 2, n - n/2, true}
			b.Run(fmt.Sprintf("origins=%d/differ=%d", origins, n), func(b *testing.B) {
				var cost traffic
				var bytes int
				for b.Loop() {
					b.StopTimer()
					bytes = p.part(b, d)
					b.StartTimer()
					cost = p.join(b)
				}
				b.ReportMetric(float64(cost.bytes), "bytes")
				b.ReportMetric(cost.trips, "trips")
				if bytes > 0 {
					b.ReportMetric(float64(cost.bytes)/float64(bytes), "ratio")
				}
			})
		}
	}
}
