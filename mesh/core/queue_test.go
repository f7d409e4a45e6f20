package core

import (
	"slices"
	"strings"
	"testing"
	"time"

	"mn/mesh"
)

// big is a job of copies that fill a node each.
func big(name string, count, priority int) *mesh.Job {
	j := service(name, count)
	j.Priority = priority
	j.Tasks[0].Resources = mesh.Resources{CPU: 8 * mesh.Core}
	return j
}

// runsOf counts the tasks of a job that run.
func (l *lab) runsOf(job mesh.JobID) int {
	n := 0
	for _, h := range l.nodes {
		for _, o := range h.tasks {
			if a, ok := l.nodes[0].core.records.effective(o.Alloc); ok && a.Job == job {
				n++
			}
		}
	}
	return n
}

// Who comes later with a higher priority comes first, on whichever slots the jobs are.
func TestRoomGoesToTheHighestPriority(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: big("full", 3, 0)})
	l.after(5 * time.Second)
	for _, name := range []string{"low-a", "low-b", "low-c"} {
		l.ask(l.nodes[1], Submit{Job: big(name, 3, 40)})
	}
	l.after(2 * time.Second)
	l.ask(l.nodes[2], Submit{Job: big("high", 2, 60)})
	l.after(10 * time.Second)
	if got := l.runsOf("full"); got != 3 {
		t.Fatalf("%d of the first job run: none of it may be preempted\n%s", got, l.events())
	}
	var names []mesh.JobID
	for _, q := range l.nodes[0].core.View().Queue {
		names = append(names, q.Job)
	}
	if want := []mesh.JobID{"high", "low-a", "low-b", "low-c"}; !slices.Equal(names, want) {
		t.Errorf("the queue is %v, want %v", names, want)
	}
	l.ask(l.nodes[0], Act{Job: "full", Verb: mesh.VerbStop})
	for range 400 { // at no time is there a low one while a high one waits
		l.after(25 * time.Millisecond)
		low := l.runsOf("low-a") + l.runsOf("low-b") + l.runsOf("low-c")
		if high := l.runsOf("high"); low > 1 || low > 0 && high < 2 {
			t.Fatalf("%d low ones and %d high ones run\n%s", low, high, l.events())
		}
	}
	if l.runsOf("high") != 2 {
		t.Errorf("%d high ones run, want both\n%s", l.runsOf("high"), l.events())
	}
	if got := len(l.nodes[0].core.View().Queue); got != 3 {
		t.Errorf("%d jobs wait, want the three low ones", got)
	}
	l.ask(l.nodes[0], Act{Job: "high", Verb: mesh.VerbStop})
	if _, ok := l.until(20*time.Second, func() bool { return l.total() == 3 }); !ok {
		t.Errorf("runs on %v: what waits holds itself up\n%s", l.running(), l.events())
	}
}

// What may be preempted makes room, no more than is needed, and goes on when there is some
// again; that counts against no policy.
func TestPreemptibleWorkMakesRoom(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	low := big("low", 3, 40)
	low.Preemptible = true
	l.ask(l.nodes[0], Submit{Job: low})
	l.after(5 * time.Second)
	l.ask(l.nodes[1], Submit{Job: big("equal", 1, 40)})
	l.after(20 * time.Second)
	if l.runsOf("low") != 3 {
		t.Fatalf("work of the same priority has it preempted\n%s", l.events())
	}
	l.ask(l.nodes[1], Submit{Job: big("high", 1, 60)})
	if _, ok := l.until(20*time.Second, func() bool { return l.runsOf("high") == 1 }); !ok {
		t.Fatalf("no room is made\n%s", l.events())
	}
	l.after(10 * time.Second)
	if got := l.runsOf("low"); got != 2 {
		t.Errorf("%d low ones run, want 2\n%s", got, l.events())
	}
	if !strings.Contains(l.events(), `makes room for job "high" of priority 60`) {
		t.Errorf("nobody is told why\n%s", l.events())
	}
	for _, h := range l.nodes { // whoever leads it
		l.kill(h, false)
		l.start(h)
		l.step(h, Tick{})
		l.meet(h)
		l.after(15 * time.Second)
	}
	if l.runsOf("high") != 1 || l.runsOf("low") != 2 {
		t.Errorf("%d high ones and %d low ones run", l.runsOf("high"), l.runsOf("low"))
	}
	l.ask(l.nodes[0], Act{Job: "equal", Verb: mesh.VerbStop})
	l.ask(l.nodes[0], Act{Job: "high", Verb: mesh.VerbStop})
	if _, ok := l.until(20*time.Second, func() bool { return l.runsOf("low") == 3 }); !ok {
		t.Errorf("it does not go on\n%s", l.events())
	}
	if _, text := l.status("low"); strings.Contains(text, "failed") {
		t.Errorf("it counts as a failure: %s", text)
	}
}

// What can never run, or waits where its coordinator is out of sight, holds nobody up.
func TestOnlyWhatWouldFitIsWaitedFor(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	never := big("never", 1, 90)
	never.Tasks[0].Resources.CPU = 9 * mesh.Core
	l.ask(l.nodes[0], Submit{Job: never})
	l.after(10 * time.Second)
	l.ask(l.nodes[0], Submit{Job: big("low", 3, 10)})
	if _, ok := l.until(10*time.Second, func() bool { return l.runsOf("low") == 3 }); !ok {
		t.Fatalf("runs on %v\n%s", l.running(), l.events())
	}
}

// TestARefusedPlacementDoesNotLoseItsTurn: what waits for room keeps its place in the queue, though
// a node seemed to have some meanwhile.
func TestARefusedPlacementDoesNotLoseItsTurn(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: big("full", 3, 0)})
	l.after(5 * time.Second)
	l.ask(l.nodes[1], Submit{Job: big("waits", 1, 40)})
	l.after(5 * time.Second)
	since := func() time.Time {
		t.Helper()
		q := l.nodes[0].core.View().Queue
		if len(q) != 1 || q[0].Job != "waits" {
			t.Fatalf("the queue is %v\n%s", q, l.events())
		}
		return q[0].Since
	}
	first := since()
	refused := 0
	l.lose = func(_ *host, e Envelope) bool {
		asks := e.Msg.Reserve != nil && e.Msg.Reserve.Alloc.Job == "waits"
		if asks {
			refused++
		}
		return asks
	}
	for _, h := range l.nodes { // it may lead the job, and would not be asked by a message
		if h != l.lead("waits") {
			l.administer(l.nodes[0], h, mesh.InService)
		} else {
			l.administer(l.nodes[0], h, mesh.Maintenance)
		}
	}
	l.ask(l.nodes[0], Submit{Job: big("full", 2, 0)})
	l.after(3 * time.Second)
	l.ask(l.nodes[0], Submit{Job: big("full", 3, 90)})
	l.lose = nil
	l.after(10 * time.Second)
	if refused == 0 {
		t.Fatalf("nobody was asked for room\n%s", l.events())
	}
	if got := since(); !got.Equal(first) {
		t.Errorf("it waits since %v, and has since %v", got, first)
	}
}
