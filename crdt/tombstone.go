package crdt

import (
	"slices"
	"time"
)

// Horizon is how long a node may be away and still bring its copy along. After
// it, its owner resets the copy: tombstones that it never saw may be gone.
const Horizon = 7 * 24 * time.Hour

// TombstoneAge is how old a tombstone must be to be collected. It is far above
// the life of any message, so that nothing under way still carries what it deletes.
const TombstoneAge = time.Hour

// Report is what a peer has said that it has, in terms of this copy: all that
// came here up to a place, and what it had then that this copy did not have.
type Report struct {
	life uint64 // of this copy
	upTo uint64 // it has every tombstone that came here up to this place
	open Seen   // what it had, and this copy had not
}

// Asker is what a request says of who sent it. It is false if that is nothing:
// only a request that begins with equal digests, or that names all groups which
// differ, says at one instant all that its sender has seen.
func (r *Replica) Asker(req Request) (Report, bool) {
	here := Report{life: r.life, upTo: r.log.last}
	if req.At == (Cursor{}) {
		return here, req.Sum == r.view().all && req.Digest == r.sum
	}
	first := req.At.Node == r.self && req.At.Life == r.life && req.At.Pos == 0
	if !first || len(req.Groups) == 0 || len(req.Repair) > 0 || !req.check() {
		return Report{}, false
	}
	here.upTo, here.open = min(here.upTo, req.At.Even), Seen{}
	named := setOf(req.Groups)
	for _, it := range r.tombstones(here.upTo) {
		if named[it.group] && !req.Seen.Has(it.Dot) {
			here.upTo = it.arrival - 1
			break
		}
	}
	for origin, k := range req.Seen {
		if !r.seen[origin].covers(k) {
			here.open[origin] = k
		}
	}
	return here, true
}

// Answerer is what an answer says of who sent it; false if that is nothing. The
// last answer of a session is of two instants: it does not say at which of them
// its sender had what.
func (r *Replica) Answerer(a Answer) (Report, bool) {
	return Report{life: r.life, upTo: min(r.log.last, a.Pos)}, a.Same && a.Life == r.life
}

// tombstones are those that came up to a place and are Seen, in order.
func (r *Replica) tombstones(upTo uint64) []*item {
	if r.tombs == 0 {
		return nil
	}
	var list []*item
	for _, it := range r.log.items {
		if it.arrival > upTo {
			break
		}
		if it.Deleted && !it.dead && !it.loose {
			list = append(list, it)
		}
	}
	return list
}

// Collect removes the tombstones that every admitted node has seen, and returns
// their keys, sorted. It takes the last report of each of them but this one. It
// waits until this copy has all that any of them had when they said so: a write
// that lost to a tombstone elsewhere is then known here, and stays out if an old
// message brings it.
func (r *Replica) Collect(reports []Report, wall time.Time) []string {
	r.tell(wall)
	upTo := r.log.last
	for _, p := range reports {
		if p.life != r.life || !r.seen.Covers(p.open) {
			return nil
		}
		upTo = min(upTo, p.upTo)
	}
	var keys []string
	for _, it := range r.tombstones(upTo) {
		if wallMillis(r.latest)-it.Stamp.Wall >= TombstoneAge.Milliseconds() {
			keys = append(keys, it.Key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		r.remove(key)
	}
	return keys
}

// Reset empties the copy, for a node that was away beyond the [Horizon] or
// whose disk went back in time: what the mesh still has comes back from the
// peers. Only the number of the next write is kept, so that none is used twice.
func (r *Replica) Reset() {
	r.clear()
	r.life++
	r.pending = pending{reset: true}
}
