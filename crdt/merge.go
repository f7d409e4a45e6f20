package crdt

import (
	"time"
)

// Merged is what came of entries from outside.
type Merged struct {
	News    []Entry   // those that changed the copy, in order; tombstones too
	Refused []Refusal // those put aside or into quarantine
}

// Refusal is an entry that was not brought in, and why.
type Refusal struct {
	Entry Entry
	Err   error // a *SkewError if it is only too early: see IsSkew
}

// Merge brings in entries from outside, in any order and any number of times:
// of each key the highest entry stays. What is too early waits aside, and comes
// in with a later Merge, even an empty one; what is wrong goes into quarantine.
// Neither counts as seen, and neither is ever passed on.
func (r *Replica) Merge(entries []Entry, wall time.Time) Merged {
	m, _ := r.merge(entries, wall, nil)
	return m
}

// merge is Merge; heal are the buckets in which a missing entry is known to be
// missed. It says whether all that was refused is held.
func (r *Replica) merge(entries []Entry, wall time.Time, heal map[uint8]bool) (Merged, bool) {
	r.tell(wall)
	m, held := r.retry(wall), true
	for _, e := range entries {
		changed, err := r.admit(e, wall, heal)
		switch {
		case err != nil:
			held = r.refuse(e, err) && held
			m.Refused = append(m.Refused, Refusal{Entry: e, Err: err})
		case changed:
			m.News = append(m.News, e)
		}
	}
	r.tighten()
	return m, held
}

// retry brings in what waits aside and is no longer too early.
func (r *Replica) retry(wall time.Time) (m Merged) {
	for _, h := range r.aside.list() {
		if wallMillis(wall)+MaxAhead.Milliseconds() < h.entry.Stamp.Wall {
			continue
		}
		r.aside.drop(h.entry.Key)
		changed, err := r.admit(h.entry, wall, nil)
		switch {
		case err != nil:
			r.refuse(h.entry, err)
			m.Refused = append(m.Refused, Refusal{Entry: h.entry, Err: err})
		case changed:
			m.News = append(m.News, h.entry)
		}
	}
	return m
}

// admit brings in one entry, or says why not.
func (r *Replica) admit(e Entry, wall time.Time, heal map[uint8]bool) (changed bool, err error) {
	if err := e.check(); err != nil {
		return false, err
	}
	if e.Dot.Origin == r.self && e.Dot.Seq >= r.next {
		r.raise(e.Dot.Seq)
		return false, errRewound
	}
	if r.seen.Has(e.Dot) && !r.missed(&e, heal) {
		return false, nil
	}
	if r.Valid != nil {
		if err := r.Valid(e); err != nil {
			return false, err
		}
	}
	// Decisions go by their fence. A wrong clock can neither put one before
	// another nor hide it, and ours need not follow it.
	if err := r.clock.Observe(e.Stamp, wall); err != nil && (e.Fence.IsZero() || !IsSkew(err)) {
		return false, err
	}
	return r.apply(e), nil
}

// missed says whether an entry that we have seen ought to be here, and is not.
// A key without any entry is usually one whose tombstone was collected: only
// in a bucket under repair it is taken for lost.
func (r *Replica) missed(e *Entry, heal map[uint8]bool) bool {
	if it := r.items[e.Key]; it != nil {
		return e.beats(&it.Entry)
	}
	return !e.Deleted && heal[bucketOf(e.Key)]
}

// rewindMax bounds how far ahead of us a write of ours may be and still move
// our counter, so that a forger cannot use it up.
const rewindMax = 1 << 32

// raise makes sure that a number which somebody has seen is not used again.
func (r *Replica) raise(seq uint64) {
	if seq-r.next < rewindMax && seq < MaxSeq {
		r.next = seq + 1
	}
}

// refuse holds an entry that was not brought in. It is false if there is no
// room for it.
func (r *Replica) refuse(e Entry, err error) bool {
	h := held{entry: e, hash: hashOf(r.secret, &e), err: err, skip: err != errRewound}
	if IsSkew(err) {
		_, ok := r.aside.hold(h)
		return ok
	}
	h.entry = h.entry.forDisplay()
	before, ok := r.quarantine.hold(h)
	if before != nil {
		r.unpend(before)
	}
	if it := r.quarantine.byKey[h.entry.Key]; ok && it.hash == h.hash {
		if r.pending.admitted == nil {
			r.pending.admitted = map[string]Quarantined{}
		}
		r.pending.admitted[h.hash.String()] = it.shown()
	}
	return ok
}

// release ends the wait of whatever e replaces: of an entry that is held, the
// dot was left open, and is incorporated now.
func (r *Replica) release(e *Entry) {
	for _, s := range []*shelf{&r.aside, &r.quarantine} {
		h := s.byKey[e.Key]
		if h == nil || h.entry.Dot != e.Dot && !e.beats(&h.entry) {
			continue
		}
		s.drop(e.Key)
		if s == &r.quarantine {
			r.unpend(h)
		}
		if h.entry.check() == nil {
			r.note(h.entry.Dot)
		}
	}
}

// unpend takes a quarantined entry off the disk.
func (r *Replica) unpend(h *held) {
	id := h.hash.String()
	delete(r.pending.admitted, id)
	r.pending.released.add(id)
}

// Aside is the entries that wait because their stamps are too far ahead, by key.
func (r *Replica) Aside() []Refusal {
	var list []Refusal
	for _, h := range r.aside.list() {
		list = append(list, Refusal{Entry: h.entry, Err: h.err})
	}
	return list
}

// Quarantine is the entries that this copy does not accept, by key.
func (r *Replica) Quarantine() []Quarantined {
	var list []Quarantined
	for _, h := range r.quarantine.list() {
		list = append(list, h.shown())
	}
	return list
}
