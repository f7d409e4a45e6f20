package core

import (
	"testing"
	"time"

	"mn/mesh"
)

// TestNothingIsReplacedWhileANetworkHeals: who is cut off sees or hears one peer
// again, and the others a moment later.
func TestNothingIsReplacedWhileANetworkHeals(t *testing.T) {
	for _, test := range []struct {
		name  string
		first Event
		rest  time.Duration // until the others are in sight, after the first
		moves bool
	}{
		{"seen", Seen{}, healing / 2, false},
		{"heard", Received{}, healing / 2, false},
		{"the only one that is seen", Seen{}, time.Hour, true},
		{"the only one that is heard", Received{}, time.Hour, true},
	} {
		l := newLab(t, 5)
		l.after(15 * time.Second)
		job := service("web", 5)
		job.Recovery.OnPartition = mesh.Eager
		l.ask(l.nodes[0], Submit{Job: job})
		l.after(5 * time.Second)
		h := l.nodes[4]
		lost := job.Recovery.Lost()
		l.cut = func(a, b mesh.NodeID) bool { return a == h.self.ID || b == h.self.ID }
		for i, o := range l.nodes[:4] {
			l.post(h, time.Second, Seen{o.self.ID, mesh.Lost})
			back := time.Second + lost - 10*time.Millisecond
			if _, heard := test.first.(Received); heard && i == 0 {
				// More than once, but it counts once in a while only.
				for n := range 20 {
					said := Received{From: o.self.ID, Msg: Message{Ack: &Ack{}}}
					l.post(h, back+time.Duration(n)*healing/10, said)
				}
				continue
			}
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
