package sim

import (
	"fmt"
	"testing"
	"time"

	"mn/crdt"
	"mn/mesh"
	"mn/mesh/core"
)

// BenchmarkMesh measures what a mesh costs each of its nodes: at rest, and with
// one write a second in all of it. It reports messages and bytes that a node
// sends each second, by what they are about, and how much faster than time a
// run is.
func BenchmarkMesh(b *testing.B) {
	for _, n := range []int{3, 10, 100, 1000} {
		b.Run(fmt.Sprintf("nodes=%d", n), func(b *testing.B) { benchmarkMesh(b, n) })
	}
}

func benchmarkMesh(b *testing.B, nodes int) {
	w := settled(b, nodes)
	for _, load := range []struct {
		name   string
		writes time.Duration // between two of them; 0 is none
	}{{"rest", 0}, {"write-a-second", time.Second}} {
		b.Run(load.name, func(b *testing.B) {
			// As much virtual time as a large mesh can be watched in a minute.
			const span = 12 * time.Second
			before, from := w.network.total(), w.now
			b.ResetTimer()
			for range b.N {
				end := w.now + span
				for i := 0; w.now < end; i++ {
					if load.writes > 0 {
						w.people.submit(version(i), w.hosts[i%len(w.hosts)])
						w.until(min(w.now+load.writes, end), nil)
					} else {
						w.until(end, nil)
					}
				}
			}
			b.StopTimer()
			report(b, w, before, w.now-from)
		})
	}
	if w.broken != nil {
		b.Fatal(w.broken)
	}
}

// settled is a mesh that has had time to calm down. All its nodes begin with what
// they would know of each other, as a mesh of a thousand takes minutes to form.
func settled(b *testing.B, nodes int) *world {
	s := Scenario{Name: "bench", Nodes: nodes}
	s.Defaults()
	w := newWorld(s, Options{Seed: 1})
	for i := range nodes {
		w.newHost(w.machine(i))
	}
	entries, seen := acquainted(b, w)
	for _, h := range w.hosts {
		h.disk.seen, h.joined = seen.Clone(), true
		for _, e := range entries {
			h.disk.entries[e.Key] = e
		}
	}
	w.founding(w.hosts[0])
	for _, h := range w.hosts[1:] {
		h.start()
		a := h.agent
		h.do(a, func() core.Ready {
			ready, err := a.core.Adopt(h.now(), w.hosts[0].agent.core.Chain())
			if err != nil {
				b.Fatal(err)
			}
			return ready
		})
	}
	w.until(time.Minute, func() bool { return w.grown() && w.well() })
	if why := w.pending(); why != "" {
		b.Fatal(why)
	}
	w.until(w.now+15*time.Second, nil)
	return w
}

// acquainted is what all nodes have written of themselves, and the first of all.
func acquainted(b *testing.B, w *world) ([]crdt.Entry, crdt.Seen) {
	var entries []crdt.Entry
	seen := crdt.Seen{}
	first := string(w.hosts[0].self.ID)
	write := func(origin, key string, record any) {
		value, err := crdt.Encode(record)
		if err != nil {
			b.Fatal(err)
		}
		seq := seen[origin].Head + 1
		seen[origin] = crdt.Known{Head: seq}
		entries = append(entries, crdt.Entry{
			Key: key, Value: value, Dot: crdt.Dot{Origin: origin, Seq: seq},
			Stamp: crdt.Stamp{Wall: epoch.UnixMilli(), Logical: uint32(seq), Node: origin},
		})
	}
	for _, h := range w.hosts {
		write(first, mesh.KeyMember(h.self.ID), h.member())
		write(string(h.self.ID), mesh.KeyNode(h.self.ID), h.self)
	}
	return entries, seen
}

// version is a job that changes with i and runs nowhere: a write, and no more.
func version(i int) *mesh.Job {
	j := &mesh.Job{Name: "bench", Type: mesh.Service, Priority: i%100 + 1, Tasks: []mesh.Task{{
		Name: "task", Command: []string{"run"}, Resources: mesh.Resources{Memory: 1 << 50},
	}}}
	j.Defaults()
	return j
}

// report says what was sent since before, by a node in a second.
func report(b *testing.B, w *world, before map[class]Traffic, span time.Duration) {
	seconds := span.Seconds() * float64(len(w.hosts))
	var sum Traffic
	for c, t := range w.network.traffic {
		one := Traffic{t.Messages - before[c].Messages, t.Bytes - before[c].Bytes}
		sum = sum.plus(one)
		b.ReportMetric(float64(one.Bytes)/seconds, string(c)+"-B/node/s")
	}
	b.ReportMetric(float64(sum.Messages)/seconds, "messages/node/s")
	b.ReportMetric(float64(sum.Bytes)/seconds, "B/node/s")
	b.ReportMetric(span.Seconds()/b.Elapsed().Seconds(), "virtual-s/s")
	b.ReportMetric(0, "ns/op")
}
