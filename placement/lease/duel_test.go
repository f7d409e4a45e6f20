package lease

import (
	"testing"
	"time"

	"mn/crdt"
	"mn/mesh"
)

// TestBiddersThatShareTheVotersDoNotWaitForEver: each of two bidders has promises
// of itself and of a third voter, which dies then. So each is granted the slot
// by itself alone, and is refused by the other.
func TestBiddersThatShareTheVotersDoNotWaitForEver(t *testing.T) {
	w := trio(t)
	w.slots = []mesh.Slot{7}
	w.net.steady = true
	for _, i := range []int{0, 1} {
		w.split(1 << (1 - i)) // from the other
		w.nodes[i].party.bidder.claims[7].top = uint64(i)
		w.bid(i, 7)
		w.run(5 * w.net.delay / 2) // the third has promised
		for to := range w.nodes {  // and is not heard to grant
			w.net.cut[[2]int{i, to}] = true
		}
		w.run(w.net.delay)
	}
	w.nodes[2].stop()
	w.split(0)
	w.members()
	for _, n := range w.nodes[:2] {
		if !n.party.bidder.claims[7].try.proposed {
			t.Fatalf("%s does not propose", n.name())
		}
	}
	for end := w.now + 20*time.Second; w.holder(7) == nil && w.now < end; {
		w.run(10 * time.Millisecond)
	}
	if w.holder(7) == nil {
		t.Error("nobody holds the slot though two of three voters are there")
	}
}

// TestWhatIsHeldIsNotReleasedWithAProposal: a voter keeps one grant for a slot. The
// proposal that a holder gives up has taken the place of what it holds.
func TestWhatIsHeldIsNotReleasedWithAProposal(t *testing.T) {
	w := trio(t)
	n := w.nodes[1]
	w.bid(1, 7)
	w.run(100 * time.Millisecond)
	c := &n.party.bidder.claims[7]
	c.try = attempt{ballot: 9, proposed: true, tries: proposalsMax, acks: noAcks()}
	out := n.party.Step(n.local(), Tick{})
	for _, e := range out.Send {
		if e.Msg.Release != nil {
			t.Errorf("%v is sent", e.Msg)
		}
	}
	if c.try.ballot == 9 || c.held.IsZero() {
		t.Errorf("it still proposes: %v, and holds: %v", c.try.ballot == 9, !c.held.IsZero())
	}
	c.held, c.wanted, c.try = crdt.Fence{}, true, attempt{ballot: 9, proposed: true, tries: proposalsMax}
	released := false
	for _, e := range n.party.Step(n.local(), Tick{}).Send {
		released = released || e.Msg.Release != nil
	}
	if !released {
		t.Error("a proposal of one that holds nothing is given up and not released")
	}
}
