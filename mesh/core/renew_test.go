package core

import (
	"maps"
	"slices"
	"testing"
	"time"

	"mn/mesh"
	"mn/runner"
)

// exclusiveJob is a job of one copy that must never run twice.
func exclusiveJob(name string) *mesh.Job {
	job := service(name, 1)
	job.Recovery.OnPartition = mesh.Majority
	return job
}

// runs is the host on which the one copy runs.
func (l *lab) runs() *host {
	l.t.Helper()
	for _, h := range l.nodes {
		if len(h.tasks) > 0 {
			return h
		}
	}
	l.t.Fatal("nothing runs")
	return nil
}

// placed starts a mesh with exclusive jobs until one runs on another host than
// the one that leads it.
func placed(t *testing.T, n int) (l *lab, runs, leads *host) {
	t.Helper()
	for _, name := range []string{"one", "two", "three", "four", "five", "six"} {
		l = newLab(t, n)
		l.after(15 * time.Second)
		l.ask(l.nodes[0], Submit{Job: exclusiveJob(name)})
		if _, ok := l.until(5*time.Second, func() bool { return l.total() == 1 }); !ok {
			t.Fatalf("%v run\n%s", l.running(), l.events())
		}
		if runs, leads = l.runs(), l.lead(mesh.JobID(name)); runs != leads {
			return l, runs, leads
		}
	}
	t.Fatal("every job runs where it is led")
	return nil, nil, nil
}

// renewals counts who asks whom to let copies run on.
func (l *lab) renewals() map[string]int {
	n := map[string]int{}
	l.tap = func(from *host, e Envelope) {
		if e.Msg.Renew != nil {
			for _, to := range l.nodes {
				if to.self.ID == e.To {
					n[from.name+" asks "+to.name]++
				}
			}
		}
	}
	return n
}

// mustRunOn runs the lab for d, in which no task may be stopped or started.
func (l *lab) mustRunOn(d time.Duration) {
	l.t.Helper()
	before := l.pids()
	l.until(d, func() bool { return !maps.Equal(before, l.pids()) })
	if after := l.pids(); !maps.Equal(before, after) {
		l.t.Fatalf("tasks were %v, are %v\n%s", before, after, l.events())
	}
}

func TestOnlyTheCoordinatorIsAskedToLetACopyRunOn(t *testing.T) {
	l, runs, leads := placed(t, 5)
	asked := l.renewals()
	l.mustRunOn(time.Minute)
	pair := runs.name + " asks " + leads.name
	if want := 12; len(asked) != 1 || asked[pair] < want || asked[pair] > want+1 {
		t.Errorf("in a minute %v, want %q %d times", asked, pair, want)
	}
}

func TestManyCopiesAskInOneMessage(t *testing.T) {
	l := newLab(t, 1)
	l.after(15 * time.Second)
	for _, name := range []string{"one", "two", "three"} {
		l.ask(l.nodes[0], Submit{Job: exclusiveJob(name)})
		l.after(time.Second)
	}
	l.after(20 * time.Second)
	times := map[time.Duration]int{}
	for _, c := range l.nodes[0].core.tend.copies {
		times[c.askAt]++
	}
	if len(times) != 1 {
		t.Errorf("copies ask at %v, want all at the same time", times)
	}
}

func TestCopyRunsOnThoughSomeAnswersAreLost(t *testing.T) {
	l, runs, leads := placed(t, 3)
	l.mustRunOn(20 * time.Second)
	lease := mesh.DefaultLease
	l.cut = func(a, b mesh.NodeID) bool { return a == leads.self.ID && b == runs.self.ID }
	l.mustRunOn(lease * 3 / 4) // and gossip has not noticed
	l.cut = func(a, b mesh.NodeID) bool { return false }
	l.mustRunOn(time.Minute)
}

// TestCopyRunsOnThoughItsNodeDoesNotReachItsCoordinator, in either direction, as
// long as both reach others.
func TestCopyRunsOnThoughItsNodeDoesNotReachItsCoordinator(t *testing.T) {
	for _, test := range []struct{ asks, answers bool }{{true, false}, {false, true}, {true, true}} {
		l, runs, leads := placed(t, 3)
		l.mustRunOn(20 * time.Second)
		l.cut = func(a, b mesh.NodeID) bool {
			return test.asks && a == runs.self.ID && b == leads.self.ID ||
				test.answers && a == leads.self.ID && b == runs.self.ID
		}
		l.mustRunOn(time.Minute)
	}
}

func TestCopyRunsOnWhenItsCoordinatorIsLostAndComesBack(t *testing.T) {
	l, runs, leads := placed(t, 5)
	l.mustRunOn(20 * time.Second)
	l.kill(leads, false)
	l.mustRunOn(2 * time.Minute)
	l.start(leads)
	l.step(leads, Tick{})
	l.meet(leads)
	l.mustRunOn(time.Minute) // and who led meanwhile is still in sight
	asked := l.renewals()
	l.mustRunOn(time.Minute)
	if n := asked[runs.name+" asks "+leads.name]; len(asked) != 1 || n < 12 {
		t.Errorf("in the last minute %v, want only %s asked", asked, leads.name)
	}
}

func TestCopyRunsOnWhenItsAgentRestarts(t *testing.T) {
	for _, down := range []time.Duration{time.Second, 9 * time.Second} {
		l, runs, leads := placed(t, 5)
		l.mustRunOn(20 * time.Second)
		l.kill(runs, false)
		l.mustRunOn(down)
		l.start(runs)
		asked := l.renewals()
		l.step(runs, Tick{})
		l.meet(runs)
		l.mustRunOn(100 * time.Millisecond)
		if runs.core.tend.asked() != 0 {
			t.Errorf("peers are in sight again, and nobody has renewed the copy: %v", asked)
		}
		l.mustRunOn(2 * time.Minute)
		if n := asked[runs.name+" asks "+leads.name]; n < 20 {
			t.Errorf("after %v: %v", down, asked)
		}
	}
}

// asked is how often a copy was asked for in vain.
func (t *tend) asked() int {
	n := 0
	for _, copy := range t.copies {
		n = max(n, copy.asked)
	}
	return n
}

func TestAgentThatRestartsAsksEverybody(t *testing.T) {
	l, runs, _ := placed(t, 5)
	l.mustRunOn(20 * time.Second)
	l.kill(runs, false)
	l.start(runs)
	asked := l.renewals()
	for _, h := range l.nodes {
		if h != runs {
			l.post(runs, 0, Seen{h.self.ID, mesh.Alive})
		}
	}
	l.after(labDelay / 2) // nobody has answered yet
	if len(asked) != 4 {
		t.Errorf("%v, want all asked: nobody knows how long ago the copy was renewed, and by whom", asked)
	}
}

func TestLateAnswerDoesNotCountForALaterQuestion(t *testing.T) {
	l, runs, leads := placed(t, 5)
	l.mustRunOn(21 * time.Second)
	for id, c := range runs.core.tend.copies {
		before := c.askAt
		late := Renewed{Allocs: []mesh.AllocID{id}, Asked: l.now - 10*time.Second}
		l.step(runs, Received{From: "another", Msg: Message{Renewed: &late}})
		if c.askAt != before || c.by != leads.self.ID {
			t.Errorf("asks %s at %v, want %s at %v", c.by, c.askAt, leads.self.ID, before)
		}
	}
}

func TestCopyThatIsToStopAsksForNothing(t *testing.T) {
	l, runs, _ := placed(t, 3)
	tasks := runs.tasks
	runs.tasks = map[string]runner.Observation{} // deaf to the order to stop
	l.ask(l.nodes[0], Act{Job: l.nodes[0].core.View().Jobs[0].ID(), Verb: mesh.VerbStop})
	l.after(time.Second)
	asked := l.renewals()
	l.after(20 * time.Second)
	if len(asked) > 0 {
		t.Errorf("%v, of %v", asked, slices.Collect(maps.Keys(tasks)))
	}
}

// TestACopyStopsWhereItIsCutOff: an eager copy with stop_after, within that time of when its
// node was heard last. Where there is no majority none is started either, also by an agent that
// begins anew and is shown all others by gossip; with one in sight again they are.
func TestACopyStopsWhereItIsCutOff(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	job := service("web", 3)
	job.Recovery.StopAfter = mesh.Duration(30 * time.Second)
	l.ask(l.nodes[0], Submit{Job: job})
	l.after(5 * time.Second)
	l.mustRunOn(5 * time.Minute)
	lone := l.nodes[1]
	l.split(lone)
	ran, _ := l.until(time.Minute, func() bool { return l.running()[lone.name] == 0 })
	if ran < 20*time.Second || ran > 30*time.Second+labDetect {
		t.Errorf("its copy has run for %v, want 20s to 30s\n%s", ran, l.events())
	}
	l.kill(lone, false)
	l.after(10 * time.Second)
	l.start(lone)
	l.step(lone, Tick{})
	for _, h := range l.nodes {
		if h != lone {
			l.post(lone, labDelay, Seen{h.self.ID, mesh.Alive})
			l.post(lone, 5*labDetect, Seen{h.self.ID, mesh.Lost})
		}
	}
	if _, runs := l.until(5*time.Minute, func() bool { return l.running()[lone.name] > 0 }); runs || l.total() != 3 {
		t.Errorf("%v run, want all three with the majority\n%s", l.running(), l.events())
	}
	l.heal(lone)
	l.after(10 * time.Second)
	if l.total() != 3 {
		t.Errorf("%v run after healing, want three\n%s", l.running(), l.events())
	}
}

// TestACopyStopsWhereItsAgentIsDead, within its stop_after: nobody puts off its switch. It
// goes on when the agent is back.
func TestACopyStopsWhereItsAgentIsDead(t *testing.T) {
	l := newLab(t, 1)
	l.after(15 * time.Second)
	job := service("web", 1)
	job.Recovery.StopAfter = mesh.Duration(30 * time.Second)
	l.ask(l.nodes[0], Submit{Job: job})
	l.after(time.Minute)
	l.kill(l.nodes[0], false)
	l.after(19 * time.Second)
	if l.total() != 1 {
		t.Errorf("it stops before two thirds of the time are over\n%s", l.events())
	}
	l.after(12 * time.Second)
	if l.total() != 0 {
		t.Errorf("it runs on\n%s", l.events())
	}
	l.start(l.nodes[0])
	l.step(l.nodes[0], Tick{})
	if _, ok := l.until(20*time.Second, func() bool { return l.total() == 1 }); !ok {
		t.Errorf("it does not go on\n%s", l.events())
	}
	l.mustRunOn(5 * time.Minute)
}
