package reconcile

import (
	"strings"
	"testing"
	"time"

	"mn/mesh"
)

// TestWhatCountsIsOfTheLine holds the outcome of a copy of each version, of the
// same content or of another, against jobs whose work counts from an earlier
// version on.
func TestWhatCountsIsOfTheLine(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	version := func(number, since uint64, line ...mesh.Ancestor) mesh.JobView {
		return mesh.JobView{Line: line, JobVersion: mesh.JobVersion{
			Job:    mesh.Job{Name: "lab", Tasks: []mesh.Task{{Name: "work", Command: []string{"run"}}}},
			Number: number, Hash: "mine-4", Since: since, At: day(int(number)),
		}}
	}
	line := []mesh.Ancestor{{Number: 3, Hash: "mine-3", At: day(3)}, {Number: 2, Hash: "mine-2", At: day(2)}}
	itself, earlier := version(4, 0), version(4, 2, line...)
	gap := version(4, 2, line[:1]...)
	same := mesh.HashGroup(&itself.Job, "work")
	for _, tt := range []struct {
		name    string
		job     mesh.JobView
		version uint64
		hash    string
		content string
		ended   time.Time
		counts  bool
	}{
		{"of the version itself", itself, 4, "mine-4", same, day(4), true},
		{"of its parent, ended before", itself, 3, "mine-3", same, day(4), false},
		{"of its parent, ended after", itself, 3, "mine-3", same, day(5), true},
		{"of a rival, ended after, of other content", itself, 4, "other-4", "other", day(5), false},
		{"of its parent, from which it counts", earlier, 3, "mine-3", same, day(1), true},
		{"of the first that counts", earlier, 2, "mine-2", same, day(1), true},
		{"of one before, ended before", earlier, 1, "mine-1", same, day(1), false},
		{"of one before, ended after", earlier, 1, "mine-1", same, day(3), true},
		{"of a rival of its parent", earlier, 3, "other-3", "other", day(5), false},
		{"of a rival of its parent, ended before", earlier, 3, "other-3", same, day(1), false},
		{"of a version to come", earlier, 5, "mine-5", "other", day(5), false},
		{"of itself while a version is not here", gap, 4, "mine-4", same, day(4), true},
		{"of its parent while a version is not here", gap, 3, "mine-3", same, day(3), false},
	} {
		a := mesh.AllocView{
			Alloc: mesh.Alloc{
				ID: "a", Job: "lab", Group: "work", Want: mesh.WantRun, Node: "n1",
				Version: tt.version, Hash: tt.hash, Content: tt.content,
			},
			Status: &mesh.Status{State: mesh.Complete, At: tt.ended},
		}
		v := &mesh.View{Now: day(9), Allocs: []mesh.AllocView{a}}
		p := newPlanner(v, &tt.job, nil, true)
		if got := p.completed(&a, &seat{content: same}); got != tt.counts {
			t.Errorf("%s: counts %v, want %v", tt.name, got, tt.counts)
		}
	}
}

// TestNothingIsPlacedBeforeTheLineIsHere has the record of a version missing from
// which completed work counts.
func TestNothingIsPlacedBeforeTheLineIsHere(t *testing.T) {
	w := newWorld()
	w.addNode("n1", mesh.Resources{CPU: 4 * mesh.Core, Memory: mesh.GiB})
	w.submit(mesh.Job{Name: "lab", Tasks: []mesh.Task{{Name: "work", Command: []string{"run"}}}}, false)
	w.act(mesh.VerbPause, false, "")
	w.act(mesh.VerbResume, false, "")
	whole := w.job.Line
	w.job.Line = whole[:1]
	if p := w.plan(true); len(p.Place) > 0 || len(p.Waiting) != 1 {
		t.Errorf("with a version missing:\n%s", w.picture(p))
	}
	w.job.Line = whole
	if p := w.plan(true); len(p.Place) != 1 {
		t.Errorf("with all versions here:\n%s", w.picture(p))
	}
}

// TestMoveCountsThoughTheCopyWasToldToStop: it had failed by itself, and whoever took its
// node for lost did not know of that yet.
func TestMoveCountsThoughTheCopyWasToldToStop(t *testing.T) {
	w := newWorld()
	var out strings.Builder
	for _, line := range []string{
		"node n1", "node n2", "job type=batch partition=majority moves=1 web=1", "apply", "settle",
		"status web[0].0 failed", "advance 10s", "apply", "settle", "status web[0].1 failed", "advance 1m",
	} {
		if err := w.command(strings.Fields(line), &out); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range w.copies {
		if c.view.Generation == 0 {
			c.view.Want = mesh.WantStop
		}
	}
	if p := w.plan(true); !p.Empty() || p.Status != mesh.JobFailed {
		t.Errorf("got\n%s\nwant it failed: its move is used up", w.picture(p))
	}
}

// TestRetryLeavesWhatWorks has a task of a copy wait for its restart when a person says to
// try again, beside another.
func TestRetryLeavesWhatWorks(t *testing.T) {
	for _, tt := range []struct {
		beside mesh.TaskStatus
		stops  bool
	}{
		{mesh.TaskStatus{State: mesh.Running}, false},
		{mesh.TaskStatus{State: mesh.Starting}, false},
		{mesh.TaskStatus{State: mesh.Complete}, false},
		{mesh.TaskStatus{State: mesh.Backoff}, true},
		{mesh.TaskStatus{State: mesh.Complete, Lifecycle: mesh.Prestart}, true},
		{mesh.TaskStatus{State: mesh.Running, Lifecycle: mesh.Sidecar}, true},
		{mesh.TaskStatus{State: mesh.Pending, Lifecycle: mesh.Poststop}, true},
	} {
		w := newWorld()
		w.addNode("n1", mesh.Resources{})
		w.submit(mesh.Job{Name: "lab", Tasks: []mesh.Task{{Name: "work", Command: []string{"work"}}}}, false)
		w.apply(w.plan(true))
		w.settle()
		c := w.copyAt(0)
		w.report(c, mesh.Backoff)
		c.view.Status.Tasks = append(c.view.Status.Tasks, tt.beside)
		w.act(mesh.VerbRetry, false, "")
		p := w.plan(true)
		if err := Check(p, w.view()); err != nil || len(p.Stop) > 0 != tt.stops {
			t.Errorf("beside one that is %s %s: %v\n%s", tt.beside.Lifecycle, tt.beside.State, err, w.picture(p))
		}
	}
}
