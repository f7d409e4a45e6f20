package crdt

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// Replica is one node's copy, in memory. It is not safe for concurrent use, and
// shares the values of its entries with its callers: nobody may change them.
//
// What makes a copy right: for each write that it has Seen, it holds, of the
// write's key, that write or one that beats it; or has put such a one aside; or
// has collected the key's tombstone.
type Replica struct {
	// Valid says whether an entry from outside is one that its writer may
	// write and that we can read. Nil accepts all. Set it before the first Merge.
	Valid func(Entry) error

	self   string
	secret []byte
	life   uint64
	next   uint64    // Seq of the next write
	latest time.Time // the latest wall time we were told
	clock  *Clock

	items map[string]*item // by key; tombstones too
	keys  index
	log   arrivals
	loose []*item // held, but not Seen: it had no room for them
	tombs int     // tombstones held

	seen    Seen
	lent    bool // seen was handed out: it is copied before it changes
	groups  groups
	sum     Digest
	buckets [Buckets]Digest

	aside      shelf // too early
	quarantine shelf // wrong
	pending    pending
}

// item is the entry that a key has now.
type item struct {
	Entry
	hash    Digest
	arrival uint64 // its place in the log
	dead    bool   // no longer the entry of its key
	loose   bool   // its dot is not Seen
	group   uint8  // of its origin
}

// livesPerRun leaves room for the Resets of one run between two of Kept.Life.
const livesPerRun = 1 << 16

// NewReplica is the copy of node self as its disk has kept it.
func NewReplica(self string, kept Kept) (*Replica, error) {
	if self == "" || len(self) > MaxOrigin {
		return nil, fmt.Errorf("open the copy of node %q: want an id of 1 to %d bytes", self, MaxOrigin)
	}
	r := &Replica{
		self: self, secret: kept.Secret, life: kept.Life * livesPerRun, next: max(kept.NextSeq, 1),
	}
	r.clear()
	if err := kept.Seen.Check(); err != nil {
		return nil, fmt.Errorf("open the copy of node %q: %w", self, err)
	}
	for origin, k := range kept.Seen {
		r.know(origin, k)
	}
	for _, e := range kept.Entries {
		if err := e.check(); err != nil {
			return nil, fmt.Errorf("open the copy of node %q: %w", self, err)
		}
		if it := r.items[e.Key]; it == nil || e.beats(&it.Entry) {
			r.set(e)
		}
		mine := e.Dot.Origin == self
		if mine || e.Fence.IsZero() { // others may have decided by a clock that is far ahead
			r.clock.restore(e.Stamp)
		}
		if mine {
			r.next = max(r.next, e.Dot.Seq+1)
		}
	}
	r.next = max(r.next, r.seen[self].Head+1)
	for _, q := range kept.Quarantine {
		r.quarantine.restore(q)
	}
	r.pending = pending{} // all of this is on disk
	if len(kept.Damage) > 0 {
		r.forget()
	}
	for _, it := range r.log.items {
		r.mark(it, r.seen.Has(it.Dot))
	}
	return r, nil
}

// clear makes the copy empty.
func (r *Replica) clear() {
	r.clock = NewClock(r.self, MaxAhead)
	r.items, r.keys, r.log = map[string]*item{}, index{}, arrivals{}
	r.loose, r.tombs = nil, 0
	r.seen, r.lent, r.groups = Seen{}, false, newGroups()
	r.sum, r.buckets = Digest{}, [Buckets]Digest{}
	r.aside, r.quarantine = newShelf(), newShelf()
}

// forget makes the copy unsure of what it has, but for what it still holds: of
// the writes that its disk has lost, it cannot know which they were.
func (r *Replica) forget() {
	for origin := range r.seen {
		r.changed(origin)
	}
	r.seen = Seen{}
	dots := make([]Dot, 0, len(r.items))
	for _, it := range r.items {
		dots = append(dots, it.Dot)
	}
	slices.SortFunc(dots, func(a, b Dot) int {
		return cmp.Or(strings.Compare(a.Origin, b.Origin), cmp.Compare(a.Seq, b.Seq))
	})
	for _, d := range dots {
		// Half of the gaps stay free for what is new; the rest will come once more.
		if len(r.seen[d.Origin].Gaps) < MaxGaps/2 {
			r.note(d)
		}
	}
}

// Self is the node whose copy this is.
func (r *Replica) Self() string { return r.self }

// Len is the number of keys that the copy holds, those of tombstones included.
func (r *Replica) Len() int { return len(r.items) }

// Seen is which writes this copy has incorporated. It is not the caller's to
// change, and stays as it is when the copy changes.
func (r *Replica) Seen() Seen {
	r.lent = true
	return r.seen
}

// Loose says whether the copy has entries of which Seen says nothing, as it has no room for
// more gaps: then another that has seen the same may not have them. A session ends that.
func (r *Replica) Loose() bool { return len(r.loose) > 0 }

// Digest is the digest of all live entries: the check that two copies are equal.
func (r *Replica) Digest() Digest { return r.sum }

// Put writes a value under the right that fence gives; people and the node's
// own reports have none. Where the key has an entry of a higher fence, the write
// is lost at once, as it would be at any peer. Who calls it has seen to it with
// [Check] that key and value can be written.
func (r *Replica) Put(key string, value []byte, fence Fence, wall time.Time) Entry {
	return r.write(Entry{Key: key, Value: value, Fence: fence}, wall)
}

// Delete writes a tombstone. It is false, and nothing is written, where there
// is nothing to delete or the entry has a higher fence.
func (r *Replica) Delete(key string, fence Fence, wall time.Time) (Entry, bool) {
	it := r.items[key]
	if it == nil || it.Deleted || fence.Compare(it.Fence) < 0 {
		return Entry{}, false
	}
	return r.write(Entry{Key: key, Deleted: true, Fence: fence}, wall), true
}

func (r *Replica) write(e Entry, wall time.Time) Entry {
	r.tell(wall)
	e.Stamp = r.clock.Now(wall)
	e.Dot = Dot{Origin: r.self, Seq: r.next}
	if err := e.check(); err != nil {
		panic("crdt: own write: " + err.Error())
	}
	r.next++
	r.apply(e)
	return e
}

// Get is the live entry of a key.
func (r *Replica) Get(key string) (Entry, bool) {
	if it := r.items[key]; it != nil && !it.Deleted {
		return it.Entry, true
	}
	return Entry{}, false
}

// Gone says whether the entry of a key was deleted, as far as that is remembered here.
func (r *Replica) Gone(key string) bool {
	it := r.items[key]
	return it != nil && it.Deleted
}

// Scan is the live entries whose keys begin with prefix, by key. The copy may
// change while it runs: then keys that are new may be left out.
func (r *Replica) Scan(prefix string) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for _, key := range r.keys.from(prefix, r.items) {
			if !strings.HasPrefix(key, prefix) {
				return
			}
			if e, ok := r.Get(key); ok && !yield(e) {
				return
			}
		}
	}
}

// apply brings in an entry that was found good, and says whether it changed the
// copy: it may have lost already.
func (r *Replica) apply(e Entry) bool {
	noted := r.note(e.Dot)
	r.release(&e)
	if it := r.items[e.Key]; it != nil && !e.beats(&it.Entry) {
		return false
	}
	r.mark(r.set(e), noted)
	return true
}

// note marks a write as incorporated. It is false where Seen has no room for it.
func (r *Replica) note(d Dot) bool {
	if r.seen.Has(d) {
		return true
	}
	k, ok := r.seen.with(d)
	if ok {
		r.know(d.Origin, k)
	}
	return ok
}

// know makes k what is known of an origin.
func (r *Replica) know(origin string, k Known) {
	if r.lent {
		r.seen, r.lent = r.seen.Clone(), false
	}
	r.seen[origin] = k
	r.changed(origin)
}

// changed notes that something else is known of an origin.
func (r *Replica) changed(origin string) {
	r.pending.origins.add(origin)
	r.groups.stale.add(origin)
}

// view is the digests of what this copy has seen.
func (r *Replica) view() *groups {
	r.groups.refresh(r.secret, r.seen)
	return &r.groups
}

// mark says whether the dot of an item is Seen.
func (r *Replica) mark(it *item, seen bool) {
	if it.loose = !seen; it.loose {
		r.loose = append(r.loose, it)
	}
}

// tighten looks for loose items whose dots are Seen by now, and gives each a
// new place in the log. So all that is there up to a place, and is not loose,
// was Seen when the log had got to that place: sessions rest on it.
func (r *Replica) tighten() {
	rest := r.loose[:0]
	for _, it := range r.loose {
		switch {
		case it.dead:
		case r.seen.Has(it.Dot):
			again := *it
			again.loose = false
			r.log.drop(it)
			r.items[it.Key] = &again
			r.log.add(&again)
		default:
			rest = append(rest, it)
		}
	}
	clear(r.loose[len(rest):])
	r.loose = rest
}

// set makes e the entry of its key.
func (r *Replica) set(e Entry) *item {
	if old := r.items[e.Key]; old != nil {
		r.retire(old)
	} else {
		r.keys.add(e.Key)
	}
	e.Stamp.Node = e.Dot.Origin // the same text, in memory once
	it := &item{Entry: e, hash: hashOf(r.secret, &e), group: groupOf(e.Dot.Origin)}
	r.items[e.Key] = it
	r.log.add(it)
	r.count(it, Digest.plus, 1)
	r.pending.keys.add(e.Key)
	return it
}

// remove takes a key out of the copy.
func (r *Replica) remove(key string) {
	r.retire(r.items[key])
	delete(r.items, key)
	r.keys.removed()
	r.pending.keys.add(key)
}

// retire ends an item; what its value took is free at once.
func (r *Replica) retire(it *item) {
	r.count(it, Digest.minus, -1)
	r.log.drop(it)
	it.Value = nil
}

// count adds a live entry to the digests and a tombstone to their number, or
// takes it out.
func (r *Replica) count(it *item, op func(Digest, Digest) Digest, n int) {
	if it.Deleted {
		r.tombs += n
		return
	}
	b := &r.buckets[bucketOf(it.Key)]
	*b, r.sum = op(*b, it.hash), op(r.sum, it.hash)
}

// tell takes notice of the wall time.
func (r *Replica) tell(wall time.Time) {
	if wall.After(r.latest) {
		r.latest = wall
	}
}
