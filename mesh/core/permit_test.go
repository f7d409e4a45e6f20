package core

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"mn/crdt"
	"mn/mesh"
	"mn/runner"
)

// limited is a batch job of copies that share a limit with others.
func limited(name string, copies, limit int) *mesh.Job {
	j := keepJob(name, copies)
	j.Type, j.Limit = mesh.Batch, &mesh.SharedLimit{Key: "storage", Max: limit}
	return j
}

// limitedLab has jobs of several coordinators wait for one limit.
func limitedLab(t *testing.T, jobs ...*mesh.Job) *lab {
	t.Helper()
	l := newLab(t, 3)
	l.after(15 * time.Second)
	for _, j := range jobs {
		if r := l.ask(l.nodes[0], Submit{Job: j}); r.Fault != nil {
			t.Fatal(r.Fault)
		}
	}
	return l
}

// finish ends a copy that runs, with success.
func (l *lab) finish() {
	for _, h := range l.nodes {
		for _, key := range slices.Sorted(keysOf(h.tasks)) {
			o := h.tasks[key]
			delete(h.tasks, key)
			o.Kind, o.ExitCode, o.At = runner.Exited, 0, l.clock().Wall
			l.post(h, labDelay, Observed{o})
			return
		}
	}
}

// TestALimitIsShared: of several jobs, which several nodes lead, never more copies run than
// it allows, and all have their turn.
func TestALimitIsShared(t *testing.T) {
	var jobs []*mesh.Job
	for i := range 6 {
		jobs = append(jobs, limited(fmt.Sprintf("job-%d", i), 2, 2))
	}
	l := limitedLab(t, jobs...)
	for ended := range 12 {
		if _, ok := l.until(3*time.Second, func() bool { return l.total() == min(2, 12-ended) }); !ok {
			t.Fatalf("%d have ended, and %v run\n%s", ended, l.running(), l.events())
		}
		l.finish()
	}
	l.after(3 * time.Second)
	for _, j := range jobs {
		if status, text := l.status(mesh.JobID(j.Name)); status != mesh.JobCompleted {
			t.Errorf("%s is %s: %s", j.Name, status, text)
		}
	}
	if permits := l.nodes[0].core.View().Permits; len(permits) > 0 {
		t.Errorf("nothing runs any more, and there are permits: %v", permits)
	}
}

// TestWhoHasLessOfALimitIsFirst: a job with much to do does not keep others from their turn.
func TestWhoHasLessOfALimitIsFirst(t *testing.T) {
	l := limitedLab(t, limited("large", 40, 8))
	l.after(3 * time.Second)
	for i := range 4 {
		l.ask(l.nodes[1], Submit{Job: limited(fmt.Sprintf("small-%d", i), 1, 8)})
	}
	l.after(2 * time.Second)
	for range 4 {
		l.exit("large", l.least("large"), 0)
		l.after(2 * time.Second)
	}
	if n := l.nodes[0].core.records.permitted["large"]; n != 4 || l.total() != 8 {
		t.Errorf("the large job has %d permits, want 4; %v run\n%s", n, l.running(), l.events())
	}
}

// least is the lowest index of a job that runs.
func (l *lab) least(job mesh.JobID) int {
	least := mesh.CopiesMax
	for _, h := range l.nodes {
		for _, o := range h.tasks {
			if a, ok := h.core.Alloc(o.Alloc); ok && a.Job == job {
				least = min(least, a.Index)
			}
		}
	}
	return least
}

// TestAPermitCountsOnlyOnceAMajorityKeepsIt, for the next coordinator of the limit has to
// know of it.
func TestAPermitCountsOnlyOnceAMajorityKeepsIt(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	given := 0
	l.tap = func(_ *host, e Envelope) {
		if e.Msg.Permitted != nil {
			given++
		}
	}
	l.lose = func(_ *host, e Envelope) bool { return e.Msg.Confirmed != nil }
	for i := range 4 {
		l.ask(l.nodes[0], Submit{Job: limited(fmt.Sprintf("job-%d", i), 1, 4)})
	}
	l.after(10 * time.Second)
	if given > 0 || l.total() > 0 {
		t.Errorf("%d answers, and %v run: nobody has said that it keeps a permit", given, l.running())
	}
	l.lose = nil
	l.after(3 * time.Second)
	if given == 0 || l.total() != 4 {
		t.Errorf("%d answers, and %v run, want all\n%s", given, l.running(), l.events())
	}
}

// TestAPermitGoesRoundABrokenLink, as do those that are given back.
func TestAPermitGoesRoundABrokenLink(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	limits := l.lead("limit/storage")
	var names []string
	for i := 0; len(names) < 2; i++ {
		if name := fmt.Sprintf("job-%d", i); l.lead(mesh.JobID(name)) != limits {
			names = append(names, name)
		}
	}
	jobs := l.lead(mesh.JobID(names[0]))
	l.cut = func(a, b mesh.NodeID) bool {
		return a == limits.self.ID && b == jobs.self.ID || a == jobs.self.ID && b == limits.self.ID
	}
	for _, name := range names {
		l.ask(l.nodes[0], Submit{Job: limited(name, 2, 1)})
	}
	for range 4 {
		if _, ok := l.until(15*time.Second, func() bool { return l.total() == 1 }); !ok {
			t.Fatalf("%v run\n%s", l.running(), l.events())
		}
		l.finish()
		l.until(time.Second, func() bool { return l.total() == 0 })
	}
	l.after(10 * time.Second)
	for _, name := range names {
		if status, text := l.status(mesh.JobID(name)); status != mesh.JobCompleted {
			t.Errorf("%s is %s: %s", name, status, text)
		}
	}
}

// TestAPermitThatIsAskedForAgainIsNotGivenBack by a word about it that is late.
func TestAPermitThatIsAskedForAgainIsNotGivenBack(t *testing.T) {
	l := limitedLab(t, limited("one", 1, 1))
	l.after(2 * time.Second)
	leads := l.lead("limit/storage")
	p := leads.core.View().Permits[0]
	key := mesh.KeyPermit(p.Key, p.Alloc)
	e, _ := leads.core.replica.Get(key)
	ask := &AskPermit{Limit: mesh.SharedLimit{Key: p.Key, Max: 1}, Job: p.Job, Allocs: []mesh.AllocID{p.Alloc}}
	back := &ReturnPermits{Limit: p.Key, Permits: map[string]crdt.Dot{key: e.Dot}}
	l.step(leads, Received{From: l.nodes[0].self.ID, Msg: Message{AskPermit: ask}})
	l.step(leads, Received{From: l.nodes[0].self.ID, Msg: Message{ReturnPermits: back}})
	if n := len(leads.core.View().Permits); n != 1 {
		t.Errorf("%d permits are left", n)
	}
	e, _ = leads.core.replica.Get(key)
	back.Permits[key] = e.Dot
	l.step(leads, Received{From: l.nodes[0].self.ID, Msg: Message{ReturnPermits: back}})
	if n := len(leads.core.View().Permits); n != 0 {
		t.Errorf("%d permits are left that were given back", n)
	}
}

// TestACopyThatItsCoordinatorHasNoPermitForDoesNotStart: who led the job before may have
// decided about it so late that the permit has been given back, and to another.
func TestACopyThatItsCoordinatorHasNoPermitForDoesNotStart(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	l.lose = func(_ *host, e Envelope) bool { return e.Msg.Renewed != nil }
	l.ask(l.nodes[0], Submit{Job: limited("one", 3, 3)})
	l.after(2 * time.Second)
	jobs, limits := l.lead("one"), l.lead("limit/storage")
	began := l.total() // where it is led, if anything
	if n := len(jobs.core.View().Permits); n != 3 || began == 3 {
		t.Fatalf("%d permits, and %v run\n%s", n, l.running(), l.events())
	}
	clear(jobs.core.permits.given) // it has taken the slot anew
	back := &ReturnPermits{Limit: "storage", Permits: map[string]crdt.Dot{}}
	for _, p := range limits.core.View().Permits {
		key := mesh.KeyPermit(p.Key, p.Alloc)
		e, _ := limits.core.replica.Get(key)
		back.Permits[key] = e.Dot
	}
	full := mesh.SharedLimit{Key: "storage", Max: 3}
	others := &AskPermit{Limit: full, Job: "other", Allocs: []mesh.AllocID{"x", "y", "z"}, Claim: true}
	l.step(limits, Received{From: l.nodes[0].self.ID, Msg: Message{ReturnPermits: back}})
	l.step(limits, Received{From: l.nodes[0].self.ID, Msg: Message{AskPermit: others}})
	l.lose = nil
	l.after(10 * time.Second)
	if n := l.total(); n != began {
		t.Errorf("%v run, and the permits of those that had not begun are another's\n%s", l.running(), l.events())
	}
	back.Permits = map[string]crdt.Dot{}
	for _, id := range others.Allocs {
		key := mesh.KeyPermit("storage", id)
		e, _ := limits.core.replica.Get(key)
		back.Permits[key] = e.Dot
	}
	l.step(limits, Received{From: l.nodes[0].self.ID, Msg: Message{ReturnPermits: back}})
	if _, ok := l.until(500*time.Millisecond, func() bool { return l.total() == 3 }); !ok { // asked for at once
		t.Errorf("%v run, and there are permits again\n%s", l.running(), l.events())
	}
}

// TestAPermitThatWasNeverGivenDoesNotCountForItsCopy: its record may have come to light after
// the place was given to another.
func TestAPermitThatWasNeverGivenDoesNotCountForItsCopy(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	leads := l.lead("limit/storage")
	c := leads.core
	var answer *Permitted
	l.tap = func(_ *host, e Envelope) {
		if e.Msg.Permitted != nil {
			answer = e.Msg.Permitted
		}
	}
	full := mesh.SharedLimit{Key: "storage", Max: 1}
	from := l.other(leads)
	ask := func(id mesh.AllocID, claim bool) *AskPermit {
		return &AskPermit{Limit: full, Job: "job", Allocs: []mesh.AllocID{id}, Claim: claim, Life: from.core.life}
	}
	l.step(leads, Received{From: from.self.ID, Msg: Message{AskPermit: ask("y", true)}})
	fence, _ := c.grantor("storage")
	c.now = l.clock()
	c.put(mesh.KeyPermit("storage", "x"), mesh.Permit{Key: "storage", Job: "job", Alloc: "x", Coordinator: c.self}, fence)
	l.step(leads, Received{From: from.self.ID, Msg: Message{AskPermit: ask("x", false)}})
	l.after(time.Second)
	if answer == nil || len(answer.Given) > 0 || len(answer.Refused) != 1 {
		t.Errorf("got %+v, want it refused: y has the only place", answer)
	}
}

// TestALateAnswerAboutAPermit is none to whoever has asked again since.
func TestALateAnswerAboutAPermit(t *testing.T) {
	l := newLab(t, 1)
	l.after(15 * time.Second)
	c := l.nodes[0].core
	c.now = l.clock()
	answer := &Permitted{Given: []mesh.AllocID{"a"}, Sent: c.now.Boot, Life: c.life}
	tests := map[string]struct {
		sent time.Duration
		life uint64
		want bool
	}{
		"to the last question":  {c.now.Boot, c.life, true},
		"to one before":         {c.now.Boot - 1, c.life, false},
		"to an earlier life":    {c.now.Boot, c.life + 1, false},
		"to one never asked of": {-1, c.life, false},
	}
	for name, tt := range tests {
		c.permits = newPermits()
		if tt.sent >= 0 {
			c.permits.asked["a"] = grant{sent: c.now.Boot, held: time.Second}
		}
		m := *answer
		m.Sent, m.Life = tt.sent, tt.life
		c.permitted(&m)
		if _, got := c.permits.given["a"]; got != tt.want {
			t.Errorf("an answer %s counts: %v", name, got)
		}
	}
}

// TestCopiesOfAJobThatGetsALimitCount, also beyond it; none is stopped for it.
func TestCopiesOfAJobThatGetsALimitCount(t *testing.T) {
	l := limitedLab(t, keepJob("before", 3))
	l.after(3 * time.Second)
	job := keepJob("before", 3)
	job.Limit = &mesh.SharedLimit{Key: "storage", Max: 2}
	l.ask(l.nodes[1], Submit{Job: job})
	l.ask(l.nodes[2], Submit{Job: limited("after", 1, 3)})
	l.after(5 * time.Second)
	if n := len(l.nodes[0].core.View().Permits); n != 3 || l.total() != 3 {
		t.Errorf("%d permits, and %v run: want the 3 that ran\n%s", n, l.running(), l.events())
	}
	job.Limit = &mesh.SharedLimit{Key: "other", Max: 9}
	l.ask(l.nodes[1], Submit{Job: job})
	if _, ok := l.until(5*time.Second, func() bool { return l.total() == 4 }); !ok {
		t.Errorf("%v run, want that which has waited too: the others count elsewhere now\n%s", l.running(), l.events())
	}
	l.ask(l.nodes[0], Act{Job: "before", Verb: mesh.VerbStop})
	if _, ok := l.until(5*time.Second, func() bool { return l.total() == 1 }); !ok {
		t.Errorf("%v run, want that alone\n%s", l.running(), l.events())
	}
}
