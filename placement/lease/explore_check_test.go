package lease

import (
	"bytes"
	"fmt"
)

// wrong is what must never be and is in a state, or "". Promises to the world
// are checked always; what the parts promise each other only where no bug is
// planted, so that a bug is found by what it does.
func (x *explorer) wrong(t state) string {
	holder := -1
	for i := range x.nodes {
		if t[i] == 0 {
			continue
		}
		p := &x.parties.all[t[i]]
		if p.held.IsZero() {
			continue
		}
		if holder >= 0 {
			return fmt.Sprintf("two hold the slot: %s at %v, and %s at %v", x.cast[holder].name(),
				x.parties.all[t[holder]].held, x.cast[i].name(), p.held)
		}
		holder = i
		if x.isEvicted(t, i) {
			return x.cast[i].name() + " knows that it is no longer admitted, and holds the slot"
		}
	}
	for i := range x.nodes {
		if text := x.forked(t, i); text != "" {
			return text
		}
		if t[i] != 0 && !x.bug.planted() {
			if text := x.unkept(t[i], x.disk(t, i)); text != "" {
				return x.cast[i].name() + " " + text
			}
		}
	}
	return ""
}

// isEvicted says whether node i was told by its agent that it is no longer admitted.
func (x *explorer) isEvicted(t state, i int) bool {
	told := x.told(t, i)
	for k, l := range x.later {
		if told>>k&1 != 0 && l.node == i && !l.admits(i) {
			return true
		}
	}
	return false
}

func (l later) admits(i int) bool {
	for _, k := range l.view.admitted {
		if k == i {
			return true
		}
	}
	return false
}

// forked finds two rosters of one epoch, on the disks of node i and one before it.
func (x *explorer) forked(t state, i int) string {
	mine := x.disks.all[x.disk(t, i)].rosters
	for k := range i {
		for epoch, view := range x.disks.all[x.disk(t, k)].rosters {
			if other, both := mine[epoch]; both && other != view {
				return fmt.Sprintf("two rosters of epoch %d: one of %s, another of %s",
					epoch, x.cast[k].name(), x.cast[i].name())
			}
		}
	}
	return ""
}

// unkept finds a promise or a vote of a party that its disk does not have: it would
// be forgotten.
func (x *machine) unkept(party, on uint32) string {
	key := [2]uint32{party, on}
	if text, ok := x.rests[key]; ok {
		return text
	}
	p, d := x.party(party), &x.disks.all[on]
	text := ""
	switch {
	case d.box.Epoch == p.roster.Epoch && !bytes.Equal(encode(d.box), encode(p.box)),
		d.box.Epoch != p.roster.Epoch && p.box.Epoch != 0:
		text = "has a vote that is not kept"
	case p.voter.sealed != (p.box.Entry != nil):
		text = "has voted and is not sealed, or the reverse"
	case p.run != d.run:
		text = "lives a life that is not kept"
	}
	ballot, owner := p.voter.ballot[slotExplored], p.voter.owner[slotExplored]
	if ballot != 0 && (d.kept.Epoch != p.roster.Epoch || d.kept.Ballots[slotExplored] != ballot ||
		d.kept.Owners[d.kept.Of[slotExplored]-1] != owner) {
		text = "has a promise that is not kept"
	}
	x.rests[key] = text
	return text
}

// lost finds what a node has forgotten that it had promised or voted, or which
// rosters it knew.
func (x *machine) lost(before, after uint32) string {
	if before == after || x.bug.planted() {
		return ""
	}
	key := [2]uint32{before, after}
	text, ok := x.losses[key]
	if !ok {
		text = lost(&x.disks.all[before], &x.disks.all[after])
		x.losses[key] = text
	}
	return text
}

func lost(a, b *disk) string {
	for epoch, view := range a.rosters {
		if b.rosters[epoch] != view {
			return fmt.Sprintf("a disk loses the roster of epoch %d", epoch)
		}
	}
	promised := func(d *disk) uint64 {
		if len(d.kept.Ballots) == 0 {
			return 0
		}
		return d.kept.Ballots[slotExplored]
	}
	switch {
	case b.run.Count < a.run.Count:
		return "a disk loses a life"
	case b.kept.Epoch < a.kept.Epoch,
		b.kept.Epoch == a.kept.Epoch && promised(b) < promised(a):
		return "a disk loses a promise"
	case b.box.Epoch < a.box.Epoch,
		b.box.Epoch == a.box.Epoch && (b.box.Promised < a.box.Promised || b.box.Voted < a.box.Voted):
		return "a disk loses a vote"
	}
	return ""
}
