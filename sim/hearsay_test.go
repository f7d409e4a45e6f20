package sim

import (
	"testing"
	"time"

	"mn/mesh"
	"mn/mesh/core"
)

// TestHintsReachAllAndComeAgain: gossip brings what a node says to all, and also to an agent that starts
// later, to which it is old by then.
func TestHintsReachAllAndComeAgain(t *testing.T) {
	w := formed(t, 5)
	w.services.any = true
	const key = mesh.ServiceKey(1)
	at := w.hosts[0].now().Wall
	knows := func(h *host) bool {
		return h.agent != nil && h.agent.sayings.hides(key, at.Add(-time.Second)) && !h.agent.sayings.hides(key, at)
	}
	all := func() bool {
		for _, h := range w.hosts {
			if !knows(h) {
				return false
			}
		}
		return true
	}
	w.hosts[0].gossip.say(core.Hinted{At: at, Fail: []mesh.ServiceKey{key}})
	w.until(w.now+5*time.Second, all)
	if !all() {
		t.Fatal("not all have heard of it")
	}
	late := w.hosts[3]
	late.kill()
	w.until(w.now+2*hintsFor, nil)
	if knows(w.hosts[1]) {
		t.Error("a hint counts for longer than hints do")
	}
	late.restart()
	w.until(w.now+time.Minute, func() bool { return knows(late) })
	if !knows(late) {
		t.Error("the agent after it was not told again")
	}
}

// TestWhatIsHeardLastDoesNotCountIfItIsOlder: what a service came to last counts, in whatever order it is
// heard.
func TestWhatIsHeardLastDoesNotCountIfItIsOlder(t *testing.T) {
	s := sayings{of: map[mesh.ServiceKey][]heardOf{}}
	record := epoch
	s.note([]mesh.ServiceKey{1}, heardOf{at: record.Add(2 * time.Second), fails: false})
	s.note([]mesh.ServiceKey{1, 2}, heardOf{at: record.Add(time.Second), fails: true})
	if s.hides(1, record) || !s.hides(2, record) || s.hides(2, record.Add(time.Second)) {
		t.Errorf("hidden are 1: %v, 2: %v, and by its record: %v; want only 2",
			s.hides(1, record), s.hides(2, record), s.hides(2, record.Add(time.Second)))
	}
	if s.stepped = hintsFor + 1; s.hides(2, record) {
		t.Error("a hint counts for longer than hints do")
	}
}
