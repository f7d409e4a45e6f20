package lease

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"mn/crdt"
	"mn/mesh"
)

// trio is a settled mesh of three voters.
func trio(t *testing.T) *world {
	t.Helper()
	w := newWorld(7, 3)
	w.found(t)
	w.run(10 * time.Second)
	if n := len(w.nodes[0].party.Roster().Voters); n != 3 {
		t.Fatalf("there are %d voters, want 3", n)
	}
	w.seen = counters{}
	return w
}

func TestMessagesAreSmall(t *testing.T) {
	w := trio(t)
	w.nodes[1].step(Bid{AllSlots()})
	w.run(100 * time.Millisecond)
	t.Logf("bid for all slots: %d messages, %d bytes, largest %d",
		w.seen.messages, w.seen.bytes, w.seen.bytesMax)
	if w.seen.taken != 1 || w.seen.bytesMax > 4096 {
		t.Errorf("%d grants, largest message %d bytes, want 1 and at most 4096",
			w.seen.taken, w.seen.bytesMax)
	}
	w.seen = counters{}
	disk := len(w.nodes[0].disk[keyPromise])
	w.run(10 * time.Second)
	perVoter := w.seen.bytes / 10 / 2
	t.Logf("renewal: %d bytes a second with each other voter, both ways", perVoter)
	if perVoter > 400 {
		t.Errorf("renewal takes %d bytes a second for each voter, want at most 200 each way", perVoter)
	}
	if got := len(w.nodes[0].disk[keyPromise]); got != disk {
		t.Errorf("promises on disk went from %d to %d bytes in renewals", disk, got)
	}
}

func TestRenewalsWriteNothing(t *testing.T) {
	w := trio(t)
	w.bid(1, 3)
	w.run(time.Second)
	before := w.seen.taken
	p := w.nodes[1].party
	for range 100 {
		w.now += 100 * time.Millisecond
		out := p.Step(w.nodes[1].local(), Tick{})
		if len(out.Facts) > 0 {
			t.Fatalf("a renewal keeps %q", out.Facts[0].Key)
		}
		w.nodes[1].perform(out)
		w.run(10 * time.Millisecond)
	}
	if w.seen.taken != before {
		t.Errorf("the slot was taken %d times more", w.seen.taken-before)
	}
}

func TestManyBallotsBecomeOne(t *testing.T) {
	w := trio(t)
	for i := range 6 {
		slots := make([]mesh.Slot, i+1)
		for j := range slots {
			slots[j] = mesh.Slot(j)
		}
		w.bid(1, slots...)
		// Another ballot for each: as if others had held the slot before.
		w.nodes[1].party.bidder.claims[i].top = uint64(10 * i)
		w.run(50 * time.Millisecond)
	}
	w.run(3 * time.Second)
	fences := map[crdt.Fence]bool{}
	for i := range 6 {
		f, held := w.nodes[1].party.Held(w.nodes[1].local(), mesh.Slot(i))
		if !held {
			t.Fatalf("slot %d is not held", i)
		}
		fences[f] = true
	}
	if len(fences) > groupsFew {
		t.Errorf("slots are held under %d fences, want at most %d", len(fences), groupsFew)
	}
}

func TestRestoredDiskIsBarred(t *testing.T) {
	w := trio(t)
	n := w.nodes[1]
	backup := map[string][]byte{}
	for k, v := range n.disk {
		backup[k] = v
	}
	n.stop()
	n.start(t)
	w.members()
	w.run(5 * time.Second)
	n.stop()
	n.disk = backup
	n.start(t)
	w.members()
	w.run(15 * time.Second)
	if n.party.barred == "" {
		t.Fatal("a node with a restored disk takes part as if nothing had happened")
	}
	n.stop()
	n.start(t)
	w.members()
	w.bid(1, 9)
	w.run(5 * time.Second)
	if w.holder(9) != nil || n.party.barred == "" {
		t.Error("a barred node is back after a restart")
	}
	if w.nodes[0].party.barred != "" || w.nodes[2].party.barred != "" {
		t.Error("the others were barred too")
	}
}

func TestLateMessageOfAnEarlierRunBarsNobody(t *testing.T) {
	w := trio(t)
	a, b := w.nodes[0], w.nodes[1]
	old := Message{Epoch: b.party.roster.Epoch, View: b.party.view, Run: b.party.run}
	b.stop()
	b.start(t)
	w.members()
	b.step(Bid{SlotsOf(3)})
	w.run(2 * time.Second)
	a.step(Received{b.id, old})
	w.run(2 * time.Second)
	if b.party.barred != "" || w.holder(3) != b {
		t.Errorf("barred: %q, holder of slot 3: %v", b.party.barred, w.holder(3))
	}
}

// TestFewGreetWhoComes: of a large mesh that comes into sight, each node is told
// the roster by a few, and tells a few.
func TestFewGreetWhoComes(t *testing.T) {
	w := newWorld(7, 400)
	first := w.nodes[0]
	first.start(t)
	if _, err := first.party.Bootstrap(first.local()); err != nil {
		t.Fatal(err)
	}
	var m Members
	for _, n := range w.nodes {
		m.Admitted, m.Alive = append(m.Admitted, n.member), append(m.Alive, n.id)
	}
	slices.Sort(m.Alive)
	if got := len(first.party.Step(first.local(), m).Send); got < greetMax/4 || got > 3*greetMax {
		t.Errorf("%d nodes are told the roster, want about %d", got, greetMax)
	}
}

func TestStrangersAreRefusedOnce(t *testing.T) {
	w := trio(t)
	refused := 0
	w.nodes[0].step(Tick{})
	for range 100 {
		m := Message{Epoch: 2, Run: run{Count: 1}, Prepare: &prepare{1, AllSlots()}}
		out := w.nodes[0].party.Step(w.nodes[0].local(), Received{"stranger", m})
		if len(out.Send) > 0 || len(out.Facts) > 0 {
			t.Fatalf("a stranger got %v", out)
		}
		refused += len(out.Changes)
	}
	if refused != 1 {
		t.Errorf("refusals were told %d times, want once", refused)
	}
}

func TestMessagesOutOfBoundsChangeNothing(t *testing.T) {
	many := make([]group, groupsMax+1)
	for i := range many {
		many[i].Ballot = 1
	}
	tests := []struct {
		name string
		m    Message
	}{
		{"ballot 0", Message{Prepare: &prepare{Slots: AllSlots()}}},
		{"ballot at the end", Message{Prepare: &prepare{1<<64 - 1, AllSlots()}}},
		{"ballot far above", Message{Prepare: &prepare{ballotMax, AllSlots()}}},
		{"proposal far above", Message{Propose: &propose{Groups: []group{{ballotMax, AllSlots()}}}}},
		{"many groups", Message{Propose: &propose{Groups: many}}},
		{"epoch at the end", Message{Epoch: 1<<64 - 1, Prepare: &prepare{1, AllSlots()}}},
		{"many rosters", Message{Chain: &chain{Entries: make([]Roster, entriesMax+1)}}},
		{"empty roster", Message{Chain: &chain{Entries: make([]Roster, 1)}}},
		{"carry of no size", Message{Vote: &vote{Carry: &carry{}}}},
		{"carry of nobody", Message{Chain: &chain{Carry: &carry{Of: slices.Repeat([]uint16{9}, 256)}}}},
		{"seek at the end", Message{Seek: &seek{1<<64 - 1}}},
		{"elect nothing", Message{Elect: &elect{Ballot: 1 << 40}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := trio(t)
			from, to := w.nodes[0].party, w.nodes[1]
			m := tt.m
			m.View, m.Run = from.view, from.run
			if m.Epoch == 0 {
				m.Epoch = from.roster.Epoch
			}
			out := to.party.Step(to.local(), Received{w.nodes[0].id, m})
			for _, f := range out.Facts {
				t.Errorf("it was kept: %q", f.Key)
			}
			if to.party.voter.ballot != [mesh.Slots]uint64{} || to.party.roster.Epoch != 2 {
				t.Error("it was believed")
			}
		})
	}
}

func TestForcedTwiceTheGreaterStands(t *testing.T) {
	w := trio(t)
	w.split(1)
	w.members()
	for _, i := range []int{0, 1} {
		n := w.nodes[i]
		out, err := n.party.Force(n.local(), "it is gone")
		if err != nil {
			t.Fatal(err)
		}
		n.perform(out)
	}
	w.run(5 * time.Second)
	w.split(0)
	w.members()
	w.run(30 * time.Second)
	for _, n := range w.nodes[1:] {
		if n.party.view != w.nodes[0].party.view {
			t.Errorf("%s stands by %v, the first by %v", n.name(), n.party.roster,
				w.nodes[0].party.roster)
		}
	}
}

// TestForcedTwiceAndGrownIsOneInTheEnd: on one side others have become voters since.
func TestForcedTwiceAndGrownIsOneInTheEnd(t *testing.T) {
	for seed := range uint64(4) {
		w := newWorld(seed, 6)
		w.found(t)
		w.run(10 * time.Second)
		for i := range w.nodes {
			for _, o := range w.nodes {
				if (i <= int(seed)) != (o.at <= int(seed)) {
					w.apart(w.nodes[i], o)
				}
			}
		}
		w.members()
		for _, n := range []*node{w.nodes[0], w.nodes[5]} {
			out, err := n.party.Force(n.local(), "they are gone")
			if err != nil {
				t.Fatal(err)
			}
			n.perform(out)
		}
		w.run(time.Minute)
		w.split(0)
		w.members()
		w.run(time.Minute)
		for _, n := range w.nodes[1:] {
			if n.party.view != w.nodes[0].party.view {
				t.Errorf("seed %d: %s stands by %v, the first by %v", seed, n.name(), n.party.roster, w.nodes[0].party.roster)
			}
		}
	}
}

func TestAdoptNeedsMemoryOfAVoter(t *testing.T) {
	w := trio(t)
	n := w.nodes[1]
	p, err := New(n.id, n.key, w.cfg, nil, rand.New(rand.NewPCG(1, 1)), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Adopt(0, w.nodes[0].party.Chain()); err == nil ||
		!strings.Contains(err.Error(), "no memory") {
		t.Errorf("adopt is %v, want a refusal: it votes and has no memory", err)
	}
}

func TestFactsThatCannotBeReadAreNamed(t *testing.T) {
	w := trio(t)
	n := w.nodes[1]
	for _, key := range []string{keyRun, keySeen, keyPromise, keyBallot, keyOpen, keyRoster + "x"} {
		facts := []Fact{{key, []byte{0xff, 1, 2}}}
		_, err := New(n.id, n.key, w.cfg, facts, rand.New(rand.NewPCG(1, 1)), 0)
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("fact %q that cannot be read: %v", key, err)
		}
	}
}

func TestConfigNamesEveryFault(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Fatalf("the default is faulty: %v", err)
	}
	c := Config{Length: time.Hour, Renew: time.Hour, Rate: 2, Yield: -1, Settle: -1, Replace: 1}
	err := c.Validate()
	for _, name := range []string{"length", "renew", "retry", "rate", "yield", "settle", "replace"} {
		if err == nil || !strings.Contains(err.Error(), name+":") {
			t.Errorf("%q is not named in: %v", name, err)
		}
	}
}

func TestMajorityCountsTheDead(t *testing.T) {
	w := trio(t)
	p := w.nodes[0].party
	two := func(id mesh.NodeID) bool { return id != w.nodes[1].id }
	one := func(id mesh.NodeID) bool { return id == w.nodes[0].id }
	if !p.Majority(two) || p.Majority(one) {
		t.Errorf("two of three: %v, one of three: %v", p.Majority(two), p.Majority(one))
	}
}

func TestCoordinatorIsKnownWhereItCanBe(t *testing.T) {
	w := trio(t)
	w.bid(1, 3)
	w.run(time.Second)
	for _, n := range w.nodes {
		if got := n.party.Coordinator(n.local(), 3); got != w.nodes[1].id {
			t.Errorf("%s thinks that %q coordinates slot 3", n.name(), got)
		}
	}
}

func TestSlotSet(t *testing.T) {
	s := SlotsOf(0, 1, 2, 7, 254, 255)
	if got := s.String(); got != "0-2,7,254-255" {
		t.Errorf("set is %q", got)
	}
	s.Remove(1)
	if s.Len() != 5 || s.Has(1) || !s.Has(255) || s.Empty() {
		t.Errorf("after a removal the set is %v", s)
	}
	if got := slices.Collect(s.All()); !slices.Equal(got, []mesh.Slot{0, 2, 7, 254, 255}) {
		t.Errorf("the slots are %v", got)
	}
	if got := s.Without(SlotsOf(2, 3, 254)).String(); got != "0,7,255" {
		t.Errorf("without 2, 3 and 254 the set is %q", got)
	}
	if AllSlots().Len() != mesh.Slots {
		t.Errorf("all slots are %d", AllSlots().Len())
	}
	raw, err := crdt.Encode(s)
	var back SlotSet
	if err != nil || len(raw) != 34 || crdt.Decode(raw, &back) != nil || back != s {
		t.Errorf("on the wire: %x, %v, %v", raw, err, back)
	}
}

func TestOwnLaterBidIsNoCompetition(t *testing.T) {
	w := trio(t)
	holder, voter := w.nodes[1], w.nodes[0]
	say := func(m Message) accept {
		m.Epoch, m.View, m.Run = holder.party.roster.Epoch, holder.party.view, holder.party.run
		out := voter.party.Step(voter.local(), Received{holder.id, m})
		for _, e := range out.Send {
			if e.Msg.Accept != nil {
				return *e.Msg.Accept
			}
		}
		return accept{}
	}
	slot := SlotsOf(3)
	if got := say(Message{Propose: &propose{Groups: []group{{1, slot}}}}); len(got.Groups) != 1 {
		t.Fatalf("a free slot is not granted: %+v", got)
	}
	say(Message{Prepare: &prepare{9, slot}})
	got := say(Message{Propose: &propose{Groups: []group{{1, slot}}}})
	if len(got.Groups) != 0 || got.Higher != nil {
		t.Errorf("a renewal below one's own bid got %+v, want neither grant nor rival", got)
	}
}

// TestWhatBecomesOfASlotIsToldInOrder, however it is put together with what becomes of
// others: a slot that is lost and taken again within one step is held.
func TestWhatBecomesOfASlotIsToldInOrder(t *testing.T) {
	early, late := crdt.Fence{Epoch: 4, Ballot: 2}, crdt.Fence{Epoch: 4, Ballot: 3}
	now := crdt.Fence{Epoch: 5, Ballot: 1}
	p := &Party{}
	p.change(Expired, late, 1)
	p.change(Taken, now, 1)
	p.change(Expired, late, 2)
	p.change(Taken, now, 2)
	p.change(Expired, early, 3)
	p.change(Taken, now, 3)
	p.change(Taken, now, 4)
	last := map[mesh.Slot]ChangeKind{}
	for _, c := range p.out.Changes {
		for slot := range c.Slots.All() {
			last[slot] = c.Kind
		}
	}
	for slot := mesh.Slot(1); slot <= 4; slot++ {
		if last[slot] != Taken {
			t.Errorf("slot %d: told last that it was %v, want taken", slot, last[slot])
		}
	}
	if n := len(p.out.Changes); n > 5 {
		t.Errorf("%d changes, want few for many slots", n)
	}
}
