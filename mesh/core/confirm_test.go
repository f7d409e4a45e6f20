package core

import (
	"testing"
	"time"

	"mn/crdt"
	"mn/mesh"
)

func keepJob(name string, copies int) *mesh.Job {
	j := service(name, copies)
	j.Recovery.OnPartition = mesh.Keep
	return j
}

func TestExclusiveCopyStartsOnlyOnceAMajorityKeepsItsDecision(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	l.lose = func(_ *host, e Envelope) bool { return e.Msg.Confirmed != nil }
	l.ask(l.nodes[0], Submit{Job: keepJob("one", 1)})
	l.ask(l.nodes[0], Submit{Job: service("many", 1)})
	l.after(20 * time.Second)
	for _, h := range l.nodes {
		for _, o := range h.tasks {
			if j := h.core.records.granted[o.Alloc].Job; j != "many" {
				t.Errorf("a copy of %q runs on %s, and no majority has kept its decision", j, h.name)
			}
		}
	}
	if l.total() != 1 {
		t.Errorf("%v run: a job that may run twice waits for nothing", l.running())
	}
	l.lose = nil
	l.after(10 * time.Second)
	if l.total() != 2 {
		t.Errorf("%v run, want both\n%s", l.running(), l.events())
	}
}

// An answer counts only for confirmFor: a voter whose disk loses something waits
// so long before it learns again what is kept.
func TestLateConfirmationCountsForNothing(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	c := l.nodes[0].core
	d := &confirm{began: c.now.Boot - confirmFor - time.Second, epoch: 2, by: map[mesh.NodeID]bool{}}
	c.confirms.of["a"] = d
	answer := func(f *confirm, life uint64) *Confirmed {
		return &Confirmed{Epoch: f.epoch, Sent: f.began, Life: life, Dots: []crdt.Dot{f.dot}}
	}
	c.kept(l.nodes[1].self.ID, answer(d, c.life))
	if len(d.by) != 0 {
		t.Error("an answer after the time counts")
	}
	d.began = c.now.Boot
	c.kept(l.nodes[1].self.ID, answer(d, c.life+1))
	if len(d.by) != 0 {
		t.Error("an answer to an earlier life counts")
	}
	c.kept(l.nodes[1].self.ID, answer(d, c.life))
	if len(d.by) != 1 {
		t.Error("an answer in time does not count")
	}
}

// Whoever takes a slot decides nothing before it has read what a majority of the
// voters keeps.
func TestCoordinatorDecidesNothingBeforeItKnowsWhatWasDecided(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: keepJob("one", 1)})
	l.after(5 * time.Second)
	slot := mesh.SlotOf("one")
	var was *host
	for _, h := range l.nodes {
		if _, ok := h.core.Held(l.clock(), slot); ok {
			was = h
		}
	}
	l.lose = func(_ *host, e Envelope) bool { return e.Msg.Answer != nil }
	l.kill(was, true)
	var now *host
	if _, ok := l.until(20*time.Second, func() bool {
		for _, h := range l.nodes {
			if h.core == nil {
				continue
			}
			if _, ok := h.core.Held(l.clock(), slot); ok {
				now = h
			}
		}
		return now != nil
	}); !ok {
		t.Fatalf("nobody takes the slot\n%s", l.events())
	}
	l.ask(now, Submit{Job: keepJob("one", 3)})
	l.after(10 * time.Second)
	if now.core.informed(slot) || len(now.core.View().AllocsOf("one")) != 1 {
		t.Errorf("it knows all: %v, and has decided about %v", now.core.informed(slot), now.core.View().AllocsOf("one"))
	}
	l.lose = nil
	l.after(10 * time.Second)
	if !now.core.informed(slot) || len(now.core.View().AllocsOf("one")) != 3 {
		t.Errorf("it knows all: %v, and has decided about %v", now.core.informed(slot), now.core.View().AllocsOf("one"))
	}
}

// TestNobodyIsAskedToKeepWhatNoLongerMatters: within one step a decision may be
// about to be confirmed, and then be needed no more.
func TestNobodyIsAskedToKeepWhatNoLongerMatters(t *testing.T) {
	tests := map[string]func(*Core, mesh.AllocID, *host) Event{
		"the copy turns out to run": func(c *Core, id mesh.AllocID, runs *host) Event {
			asks := &Renew{Allocs: []mesh.AllocID{id}, Asked: c.now.Boot}
			return Received{From: runs.self.ID, Msg: Message{Renew: asks}}
		},
		"the copy is forgotten": func(c *Core, id mesh.AllocID, _ *host) Event {
			e, _ := c.replica.Get(mesh.KeyAlloc(id))
			c.drop(e.Key, e.Fence)
			return Tick{}
		},
	}
	for name, event := range tests {
		l, runs, leads := placed(t, 3)
		l.after(time.Second) // until its coordinator knows that it runs
		c := leads.core
		c.now = l.clock()
		var id mesh.AllocID
		for id = range c.records.granted {
		}
		delete(c.confirms.of, mesh.KeyAlloc(id)) // a coordinator that is new to it
		if c.confirmed(mesh.KeyAlloc(id)) || !c.confirms.queued[mesh.KeyAlloc(id)] {
			t.Fatalf("%s: the voters are not to be asked", name)
		}
		for _, e := range c.Step(l.clock(), event(c, id, runs)).Send {
			if m := e.Msg.Confirm; m != nil {
				t.Errorf("%s: a voter was asked to keep %d decisions", name, len(m.Entries))
			}
		}
	}
}

// TestCopyThatWasStoppedWithoutAMajorityHasOvertakenOthersAllTheSame: it ran under
// its fence. Found by the simulator, splits-of-full-machines 70063.
func TestCopyThatWasStoppedWithoutAMajorityHasOvertakenOthersAllTheSame(t *testing.T) {
	l, runs, leads := placed(t, 3)
	l.after(time.Second)
	c := leads.core
	c.now = l.clock()
	var ran decision
	for _, ran = range c.records.granted {
	}
	stop := mesh.DegradedAlloc{Alloc: ran.Alloc, Base: ran.stamp}
	stop.Want, stop.Fence, stop.Coordinator = mesh.WantStop, crdt.Fence{Ballot: 1}, c.self
	c.put(mesh.KeyDegraded(ran.ID), stop, crdt.Fence{})
	older := ran.Alloc
	older.ID, older.Fence = "older", crdt.Fence{Epoch: 1, Ballot: ran.Fence.Ballot}
	older.Coordinator = c.self
	c.put(mesh.KeyAlloc(older.ID), older, older.Fence)
	if c.mayStart(older.ID, runs.self.ID, &Renew{Allocs: []mesh.AllocID{older.ID}}) {
		t.Error("the older copy starts")
	}
	if c.records.granted[older.ID].Want != mesh.WantStop {
		t.Error("the older copy is not stopped")
	}
}

// A copy of an old decision never starts after one of a later: not beside it, and
// not in its place, for its fence is lower.
func TestCopyThatWasOvertakenDoesNotStart(t *testing.T) {
	l, runs, leads := placed(t, 3)
	l.after(time.Second)
	c := leads.core
	c.now = l.clock()
	var a mesh.Alloc
	for _, d := range c.records.granted {
		a = d.Alloc
	}
	for _, test := range []struct {
		id    mesh.AllocID
		fence crdt.Fence
		stops bool
	}{
		{"older", crdt.Fence{Epoch: 1, Ballot: a.Fence.Ballot}, true},
		{"newer", crdt.Fence{Epoch: a.Fence.Epoch + 1, Ballot: 1}, false},
	} {
		o := a
		o.ID, o.Fence, o.Coordinator = test.id, test.fence, c.self
		c.put(mesh.KeyAlloc(o.ID), o, test.fence)
		if c.mayStart(o.ID, runs.self.ID, &Renew{Allocs: []mesh.AllocID{o.ID}}) {
			t.Errorf("%s: it starts beside the copy that runs", o.ID)
		}
		if got := c.records.granted[o.ID].Want == mesh.WantStop; got != test.stops {
			t.Errorf("%s: stopped %v, want %v", o.ID, got, test.stops)
		}
	}
}

// TestWhatHasEndedDoesNotStart, though the node that ran it asks: its disk has lost the word.
func TestWhatHasEndedDoesNotStart(t *testing.T) {
	l, runs, leads := placed(t, 3)
	l.after(time.Second)
	c := leads.core
	c.now = l.clock()
	for id := range c.records.granted {
		s := c.records.statuses[id][runs.self.ID]
		asks := &Renew{Allocs: []mesh.AllocID{id}, Asked: c.now.Boot}
		if !c.mayStart(id, runs.self.ID, asks) {
			t.Error("a copy that runs may not run on")
		}
		s.State = mesh.Complete
		c.records.statuses[id][runs.self.ID] = s
		if c.mayStart(id, runs.self.ID, asks) {
			t.Error("a copy that has completed may start again")
		}
	}
}
