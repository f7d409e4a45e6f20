package core

import (
	"slices"
	"testing"
	"time"

	"mn/mesh"
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
	if got := l.texts(mesh.NodeDrainCompleted); len(got) != 1 {
		t.Errorf("its end: %q", got)
	}
}
