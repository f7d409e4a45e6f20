package sim

import (
	"testing"
	"time"

	"mn/mesh"
)

// formed is a world of n nodes that has formed and in which nothing happens.
func formed(t testing.TB, n int) *world {
	t.Helper()
	s := Scenario{Name: "test", Nodes: n}
	s.Defaults()
	w := newWorld(s, Options{Seed: 1})
	w.form()
	if w.broken != nil {
		t.Fatal(w.broken)
	}
	return w
}

// sees says what one host's gossip thinks of another.
func (h *host) sees(o *host) state { return h.gossip.peer(o.place).state }

// TestGossipFindsACrashAsSerfDoes: with the profile "lab" in 2 to 4 seconds.
func TestGossipFindsACrashAsSerfDoes(t *testing.T) {
	w := formed(t, 5)
	victim, from := w.hosts[4], w.now
	victim.cutPower()
	lost := func() bool {
		for _, h := range w.hosts[:4] {
			if h.sees(victim) != dead {
				return false
			}
		}
		return true
	}
	w.until(from+time.Minute, lost)
	if took := w.now - from; took < 1500*time.Millisecond || took > 4*time.Second {
		t.Errorf("the crash was known to all after %v", took)
	}
	w.until(w.now+10*time.Second, nil)
	victim.restart()
	from = w.now
	w.until(from+time.Minute, func() bool { return w.everyoneSeesEveryone(w.hosts) == "" })
	if took := w.now - from; took > 5*time.Second {
		t.Errorf("everyone saw it again only after %v", took)
	}
}

// TestGossipErrsAboutWhoPauses: an agent that is stopped is taken for lost, and
// clears that up when it goes on.
func TestGossipErrsAboutWhoPauses(t *testing.T) {
	w := formed(t, 5)
	idle := w.hosts[2]
	resume := idle.halt()
	w.until(w.now+8*time.Second, nil)
	if w.hosts[0].sees(idle) != dead || w.counts[FalseAlarms] > 0 {
		t.Errorf("it is seen as %v, with %d false alarms about nodes that run", w.hosts[0].sees(idle), w.counts[FalseAlarms])
	}
	resume()
	w.until(w.now+30*time.Second, func() bool { return w.everyoneSeesEveryone(w.hosts) == "" })
	if why := w.everyoneSeesEveryone(w.hosts); why != "" {
		t.Error(why)
	}
}

// TestGossipFindsBothSidesOfASplitAgain, however long it lasted.
func TestGossipFindsBothSidesOfASplitAgain(t *testing.T) {
	w := formed(t, 6)
	mend := w.network.part(between([][]*host{w.hosts[:3], w.hosts[3:]}))
	w.until(w.now+10*time.Minute, nil)
	if w.hosts[0].sees(w.hosts[5]) != dead || w.hosts[0].sees(w.hosts[1]) != alive {
		t.Fatal("the split is not seen as it is")
	}
	mend()
	from := w.now
	w.until(from+5*time.Minute, func() bool { return w.everyoneSeesEveryone(w.hosts) == "" })
	if took := w.now - from; took > 40*time.Second {
		t.Errorf("healing took %v, more than the longest pause between two tries", took)
	}
}

func TestMessagesFareAsTheNetworkIs(t *testing.T) {
	w := formed(t, 2)
	a, b := w.hosts[0], w.hosts[1]
	count := func(n int) (arrived int) {
		for range n {
			w.network.send(a, b, classPush, 100, func() { arrived++ })
		}
		w.until(w.now+time.Minute, nil)
		return arrived
	}
	if got := count(100); got != 100 {
		t.Errorf("%d of 100 arrive", got)
	}
	end := w.network.worsen(Network{Loss: Whole / 2, Duplicate: Whole / 10})
	if got := count(1000); got < 450 || got > 650 {
		t.Errorf("%d of 1000 arrive where half is lost and a tenth comes twice", got)
	}
	end()
	mend, again := w.network.part([]link{{0, 1}}), w.network.part([]link{{0, 1}})
	mend()
	if got := count(10); got != 0 || !w.network.reaches(b, a) {
		t.Errorf("%d of 10 arrive over a link that is cut one way", got)
	}
	again()
	if got := count(10); got != 10 {
		t.Errorf("%d of 10 arrive over a link that was mended", got)
	}
	if u := usage(w.network.total(), 1000); u[len(u)-1].Class != classAll {
		t.Errorf("traffic is %+v", u)
	}
}

// TestGossipIsAHint: what a core plans on is what it was told, not the truth.
func TestGossipIsAHint(t *testing.T) {
	w := formed(t, 3)
	w.hosts[2].cutPower()
	if n := w.hosts[0].agent.core.View().Node(w.hosts[2].self.ID); n.Liveness != mesh.Alive {
		t.Errorf("the core knows at once that a node is %s", n.Liveness)
	}
}
