package reconcile

import (
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mn/mesh"
)

// TestDrainsEndWhateverIsSick: copies that never come to run for long hold up no drain
// beyond its deadline, neither their own nor that of others, wherever they have got to
// when their nodes are drained one after the other.
func TestDrainsEndWhateverIsSick(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		partition := rapid.SampledFrom([]mesh.OnPartition{mesh.Eager, mesh.Majority, mesh.Keep}).Draw(t, "partition")
		w := drawWorld(t, partition)
		job := drawJob(t, partition)
		job.Type = rapid.SampledFrom([]mesh.JobType{mesh.Service, mesh.Batch}).Draw(t, "type at last")
		job.Update = &mesh.UpdatePolicy{MaxParallel: rapid.IntRange(1, 3).Draw(t, "parallel")}
		for i := range job.Tasks {
			job.Tasks[i].After, job.Tasks[i].AfterRule, job.Tasks[i].AfterQuorum = nil, "", 0
		}
		job.Gang = false
		w.submit(job, false)
		sick := map[mesh.Seat]bool{}
		for _, g := range job.Groups() {
			for _, seat := range w.seats(job.Type, g) {
				sick[seat] = rapid.IntRange(0, 2).Draw(t, "sick") == 0
			}
		}
		round := func() Plan {
			p := w.plan(true)
			if err := Check(p, w.view()); err != nil {
				t.Fatalf("the plan %v\n%s", err, w.picture(p))
			}
			w.apply(p)
			w.settle()
			for _, id := range slices.Sorted(maps.Keys(w.copies)) {
				if c := w.copies[id]; c.runs && sick[c.view.Seat()] {
					w.report(c, mesh.Backoff)
				}
			}
			w.advance(5 * time.Second)
			return p
		}
		round()
		w.addNode("n9", mesh.Resources{CPU: 4 * mesh.Core, Memory: 64 * mesh.GiB, Disk: mesh.TiB})
		for _, id := range slices.Sorted(maps.Keys(w.nodes)) {
			if id != "n9" {
				w.administer(w.nodes[id], mesh.Draining, 30*time.Second, false)
			}
			for range rapid.IntRange(0, 3).Draw(t, "rounds") {
				round()
			}
		}
		var last Plan
		for range 50 {
			last = round()
		}
		for _, c := range w.copies {
			if c.view.Node != "n9" && !c.view.State().Final() {
				t.Fatalf("%v is still on %s, which is drained:\n%s", c.view.Seat(), c.view.Node, w.picture(last))
			}
		}
		if len(last.Place)+len(last.Stop) > 0 {
			t.Fatalf("after 50 rounds there is still something to do:\n%s", w.picture(last))
		}
	})
}

// TestDrainAsksForNoMoreThanCanBeOnTheirWay: however many may be between two nodes.
func TestDrainAsksForNoMoreThanCanBeOnTheirWay(t *testing.T) {
	w := newWorld()
	w.addNode("n1", mesh.Resources{CPU: 4 * mesh.Core, Memory: 64 * mesh.GiB, Disk: mesh.TiB})
	task := mesh.Task{Name: "web", Count: 2 * placeMax, Command: []string{"run"}}
	w.submit(mesh.Job{
		Name: "lab", Type: mesh.Service, Tasks: []mesh.Task{task},
		Update: &mesh.UpdatePolicy{MaxParallel: 2 * placeMax},
	}, false)
	for range 3 {
		w.apply(w.plan(true))
		w.settle()
	}
	w.advance(time.Minute)
	w.addNode("n2", mesh.Resources{CPU: 4 * mesh.Core, Memory: 64 * mesh.GiB, Disk: mesh.TiB})
	w.administer(w.nodes["n1"], mesh.Draining, time.Hour, false)
	p := w.plan(true)
	if err := Check(p, w.view()); err != nil || len(p.Place) != placeMax || p.Wake != retryQueued {
		t.Errorf("got %d copies placed, looking again in %v: %v; want %d, in %v",
			len(p.Place), p.Wake, err, placeMax, retryQueued)
	}
}
