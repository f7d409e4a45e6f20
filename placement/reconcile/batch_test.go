package reconcile

import (
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mn/mesh"
)

// TestBatchWorkEnds disturbs a mesh, then has all nodes serve and every copy complete
// sooner or later: the job is over then, and nothing of it is left to do or to wait for.
func TestBatchWorkEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		partition := rapid.SampledFrom([]mesh.OnPartition{mesh.Eager, mesh.Majority, mesh.Keep}).Draw(t, "partition")
		w := drawWorld(t, partition)
		job := drawJob(t, partition)
		job.Type = mesh.Batch
		if rapid.Bool().Draw(t, "sysbatch") {
			job.Type, job.Gang = mesh.SysBatch, false
			for i := range job.Tasks {
				job.Tasks[i].After, job.Tasks[i].AfterRule, job.Tasks[i].AfterQuorum = nil, "", 0
			}
		}
		w.submit(job, false)
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			if w.disturb(t, partition); w.job.Job.Type != job.Type {
				w.submit(job, false)
			}
			w.apply(w.plan(rapid.Bool().Draw(t, "granted")))
			if rapid.Bool().Draw(t, "settle") {
				w.settle()
			}
		}
		if w.job.Stopped || w.job.Paused {
			w.act(mesh.VerbRetry, false, "")
		}
		for _, id := range slices.Sorted(maps.Keys(w.nodes)) {
			w.sight(w.nodes[id], mesh.Alive, 0)
			w.administer(w.nodes[id], mesh.InService, 0, false)
		}
		w.peaceful(t, slices.Sorted(maps.Keys(w.nodes))[0])
		var last Plan
		for range 60 {
			last = w.plan(true)
			if err := Check(last, w.view()); err != nil {
				t.Fatalf("the plan %v\n%s", err, w.picture(last))
			}
			w.apply(last)
			w.settle()
			for _, id := range slices.Sorted(maps.Keys(w.copies)) {
				if c := w.copies[id]; c.runs && rapid.Bool().Draw(t, "completes") {
					w.report(c, mesh.Complete)
				}
			}
			w.advance(5 * time.Second)
		}
		over := last.Status == mesh.JobCompleted || last.Status == mesh.JobFailed
		if !last.Empty() || !over || last.Wake != 0 {
			t.Fatalf("after 60 rounds of peace:\n%s", w.picture(last))
		}
	})
}
