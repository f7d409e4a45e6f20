package core

import (
	"slices"
	"strings"
	"testing"
	"time"

	"mn/crdt"
	"mn/mesh"
	"mn/placement/reconcile"
	"mn/runner"
)

// texts are what all hosts have told of some kinds, in order.
func (l *lab) texts(of ...mesh.EventKind) (texts []string) {
	var all []mesh.Event
	for _, h := range l.nodes {
		all = append(all, h.log...)
	}
	slices.SortStableFunc(all, func(a, b mesh.Event) int { return a.At.Compare(b.At) })
	for _, e := range all {
		if slices.Contains(of, e.Kind) {
			texts = append(texts, string(e.Kind)+": "+e.Text)
		}
	}
	return texts
}

// TestAJobThatHasSettledIsTold: once, with the reason, by whoever saw it come to that;
// not by those who lead it later.
func TestAJobThatHasSettledIsTold(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: batch("sum")})
	l.after(5 * time.Second)
	for i, code := range []int{0, 3, 0} {
		l.exit("sum", i, code)
		l.after(time.Second)
	}
	l.ask(l.nodes[0], Act{Job: "sum", Verb: mesh.VerbRetry})
	l.after(5 * time.Second)
	l.exit("sum", 1, 0)
	l.after(5 * time.Second)
	want := []string{
		"job_settled: failed: 1 of 3 running, 1 completed, 1 failed; loop[1] failed", "job_settled: completed",
	}
	check := func(when string) {
		t.Helper()
		got := l.texts(mesh.JobSettled)
		like := func(a, b string) bool { return len(a) >= len(b) && a[:len(b)] == b }
		if !slices.EqualFunc(got, want, like) {
			t.Errorf("%s: got %q, want %q", when, got, want)
		}
	}
	check("once it has completed")
	l.kill(l.lead("sum"), true)
	l.after(time.Minute)
	check("once another leads it")
}

// TestAFailureIsToldWithWhatFollows: that it moves, when, and that it does not any more; each once,
// and by the coordinator under its fence.
func TestAFailureIsToldWithWhatFollows(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	job := batch("sum") // three copies, so that the end of one does not settle it
	no, one := false, 1
	job.Restart = &mesh.RestartPolicy{Enabled: &no}
	job.Reschedule = &mesh.ReschedulePolicy{Attempts: &one}
	l.ask(l.nodes[0], Submit{Job: job})
	l.after(5 * time.Second)
	l.exit("sum", 1, 3)
	at := l.clock().Wall.UTC()
	l.after(10 * time.Second) // more than the delay
	l.exit("sum", 1, 4)
	l.after(10 * time.Second)
	got := l.texts(mesh.AllocFailed)
	moves := "alloc_failed: loop[1] failed on n"
	if len(got) != 2 || !strings.HasPrefix(got[0], moves) || !strings.HasPrefix(got[1], moves) {
		t.Fatalf("got %q, want that it moves, and that it does no more", got)
	}
	soon := at.Add(5 * time.Second).Format(" at 15:04:05 UTC")
	if want := "exit code 3; restarts are off; next: move 1 of 1 in 24h" + soon; !strings.HasSuffix(got[0], want) {
		t.Errorf("first: got %q, want ... %q", got[0], want)
	}
	last := "exit code 4; restarts are off; the one move within 24h is used up; next: no copy follows"
	if !strings.HasSuffix(got[1], last) {
		t.Errorf("then: got %q, want ... %q", got[1], last)
	}
	for _, h := range l.nodes {
		for _, e := range h.log {
			if e.Kind == mesh.AllocFailed && (e.Fence == crdt.Fence{} || e.Job != "sum" || e.Alloc == "") {
				t.Errorf("%+v says not under which fence, or what of", e)
			}
		}
	}
	l.kill(l.lead("sum"), true)
	l.after(time.Minute)
	if again := l.texts(mesh.AllocFailed); len(again) != 2 {
		t.Errorf("who leads it then tells it again: %q", again)
	}
}

// TestAFailureIsNotToldAgainWhenItsNodeIsBack: nothing new has become of it.
func TestAFailureIsNotToldAgainWhenItsNodeIsBack(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	no, none := false, 0
	job := batch("patch")
	job.Type, job.Tasks[0].Count = mesh.SysBatch, 0
	job.Restart = &mesh.RestartPolicy{Enabled: &no}
	job.Reschedule = &mesh.ReschedulePolicy{Attempts: &none}
	l.ask(l.nodes[0], Submit{Job: job})
	l.after(5 * time.Second)
	runs := l.nodes[0]
	if runs == l.lead("patch") {
		runs = l.nodes[1]
	}
	for key, o := range runs.tasks {
		delete(runs.tasks, key)
		o.Kind, o.ExitCode, o.At = runner.Exited, 3, l.clock().Wall
		l.post(runs, labDelay, Observed{o})
	}
	l.after(5 * time.Second)
	l.kill(runs, true)
	l.after(20 * time.Second)
	l.start(runs)
	l.step(runs, Tick{})
	l.meet(runs)
	l.after(20 * time.Second)
	if got := l.texts(mesh.AllocFailed); len(got) != 1 {
		t.Errorf("got %q, want it told once\n%s", got, l.events())
	}
}

// TestADrainIsTold as it goes on, and what holds it up.
func TestADrainIsTold(t *testing.T) {
	l := newLab(t, 2)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: service("web", 14)}) // of 16 that fit
	l.after(5 * time.Second)
	n := l.running()[l.nodes[1].name]
	if f := l.administer(l.nodes[0], l.nodes[1], mesh.Draining); f != nil {
		t.Fatal(f)
	}
	l.after(time.Minute)
	if got := l.texts(mesh.NodeDrainProgress); len(got) != 1 || n != 7 ||
		got[0] != "node_drain_progress: 6 of its copies have to go still" {
		t.Errorf("%d copies were there, and it tells %q", n, got)
	}
	if got := l.texts(mesh.NodeDrainBlocked); len(got) != 1 {
		t.Errorf("what holds it up: %q, want one reason", got)
	}
	l.ask(l.nodes[0], Submit{Job: service("web", 8)})
	l.after(time.Minute)
	if got := l.texts(mesh.NodeDrainCompleted); len(got) != 1 ||
		got[0] != "node_drain_completed: nothing is left on it that had to go; "+
			"next: it takes no new work until a person says so: mn node undrain --mark-eligible" {
		t.Errorf("its end: %q", got)
	}
}

// TestTheLastCopyOfADrainIsOne, in words too.
func TestTheLastCopyOfADrainIsOne(t *testing.T) {
	l := newLab(t, 2)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: service("web", 9)}) // one more than a node has room for
	l.after(5 * time.Second)
	if f := l.administer(l.nodes[0], l.nodes[1], mesh.Draining); f != nil {
		t.Fatal(f)
	}
	l.after(2 * time.Minute)
	got := l.texts(mesh.NodeDrainProgress)
	if len(got) == 0 || got[len(got)-1] != "node_drain_progress: one of its copies has to go still" {
		t.Errorf("got %q", got)
	}
}

// TestADrainThatWaitsForAPersonIsTold once, with who has to say what, and once more when it goes on.
func TestADrainThatWaitsForAPersonIsTold(t *testing.T) {
	l := newLab(t, 2)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: unsafeJob("pay")})
	l.until(5*time.Second, func() bool { return l.begun() == 1 })
	runs := l.runs()
	asked := l.other(runs)
	if f := l.administer(asked, runs, mesh.Draining); f != nil {
		t.Fatal(f)
	}
	l.after(2 * time.Minute)
	got := l.texts(mesh.NodeDrainPaused)
	if len(got) != 1 || !strings.HasPrefix(got[0], `node_drain_paused: task "loop" is marked unsafe`) ||
		!strings.HasSuffix(got[0], "; next: a person says whether the copy may leave: mn review ls") {
		t.Fatalf("got %q", got)
	}
	l.ask(asked, Judge{Alloc: asked.reviews("pay")[0].Alloc, Approve: true})
	l.after(10 * time.Second)
	if got := l.texts(mesh.NodeDrainCompleted, mesh.NodeDrainPaused); len(got) != 2 {
		t.Errorf("its end: %q", got)
	}
	v := asked.core.View()
	for id, n := range reconcile.Moves(v, v.Job("pay")) {
		if n != 0 {
			t.Errorf("a copy that a drain has moved counts as %d moves of its policy: %s", n, id)
		}
	}
}
