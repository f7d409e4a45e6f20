package core

import (
	"slices"
	"testing"
	"time"

	"mn/crdt"
	"mn/mesh"
)

func TestAnswerToAnEarlierReservationDecidesNothing(t *testing.T) {
	l := newLab(t, 2)
	l.after(15 * time.Second)
	asked := map[mesh.AllocID]*Reserve{}
	job := service("web", 2) // one on each node
	ready := l.lead("web").core.Step(l.clock(), Asked{ID: 1, Call: Submit{Job: job}})
	for _, e := range ready.Send {
		if e.Msg.Reserve != nil {
			asked[e.Msg.Reserve.Alloc.ID] = e.Msg.Reserve
		}
	}
	if len(asked) != 1 {
		t.Fatalf("%d reservations are asked for, want one", len(asked))
	}
	c := l.lead("web").core
	for id, r := range asked {
		old := r.Alloc.Fence
		old.Ballot--
		c.Step(l.clock(), Received{From: r.Alloc.Node, Msg: Message{Reserved: &Reserved{Alloc: id, Fence: old}}})
		if _, decided := c.records.effective(id); decided {
			t.Error("the answer to an earlier reservation is taken for one to this")
		}
		c.Step(l.clock(), Received{From: r.Alloc.Node, Msg: Message{Reserved: &Reserved{Alloc: id, Fence: r.Alloc.Fence}}})
		if _, decided := c.records.effective(id); !decided {
			t.Error("what the node has admitted is not decided")
		}
	}
}

// TestPlacementOvertakenMeanwhileIsNotDecided: another coordinator has decided about the
// same copy, or one before it has done the work, since the node was asked.
func TestPlacementOvertakenMeanwhileIsNotDecided(t *testing.T) {
	for name, news := range map[string]func(c *Core, p *placing){
		"the same copy elsewhere": func(c *Core, p *placing) {
			a := p.alloc
			a.Node = c.self
			c.decide(a, a.Fence, true)
		},
		"the work done": func(c *Core, p *placing) {
			before := p.alloc
			before.ID, before.Node, p.alloc.Generation = "before", c.self, 1
			c.decide(before, before.Fence, true)
			c.putStatus(mesh.Status{Alloc: before.ID, Job: before.Job, State: mesh.Complete, Fence: before.Fence})
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, 2)
			l.after(15 * time.Second)
			job := service("web", 2)
			job.Type = mesh.Batch
			c := l.lead("web").core
			c.Step(l.clock(), Asked{ID: 1, Call: Submit{Job: job}})
			if len(c.lead.placing) != 1 {
				t.Fatalf("%d placements are on their way, want one", len(c.lead.placing))
			}
			for id, p := range c.lead.placing {
				news(c, p)
				ready := c.Step(l.clock(), Received{From: p.alloc.Node, Msg: Message{Reserved: &Reserved{Alloc: id, Fence: p.alloc.Fence}}})
				released := slices.ContainsFunc(ready.Send, func(e Envelope) bool {
					return e.Msg.Release != nil && e.Msg.Release.Alloc == id
				})
				if !released {
					t.Errorf("the node keeps room for what nobody needs: %+v", ready.Send)
				}
			}
		})
	}
}

// lead is the host that holds the lease of a job's slot.
func (l *lab) lead(job mesh.JobID) *host {
	l.t.Helper()
	for _, h := range l.nodes {
		if _, granted, ok := h.core.right(mesh.SlotOf(job)); ok && granted {
			return h
		}
	}
	l.t.Fatalf("nobody leads %q", job)
	return nil
}

func TestNodeStartsNothingAgainBeforeItHasComparedData(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: service("web", 6)})
	l.after(5 * time.Second)
	h := l.nodes[1]
	l.kill(h, true)
	l.after(10 * time.Second)
	if l.total() != 6 {
		t.Fatalf("%v run after the loss, want 6", l.running())
	}
	l.start(h)
	l.step(h, Tick{})
	l.after(5 * time.Second)
	if n := l.running()[h.name]; n != 0 {
		t.Errorf("%d copies start again on a node that has heard of nobody", n)
	}
	l.meet(h)
	l.after(30 * time.Second)
	if l.total() != 6 {
		t.Errorf("%v run, want 6\n%s", l.running(), l.events())
	}
}

func TestNodeStartsAgainWhatItRanOnceItHasComparedData(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: service("web", 6)})
	l.after(5 * time.Second)
	h := l.nodes[1]
	l.kill(h, true)
	l.after(labDetect / 2)
	l.start(h)
	l.step(h, Tick{})
	l.meet(h)
	grace := h.core.cfg.JoinGrace
	if took, ok := l.until(grace/2, func() bool { return l.running()[h.name] == 2 }); !ok {
		t.Errorf("%v run %v after the start, want 2 of them on %s\n%s", l.running(), took, h.name, l.events())
	}
}

func TestNodeCutOffStopsItsCopiesOfAStoppedJob(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	for _, name := range []string{"eager", "keep"} {
		job := service(name, 3)
		job.Recovery.OnPartition = mesh.OnPartition(name)
		l.ask(l.nodes[0], Submit{Job: job})
	}
	l.after(5 * time.Second)
	h := l.nodes[2]
	if n := l.running()[h.name]; n != 2 {
		t.Fatalf("%d copies run on the node that is cut off, want 2", n)
	}
	l.split(h)
	l.after(30 * time.Second)
	for _, name := range []mesh.JobID{"eager", "keep"} {
		l.ask(h, Act{Job: name, Verb: mesh.VerbStop})
	}
	if _, ok := l.until(5*time.Second, func() bool { return l.running()[h.name] == 0 }); !ok {
		t.Errorf("%v run after the stop\n%s", l.running(), l.events())
	}
}

func TestLaterGrantedDecisionBeatsADegradedOne(t *testing.T) {
	l := newLab(t, 1)
	l.after(15 * time.Second)
	c := l.nodes[0].core
	granted := crdt.Fence{Epoch: 1, Ballot: 1}
	a := mesh.Alloc{ID: "a", Job: "web", Node: "elsewhere", Want: mesh.WantRun}
	c.decide(a, granted, true)
	a.Want = mesh.WantStop
	c.decide(a, crdt.Fence{Ballot: 1 << 30}, false)
	if got, _ := c.records.effective("a"); got.Want != mesh.WantStop || !got.Degraded {
		t.Errorf("a degraded decision about what is known: %+v, want it to stand", got)
	}
	a.Want = mesh.WantRun
	c.decide(a, granted, true)
	if got, _ := c.records.effective("a"); got.Want != mesh.WantRun || got.Degraded {
		t.Errorf("a degraded decision and a later granted one: %+v, want the granted one", got)
	}
}

// reserve asks a host for room, and is its refusal.
func (l *lab) reserve(to, from *host, id mesh.AllocID, fence crdt.Fence) string {
	l.t.Helper()
	a := mesh.Alloc{ID: id, Job: "web", Node: to.self.ID, Want: mesh.WantRun, Fence: fence}
	ready := to.core.Step(l.clock(), Received{From: from.self.ID, Msg: Message{Reserve: &Reserve{Alloc: a}}})
	for _, e := range ready.Send {
		if e.Msg.Reserved != nil {
			return e.Msg.Reserved.Refusal
		}
	}
	l.t.Fatal("no answer to a reservation")
	return ""
}

func TestNodeThatKnowsALaterDecisionAdmitsNoEarlierCoordinator(t *testing.T) {
	l := newLab(t, 2)
	l.after(15 * time.Second)
	h, other := l.nodes[0], l.nodes[1]
	a := mesh.Alloc{ID: "a", Job: "web", Node: other.self.ID, Coordinator: other.self.ID, Want: mesh.WantRun}
	later := crdt.Fence{Epoch: 1, Ballot: 9}
	a.Fence = later
	value, err := crdt.Encode(a)
	if err != nil {
		t.Fatal(err)
	}
	l.push(h, other, l.written(other, crdt.Entry{Key: mesh.KeyAlloc("a"), Value: value, Fence: later}))
	if l.reserve(h, other, "b", crdt.Fence{Epoch: 1, Ballot: 8}) == "" {
		t.Error("a coordinator that was replaced may reserve")
	}
	if why := l.reserve(h, other, "b", later); why != "" {
		t.Errorf("the coordinator may not reserve: %s", why)
	}
}

func TestCoordinatorWithAWrongClockShutsOutNobody(t *testing.T) {
	l := newLab(t, 2)
	l.after(15 * time.Second)
	h, other := l.nodes[0], l.nodes[1]
	wall := uint64(l.clock().Wall.Unix())
	if l.reserve(h, other, "a", crdt.Fence{Ballot: wall + 24*3600}) == "" {
		t.Error("a fence of tomorrow is admitted")
	}
	if why := l.reserve(h, other, "b", crdt.Fence{Ballot: wall}); why != "" {
		t.Errorf("a fence of now is refused: %s", why)
	}
}

// TestPlacedNotBeforeTheOneBeforeHasEnded: a node's clock may be ahead, but its word that a
// copy has failed was heard before another was placed.
func TestPlacedNotBeforeTheOneBeforeHasEnded(t *testing.T) {
	l := newLab(t, 1)
	l.after(time.Second)
	c, now := l.nodes[0].core, l.clock().Wall
	for name, test := range map[string]struct {
		state mesh.AllocState
		ended time.Duration
		want  time.Duration
	}{
		"earlier":     {mesh.Failed, -time.Second, 0},
		"ahead":       {mesh.Failed, time.Second, time.Second},
		"runs":        {mesh.Running, time.Second, 0},
		"ahead a lot": {mesh.Failed, crdt.MaxAhead + time.Second, 0},
	} {
		c.now.Wall = now
		c.records.statuses["before"] = map[mesh.NodeID]mesh.Status{"n2": {State: test.state, At: now.Add(test.ended)}}
		if got := c.placedAt("before").Sub(now); got != test.want {
			t.Errorf("%s: got %v from now, want %v", name, got, test.want)
		}
	}
}

// TestDecisionThatComesTooLateIsNoFailure: its room was given away meanwhile. That is no
// failure of the copy, which its policies would count.
func TestDecisionThatComesTooLateIsNoFailure(t *testing.T) {
	l := newLab(t, 2)
	l.after(15 * time.Second)
	for _, job := range []*mesh.Job{service("first", 2), service("web", 1)} {
		job.Tasks[0].Resources.Memory = 6 * mesh.GiB
		l.ask(l.nodes[0], Submit{Job: job})
		l.after(2 * time.Second)
	}
	lead := l.lead("web")
	h := l.nodes[0]
	if h == lead {
		h = l.nodes[1]
	}
	fence, _, _ := lead.core.right(mesh.SlotOf("web"))
	job, _ := lead.core.records.job("web")
	group := job.Job.Groups()[0]
	a := mesh.Alloc{
		ID: "late", Job: "web", Version: 1, Hash: job.Hash, Group: group.Name, Node: h.self.ID, Want: mesh.WantRun,
		Resources: group.Resources, Fence: fence, Coordinator: lead.self.ID,
	}
	value, err := crdt.Encode(a)
	if err != nil {
		t.Fatal(err)
	}
	l.push(h, lead, l.written(lead, crdt.Entry{Key: mesh.KeyAlloc(a.ID), Value: value, Fence: fence}))
	if s := h.core.records.statuses[a.ID][h.self.ID]; s.State != mesh.Stopped || s.Reason == "" {
		t.Errorf("got %+v, want it stopped, with a reason", s)
	}
}

// TestADegradedSideDecidesAboutTheSlotsThatItHasJustGot: in a mesh of many, where a bid is put
// off, the jobs were looked at before it, by a rank that no longer holds.
func TestADegradedSideDecidesAboutTheSlotsThatItHasJustGot(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	job, lost := service("web", 3), mesh.Duration(20*time.Second)
	job.Recovery.LostAfter = &lost
	l.ask(l.nodes[0], Submit{Job: job})
	l.after(5 * time.Second)
	h := l.nodes[0]
	l.split(h)
	l.after(10 * time.Second)
	c := h.core
	c.lead.leaders.Set([]mesh.NodeID{l.nodes[1].self.ID}) // lost a moment ago, like those before
	c.lead.members, c.lead.allDirty, c.lead.bidAt = true, true, l.now+bidPause
	l.step(h, Tick{})
	l.after(30 * time.Second)
	if n := l.running()[h.name]; n != 3 {
		t.Errorf("%d copies run on the side of one, want all 3\n%s", n, l.events())
	}
}
