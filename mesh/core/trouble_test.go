package core

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mn/mesh"
)

// one submits a service of one copy that may run on one node only.
func (l *lab) one(h *host, name string) {
	l.t.Helper()
	job := service(name, 1)
	job.Constraints = []mesh.Constraint{{Attribute: "node.name", Value: mesh.Value(h.name)}}
	if r := l.ask(l.nodes[0], Submit{Job: job}); r.Fault != nil {
		l.t.Fatal(r.Fault)
	}
}

// quarantined is why a node takes no work, as another knows, and whether that has it
// among those that take work.
func (l *lab) quarantined(h *host) (why string, eligible bool) {
	n := l.nodes[0].core.View().Node(h.self.ID)
	return n.Quarantined, n.Eligible
}

// TestANodeThatStartsNothingTakesNoWorkForAWhile: not for one job alone, twice as long the
// next time, at once if it is no better after that, and no longer once it is.
func TestANodeThatStartsNothingTakesNoWorkForAWhile(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	sick := l.nodes[2]
	l.one(sick, "before")
	l.after(5 * time.Second)
	sick.broken = "make folder: no space left on device"
	for i := range troubleJobs - 1 {
		l.one(sick, fmt.Sprint("job-", i))
	}
	l.after(30 * time.Second) // with many attempts each
	if why, eligible := l.quarantined(sick); why != "" || !eligible {
		t.Fatalf("after %d jobs have failed there: %q, takes work: %v", troubleJobs-1, why, eligible)
	}
	l.one(sick, "job-last")
	l.after(5 * time.Second)
	if why, eligible := l.quarantined(sick); why != sick.broken || eligible {
		t.Fatalf("after %d jobs have failed there: %q, takes work: %v", troubleJobs, why, eligible)
	}
	before, _ := l.nodes[0].core.records.job("before")
	if live := l.nodes[0].core.records.allocsOf(before.ID()); len(live) != 1 || live[0].State() != mesh.Running {
		t.Errorf("what ran there does not any more: %+v", live)
	}
	l.one(sick, "later")
	l.after(5 * time.Second)
	if refused := l.events(); !strings.Contains(refused, "is quarantined: make folder") {
		t.Errorf("nobody says why nothing is placed there:\n%s", refused)
	}
	l.after(quarantineOf + 30*time.Second) // it is tried again, and is no better
	if _, eligible := l.quarantined(sick); eligible {
		t.Error("it takes work again, and starts nothing")
	}
	l.after(quarantineOf + 30*time.Second)
	if _, eligible := l.quarantined(sick); eligible {
		t.Error("the second time is as short as the first")
	}
	sick.broken = ""
	l.after(quarantineOf)
	if why, eligible := l.quarantined(sick); why != "" || !eligible {
		t.Errorf("it is well again, and takes no work: %q", why)
	}
	if n := sick.core.trouble.times; n != 0 {
		t.Errorf("its past counts: quarantined %d times in a row", n)
	}
}

// TestPeopleEndAQuarantine by saying that the node is to take work.
func TestPeopleEndAQuarantine(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	sick := l.nodes[2]
	sick.broken = "no space left on device"
	for i := range troubleJobs {
		l.one(sick, fmt.Sprint("job-", i))
	}
	l.after(10 * time.Second)
	if _, eligible := l.quarantined(sick); eligible {
		t.Fatal("it takes work")
	}
	sick.broken = ""
	if r := l.ask(l.nodes[0], Administer{mesh.Administration{Node: sick.self.ID}}); r.Fault != nil {
		t.Fatal(r.Fault)
	}
	l.after(5 * time.Second)
	if why, eligible := l.quarantined(sick); why != "" || !eligible {
		t.Errorf("it takes no work: %q", why)
	}
}
