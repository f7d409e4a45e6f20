package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"mn/mesh"
)

// TestPipelinesComeToTheirEnd: whatever groups come after which, and whichever copies
// fail, a job ends, and then a group has begun if and only if its rule holds for
// what has become of the others.
func TestPipelinesComeToTheirEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		w.addNode("n1", mesh.Resources{CPU: 4 * mesh.Core, Memory: 64 * mesh.GiB, Disk: mesh.TiB})
		none := 0
		job := mesh.Job{Name: "lab", Type: mesh.Batch, Reschedule: &mesh.ReschedulePolicy{Attempts: &none}}
		job.MaxRunning = rapid.IntRange(0, 3).Draw(t, "max_running")
		names := []string{"a", "b", "c", "d", "e"}
		for i, name := range names {
			task := mesh.Task{Name: name, Command: []string{"run"}, Count: rapid.IntRange(1, 2).Draw(t, "count")}
			drawOrder(t, &task, names[:i])
			job.Tasks = append(job.Tasks, task)
		}
		job.Tasks = rapid.Permutation(job.Tasks).Draw(t, "order in the file")
		w.submit(job, false)
		p := w.plan(true)
		for range 20 {
			if err := Check(p, w.view()); err != nil {
				t.Fatalf("the plan %v\n%s", err, w.picture(p))
			}
			w.apply(p)
			w.settle()
			for _, id := range slices.Sorted(maps.Keys(w.copies)) {
				if c := w.copies[id]; c.runs && rapid.Bool().Draw(t, "ends") {
					w.report(c, rapid.SampledFrom([]mesh.AllocState{mesh.Complete, mesh.Failed, mesh.TimedOut}).Draw(t, "how"))
				}
			}
			p = w.plan(true)
		}
		for _, c := range w.copies {
			if c.runs {
				w.report(c, mesh.Complete)
			}
		}
		for range 10 { // the rest of them, one after the other
			p = w.plan(true)
			w.apply(p)
			w.settle()
			for _, c := range w.copies {
				if c.runs {
					w.report(c, mesh.Complete)
				}
			}
		}
		w.judge(t, w.plan(true))
	})
}

// judge holds the end of a pipeline against its rules.
func (w *world) judge(t *rapid.T, p Plan) {
	if !p.Empty() || p.Status != mesh.JobCompleted && p.Status != mesh.JobFailed {
		t.Fatalf("it has not ended:\n%s", w.picture(p))
	}
	type end struct{ began, failed bool }
	ends := map[string]end{}
	for _, c := range w.copies {
		e := ends[c.view.Group]
		state := c.view.State()
		ends[c.view.Group] = end{true, e.failed || state == mesh.Failed || state == mesh.TimedOut}
	}
	unanswered := false
	for _, g := range w.job.Job.Groups() {
		success, failed := 0, 0
		for _, name := range g.After {
			switch e := ends[name]; {
			case e.failed:
				failed++
			case e.began:
				success++
			}
		}
		want := map[mesh.AfterRule]bool{
			"": true, mesh.AllSuccess: success == len(g.After), mesh.AllDone: true, mesh.OneSuccess: success > 0,
			mesh.OneDone: true, mesh.OneFailed: failed > 0, mesh.NoneFailed: failed == 0 && success > 0,
			mesh.QuorumSuccess: success >= g.AfterQuorum,
		}[g.AfterRule]
		if ends[g.Name].began != want {
			t.Fatalf("%s, %s of %v: it ran: %v, and %d have succeeded, %d failed\n%s",
				g.Name, g.AfterRule, g.After, !want, success, failed, w.picture(p))
		}
		answered := slices.ContainsFunc(w.job.Job.Groups(), func(o mesh.Group) bool {
			return slices.Contains(o.After, g.Name) && ends[o.Name] == end{began: true} && o.AfterRule.Handles()
		})
		unanswered = unanswered || ends[g.Name].failed && !answered
	}
	if failed := p.Status == mesh.JobFailed; failed != unanswered {
		t.Fatalf("a failure without an answer: %v, and the job is %s: %s", unanswered, p.Status, fmt.Sprint(ends))
	}
}

func TestGroupsOfACircleWait(t *testing.T) {
	w := newWorld()
	w.addNode("n1", mesh.Resources{})
	w.submit(mesh.Job{Name: "lab", Type: mesh.Batch, Tasks: []mesh.Task{
		{Name: "a", After: []string{"b"}}, {Name: "b", After: []string{"a"}}, {Name: "c", After: []string{"nobody"}},
	}}, false)
	if p := w.plan(true); len(p.Place) > 0 || len(p.Waiting) != 3 {
		t.Errorf("got\n%s", p.String())
	}
}
