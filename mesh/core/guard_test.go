package core

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"mn/crdt"
	"mn/mesh"
	"mn/runner"
)

// push has a host take entries as if a peer had pushed them.
func (l *lab) push(to, from *host, entries ...crdt.Entry) {
	l.step(to, Received{From: from.self.ID, Msg: Message{Push: &Push{Entries: entries}}})
}

// written is an entry as its author would write it, with a number of its own.
func (l *lab) written(by *host, e crdt.Entry) crdt.Entry {
	l.seq++
	e.Dot = crdt.Dot{Origin: string(by.self.ID), Seq: 1_000_000 + uint64(l.seq)}
	e.Stamp = crdt.Stamp{Wall: l.clock().Wall.UnixMilli(), Logical: uint32(l.seq), Node: string(by.self.ID)}
	return e
}

func TestDeleteOfAKeyWithoutAKindIsTaken(t *testing.T) {
	l := newLab(t, 2)
	l.after(15 * time.Second)
	l.push(l.nodes[0], l.nodes[1], l.written(l.nodes[1], crdt.Entry{Key: "test", Deleted: true}))
	if n := len(l.nodes[0].core.replica.Quarantine()); n != 0 {
		t.Errorf("%d records are refused, want none: a newer release may have such keys", n)
	}
}

// part cuts the first n hosts off from the others, and has gossip notice.
func (l *lab) part(n int) {
	first := map[mesh.NodeID]bool{}
	for _, h := range l.nodes[:n] {
		first[h.self.ID] = true
	}
	l.cut = func(a, b mesh.NodeID) bool { return first[a] != first[b] }
	for _, h := range l.nodes {
		for _, o := range l.nodes {
			if first[h.self.ID] != first[o.self.ID] {
				l.post(h, labDetect, Seen{o.self.ID, mesh.Lost})
			}
		}
	}
}

func TestHalvesThatWereApartBeyondTheHorizonLoseNothing(t *testing.T) {
	l := newLab(t, 4)
	for _, h := range l.nodes {
		h.core.cfg.Horizon = time.Hour
	}
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: service("web", 2)})
	l.after(5 * time.Second)
	l.part(2)
	l.after(2 * time.Hour)
	l.cut = func(a, b mesh.NodeID) bool { return false }
	for _, h := range l.nodes {
		l.meet(h)
	}
	l.after(time.Minute)
	for _, h := range l.nodes {
		if h.core.View().Job("web") == nil || len(h.core.Members()) != 4 {
			t.Errorf("%s has %d members and the jobs %v", h.name, len(h.core.Members()), h.core.View().Jobs)
		}
		if len(h.core.records.away) != 0 {
			t.Errorf("%s still has a mark of absence", h.name)
		}
	}
	if l.total() != 2 {
		t.Errorf("%v run, want 2", l.running())
	}
}

func TestNodeThatEmptiesItsCopyGoesOnWithItsTasks(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: service("web", 6)})
	l.after(5 * time.Second)
	before := l.pids()
	away := l.nodes[2]
	l.post(away, 0, Asked{ID: 1 << 40, Call: Submit{Job: service("lost", 1)}})
	l.post(away, 0, Received{From: l.nodes[0].self.ID, Msg: Message{Stale: &Stale{Mark: crdt.Dot{Origin: "a", Seq: 1}}}})
	if _, ok := l.until(time.Second, func() bool { return len(away.calls) > 0 }); !ok {
		t.Error("who waits for a write that is gone gets no answer")
	}
	if r := away.calls[1<<40]; r.Fault == nil {
		t.Errorf("a write that is gone is acknowledged: %+v", r.Value)
	}
	l.after(time.Minute)
	for _, e := range away.log {
		if e.Kind == mesh.MajorityChanged {
			t.Errorf("it takes its peers for lost because it knows none: %s", e.Text)
		}
	}
	after := l.pids()
	for key, pid := range before {
		if after[key] != pid {
			t.Errorf("task %s was %d, is %d", key, pid, after[key])
		}
	}
}

// TestMarkThatIsGoneEmptiesNoCopy: who was away itself tells a node of a mark that the
// others have taken away since, when that node had emptied its copy. As a voter that node
// had to learn again what it kept, each time.
func TestMarkThatIsGoneEmptiesNoCopy(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: service("web", 6)})
	l.after(5 * time.Second)
	by, away := l.nodes[0], l.nodes[2]
	by.core.put(mesh.KeyAway(away.self.ID), mesh.Away{Node: away.self.ID, Since: l.clock().Wall.UTC()}, crdt.Fence{})
	mark, _ := by.core.replica.Get(mesh.KeyAway(away.self.ID))
	l.step(by, Tick{})
	emptied := func() (n int) {
		for _, e := range away.log {
			if e.Kind == mesh.RecordRefused && strings.Contains(e.Text, "empties its copy") {
				n++
			}
		}
		return n
	}
	if _, ok := l.until(time.Minute, func() bool { return emptied() > 0 }); !ok {
		t.Fatal("a node that is marked does not empty its copy")
	}
	if s := away.core.party.Standing(); s.Knows != 0 {
		t.Errorf("a voter whose copy is empty says that it knows what was decided in epoch %d", s.Knows)
	}
	l.after(time.Minute)
	if s := away.core.party.Standing(); s.Knows == 0 || emptied() != 1 {
		t.Fatalf("its copy was emptied %d times, want once; it knows epoch %d", emptied(), s.Knows)
	}
	l.kill(away, false)
	l.start(away)
	l.meet(away)
	l.after(time.Minute)
	l.step(away, Received{From: by.self.ID, Msg: Message{Stale: &Stale{Mark: mark.Dot}}})
	if s := away.core.party.Standing(); s.Knows == 0 || emptied() != 1 {
		t.Errorf("a mark that is gone emptied the copy again: %d times; it knows epoch %d", emptied(), s.Knows)
	}
}

func TestAgentThatLostADecisionWaitsForItBeforeItStopsATask(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: service("web", 6)})
	l.after(5 * time.Second)
	before := l.pids()
	h := l.nodes[1]
	l.kill(h, false)
	h.kept.Entries = slices.DeleteFunc(h.kept.Entries, func(e crdt.Entry) bool {
		return strings.HasPrefix(e.Key, mesh.PrefixAlloc)
	})
	h.kept.Damage = []string{"a table"}
	l.start(h)
	h.kept.Damage = nil
	l.step(h, Tick{})
	l.meet(h)
	l.after(time.Minute)
	if after := l.pids(); !maps.Equal(before, after) {
		t.Errorf("tasks were %v, are %v\n%s", before, after, l.events())
	}
}

func TestTaskWithoutADecisionIsStoppedOnceDataWereCompared(t *testing.T) {
	l := newLab(t, 2)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: service("web", 2)})
	l.after(5 * time.Second)
	h := l.nodes[1]
	l.kill(h, false)
	for key, o := range h.tasks {
		o.Alloc = "nobodys"
		delete(h.tasks, key)
		h.tasks["nobodys/"+o.Task] = o
	}
	l.start(h)
	l.step(h, Tick{})
	l.meet(h)
	l.after(time.Minute)
	if _, runs := h.tasks["nobodys/loop"]; runs {
		t.Error("a task that nobody has decided about runs on")
	}
}

func TestTaskThatEndsBeforeItIsAdoptedIsNotTakenForRunning(t *testing.T) {
	l := newLab(t, 1)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: service("web", 1)})
	l.after(5 * time.Second)
	h := l.nodes[0]
	l.kill(h, false)
	l.start(h)
	for key, o := range h.tasks { // the first that the new agent hears
		delete(h.tasks, key)
		o.Kind, o.ExitCode = runner.Exited, 1
		l.step(h, Observed{o})
	}
	if _, ok := l.until(time.Minute, func() bool { return l.total() == 1 }); !ok {
		t.Errorf("the task has ended and is not started again: it is %v", h.core.View().Allocs[0].State())
	}
}

// whole is a job of one copy that takes all of a node's processors.
func whole(name string) *mesh.Job {
	j := service(name, 1)
	j.Tasks[0].Resources.CPU = 8 * mesh.Core
	return j
}

func TestReleaseTakesNoRoomFromACopyThatStillStops(t *testing.T) {
	l := newLab(t, 1)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: whole("web")})
	l.after(5 * time.Second)
	h := l.nodes[0]
	a := h.core.View().Allocs[0].Alloc
	h.tasks = map[string]runner.Observation{} // deaf to the order to stop
	l.ask(h, Act{Job: "web", Verb: mesh.VerbStop})
	l.after(time.Second)
	if s := h.core.View().Allocs[0].State(); s != mesh.Stopping {
		t.Fatalf("the copy is %v, want it stopping", s)
	}
	h.core.release(h.self.ID, &Release{Job: a.Job, Alloc: a.ID, Fence: a.Fence})
	if used := h.core.ledger.Used(l.now); used.CPU != 8*mesh.Core {
		t.Errorf("%v is held while the copy still runs", used)
	}
}

func TestJobThatIsTooLargeIsRefused(t *testing.T) {
	l := newLab(t, 1)
	l.after(15 * time.Second)
	job := service("web", 1)
	job.Meta = map[string]string{"note": strings.Repeat("x", crdt.MaxValue)}
	if r := l.ask(l.nodes[0], Submit{Job: job}); r.Fault == nil || r.Fault.Kind != mesh.Invalid {
		t.Errorf("the answer is %+v, want it invalid", r)
	}
}

func TestAckOfAnEarlierRunAcknowledgesNothing(t *testing.T) {
	l := newLab(t, 2)
	l.after(15 * time.Second)
	h, peer := l.nodes[0], l.nodes[1]
	var late []Message
	catch := func(r Ready) {
		for _, e := range r.Send {
			if e.Msg.Push != nil && e.Msg.Push.Ack != 0 {
				late = append(late, Message{Ack: &Ack{e.Msg.Push.Ack}})
			}
		}
	}
	catch(h.core.Step(l.clock(), Asked{ID: 1, Call: Submit{Job: service("one", 1)}}))
	l.kill(h, false)
	l.start(h)
	h.core.Step(l.clock(), Seen{peer.self.ID, mesh.Alive})
	ready := h.core.Step(l.clock(), Asked{ID: 2, Call: Submit{Job: service("two", 1)}})
	if len(late) != 1 || len(ready.Reply) != 0 {
		t.Fatalf("%d pushes ask for an answer, %d calls are answered; want one and none", len(late), len(ready.Reply))
	}
	ready = h.core.Step(l.clock(), Received{From: peer.self.ID, Msg: late[0]})
	if len(ready.Reply) != 0 {
		t.Errorf("answered %+v, with an answer to the run before", ready.Reply)
	}
}

func TestRecordsAreTakenOnlyFromWhoMayWriteThem(t *testing.T) {
	l := newLab(t, 2)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: service("web", 2)})
	l.after(5 * time.Second)
	me, other := l.nodes[0], l.nodes[1]
	mine, theirs := me.self, other.self
	granted, above := crdt.Fence{Epoch: 1, Ballot: 1}, crdt.Fence{Epoch: 1 << 20}
	member := l.member(me)
	member.Key = l.member(other).Key
	job := me.core.View().Jobs[0].JobVersion
	absurd := job
	absurd.Job.Tasks = []mesh.Task{{Name: "t", Count: 1 << 30}}
	status := func(n mesh.Node) mesh.Status { return mesh.Status{Alloc: "a", Node: n.ID} }
	for what, c := range map[string]struct {
		key    string
		record any // nil for a delete
		fence  crdt.Fence
		good   bool
	}{
		"own node":                    {mesh.KeyNode(theirs.ID), theirs, crdt.Fence{}, true},
		"another's node":              {mesh.KeyNode(mine.ID), mine, crdt.Fence{}, false},
		"under another's key":         {mesh.KeyNode(mine.ID), theirs, crdt.Fence{}, false},
		"own status":                  {mesh.KeyStatus("a", theirs.ID), status(theirs), crdt.Fence{}, true},
		"another's status":            {mesh.KeyStatus("a", mine.ID), status(mine), crdt.Fence{}, false},
		"decision":                    {mesh.KeyAlloc("a"), mesh.Alloc{ID: "a", Coordinator: theirs.ID}, granted, true},
		"decision without voters":     {mesh.KeyAlloc("a"), mesh.Alloc{ID: "a", Coordinator: theirs.ID}, crdt.Fence{}, false},
		"another's decision":          {mesh.KeyAlloc("a"), mesh.Alloc{ID: "a", Coordinator: mine.ID}, granted, false},
		"member with another's key":   {mesh.KeyMember(mine.ID), member, crdt.Fence{}, false},
		"delete of own status":        {mesh.KeyStatus("a", theirs.ID), nil, crdt.Fence{}, true},
		"delete of another's status":  {mesh.KeyStatus("a", mine.ID), nil, crdt.Fence{}, false},
		"delete of a decision":        {mesh.KeyAlloc("a"), nil, above, true},
		"delete without voters":       {mesh.KeyAlloc("a"), nil, crdt.Fence{}, false},
		"delete of a degraded one":    {mesh.KeyDegraded("a"), nil, crdt.Fence{}, true},
		"delete of a mark of absence": {mesh.KeyAway(mine.ID), nil, crdt.Fence{}, true},
		"delete of a member":          {mesh.KeyMember(mine.ID), nil, crdt.Fence{}, false},
		"delete of a node":            {mesh.KeyNode(mine.ID), nil, crdt.Fence{}, false},
		"version of absurd size":      {mesh.KeyJob("web", 1, job.Hash), absurd, crdt.Fence{}, false},
		"delete of a version":         {mesh.KeyJob("web", 1, job.Hash), nil, crdt.Fence{}, false},
		"delete of one with voters":   {mesh.KeyJob("web-1", 1, job.Hash), nil, above, false},
		"delete of a run":             {mesh.KeyJob("web-20300101t0000z", 1, job.Hash), nil, above, true},
		"delete of an event":          {mesh.KeyOccurred("x"), nil, crdt.Fence{}, false},
		"old delete of an event":      {mesh.KeyOccurred("x"), nil, above, true},
		"firing without voters": {
			mesh.KeyFired("a", "b"), mesh.Firing{Job: "a", Run: "b", Coordinator: theirs.ID}, crdt.Fence{}, true,
		},
		"another's firing": {
			mesh.KeyFired("a", "b"), mesh.Firing{Job: "a", Run: "b", Coordinator: mine.ID}, granted, false,
		},
		"delete of how far it is due": {mesh.KeyDue("a"), nil, above, false},
	} {
		e := crdt.Entry{Key: c.key, Fence: c.fence, Deleted: c.record == nil}
		if c.record != nil {
			var err error
			if e.Value, err = crdt.Encode(c.record); err != nil {
				t.Fatal(err)
			}
		}
		if err := valid(l.written(other, e)); (err == nil) != c.good {
			t.Errorf("%s: %v, want it good: %v", what, err, c.good)
		}
	}
}

func TestNothingIsKeptForAnAllocationThatAnotherHasForgotten(t *testing.T) {
	l := newLab(t, 2)
	l.after(15 * time.Second)
	job := service("one", 1)
	job.Recovery.OnPartition = mesh.Majority
	l.ask(l.nodes[0], Submit{Job: job})
	l.after(10 * time.Second)
	h := l.lead("one")
	other := l.nodes[0]
	if other == h {
		other = l.nodes[1]
	}
	if len(h.core.lead.renewed) != 1 {
		t.Fatalf("%d copies are renewed, want one", len(h.core.lead.renewed))
	}
	for id := range h.core.lead.renewed {
		gone := crdt.Entry{Key: mesh.KeyAlloc(id), Deleted: true, Fence: crdt.Fence{Epoch: 1 << 20}}
		l.push(h, other, l.written(other, gone))
	}
	if n := len(h.core.lead.renewed); n != 0 {
		t.Errorf("%d renewals are remembered of copies that are forgotten", n)
	}
}

func TestPeerThatTalksNonsenseOfWhatItHasIsNotBelieved(t *testing.T) {
	l := newLab(t, 2)
	l.after(15 * time.Second)
	h, other := l.nodes[0], l.nodes[1]
	before := h.core.peers[other.self.ID].said
	if reflect.DeepEqual(before, crdt.Report{}) {
		t.Fatal("it has said nothing yet")
	}
	at := h.core.replica.Answer(crdt.Request{}).At
	nonsense := crdt.Request{At: at, Groups: []byte{1}, Seen: crdt.Seen{"x": {Head: 3, Gaps: []crdt.Gap{{To: 9}}}}}
	l.step(h, Received{From: other.self.ID, Msg: Message{Sync: &nonsense}})
	if got := h.core.peers[other.self.ID].said; !reflect.DeepEqual(got, before) {
		t.Errorf("it is said to have %v, want what it said before: %v", got, before)
	}
}

func TestTaskThatFailsWithUnreadableBytesEndsNoAgent(t *testing.T) {
	l := newLab(t, 1)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: service("web", 1)})
	l.after(5 * time.Second)
	h := l.nodes[0]
	for key, o := range h.tasks {
		delete(h.tasks, key)
		o.Kind, o.ExitCode, o.Err = runner.Exited, -1, "caf\xe9: not found"
		l.step(h, Observed{o})
	}
}

func TestRecordOnDiskThatCannotBeReadIsNamed(t *testing.T) {
	l := newLab(t, 1)
	l.after(15 * time.Second)
	h := l.nodes[0]
	l.kill(h, false)
	bad := l.written(h, crdt.Entry{Key: mesh.KeyToken("t1"), Value: []byte("of an older release")})
	bad.Dot.Seq = h.kept.NextSeq
	h.kept.Apply(crdt.Batch{Put: []crdt.Entry{bad}, NextSeq: bad.Dot.Seq + 1})
	l.start(h)
	l.step(h, Tick{})
	named := func(e mesh.Event) bool {
		return e.Kind == mesh.RecordRefused && strings.Contains(e.Text, bad.Key)
	}
	if !slices.ContainsFunc(h.log, named) {
		t.Errorf("nothing is said of a record that cannot be read\n%s", l.events())
	}
}

func TestNothingIsLeftOfACopyThatEndsAfterItsDecisionIsForgotten(t *testing.T) {
	l := newLab(t, 2)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: service("web", 2)})
	l.after(5 * time.Second)
	h, other := l.nodes[0], l.nodes[1]
	tasks := h.tasks
	h.tasks = map[string]runner.Observation{} // deaf to the order to stop
	l.ask(h, Act{Job: "web", Verb: mesh.VerbStop})
	l.after(time.Second)
	for _, o := range tasks {
		gone := crdt.Entry{Key: mesh.KeyAlloc(o.Alloc), Deleted: true, Fence: crdt.Fence{Epoch: 1 << 20}}
		l.push(h, other, l.written(other, gone))
		o.Kind, o.Signal = runner.Exited, 15
		l.step(h, Observed{o})
		if s, left := h.core.records.statuses[o.Alloc][h.self.ID]; left {
			t.Errorf("a status %q is left of a copy that nobody has decided about", s.State)
		}
	}
}

func TestLateReleaseLeavesWhatALaterCoordinatorReserved(t *testing.T) {
	l := newLab(t, 1)
	l.after(5 * time.Second)
	c := l.nodes[0].core
	a := mesh.Alloc{ID: "a", Job: "web", Node: c.self, Resources: mesh.Resources{CPU: mesh.Core}}
	old, now := crdt.Fence{Epoch: 1, Ballot: 7}, crdt.Fence{Epoch: 1, Ballot: 8}
	for _, fence := range []crdt.Fence{old, now} {
		if _, err := c.ledger.Reserve(fence, a, l.now); err != nil {
			t.Fatal(err)
		}
	}
	c.release(c.self, &Release{Job: "web", Alloc: "a", Fence: old})
	if used := c.ledger.Used(l.now); used.Resources != a.Resources {
		t.Errorf("%v is held after a late release, want %v", used, a.Resources)
	}
	c.release(c.self, &Release{Job: "web", Alloc: "a", Fence: now})
	if used := c.ledger.Used(l.now); used.Resources != (mesh.Resources{}) {
		t.Errorf("%v is held after the release, want nothing", used)
	}
}

func TestNodeThatLostRecordsIsNotSettledByOnePeer(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	h := l.nodes[1]
	for _, damage := range [][]string{nil, {"a table"}} {
		l.kill(h, false)
		h.kept.Damage = damage
		l.start(h)
		h.kept.Damage = nil
		l.step(h, Tick{})
		l.meet(h)
		l.after(2 * time.Second)
		if got := h.core.settled(); got != (damage == nil) {
			t.Errorf("with damage %v it is settled after two seconds: %v", damage, got)
		}
		l.after(8 * time.Second)
		if !h.core.settled() {
			t.Errorf("with damage %v it is never settled", damage)
		}
	}
}
