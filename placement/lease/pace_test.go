package lease

import (
	"slices"
	"testing"
	"time"

	"mn/mesh"
)

// drifting is a trio in which some clocks run faster or slower than true time.
func drifting(t *testing.T, skews ...float64) *world {
	t.Helper()
	w := trio(t)
	for i, skew := range skews {
		n := w.nodes[i]
		n.offset += time.Duration(float64(w.now) * (n.skew - skew)) // it shows the same now
		n.skew = skew
		if n.party != nil {
			n.step(Tick{})
		}
	}
	for i := range w.nodes {
		w.bid(i, mesh.Slot(i))
	}
	w.run(30 * time.Second)
	return w
}

// gaits is what node i thinks of the others' clocks.
func (w *world) gaits(i int) (list []gait) {
	for _, c := range w.nodes[i].party.paces[:3] {
		list = append(list, c.is)
	}
	return list
}

func TestClocksWithinTheBoundAreFair(t *testing.T) {
	w := drifting(t, 0.000999, -0.000999, 0)
	for i, n := range w.nodes {
		for seat, g := range w.gaits(i) {
			if g != fair {
				t.Errorf("%s takes the clock of seat %d for %d", n.member.Name, seat, g)
			}
		}
		if w.holder(mesh.Slot(i)) != n {
			t.Errorf("%s does not hold its slot", n.member.Name)
		}
	}
}

func TestVoterWithAFastClockIsNotCountedAndGrantsNothing(t *testing.T) {
	w := drifting(t, 0.01, 0, 0)
	for i := 1; i < 3; i++ {
		if got := w.nodes[i].party.paces[0].is; got != fast {
			t.Errorf("node %d takes the fast clock for %d", i, got)
		}
		if w.holder(mesh.Slot(i)) != w.nodes[i] {
			t.Errorf("node %d does not hold its slot, with two good voters", i)
		}
	}
	if !w.nodes[0].party.hasty() {
		t.Error("the voter does not find out that it is fast")
	}
	w.nodes[2].stop() // now only the fast voter could make a majority
	w.members()
	w.run(10 * time.Second)
	if h := w.holder(1); h != nil {
		t.Errorf("%s holds a slot with a voter whose clock is too fast", h.member.Name)
	}
}

func TestHolderWithASlowClockHoldsNothing(t *testing.T) {
	w := drifting(t, -0.01, 0, 0)
	if h := w.holder(0); h == w.nodes[0] {
		t.Error("a node whose clock is too slow holds a slot for too long")
	}
	for i := 1; i < 3; i++ {
		if w.holder(mesh.Slot(i)) != w.nodes[i] || w.nodes[i].party.hasty() {
			t.Errorf("node %d holds nothing, though its clock is good", i)
		}
	}
}

// Answers that come late say less, and never something wrong.
func TestLateAnswersAccuseNobody(t *testing.T) {
	w := trio(t)
	w.net.delay = 300 * time.Millisecond
	for i := range w.nodes {
		w.bid(i, mesh.Slot(i))
	}
	w.run(2 * time.Minute)
	for i, n := range w.nodes {
		for seat, g := range w.gaits(i) {
			if g != fair {
				t.Errorf("%s takes the clock of seat %d for %d", n.member.Name, seat, g)
			}
		}
	}
}

func TestClockThatIsMendedCountsAgain(t *testing.T) {
	w := drifting(t, 0.01, 0, 0)
	n := w.nodes[0]
	n.offset += time.Duration(float64(w.now) * n.skew)
	n.skew = 0
	w.run(2 * paceSpan)
	if got := w.nodes[1].party.paces[0].is; got != fair || w.holder(0) != n {
		t.Errorf("a clock that is good again is taken for %d", got)
	}
}

// TestClockThatStoodStill, as that of a virtual machine that was stopped: the node finds all
// others too fast, holds nothing, and compares on until that is over.
func TestClockThatStoodStill(t *testing.T) {
	for _, delay := range []time.Duration{0, 60 * time.Millisecond} {
		stoodStill(t, delay)
	}
}

func stoodStill(t *testing.T, delay time.Duration) {
	w := drifting(t)
	w.net.delay, w.net.steady = max(w.net.delay, delay), true
	n := w.nodes[0]
	for i := range w.nodes {
		w.bid(i, mesh.Slot(i))
	}
	w.run(time.Minute)
	w.now += 20 * time.Second
	n.offset -= 20 * time.Second
	outpaced := false
	for range 600 {
		w.run(100 * time.Millisecond)
		outpaced = outpaced || n.party.Outpaced()
	}
	if !outpaced {
		t.Error("it does not notice")
	}
	w.run(2*paceSpan + 3000*delay)
	if n.party.Outpaced() || w.holder(0) != n {
		t.Errorf("with messages that take %v a clock that goes again is still not trusted: %v", delay, w.gaits(0))
	}
}

// What a bidder asked before its machine started again has times of another clock:
// an answer to it accuses nobody.
func TestAnswersToAnEarlierLifeMeasureNoClock(t *testing.T) {
	w := trio(t)
	p := w.nodes[0].party
	p.paces = [VotersMax]pace{}
	p.onAccept(1, 7, &accept{Run: p.run.Nonce + 1, Sent: p.now + time.Hour, Clock: time.Hour})
	p.onAccept(1, 7, &accept{Run: p.run.Nonce, Sent: p.now + time.Hour, Clock: time.Hour})
	if got := p.paces[1]; got != (pace{}) {
		t.Errorf("measured %+v", got)
	}
}

// TestPaceStaysWithItsVoter, also if a node hears of two changes of the roster at once.
func TestPaceStaysWithItsVoter(t *testing.T) {
	w := newWorld(1, 5)
	w.found(t)
	w.run(10 * time.Second)
	p := w.nodes[4].party
	voters := slices.Clone(p.roster.Voters)
	if len(voters) != 5 || len(p.pacesOf) != 5 {
		t.Fatalf("the voters are %v, with paces of %d", voters, len(p.pacesOf))
	}
	p.paces[3].is = fast
	for _, now := range [][]Voter{voters[1:4], voters[2:5]} {
		p.append(Roster{Epoch: p.roster.Epoch + 1, Voters: now, Length: time.Second})
	}
	p.rebid()
	for seat, v := range p.roster.Voters {
		if is := p.paces[seat].is == fast; is != (v.ID == voters[3].ID) {
			t.Errorf("voter %d of those before is too fast: %v", seat+2, is)
		}
	}
}
