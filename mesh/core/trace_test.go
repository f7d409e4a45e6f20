package core

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"mn/crdt"
	"mn/mesh"
)

// TestTheSameSeedGivesTheSameTrace: a failure that was found in virtual time is
// found again with the same seed, so nothing that a node says may depend on the
// order of a map.
func TestTheSameSeedGivesTheSameTrace(t *testing.T) {
	want := trace(t)
	for run := range 3 {
		if got := trace(t); got != want {
			t.Fatalf("run %d says something else", run+2)
		}
	}
}

// trace leads a mesh through losses and changes, and is the digest of all that
// was sent, kept and told.
func trace(t *testing.T) string {
	t.Helper()
	said := sha256.New()
	l := newLab(t, 5)
	l.tap = func(from *host, e Envelope) {
		b, err := crdt.Encode(e.Msg)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(said, "%v %s %s %x\n", l.now, from.name, e.To, b)
	}
	l.after(15 * time.Second)
	for _, on := range []mesh.OnPartition{mesh.Eager, mesh.Majority, mesh.Keep} {
		job := service(string(on), 4)
		job.Recovery.OnPartition = on
		l.ask(l.nodes[1], Submit{Job: job})
	}
	l.after(10 * time.Second)
	l.kill(l.nodes[0], true)
	l.after(30 * time.Second)
	l.start(l.nodes[0])
	l.step(l.nodes[0], Tick{})
	l.meet(l.nodes[0])
	l.after(10 * time.Second)
	for _, h := range l.nodes { // agents restart, and ask everybody
		l.kill(h, false)
		l.start(h)
		l.step(h, Tick{})
		l.meet(h)
		l.after(3 * time.Second)
	}
	l.part(2)
	l.after(time.Minute)
	l.ask(l.nodes[0], Act{Job: "eager", Verb: mesh.VerbStop})
	l.cut = func(a, b mesh.NodeID) bool { return false }
	for _, h := range l.nodes {
		l.meet(h)
	}
	l.after(time.Minute)
	return fmt.Sprintf("%x %s", said.Sum(nil), l.events())
}
