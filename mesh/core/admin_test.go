package core

import (
	"testing"
	"time"

	"mn/mesh"
)

// administer asks a host what people want of another, and is the fault of the answer.
func (l *lab) administer(by, of *host, mode mesh.AdminMode) *mesh.Fault {
	fault := l.ask(by, Administer{mesh.Administration{
		Node: of.self.ID, Mode: mode, Deadline: l.clock().Wall.Add(time.Minute),
	}}).Fault
	l.after(time.Second)
	return fault
}

// kinds are the kinds of a host's events about nodes that people have wanted something of.
func (h *host) kinds(of ...mesh.EventKind) (got []mesh.EventKind) {
	for _, e := range h.log {
		for _, k := range of {
			if e.Kind == k {
				got = append(got, k)
			}
		}
	}
	return got
}

// TestWhatPeopleWantOfANodeHolds though the node is away when they say it, and whoever
// restarts afterwards.
func TestWhatPeopleWantOfANodeHolds(t *testing.T) {
	l := newLab(t, 3)
	l.after(30 * time.Second)
	by, of := l.nodes[0], l.nodes[2]
	l.kill(of, true)
	l.after(5 * time.Second)
	if f := l.administer(by, of, mesh.Maintenance); f != nil {
		t.Fatal(f)
	}
	l.start(of)
	l.meet(of)
	l.after(15 * time.Second)
	for _, h := range l.nodes {
		l.kill(h, true)
	}
	l.after(5 * time.Second)
	for _, h := range l.nodes {
		l.start(h)
	}
	for _, h := range l.nodes {
		l.meet(h)
	}
	l.after(30 * time.Second)
	for _, h := range l.nodes {
		n := h.core.View().Node(of.self.ID)
		if n.Admin.Mode != mesh.Maintenance || n.Eligible {
			t.Errorf("%s has it as %q, eligible %v", h.name, n.Admin.Mode, n.Eligible)
		}
	}
}

// TestOnlyADrainThatGoesOnIsCancelled: one that has nowhere to go, not one that is complete.
func TestOnlyADrainThatGoesOnIsCancelled(t *testing.T) {
	for _, elsewhere := range []mesh.AdminMode{mesh.Maintenance, mesh.InService} {
		l, runs, _ := placed(t, 3)
		l.after(10 * time.Second)
		by, want := l.nodes[0], 0
		for _, h := range l.nodes {
			if f := l.administer(by, h, elsewhere); f != nil {
				t.Fatal(f)
			}
		}
		if elsewhere == mesh.Maintenance {
			want = 1
		}
		for _, mode := range []mesh.AdminMode{mesh.Draining, mesh.InService} {
			if f := l.administer(by, runs, mode); f != nil {
				t.Fatal(f)
			}
			l.after(30 * time.Second)
		}
		if got := len(by.kinds(mesh.NodeDrainCancelled)); got != want {
			t.Errorf("the others in mode %q: it is cancelled %d times, want %d", elsewhere, got, want)
		}
	}
}

// TestDrainTellsWhatBecomesOfIt: each change of mode is an event of its own kind, and the
// node itself says once that nothing is left.
func TestDrainTellsWhatBecomesOfIt(t *testing.T) {
	l, runs, _ := placed(t, 3)
	l.after(10 * time.Second)
	by := l.nodes[0]
	for _, mode := range []mesh.AdminMode{
		mesh.Maintenance, mesh.InService, mesh.Draining, mesh.Maintenance, mesh.InService, mesh.Draining,
	} {
		if f := l.administer(by, runs, mode); f != nil {
			t.Fatal(f)
		}
	}
	l.after(30 * time.Second)
	got := by.kinds(mesh.NodeMaintenanceEnabled, mesh.NodeMaintenanceDisabled, mesh.NodeDrainStarted, mesh.NodeDrainCancelled)
	want := []mesh.EventKind{
		mesh.NodeMaintenanceEnabled, mesh.NodeMaintenanceDisabled, mesh.NodeDrainStarted,
		mesh.NodeMaintenanceEnabled, mesh.NodeMaintenanceDisabled, mesh.NodeDrainStarted,
	}
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
	if got := runs.kinds(mesh.NodeDrainCompleted); len(got) != 2 {
		t.Errorf("it has said %d times that it is drained, want once for each drain", len(got))
	}
	l.kill(runs, false)
	l.start(runs)
	l.step(runs, Tick{})
	l.meet(runs)
	l.after(30 * time.Second)
	if got := runs.kinds(mesh.NodeDrainCompleted); len(got) != 2 {
		t.Errorf("an agent that starts on a drained node says it again: %d times", len(got))
	}
	for _, a := range by.core.View().Allocs {
		if a.Node == runs.self.ID && !a.State().Final() {
			t.Errorf("%s is still on the drained node", a.ID)
		}
	}
}

// TestDrainKeepsEnoughCopies at every instant: all of those of a job that may have two of
// a copy, and all but max_parallel of one that may not. The coordinator dies half-way.
func TestDrainKeepsEnoughCopies(t *testing.T) {
	const count, parallel = 20, 3
	for _, test := range []struct {
		partition mesh.OnPartition
		least     int
	}{
		{mesh.Eager, count}, {mesh.Keep, count - parallel}, {mesh.Majority, count - parallel},
	} {
		t.Run(string(test.partition), func(t *testing.T) {
			l := newLab(t, 5)
			l.after(15 * time.Second)
			job := service("web", count)
			second := mesh.Duration(time.Second)
			job.Update = &mesh.UpdatePolicy{MaxParallel: parallel, MinHealthy: &second}
			job.Recovery.OnPartition = test.partition
			if f := l.ask(l.nodes[0], Submit{Job: job}).Fault; f != nil {
				t.Fatal(f)
			}
			if _, ok := l.until(10*time.Second, func() bool { return l.total() == count }); !ok {
				t.Fatalf("%d copies run, want %d", l.total(), count)
			}
			l.after(5 * time.Second)
			drained := l.nodes[4]
			if drained == l.lead("web") {
				drained = l.nodes[3]
			}
			begin := len(drained.tasks)
			want := mesh.Administration{
				Node: drained.self.ID, Mode: mesh.Draining, Deadline: l.clock().Wall.Add(time.Minute),
			}
			if f := l.ask(l.nodes[0], Administer{want}).Fault; f != nil {
				t.Fatal(f)
			}
			few := func() bool { return l.total() < test.least }
			if _, bad := l.until(time.Second, few); bad {
				t.Fatalf("%d copies run, want %d at least", l.total(), test.least)
			}
			dies := l.lead("web")
			l.kill(dies, false) // its tasks go on
			if _, bad := l.until(5*time.Second, few); bad {
				t.Fatalf("%d copies run when the coordinator has died, want %d at least", l.total(), test.least)
			}
			l.start(dies)
			l.meet(dies)
			done := func() bool { return few() || len(drained.tasks) == 0 && l.total() == count }
			if _, ok := l.until(2*time.Minute, done); !ok || few() {
				t.Fatalf("of %d copies %d are on the drained node, and %d run in all, want %d at least\n%s",
					begin, len(drained.tasks), l.total(), test.least, l.events())
			}
		})
	}
}

func TestNobodyAdministersANodeThatIsNoMember(t *testing.T) {
	l := newLab(t, 1)
	l.after(10 * time.Second)
	stranger := &host{self: mesh.Node{ID: "stranger"}}
	if f := l.administer(l.nodes[0], stranger, mesh.Draining); f == nil || f.Kind != mesh.NotFound {
		t.Errorf("got %v, want that there is no such node", f)
	}
}

// TestGivenUpIsOneAbsence: a node that people give up is given no time as long as it is
// away, as every other node knows, and is given it again the next time. Nothing else that
// people want of it changes, and a node in sight is not given up.
func TestGivenUpIsOneAbsence(t *testing.T) {
	l := newLab(t, 3)
	l.after(30 * time.Second)
	by, of := l.nodes[0], l.nodes[2]
	giveUp := func() *mesh.Fault {
		f := l.ask(by, GiveUp{Node: of.self.ID, Reason: "it burns"}).Fault
		l.after(time.Second)
		return f
	}
	is := func(when string, want bool) {
		t.Helper()
		for _, h := range l.nodes[:2] {
			n := h.core.View().Node(of.self.ID)
			if n.GivenUp != want || n.Admin.Mode != mesh.Maintenance {
				t.Errorf("%s: %s has it given up: %v, and %q", when, h.name, n.GivenUp, n.Admin.Mode)
			}
		}
	}
	if f := l.administer(by, of, mesh.Maintenance); f != nil {
		t.Fatal(f)
	}
	if f := giveUp(); f == nil || f.Kind != mesh.Conflict {
		t.Fatalf("a node in sight was given up: %v", f)
	}
	l.kill(of, true)
	l.after(10 * time.Second)
	is("lost", false)
	if f := giveUp(); f != nil {
		t.Fatal(f)
	}
	is("given up", true)
	if f := l.administer(by, of, mesh.Maintenance); f != nil {
		t.Fatal(f)
	}
	is("in maintenance once more", true)
	l.start(of)
	l.meet(of)
	l.after(15 * time.Second)
	is("back", false)
	l.kill(of, true)
	l.after(10 * time.Second)
	is("lost again", false)
	if got := by.kinds(mesh.NodeGivenUp); len(got) != 1 {
		t.Errorf("told %d times", len(got))
	}
	if f := l.ask(by, GiveUp{Node: "nobody"}).Fault; f == nil || f.Kind != mesh.NotFound {
		t.Errorf("a stranger was given up: %v", f)
	}
}
