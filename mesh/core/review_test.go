package core

import (
	"testing"
	"time"

	"mn/mesh"
)

// unsafeJob is a job of one copy that must not run twice.
func unsafeJob(name string) *mesh.Job {
	j := service(name, 1)
	j.Recovery.OnPartition = mesh.Keep
	j.Tasks[0].Safety = &mesh.Safety{SideEffects: mesh.EffectsWrite}
	return j
}

// reviews are what waits for a person, as a host sees it.
func (h *host) reviews(job mesh.JobID) []mesh.Review {
	plan, _, _ := h.core.Outlook(h.core.View().Job(job))
	return plan.Reviews
}

// begun counts the orders to start a task, on all hosts.
func (l *lab) begun() int {
	n := 0
	for _, h := range l.nodes {
		n += len(h.kinds(mesh.TaskStarted))
	}
	return n
}

// other is a host that runs, and is not h.
func (l *lab) other(h *host) *host {
	for _, o := range l.nodes {
		if o != h && o.core != nil {
			return o
		}
	}
	l.t.Fatal("no other host runs")
	return nil
}

// TestLostUnsafeCopyWaitsForAPerson: one that nobody sees is replaced only once
// somebody says so, to any peer; and it does not come back then.
func TestLostUnsafeCopyWaitsForAPerson(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: unsafeJob("pay")})
	if _, ok := l.until(5*time.Second, func() bool { return l.begun() == 1 }); !ok {
		t.Fatalf("%v run\n%s", l.running(), l.events())
	}
	runs := l.runs()
	l.kill(runs, true)
	l.after(time.Minute)
	asked := l.other(runs)
	open := asked.reviews("pay")
	if l.begun() != 1 || len(open) != 1 || open[0].Kind != mesh.ReviewLost {
		t.Fatalf("%d have begun, and %v waits\n%s", l.begun(), open, l.events())
	}
	told := 0
	for _, h := range l.nodes {
		told += len(h.kinds(mesh.ReviewOpened))
	}
	if told < 1 || told > 2 { // the coordinator may have been the one that is lost
		t.Errorf("it was told %d times", told)
	}
	if r := l.ask(asked, Judge{Alloc: open[0].Alloc, Approve: true, Reason: "its disk is out"}); r.Fault != nil {
		t.Fatal(r.Fault)
	}
	if _, ok := l.until(5*time.Second, func() bool { return l.begun() == 2 }); !ok {
		t.Fatalf("it is not replaced\n%s", l.events())
	}
	l.start(runs)
	l.step(runs, Tick{})
	l.meet(runs)
	l.after(time.Minute)
	if l.begun() != 2 || l.total() != 1 || len(asked.reviews("pay")) != 0 {
		t.Fatalf("%d have begun, %v run, and %v waits\n%s", l.begun(), l.running(), asked.reviews("pay"), l.events())
	}
	if f := l.ask(asked, Judge{Alloc: open[0].Alloc, Approve: true}).Fault; f == nil || f.Kind != mesh.Conflict {
		t.Errorf("what waits for nobody was approved: %v", f)
	}
	if f := l.ask(asked, Judge{Alloc: "nobody"}).Fault; f == nil || f.Kind != mesh.NotFound {
		t.Errorf("what is not there was rejected: %v", f)
	}
}

// TestAReviewThatEndsByItselfIsTold: when the node is back, when the drain is cancelled; not when
// a person has spoken.
func TestAReviewThatEndsByItselfIsTold(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: unsafeJob("pay")})
	l.until(5*time.Second, func() bool { return l.begun() == 1 })
	runs := l.runs()
	l.kill(runs, false)
	l.after(time.Minute)
	asked := l.other(runs)
	if open := asked.reviews("pay"); len(open) != 1 {
		t.Fatalf("%v waits\n%s", open, l.events())
	}
	l.start(runs)
	l.step(runs, Tick{})
	l.meet(runs)
	l.after(10 * time.Second)
	back := "review_closed: no person has to decide any more: node " + runs.name +
		" is back; next: it says what has become of the copy"
	if got := l.texts(mesh.ReviewClosed); len(got) != 1 || got[0] != back {
		t.Fatalf("got %q, want %q\n%s", got, back, l.events())
	}
	l.administer(asked, runs, mesh.Draining)
	l.after(10 * time.Second)
	l.administer(asked, runs, mesh.InService)
	l.after(10 * time.Second)
	calm := "review_closed: no person has to decide any more: node " + runs.name +
		" is drained no more; next: the copy stays"
	if got := l.texts(mesh.ReviewClosed); len(got) != 2 || got[1] != calm {
		t.Fatalf("got %q, want %q\n%s", got, calm, l.events())
	}
	l.administer(asked, runs, mesh.Draining)
	l.after(10 * time.Second)
	l.ask(asked, Judge{Alloc: asked.reviews("pay")[0].Alloc, Approve: true})
	l.after(10 * time.Second)
	if got := l.texts(mesh.ReviewClosed); len(got) != 2 {
		t.Errorf("what a person has said is told as if nobody had: %q", got)
	}
}

// TestNobodyVouchesForTheOtherSide of a split: who sees no majority cannot know what
// runs where it is.
func TestNobodyVouchesForTheOtherSide(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: unsafeJob("pay")})
	l.until(5*time.Second, func() bool { return l.begun() == 1 })
	runs := l.runs()
	asked := l.other(runs)
	for _, h := range l.nodes {
		if h != asked {
			l.kill(h, true)
		}
	}
	l.after(time.Minute)
	open := asked.reviews("pay")
	if len(open) != 1 {
		t.Fatalf("%v waits\n%s", open, l.events())
	}
	if f := l.ask(asked, Judge{Alloc: open[0].Alloc, Approve: true}).Fault; f == nil || f.Kind != mesh.Unavailable {
		t.Errorf("what may run elsewhere was approved: %v", f)
	}
}

// TestUnsafeCopyIsNotStartedAgain by an agent that comes back without it, whatever it
// is told meanwhile; nor once a person has given it up.
func TestUnsafeCopyIsNotStartedAgain(t *testing.T) {
	for _, verb := range []mesh.Verb{"", mesh.VerbPause} {
		l := newLab(t, 3)
		l.after(15 * time.Second)
		l.ask(l.nodes[0], Submit{Job: unsafeJob("pay")})
		l.until(5*time.Second, func() bool { return l.begun() == 1 })
		runs := l.runs()
		l.kill(runs, true)
		l.after(5 * time.Second)
		asked := l.other(runs)
		if verb != "" {
			l.ask(asked, Act{Job: "pay", Verb: verb})
			l.after(time.Second)
		}
		l.start(runs)
		l.step(runs, Tick{})
		l.meet(runs)
		l.after(30 * time.Second)
		if verb != "" {
			l.ask(asked, Act{Job: "pay", Verb: mesh.VerbResume})
			l.after(30 * time.Second)
		}
		open := asked.reviews("pay")
		if l.begun() != 1 || len(open) != 1 || open[0].Kind != mesh.ReviewFailed {
			t.Fatalf("after %q %d have begun, and %v waits\n%s", verb, l.begun(), open, l.events())
		}
		if r := l.ask(asked, Judge{Alloc: open[0].Alloc, Reason: "done by hand"}); r.Fault != nil {
			t.Fatal(r.Fault)
		}
		l.after(time.Minute)
		plan, _, _ := asked.core.Outlook(asked.core.View().Job("pay"))
		if l.begun() != 1 || plan.Status != mesh.JobFailed {
			t.Errorf("%d have begun, and the job is %s: %s", l.begun(), plan.Status, plan.Text)
		}
	}
}
