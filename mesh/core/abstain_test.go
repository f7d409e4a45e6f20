package core

import (
	"slices"
	"testing"
	"time"

	"mn/mesh"
	"mn/placement"
)

// holders is how many slots each host holds.
func (l *lab) holders() map[string]int {
	held := map[string]int{}
	for _, h := range l.nodes {
		for s := range mesh.Slots {
			if h.core == nil {
				continue
			}
			if _, ok := h.core.party.Held(l.now, mesh.Slot(s)); ok {
				held[h.name]++
			}
		}
	}
	return held
}

// whole says whether every slot is held, by these hosts alone.
func (l *lab) whole(by []*host) bool {
	sum := 0
	for _, h := range by {
		sum += l.holders()[h.name]
	}
	return sum == mesh.Slots
}

// settledFive is a mesh of five with all leases where they belong.
func settledFive(t *testing.T) *lab {
	t.Helper()
	l := newLab(t, 5)
	if _, ok := l.until(time.Minute, func() bool {
		return len(l.nodes[0].core.Roster().Voters) == 5 && l.whole(l.nodes) && len(l.holders()) == 5
	}); !ok {
		t.Fatalf("held are %v\n%s", l.holders(), l.events())
	}
	l.after(10 * time.Second)
	return l
}

// detour cuts a host's messages from and to all but one, of which gossip sees
// nothing: it goes round by that one.
func (l *lab) detour(h, friend *host) {
	l.cut = func(a, b mesh.NodeID) bool {
		return a == h.self.ID && b != friend.self.ID || b == h.self.ID && a != friend.self.ID
	}
}

// TestOthersLeadWhereOneReachesNoMajority: gossip calls it alive, so it ranks
// first for its slots, and nobody else would ask for them.
func TestOthersLeadWhereOneReachesNoMajority(t *testing.T) {
	l := settledFive(t)
	x, others := l.nodes[0], l.nodes[1:]
	its := l.holders()[x.name]
	if its == 0 {
		t.Fatalf("%s holds nothing: %v", x.name, l.holders())
	}
	l.detour(x, l.nodes[1])
	took, ok := l.until(20*time.Second, func() bool { return l.whole(others) })
	if !ok || took > 5*time.Second {
		t.Fatalf("the others hold %v after %v, want all slots within a lease and a little\n%s", l.holders(), took, l.events())
	}
	if !x.core.Abstains() {
		t.Error("it does not say so")
	}
	l.after(20 * time.Second)
	if !l.whole(others) || !x.core.Abstains() {
		t.Errorf("it did not last: %v, abstains %v\n%s", l.holders(), x.core.Abstains(), l.events())
	}
	l.cut = func(a, b mesh.NodeID) bool { return false }
	if took, ok := l.until(30*time.Second, func() bool { return l.holders()[x.name] == its && l.whole(l.nodes) }); !ok {
		t.Errorf("reached again for %v, it holds %v, want %d\n%s", took, l.holders(), its, l.events())
	}
	for _, h := range l.nodes {
		if h.core.Abstains() {
			t.Errorf("%s abstains when all is well", h.name)
		}
	}
}

// TestNobodyAbstainsWhenNodesComeAndGo: who waits for slots of others is answered,
// if only that they are taken.
func TestNobodyAbstainsWhenNodesComeAndGo(t *testing.T) {
	l := settledFive(t)
	for _, h := range l.nodes {
		h.log = nil
	}
	l.kill(l.nodes[4], true)
	l.after(20 * time.Second)
	l.start(l.nodes[4])
	l.step(l.nodes[4], Tick{})
	l.meet(l.nodes[4])
	l.after(30 * time.Second)
	for _, h := range l.nodes {
		if i := slices.IndexFunc(h.log, func(e mesh.Event) bool { return e.Kind == mesh.LeadChanged }); i >= 0 {
			t.Errorf("%s: %s\n%s", h.name, h.log[i].Text, l.events())
		}
	}
	if !l.whole(l.nodes) {
		t.Errorf("held are %v", l.holders())
	}
}

// TestWordOfAPeerMovesItsSlotsOnly, and a second time nothing.
func TestWordOfAPeerMovesItsSlotsOnly(t *testing.T) {
	l := settledFive(t)
	me, x := l.nodes[0].core, l.nodes[1].self.ID
	ranks := func() (first []mesh.NodeID) {
		for s := range mesh.Slots {
			first = append(first, me.lead.leaders.Of(mesh.Slot(s)))
		}
		return first
	}
	before := ranks()
	me.Step(l.clock(), Abstained{x, true})
	var without []mesh.NodeID
	for _, id := range me.live() {
		if id != x {
			without = append(without, id)
		}
	}
	for s, first := range ranks() {
		want := before[s]
		if want == x {
			want = placement.RankSlot(mesh.Slot(s), without)[0]
		}
		if first != want {
			t.Fatalf("slot %d goes to %s, want %s", s, first.Short(), want.Short())
		}
	}
	me.Step(l.clock(), Abstained{x, false})
	if !slices.Equal(ranks(), before) {
		t.Error("it does not rank as before when it can lead again")
	}
}

// TestIfNobodyCanLeadAllStandByAsUsual: words are hints, and must not leave the
// mesh without anyone.
func TestIfNobodyCanLeadAllStandByAsUsual(t *testing.T) {
	l := settledFive(t)
	me := l.nodes[0].core
	me.abstention.self = true
	for _, h := range l.nodes[1:] {
		me.abstained(Abstained{h.self.ID, true})
	}
	if got := me.leaders(me.live()); len(got) != len(l.nodes) {
		t.Errorf("%d may lead, want all", len(got))
	}
}

// TestWhoNeedsNoOtherDoesNotAbstain: the only voter of a mesh is answered by nobody else, and
// who asks for no slot by nobody at all.
func TestWhoNeedsNoOtherDoesNotAbstain(t *testing.T) {
	for _, n := range []int{1, 2} {
		l := newLab(t, n)
		l.after(time.Minute)
		for _, h := range l.nodes {
			if h.core.Abstains() {
				t.Errorf("of %d, %s abstains\n%s", n, h.name, l.events())
			}
		}
	}
}
