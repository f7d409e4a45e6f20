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

// Collect removes the tombstones that every admitted node has seen, and returns
// their keys, sorted. What the nodes have said must be put together by [Meet],
// with one Seen from each of them. It waits until this copy has all that any of
// them had when they said so: a write that lost to a tombstone elsewhere is then
// known here, and stays out if an old message brings it.
func (r *Replica) Collect(stable Stable) []string {
	if !r.seen.Covers(stable.Any) {
		return nil
	}
	var keys []string
	for key, it := range r.items {
		young := wallMillis(r.latest)-it.Stamp.Wall < TombstoneAge.Milliseconds()
		if it.Deleted && !young && stable.All.Has(it.Dot) {
			keys = append(keys, key)
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
	r.seen = Seen{}
	r.life++
	r.pending = newPending()
	r.pending.reset = true
}
