package core

import (
	"testing"
	"time"

	"mn/mesh"
)

// TestNothingIsReplacedWhileANetworkHeals: who is cut off sees one peer again,
// and the others a moment later.
func TestNothingIsReplacedWhileANetworkHeals(t *testing.T) {
	for _, test := range []struct {
		name  string
		rest  time.Duration // until the others are in sight, after the first
		moves bool
	}{
		{"at once", healing / 2, false},
		{"never", time.Hour, true}, // it was one peer that was missed, and no healing
	} {
		l := newLab(t, 5)
		l.after(15 * time.Second)
		job := service("web", 5)
		job.Recovery.OnPartition = mesh.Eager
		l.ask(l.nodes[0], Submit{Job: job})
		l.after(5 * time.Second)
		h := l.nodes[4]
		lost := job.Recovery.Lost()
		for i, o := range l.nodes[:4] {
			l.post(h, time.Second, Seen{o.self.ID, mesh.Lost})
			back := time.Second + lost - 10*time.Millisecond
			if i > 0 {
				back += test.rest
			}
			l.post(h, back, Seen{o.self.ID, mesh.Alive})
		}
		l.after(time.Second + lost + healing/4)
		if got := l.total(); got != 5 {
			t.Errorf("%s: %d copies run while it heals, want 5", test.name, got)
		}
		_, moved := l.until(2*healing, func() bool { return l.total() > 5 })
		if moved != test.moves {
			t.Errorf("%s: replaced what is out of sight: %v, want %v\n%s", test.name, moved, test.moves, l.events())
		}
	}
}
