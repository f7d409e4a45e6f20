package core

import (
	"testing"
	"time"

	"mn/crdt"
)

// push has a host take entries as if a peer had pushed them.
func (l *lab) push(to, from *host, entries ...crdt.Entry) {
	l.step(to, Received{From: from.self.ID, Msg: Message{Push: &Push{Entries: entries}}})
}

// written is an entry as its author would write it, with a number of its own.
func (l *lab) written(by *host, e crdt.Entry) crdt.Entry {
	l.seq++
	e.Dot = crdt.Dot{Origin: string(by.self.ID), Seq: 1_000_000 + uint64(l.seq)}
	e.Stamp = crdt.Stamp{Wall: l.clock().Wall.UnixMilli(), Logical: uint32(l.seq), Node: string(by.self.ID)}
	return e
}

func TestDeleteOfAKeyWithoutAKindIsTaken(t *testing.T) {
	l := newLab(t, 2)
	l.after(15 * time.Second)
	l.push(l.nodes[0], l.nodes[1], l.written(l.nodes[1], crdt.Entry{Key: "status", Deleted: true}))
	if n := len(l.nodes[0].core.replica.Quarantine()); n != 0 {
		t.Errorf("%d records are refused, want none: a newer release may have such keys", n)
	}
}
