package sim

import (
	"mn/crdt"
	"mn/mesh/core"
)

// checkSealed: a voter that has voted for the next roster grants nothing under its
// own any more, and says of nothing that it keeps it: those who learn from it
// would miss that. What counts is the disk before the step, as a step may grant
// and then vote.
func (w *world) checkSealed(h *host, r *core.Ready) {
	for i := range r.Send {
		m := &r.Send[i].Msg
		switch {
		case m.Confirmed != nil && h.disk.sealed(m.Confirmed.Epoch):
			w.breach("sealed-is-sealed", "%s has voted for what follows epoch %d, and says in it that it keeps %v",
				h.name, m.Confirmed.Epoch, m.Confirmed.Dots)
		case m.Lease != nil && (m.Lease.Accept != nil || m.Lease.Promise != nil) && h.disk.sealed(m.Lease.Epoch):
			w.breach("sealed-is-sealed", "%s has voted for what follows epoch %d, and grants in it",
				h.name, m.Lease.Epoch)
		}
	}
}

// sealed says whether a disk has a vote for the roster that follows an epoch. See
// lease.Party.
func (d *disk) sealed(epoch uint64) bool {
	var box struct {
		Epoch uint64 `json:"e"`
		Voted uint64 `json:"v"`
	}
	err := crdt.Decode(d.facts["lease/ballot"], &box)
	return err == nil && box.Voted > 0 && box.Epoch == epoch
}
