package core

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"mn/crdt"
	"mn/mesh"
)

func service(name string, count int) *mesh.Job {
	j := &mesh.Job{Name: name, Type: mesh.Service, Strategy: mesh.Spread, Tasks: []mesh.Task{{
		Name: "loop", Count: count, Driver: "exec", Command: []string{"sleep", "1000"},
		Resources: mesh.Resources{CPU: mesh.Core, Memory: 64 * mesh.MiB},
	}}}
	return j
}

func TestJobRunsSpreadOverThreeNodes(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	r := l.ask(l.nodes[1], Submit{Job: service("web", 6)})
	if r.Fault != nil {
		t.Fatal(r.Fault)
	}
	if got := r.Value.(Submitted).Copies; got != 2 {
		t.Errorf("the submit is on %d disks, want 2", got)
	}
	took, ok := l.until(2*time.Second, func() bool { return l.total() == 6 })
	if !ok {
		t.Fatalf("%v run after %v\n%s", l.running(), took, l.events())
	}
	t.Logf("submit to running: %v", took)
}

func TestLostNodesCopiesRunElsewhere(t *testing.T) {
	for i, victim := range []string{"n1", "n2", "n3"} {
		t.Run(victim, func(t *testing.T) {
			l := newLab(t, 3)
			l.after(15 * time.Second)
			l.ask(l.nodes[(i+1)%3], Submit{Job: service("web", 6)})
			l.until(2*time.Second, func() bool { return l.total() == 6 })
			l.after(5 * time.Second)
			l.kill(l.nodes[i], true)
			took, ok := l.until(20*time.Second, func() bool { return l.total() == 6 })
			if !ok || took > 5*time.Second {
				t.Fatalf("%v run %v after the loss\n%s", l.running(), took, l.events())
			}
			t.Logf("loss to running: %v", took)
		})
	}
}

func TestSurvivorOfThreeDoesAllTheWork(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: service("web", 4)})
	l.until(2*time.Second, func() bool { return l.total() == 4 })
	l.kill(l.nodes[0], true)
	l.kill(l.nodes[1], true)
	took, ok := l.until(20*time.Second, func() bool { return l.running()["n3"] == 4 })
	if !ok {
		t.Fatalf("%v run %v after the loss\n%s", l.running(), took, l.events())
	}
	t.Logf("loss to running: %v", took)
	l.ask(l.nodes[2], Submit{Job: service("more", 2)})
	if _, ok := l.until(5*time.Second, func() bool { return l.running()["n3"] == 6 }); !ok {
		t.Fatalf("%v run: the survivor does not place\n%s", l.running(), l.events())
	}
	for _, h := range l.nodes[:2] {
		l.start(h)
		l.step(h, Tick{})
		l.meet(h)
	}
	l.after(time.Minute)
	if l.total() != 6 {
		t.Fatalf("%v run after all are back, want 6\n%s", l.running(), l.events())
	}
}

func TestAgentRestartTouchesNoTask(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: service("web", 6)})
	l.until(2*time.Second, func() bool { return l.total() == 6 })
	before := l.pids()
	l.kill(l.nodes[1], false)
	l.after(200 * time.Millisecond)
	l.start(l.nodes[1])
	l.step(l.nodes[1], Tick{})
	l.meet(l.nodes[1])
	l.after(time.Minute)
	if after := l.pids(); !maps.Equal(before, after) {
		t.Errorf("tasks were %v, are %v", before, after)
	}
	if l.total() != 6 {
		t.Errorf("%v run, want 6\n%s", l.running(), l.events())
	}
}

func TestAcknowledgedJobSurvivesItsPeer(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: service("web", 3)})
	l.kill(l.nodes[0], true)
	if took, ok := l.until(20*time.Second, func() bool { return l.total() == 3 }); !ok {
		t.Fatalf("%v run %v after the loss\n%s", l.running(), took, l.events())
	}
}

func TestStopStopsEveryCopy(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: service("web", 6)})
	l.until(2*time.Second, func() bool { return l.total() == 6 })
	l.ask(l.nodes[2], Act{Job: "web", Verb: mesh.VerbStop})
	if _, ok := l.until(2*time.Second, func() bool { return l.total() == 0 }); !ok {
		t.Fatalf("%v run after the stop\n%s", l.running(), l.events())
	}
	l.after(5 * time.Second)
	for _, h := range l.nodes {
		for _, a := range h.core.View().Allocs {
			if a.State() != mesh.Stopped {
				t.Errorf("%s: %s[%d] is %s", h.name, a.Group, a.Index, a.State())
			}
		}
		plan, _, _ := h.core.Outlook(h.core.View().Job("web"))
		if plan.Status != mesh.JobStopped {
			t.Errorf("%s says that the job is %s", h.name, plan.Status)
		}
	}
}

func TestSplitJobHealsToOneCopy(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: service("web", 2)})
	l.until(2*time.Second, func() bool { return l.total() == 2 })
	l.split(l.nodes[2])
	l.after(30 * time.Second)
	if n := l.running(); n["n1"]+n["n2"] < 2 || n["n3"] < 2 {
		t.Fatalf("%v run while split, want two on each side\n%s", n, l.events())
	}
	l.heal(l.nodes[2])
	l.after(30 * time.Second)
	if l.total() != 2 {
		t.Fatalf("%v run after healing, want 2\n%s", l.running(), l.events())
	}
}

func TestNodeAwayBeyondTheHorizonResurrectsNothing(t *testing.T) {
	l := newLab(t, 3)
	for _, h := range l.nodes {
		h.core.cfg.Horizon = time.Hour
	}
	l.after(15 * time.Second)
	gone := l.nodes[2]
	l.nodes[0].core.put("test/x", "kept by a newer release", crdt.Fence{})
	l.step(l.nodes[0], Tick{})
	l.after(10 * time.Second)
	if _, ok := gone.core.replica.Get("test/x"); !ok {
		t.Fatal("the record has not reached the node that goes away")
	}
	l.kill(gone, true)
	l.after(10 * time.Second)
	l.nodes[0].core.drop("test/x", crdt.Fence{})
	l.step(l.nodes[0], Tick{})
	l.after(2 * time.Hour)
	if n := tombstones(l.nodes[0].core); n != 0 {
		t.Fatalf("%d deletes are remembered beyond the horizon, want none", n)
	}
	l.start(gone)
	gone.core.cfg.Horizon = time.Hour
	l.step(gone, Tick{})
	l.meet(gone)
	l.after(30 * time.Second)
	for _, h := range l.nodes {
		if _, ok := h.core.replica.Get("test/x"); ok {
			t.Errorf("%s has the deleted record again", h.name)
		}
		if h.core.replica.Digest() != l.nodes[0].core.replica.Digest() {
			t.Errorf("%s differs from n1", h.name)
		}
		if len(h.core.records.away) != 0 {
			t.Errorf("%s still has a mark of absence", h.name)
		}
	}
}

// TestSleeperTakesNobodyForAway: what it saw last was long ago when it wakes, and it was
// not there to see more.
func TestSleeperTakesNobodyForAway(t *testing.T) {
	l := newLab(t, 3)
	h := l.nodes[0]
	h.core.cfg.Horizon = time.Hour
	l.after(5 * time.Minute)
	l.kill(l.nodes[2], true)
	l.after(10 * time.Second)
	l.now += 2 * time.Hour
	l.step(h, Tick{})
	if n := len(h.core.records.away); n != 0 {
		t.Errorf("%d nodes are marked as away by one that slept", n)
	}
	if _, ok := l.until(2*time.Hour, func() bool { return len(h.core.records.away) == 1 }); !ok {
		t.Error("nobody is ever marked")
	}
}

// split cuts one host off from the others, and has gossip notice.
func (l *lab) split(lone *host) {
	id := lone.self.ID
	l.cut = func(a, b mesh.NodeID) bool { return (a == id) != (b == id) }
	for _, h := range l.nodes {
		if h != lone {
			l.post(h, labDetect, Seen{id, mesh.Lost})
			l.post(lone, labDetect, Seen{h.self.ID, mesh.Lost})
		}
	}
}

// heal undoes split.
func (l *lab) heal(lone *host) {
	l.cut = func(a, b mesh.NodeID) bool { return false }
	l.meet(lone)
}

func TestMajorityJobNeverRunsTwice(t *testing.T) {
	for i := range 3 {
		t.Run(fmt.Sprintf("cut off n%d", i+1), func(t *testing.T) {
			l := newLab(t, 3)
			l.after(15 * time.Second)
			job := service("one", 1)
			job.Recovery.OnPartition = mesh.Majority
			l.ask(l.nodes[0], Submit{Job: job})
			two := false
			watch := func() bool { two = two || l.total() > 1; return false }
			l.until(40*time.Second, watch)
			if l.total() != 1 {
				t.Fatalf("%v run, want one: it is renewed\n%s", l.running(), l.events())
			}
			l.split(l.nodes[i])
			l.until(60*time.Second, watch)
			if n := l.running(); l.total() != 1 || n[l.nodes[i].name] != 0 {
				t.Errorf("%v run while n%d is cut off, want one with the majority\n%s", n, i+1, l.events())
			}
			l.heal(l.nodes[i])
			l.until(30*time.Second, watch)
			if l.total() != 1 || two {
				t.Errorf("%v run after healing; two at once: %v\n%s", l.running(), two, l.events())
			}
		})
	}
}

func TestKeepJobIsNeverReplacedOrStopped(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	job := service("one", 3)
	job.Recovery.OnPartition = mesh.Keep
	l.ask(l.nodes[0], Submit{Job: job})
	l.after(5 * time.Second)
	before := l.pids()
	l.split(l.nodes[1])
	l.after(5 * time.Minute)
	l.heal(l.nodes[1])
	l.after(time.Minute)
	if after := l.pids(); !maps.Equal(before, after) || len(after) != 3 {
		t.Errorf("tasks were %v, are %v\n%s", before, after, l.events())
	}
}

// pids are the processes that run, by allocation and task.
func (l *lab) pids() map[string]int {
	pids := map[string]int{}
	for _, h := range l.nodes {
		for key, o := range h.tasks {
			pids[h.name+"/"+key] = o.PID
		}
	}
	return pids
}

// tombstones counts the deletes that a copy remembers.
func tombstones(c *Core) int {
	live := 0
	for range c.replica.Scan("") {
		live++
	}
	return c.replica.Len() - live
}

func TestWriteThatNoPeerConfirmsIsAnsweredAllTheSame(t *testing.T) {
	l := newLab(t, 2)
	l.after(15 * time.Second)
	l.cut = func(a, b mesh.NodeID) bool { return true } // and gossip has not noticed
	from := l.now
	r := l.ask(l.nodes[0], Submit{Job: service("web", 1)})
	if got := r.Value.(Submitted).Copies; got != 1 || l.now-from < ackTimeout {
		t.Errorf("after %v the submit is said to be on %d disks, want 1 after %v", l.now-from, got, ackTimeout)
	}
}
