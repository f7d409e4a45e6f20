package core

import (
	"testing"
	"time"

	"mn/mesh"
)

// gangOf is a job of copies that are placed together, one on each node.
func gangOf(count int) *mesh.Job {
	j := service("train", count)
	j.Gang = true
	return j
}

func TestGangIsDecidedWhenAllHaveAdmitted(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	c := l.lead("train").core
	var asked []Reserve
	for _, e := range c.Step(l.clock(), Asked{ID: 1, Call: Submit{Job: gangOf(3)}}).Send {
		if e.Msg.Reserve != nil {
			asked = append(asked, *e.Msg.Reserve)
		}
	}
	if len(asked) != 2 { // and one of itself
		t.Fatalf("%d reservations are asked for, want two", len(asked))
	}
	answer := func(r Reserve, refusal string) Ready {
		return c.Step(l.clock(), Received{From: r.Alloc.Node, Msg: Message{
			Reserved: &Reserved{Alloc: r.Alloc.ID, Fence: r.Alloc.Fence, Refusal: refusal},
		}})
	}
	answer(asked[0], "")
	answer(asked[0], "") // said again
	if n := len(c.records.allocsOf("train")); n > 0 {
		t.Errorf("%d are decided, and one node has not answered", n)
	}
	answer(asked[1], "")
	all := c.records.allocsOf("train")
	if len(all) != 3 {
		t.Fatalf("%d are decided, want all three", len(all))
	}
	for _, a := range all {
		first, _ := c.records.nodes[all[0].Node]
		if want := (mesh.Gang{Rank: a.Index, Size: 3, Master: first.Host()}); a.Gang == nil || *a.Gang != want {
			t.Errorf("copy %d is told %+v, want %+v", a.Index, a.Gang, want)
		}
	}
}

func TestGangWithOneRefusalGivesAllRoomBack(t *testing.T) {
	for _, silent := range []bool{false, true} {
		l := newLab(t, 3)
		l.after(15 * time.Second)
		h := l.lead("train")
		c := h.core
		var asked []Reserve
		for _, e := range c.Step(l.clock(), Asked{ID: 1, Call: Submit{Job: gangOf(3)}}).Send {
			if e.Msg.Reserve != nil {
				asked = append(asked, *e.Msg.Reserve)
			}
		}
		c.Step(l.clock(), Received{From: asked[0].Alloc.Node, Msg: Message{
			Reserved: &Reserved{Alloc: asked[0].Alloc.ID, Fence: asked[0].Alloc.Fence},
		}})
		refusal := Event(Received{From: asked[1].Alloc.Node, Msg: Message{
			Reserved: &Reserved{Alloc: asked[1].Alloc.ID, Fence: asked[1].Alloc.Fence, Refusal: "memory"},
		}})
		if silent {
			l.now += reserveTimeout
			refusal = Tick{}
		}
		released := map[mesh.NodeID]bool{}
		for _, e := range c.Step(l.clock(), refusal).Send {
			if e.Msg.Release != nil {
				released[e.To] = true
			}
		}
		if !released[asked[0].Alloc.Node] || !released[asked[1].Alloc.Node] {
			t.Errorf("silent %v: room is given back by %v, want both others", silent, released)
		}
		if used := c.ledger.Used(l.now); len(c.records.allocsOf("train")) > 0 || used.Resources != (mesh.Resources{}) {
			t.Errorf("silent %v: something is decided, or %+v held", silent, used)
		}
		l.step(h, Tick{})
		l.after(5 * time.Second)
		if l.total() != 3 {
			t.Errorf("silent %v: %v run in the end, want all\n%s", silent, l.running(), l.events())
		}
	}
}

// oneGang fails unless all copies of the latest generation run, and no others.
func (l *lab) oneGang(size, least int) {
	l.t.Helper()
	latest, runs := 0, map[int]int{}
	for _, a := range l.lead("train").core.records.allocsOf("train") {
		latest = max(latest, a.Generation)
		if a.State() == mesh.Running && a.Want == mesh.WantRun { // a node that is lost says nothing new
			runs[a.Generation]++
		}
	}
	if l.total() != size || len(runs) != 1 || runs[latest] != size || latest < least {
		l.t.Errorf("%v run, by generation %v, want %d of generation %d or later\n%s",
			l.running(), runs, size, least, l.events())
	}
}

func TestGangFollowsTheOneThatIsLost(t *testing.T) {
	for _, partition := range []mesh.OnPartition{mesh.Eager, mesh.Majority} {
		l := newLab(t, 4)
		l.after(15 * time.Second)
		h := l.lead("train")
		job := gangOf(3)
		job.Recovery.OnPartition = partition
		l.ask(h, Submit{Job: job})
		l.after(5 * time.Second)
		l.oneGang(3, 0)
		for _, o := range l.nodes {
			if o != h && l.running()[o.name] == 1 {
				l.kill(o, true)
				break
			}
		}
		l.after(60 * time.Second)
		l.oneGang(3, 1)
	}
}

// TestGangsOfTwoSidesBecomeOne: each side of a split has a gang of its own, if the
// job chose so, and one is left when they meet.
func TestGangsOfTwoSidesBecomeOne(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: gangOf(3)})
	l.after(5 * time.Second)
	l.oneGang(3, 0)
	h := l.nodes[2]
	l.split(h)
	l.after(60 * time.Second)
	if mine := l.running()[h.name]; mine != 3 || l.total() != 6 {
		t.Errorf("%v run during the split, want three on %s and three on the others", l.running(), h.name)
	}
	l.heal(h)
	l.after(30 * time.Second)
	l.oneGang(3, 1)
}
