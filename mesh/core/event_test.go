package core

import (
	"regexp"
	"testing"
	"time"

	"mn/mesh"
)

// TestEventsSayWhatComesNext: who reads that a copy is not placed reads when it
// is tried again, too.
func TestEventsSayWhatComesNext(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	h := l.lead("refused")
	fence, _, _ := h.core.right(mesh.SlotOf("refused"))
	p := &placing{alloc: mesh.Alloc{ID: "a", Job: "refused", Group: "g", Fence: fence}, deadline: never}
	for _, other := range l.nodes {
		if other != h {
			p.rest = append(p.rest, other.core.self)
		}
	}
	h.core.lead.placing["a"] = p
	h.core.askNext(p)
	var events []mesh.Event
	for range 2 { // each candidate
		no := &Reserved{Alloc: "a", Fence: fence, Refusal: "no room"}
		ready := h.core.Step(l.clock(), Received{From: p.alloc.Node, Msg: Message{Reserved: no}})
		events = append(events, ready.Events...)
	}
	large := service("large", 1)
	large.Tasks[0].Resources.CPU = 1000 * mesh.Core
	ready := l.lead("large").core.Step(l.clock(), Asked{ID: 2, Call: Submit{Job: large}})
	events = append(events, ready.Events...)
	for _, want := range []struct {
		job  mesh.JobID
		kind mesh.EventKind
		text string
	}{
		{"refused", mesh.AllocRefused, `^no room; asking \S+$`},
		{"refused", mesh.AllocRefused, `^no room$`},
		{"refused", mesh.AllocBlocked, `^every candidate refused .*: \S+: no room; \S+: no room; tried again in 1s$`},
		{"large", mesh.AllocBlocked, `; next: tried again at any change, and in 5s at the latest$`},
	} {
		found := false
		for _, e := range events {
			says := regexp.MustCompile(want.text).MatchString(e.Text)
			found = found || e.Kind == want.kind && e.Job == want.job && says && !e.Fence.IsZero() && e.Node != ""
		}
		if !found {
			t.Errorf("no %s of %s that says %q, under a fence: %+v", want.kind, want.job, want.text, events)
		}
	}
}
