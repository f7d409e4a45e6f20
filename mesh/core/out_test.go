package core

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"mn/crdt"
	"mn/mesh"
)

// leads says whether a host holds any slot.
func (l *lab) leads(h *host) bool {
	for range h.core.Holdings(l.clock()) {
		return true
	}
	return false
}

func TestEvictedNodeStopsAllAndSaysNoMore(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	job := service("web", 6)
	job.Tasks = append(job.Tasks, mesh.Task{
		Name: "tidy", Group: "loop", Count: 6, Lifecycle: mesh.Poststop, Command: []string{"tidy"},
	})
	l.ask(l.nodes[0], Submit{Job: job})
	l.after(5 * time.Second)
	h := l.nodes[2]
	if !l.leads(h) || l.running()[h.name] == 0 {
		t.Fatal("the node leads and runs nothing: there is nothing to see")
	}
	silent := true
	l.tap = func(from *host, _ Envelope) { silent = silent && (from != h || h.core.out == "") }
	r := l.ask(l.nodes[0], Evict{Node: h.self.ID, Reason: "stolen"})
	if k, ok := r.Value.(Kept); !ok || k.Copies != 2 {
		t.Errorf("got %+v, want it kept on 2 nodes", r)
	}
	l.until(time.Second, func() bool { return h.core.out != "" })
	if l.leads(h) {
		t.Error("it knows that it is evicted, and still leads")
	}
	l.after(10 * time.Second)
	if why := h.core.Out(); !strings.Contains(why, "stolen") || l.running()[h.name] != 0 || !silent {
		t.Errorf("out %q, running %d, silent %v", why, l.running()[h.name], silent)
	}
	if !h.core.Abstains() {
		t.Error("it wants to lead")
	}
	l.after(30 * time.Second)
	if l.total() != 6 {
		t.Errorf("%v run, want 6\n%s", l.running(), l.events())
	}
	l.stays(t, h)
}

// stays checks that an evicted host is out for the others, also when it comes
// again under its key.
func (l *lab) stays(t *testing.T, h *host) {
	t.Helper()
	for _, o := range l.nodes[:2] {
		if ids := o.core.Members(); len(ids) != 2 || o.core.Roster().Seat(h.self.ID) >= 0 {
			t.Errorf("%s knows the members %v and the voters %v", o.name, ids, o.core.Roster())
		}
	}
	token := mesh.Token{ID: "t", Hash: []byte("x"), Uses: 9, ExpiresAt: l.clock().Wall.Add(time.Hour)}
	l.ask(l.nodes[0], PutToken{Token: token})
	member := l.member(h)
	member.Token = "t"
	if r := l.ask(l.nodes[1], Admit{Member: member, Secret: token.Hash}); r.Fault == nil {
		t.Error("it is let in again under its key")
	}
	if r := l.ask(h, Submit{Job: service("more", 1)}); r.Fault == nil {
		t.Error("it takes work")
	}
}

// A node that was cut off when it was evicted learns it from whoever it meets.
func TestNodeEvictedInItsAbsenceIsToldWhenItIsBack(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	h := l.nodes[2]
	l.part(2)
	l.after(5 * time.Second)
	l.ask(l.nodes[0], Evict{Node: h.self.ID})
	l.after(20 * time.Second)
	if h.core.out != "" {
		t.Fatal("it knows already")
	}
	l.cut = func(a, b mesh.NodeID) bool { return false }
	l.meet(h)
	l.after(5 * time.Second)
	if h.core.Out() == "" {
		t.Errorf("it was not told\n%s", l.events())
	}
	if r := l.ask(l.nodes[0], Evict{Node: "nobody"}); r.Fault == nil || r.Fault.Kind != mesh.NotFound {
		t.Errorf("evict nobody: got %+v, want it not found", r)
	}
}

// A disk that goes back to before a promise is found out by whoever was promised
// something, and one that goes back to before a write by whoever has it.
func TestNodeOnARestoredDiskIsOut(t *testing.T) {
	for name, since := range map[string]func(*lab, *host){
		"a write since": func(l *lab, h *host) { l.ask(h, Submit{Job: service("web", 2)}) },
		"a promise since": func(l *lab, h *host) {
			l.kill(l.nodes[0], true) // its slots are taken by others, whom the node promises them
			l.after(10 * time.Second)
			l.start(l.nodes[0])
			l.step(l.nodes[0], Tick{})
			l.meet(l.nodes[0])
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, 3)
			l.after(15 * time.Second)
			h := l.nodes[2]
			kept, facts := h.kept, maps.Clone(h.facts)
			kept.Entries, kept.Seen = slices.Clone(kept.Entries), kept.Seen.Clone()
			since(l, h)
			l.after(5 * time.Second)
			l.kill(h, true)
			l.after(5 * time.Second)
			h.kept, h.facts = kept, facts
			l.start(h)
			l.step(h, Tick{})
			l.meet(h)
			l.after(10 * time.Second)
			if why := h.core.Out(); !strings.Contains(why, "restored") {
				t.Errorf("out %q, want it barred\n%s", why, l.events())
			}
			l.kill(h, false)
			l.start(h)
			l.step(h, Tick{})
			if h.core.Out() == "" {
				t.Error("it is back after another start")
			}
		})
	}
}

// A disk that has lost records, and knows it, is not one that went back in time.
func TestNodeWhoseDiskHasLostRecordsIsNotOut(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	h := l.nodes[2]
	l.ask(h, Submit{Job: service("web", 2)})
	l.after(time.Second)
	l.kill(h, false)
	h.kept.Entries, h.kept.Seen, h.kept.NextSeq = nil, crdt.Seen{}, 0
	h.kept.Damage = []string{"all of it"}
	l.start(h)
	h.kept.Damage = nil
	l.step(h, Tick{})
	l.meet(h)
	l.after(20 * time.Second)
	if h.core.Out() != "" || h.core.View().Job("web") == nil {
		t.Errorf("out %q, jobs %v", h.core.Out(), h.core.View().Jobs)
	}
}

// TestNobodyIsPutOutWithoutWhomNobodyDecides: the only voter of two, or one of two that are
// left of three.
func TestNobodyIsPutOutWithoutWhomNobodyDecides(t *testing.T) {
	l := newLab(t, 2)
	l.after(15 * time.Second)
	if r := l.ask(l.nodes[1], Evict{Node: l.nodes[0].self.ID}); r.Fault == nil || r.Fault.Kind != mesh.Conflict {
		t.Errorf("the only voter: got %v", r.Fault)
	}
	if r := l.ask(l.nodes[0], Evict{Node: l.nodes[1].self.ID}); r.Fault != nil {
		t.Errorf("who does not vote: %v", r.Fault)
	}
	l = newLab(t, 3)
	l.after(15 * time.Second)
	l.kill(l.nodes[2], true)
	l.after(5 * time.Second)
	if r := l.ask(l.nodes[1], Evict{Node: l.nodes[0].self.ID}); r.Fault == nil {
		t.Error("one of two that are left of three voters is put out")
	}
	if r := l.ask(l.nodes[1], Evict{Node: l.nodes[2].self.ID}); r.Fault != nil {
		t.Errorf("the dead one: %v", r.Fault)
	}
}
