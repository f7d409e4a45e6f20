package crdt

import (
	"fmt"
	"runtime"
	"testing"
)

// BenchmarkReplica is what one copy of 10,000 entries does most often.
func BenchmarkReplica(b *testing.B) {
	for _, origins := range []int{100, 1000} {
		p := newPair(10_000, origins)
		p.a.Flush()
		run := func(name string, f func(i int)) {
			b.Run(fmt.Sprintf("origins=%d/%s", origins, name), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					f(i)
				}
			})
		}
		req := p.b.Request()
		same := p.b.Answer(p.a.Request())
		run("request", func(int) { p.a.Request() })
		run("answer", func(int) { p.a.Answer(req) })
		run("apply", func(int) { p.a.Apply(same, noon) })
		run("flush", func(int) { p.a.Flush() })
		run("put", func(i int) {
			p.a.Put(fmt.Sprintf("status/%016d", i%10_000), nil, Fence{}, noon)
			p.a.Flush()
		})
		run("merge", func(i int) {
			p.a.Merge([]Entry{p.write(i%10_000, i%origins)}, noon)
			p.a.Flush()
		})
		run("request after a write", func(int) {
			p.a.Put("k", nil, Fence{}, noon)
			p.a.Request()
		})
	}
}

// BenchmarkMemory is what a copy takes for each entry, its value aside.
func BenchmarkMemory(b *testing.B) {
	for _, origins := range []int{100, 1000} {
		b.Run(fmt.Sprintf("origins=%d", origins), func(b *testing.B) {
			const entries = 10_000
			var list []Entry
			for i := range entries {
				e := status(i, originName(i%origins), uint64(i/origins+1))
				e.Value = nil
				var got Entry
				wire(b, e, &got) // each text by itself, as it comes from a peer
				list = append(list, got)
			}
			var before, after runtime.MemStats
			for b.Loop() {
				runtime.GC()
				runtime.ReadMemStats(&before)
				r := open(b, "a", Kept{Entries: list})
				for range r.Scan("") {
					break
				}
				r.Request()
				runtime.GC()
				runtime.ReadMemStats(&after)
				runtime.KeepAlive(r)
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/entries, "B/entry")
		})
	}
}
