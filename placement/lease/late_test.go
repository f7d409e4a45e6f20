package lease

import (
	"testing"
	"time"

	"mn/mesh"
)

// TestLateCarryLeavesWhatWasPromisedSince: a slot is carried over into a new
// epoch, changes hands there, and then a voter restarts that has granted it to
// its new holder. The news of the epoch reaches it once more, with a carry that
// names the old one.
func TestLateCarryLeavesWhatWasPromisedSince(t *testing.T) {
	w := newWorld(1, 3)
	w.cfg.Yield = 0
	w.net.steady = true
	w.slots = []mesh.Slot{7}
	w.found(t)
	w.bid(0, 7)
	for w.nodes[1].party.roster.Epoch != 2 {
		w.run(time.Millisecond)
	}
	w.run(100 * time.Millisecond)
	old, voter, holder := w.nodes[0], w.nodes[1], w.nodes[2]
	news := old.party.spread.msg
	if news.Chain == nil || news.Chain.Carry.Of[7] == 0 {
		t.Fatalf("the news of epoch 2 is %v, want a carry with slot 7", news)
	}
	news.Epoch, news.View, news.Run = old.party.roster.Epoch, old.party.view, old.party.run
	w.bid(0)
	w.run(10 * time.Millisecond)
	w.split(1) // the old holder has no part in the next grant
	w.bid(2, 7)
	w.run(10 * time.Millisecond)
	if w.holder(7) != holder || voter.party.voter.open {
		t.Fatal("want the slot held by another before the epoch is old")
	}
	w.split(0)
	voter.stop()
	voter.start(t)
	voter.step(Received{old.id, news})
	if got := voter.party.voter.grant[7].holder; got != holder.id {
		t.Errorf("the voter has the slot granted to %q, want %q, who holds it", got, holder.id)
	}
	w.bid(0, 7)
	w.run(time.Second)
	if len(w.broken) > 0 {
		t.Error(w.broken)
	}
}

// TestAnswersToAnEarlierLifeCountForNothing: after a reboot the clock of a
// bidder comes to show the time again at which its former life asked. An answer
// to that is not one to its own question, though ballot and time are the same.
func TestAnswersToAnEarlierLifeCountForNothing(t *testing.T) {
	w := trio(t)
	bidder, voter := w.nodes[0], w.nodes[1]
	bidder.stop()
	bidder.start(t)
	bidder.step(Bid{SlotsOf(3)}) // its own voter promises and, once two have, grants
	p := bidder.party
	answer := func(life uint64, m Message) {
		m.Epoch, m.View, m.Run = p.roster.Epoch, p.view, voter.party.run
		if m.Promise != nil {
			m.Promise.Run = life
		} else {
			m.Accept.Run = life
		}
		p.Step(bidder.local(), Received{voter.id, m})
	}
	for _, life := range []uint64{p.run.Nonce - 1, p.run.Nonce} {
		answer(life, Message{Promise: &promise{Ballot: 1, Slots: SlotsOf(3)}})
		if got, want := p.bidder.claims[3].try.proposed, life == p.run.Nonce; got != want {
			t.Fatalf("proposed after a promise to life %d: %v, want %v", life, got, want)
		}
	}
	for _, life := range []uint64{p.run.Nonce - 1, p.run.Nonce} {
		answer(life, Message{Accept: &accept{Sent: p.now, Groups: []group{{1, SlotsOf(3)}}}})
		if _, got := p.Held(bidder.local(), 3); got != (life == p.run.Nonce) {
			t.Fatalf("held after a grant to life %d: %v, want %v", life, got, life == p.run.Nonce)
		}
	}
}
