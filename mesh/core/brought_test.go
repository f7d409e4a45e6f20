package core

import (
	"slices"
	"strings"
	"testing"
	"time"

	"mn/mesh"
)

// TestANodeTellsWhatItHasFetched for a copy that has started on it, also after a restart of its
// agent.
func TestANodeTellsWhatItHasFetched(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	job := service("train", 1)
	job.Tasks[0].Artifacts = []mesh.Artifact{{Source: "http://x/y", Checksum: "sha256:" + strings.Repeat("ab", 32)}}
	l.ask(l.nodes[0], Submit{Job: job})
	if _, ok := l.until(20*time.Second, func() bool { return l.total() == 1 }); !ok {
		t.Fatalf("runs on %v\n%s", l.running(), l.events())
	}
	var ran *host
	for _, h := range l.nodes {
		if l.running()[h.name] > 0 {
			ran = h
		}
	}
	g, _ := job.Group("loop")
	want := g.Fetches()
	tells := func() []string {
		return l.nodes[0].core.records.node(ran.self.ID).Fetched
	}
	l.after(5 * time.Second)
	if got := tells(); len(want) != 1 || !slices.Equal(got, want) {
		t.Fatalf("it tells %q, want %q", got, want)
	}
	l.kill(ran, false)
	l.start(ran)
	l.after(10 * time.Second)
	if got := tells(); !slices.Equal(got, want) {
		t.Errorf("after a restart it tells %q, want %q", got, want)
	}
	for _, h := range l.nodes {
		if h != ran && len(h.core.cfg.Self.Fetched) > 0 {
			t.Errorf("%s tells %q", h.name, h.core.cfg.Self.Fetched)
		}
	}
}
