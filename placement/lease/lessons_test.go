package lease

import (
	"maps"
	"slices"
	"testing"
	"time"

	"mn/mesh"
)

// young is a world whose second roster has just been chosen: its new voters have
// not learned what was decided before, for their agents do nothing about it.
func young(t *testing.T) (w *world, old, newer *node) {
	t.Helper()
	w = newWorld(7, 3)
	w.deaf = true
	w.found(t)
	w.run(10 * time.Second)
	for _, n := range w.nodes {
		r := n.party.Roster()
		if r.Epoch != 2 || len(r.Voters) != 3 {
			t.Fatalf("the roster is %v, want three voters in epoch 2", r)
		}
		if n.party.voter.knew {
			t.Fatalf("%s knows already", n.member.Name)
		}
		if n.joined && n.party.chain[0].Seat(n.id) >= 0 {
			old = n
		} else {
			newer = n
		}
	}
	return w, old, newer
}

func TestVoterGrantsNothingBeforeItKnowsWhatWasDecided(t *testing.T) {
	w, old, newer := young(t)
	w.bid(old.at, 3)
	w.run(20 * time.Second)
	if h := w.holder(3); h != nil {
		t.Fatalf("%s holds a slot, and no voter knows what was decided before", h.member.Name)
	}
	l := newer.party.Lesson()
	if l.Epoch != 2 || l.Quorum != 1 || !slices.Equal(l.From, []mesh.NodeID{old.id}) || l.Again {
		t.Fatalf("the lesson is %+v, want one of the voter before", l)
	}
	if s := old.party.Standing(); !l.Counts(s) || s.Knows != 0 || s.Past != 1 {
		t.Errorf("the voter before stands for %+v: it keeps nothing of epoch 1 any more", s)
	}
	for _, n := range w.nodes {
		n.step(Informed{2})
	}
	w.run(time.Second)
	if w.holder(3) != old {
		t.Errorf("the holder is %v, want %s", w.holder(3), old.member.Name)
	}
	if !newer.party.Keeps(2) || newer.party.Keeps(1) || newer.party.Keeps(3) {
		t.Error("it keeps decisions of its own epoch and no other")
	}
	newer.stop()
	newer.start(t)
	if l := newer.party.Lesson(); l.Epoch != 0 {
		t.Errorf("after a restart it wants to learn again: %+v", l)
	}
}

// TestVoterLearnsFromOneBesideIt where those before are gone for good. Found by the
// simulator, every-node 70269: two of three were evicted while a new one was cut off,
// and it has never been of use again.
func TestVoterLearnsFromOneBesideIt(t *testing.T) {
	w, old, newer := young(t)
	var last *node
	for _, n := range w.nodes {
		if n != old && n != newer {
			last = n
		}
	}
	old.stop()
	w.deaf = false
	last.learn()
	w.run(5 * time.Second)
	if last.party.voter.knows {
		t.Fatal("it knows, and nobody could teach it")
	}
	newer.step(Informed{2})
	w.run(5 * time.Second)
	if !last.party.voter.knows {
		t.Errorf("it has learned nothing from one that knows; its lesson is %+v", last.party.Lesson())
	}
}

// A voter that has sealed its epoch keeps no decision of it: whoever votes in the
// next has perhaps read it already.
func TestSealedVoterKeepsNothing(t *testing.T) {
	w := trio(t)
	p := w.nodes[0].party
	if !p.Keeps(p.roster.Epoch) {
		t.Fatal("a voter keeps nothing")
	}
	past := Lesson{Epoch: p.roster.Epoch + 1}
	if past.Counts(p.Standing()) {
		t.Error("what it says now counts for the epoch to come")
	}
	p.voter.sealed = true
	if p.Keeps(p.roster.Epoch) || !past.Counts(p.Standing()) {
		t.Errorf("sealed, it keeps %v, and teaches %v", p.Keeps(p.roster.Epoch), past.Counts(p.Standing()))
	}
}

func TestVoterThatForgotIsTaughtByTheOthers(t *testing.T) {
	w := trio(t)
	n := w.nodes[1]
	n.step(Forgot{})
	l := n.party.Lesson()
	others := []mesh.NodeID{w.nodes[0].id, w.nodes[2].id}
	if !l.Again || l.Quorum != 2 || !slices.Equal(l.From, others) {
		t.Fatalf("the lesson is %+v, want two of %v", l, others)
	}
	if s := n.party.Standing(); s != (Standing{}) || n.party.Keeps(n.party.roster.Epoch) {
		t.Errorf("it stands for %+v", s)
	}
	n.stop()
	n.start(t)
	if !n.party.Forgot() {
		t.Error("it has forgotten that it forgot")
	}
	w.nodes[0].stop() // now its vote would be needed
	w.members()
	w.bid(2, 3)
	w.run(10 * time.Second)
	if w.holder(3) != nil {
		t.Error("a voter that forgot was counted")
	}
	n.step(Informed{n.party.roster.Epoch})
	w.run(10 * time.Second)
	if w.holder(3) != w.nodes[2] || n.party.Forgot() {
		t.Error("a voter that was taught again is not counted")
	}
}

func TestLoneVoterHasNobodyToLearnFrom(t *testing.T) {
	w := newWorld(7, 1)
	w.found(t)
	n := w.nodes[0]
	n.step(Forgot{})
	n.step(Bid{SlotsOf(3)})
	w.run(time.Second)
	if w.holder(3) != n {
		t.Error("a lone voter waits for somebody who knows more")
	}
}

// A disk that goes back to before a promise is found out by whoever has got it,
// though the node was not started in between.
func TestDiskRestoredToBeforeAPromiseIsBarred(t *testing.T) {
	w := trio(t)
	n := w.nodes[1]
	before := maps.Clone(n.disk)
	w.bid(0, 3)
	w.run(time.Second)
	if w.holder(3) != w.nodes[0] {
		t.Fatal("nothing was promised")
	}
	n.stop()
	n.disk = before
	n.start(t)
	w.members()
	w.run(time.Second)
	if n.party.Barred() == "" {
		t.Error("the node has forgotten a promise, and nobody notices")
	}
	if w.holder(3) != w.nodes[0] || w.nodes[2].party.Barred() != "" {
		t.Error("the others suffer")
	}
}

// It does not matter how much it promises until it is heard.
func TestRunFollowsOnlyOneWhosePromisesItKnows(t *testing.T) {
	known := run{Count: 3, Nonce: 30, Made: 7}
	for _, c := range []struct {
		r    run
		want bool
	}{
		{run{Count: 4, Nonce: 40, WasNonce: 30, WasMade: 7}, true},
		{run{Count: 4, Nonce: 40, WasNonce: 30, WasMade: 9}, true},            // not all of it was heard
		{run{Count: 4, Nonce: 41, WasNonce: 30, WasMade: 6, Made: 99}, false}, // a backup of that run
		{run{Count: 3, Nonce: 31, WasNonce: 20, WasMade: 5}, false},           // of the one before it
		{run{Count: 2, Nonce: 20}, false},                                     // a late message of that
		{run{Count: 6, Nonce: 60, WasNonce: 50, WasMade: 1}, true},            // others were not heard of
	} {
		if got := c.r.follows(known); got != c.want {
			t.Errorf("%+v follows %+v: %v, want %v", c.r, known, got, c.want)
		}
	}
}

func TestWhatAVoterKeepsCountsLikeAPromise(t *testing.T) {
	w := trio(t)
	p := w.nodes[1].party
	count := p.run.Made
	for range 2 {
		out := p.Step(p.now, Promised{})
		count++
		if p.run.Made != count || len(out.Facts) != 1 || out.Facts[0].Key != keyRun {
			t.Errorf("the count is %d with facts %v, want %d and kept", p.run.Made, out.Facts, count)
		}
	}
}

// Whoever asks a voter that learns nothing asks soon at first, and not for ever so.
func TestVoterThatCannotLearnIsAskedSeldom(t *testing.T) {
	w, old, newer := young(t)
	w.bid(old.at, 3)
	w.run(time.Second)
	soon := newer.party.lessonWait()
	w.run(20 * time.Second)
	w.seen = counters{}
	w.run(10 * time.Second)
	if late := newer.party.lessonWait(); late < soon || late != newer.party.renewTime() {
		t.Errorf("wait for %v, and %v later: want it to grow to %v", soon, late, newer.party.renewTime())
	}
	if perSecond := w.seen.messages / 10; perSecond > 12 {
		t.Errorf("%d messages a second about one slot that nobody gets", perSecond)
	}
}
