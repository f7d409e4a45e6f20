package store

import (
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"mn/crdt"
)

// BenchmarkCommit is one record made durable; the size is a typical status.
func BenchmarkCommit(b *testing.B) {
	s := mustOpen(b, b.TempDir())
	r := replica(b, crdt.Kept{})
	value := make([]byte, 300)
	took := make([]float64, 0, b.N)
	for b.Loop() {
		r.Put(fmt.Sprintf("k%d", r.Len()%1000), value, crdt.Fence{}, noon)
		before := b.Elapsed()
		mustCommit(b, s, r.Flush())
		took = append(took, float64((b.Elapsed() - before).Microseconds()))
	}
	quantiles(b, took)
	b.ReportMetric(pss(b), "pss-KiB")
}

// BenchmarkOpen is the start and the end of a run; the memory is what one open
// store takes that does nothing.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	before := pss(b)
	idle := mustOpen(b, dir)
	took := pss(b) - before
	mustClose(b, idle)
	for b.Loop() {
		s, err := Open(dir, quiet)
		if err != nil {
			b.Fatal(err)
		}
		mustClose(b, s)
	}
	b.ReportMetric(took, "pss-KiB")
}

// quantiles reports the median and the 99th percentile of some times.
func quantiles(b *testing.B, micros []float64) {
	slices.Sort(micros)
	b.ReportMetric(micros[len(micros)/2], "p50-µs")
	b.ReportMetric(micros[len(micros)*99/100], "p99-µs")
}

// pss is the memory of this process in KiB, shared pages divided.
func pss(b *testing.B) float64 {
	debug.FreeOSMemory()
	rollup, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		b.Skip(err)
	}
	for line := range strings.Lines(string(rollup)) {
		var kib float64
		if n, _ := fmt.Sscanf(line, "Pss: %f kB", &kib); n == 1 {
			return kib
		}
	}
	b.Fatal("no Pss in smaps_rollup")
	return 0
}
