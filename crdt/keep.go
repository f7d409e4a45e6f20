package crdt

import (
	"slices"
	"strings"
)

// Kept is what a copy needs of its disk to go on.
type Kept struct {
	Entries    []Entry
	Seen       Seen
	Quarantine []Quarantined
	NextSeq    uint64 // of this node's next write; 0 is as good as 1

	// Life numbers the runs of this copy: whoever keeps it gives each run a
	// higher number, so that an answer to an earlier run is known as such.
	Life uint64

	// Damage names what the disk has lost. A copy that has lost something no
	// longer knows what it has, and asks its peers for everything.
	Damage []string

	// Secret keys the digest. It is the same on all nodes of a mesh, and not
	// kept with the rest.
	Secret []byte
}

// Quarantined is an entry that this copy does not accept: kept for people to
// see, never applied, never passed on.
type Quarantined struct {
	ID     string `json:"id"` // hash of the entry as it came
	Entry  Entry  `json:"e"`  // its value cut to quarantinedValue
	Reason string `json:"r"`
}

// Batch is what has changed in a copy, to be kept in one piece or not at all.
type Batch struct {
	Reset      bool          // everything kept before goes first, but NextSeq
	Put        []Entry       // by key
	Remove     []string      // keys of collected tombstones, sorted
	Seen       Seen          // the origins that have changed; Head 0 means none is left
	Quarantine []Quarantined // added
	Release    []string      // ids of quarantined entries that are no longer
	NextSeq    uint64
}

// Empty says whether there is nothing to keep.
func (b *Batch) Empty() bool {
	return !b.Reset && len(b.Put)+len(b.Remove)+len(b.Seen)+len(b.Quarantine)+len(b.Release) == 0
}

// Apply makes k what a disk with k has after the batch: the model of a store.
// Its slices and maps are changed in place.
func (k *Kept) Apply(b Batch) {
	if b.Reset {
		k.Entries, k.Seen, k.Quarantine = nil, nil, nil
	}
	byKey := func(e Entry, key string) int { return strings.Compare(e.Key, key) }
	for _, key := range b.Remove {
		if i, ok := slices.BinarySearchFunc(k.Entries, key, byKey); ok {
			k.Entries = slices.Delete(k.Entries, i, i+1)
		}
	}
	for _, e := range b.Put {
		i, ok := slices.BinarySearchFunc(k.Entries, e.Key, byKey)
		if !ok {
			k.Entries = slices.Insert(k.Entries, i, Entry{})
		}
		k.Entries[i] = e
	}
	if k.Seen == nil {
		k.Seen = Seen{}
	}
	for origin, known := range b.Seen {
		if k.Seen[origin] = known; known.Head == 0 {
			delete(k.Seen, origin)
		}
	}
	k.Quarantine = append(slices.DeleteFunc(k.Quarantine, func(q Quarantined) bool {
		return slices.Contains(b.Release, q.ID)
	}), b.Quarantine...)
	k.NextSeq = max(k.NextSeq, b.NextSeq)
}

// pending is what has changed in a replica since its last Flush.
type pending struct {
	reset    bool
	keys     set
	origins  set
	admitted map[string]Quarantined // to the quarantine
	released set                    // from it
}

// set is a set of texts, made with the first of them.
type set map[string]struct{}

func (s *set) add(text string) {
	if *s == nil {
		*s = set{}
	}
	(*s)[text] = struct{}{}
}

// sorted are the keys of a map in order.
func sorted[V any](m map[string]V) []string {
	if len(m) == 0 {
		return nil
	}
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func (p *pending) empty() bool {
	return !p.reset && len(p.keys)+len(p.origins)+len(p.admitted)+len(p.released) == 0
}

// Flush is what has changed since the last Flush. It must be durable before
// anything is sent that was said after it.
func (r *Replica) Flush() Batch {
	p := r.pending
	b := Batch{Reset: p.reset, NextSeq: r.next}
	if p.empty() {
		return b
	}
	r.pending = pending{}
	for _, key := range sorted(p.keys) {
		if it := r.items[key]; it != nil {
			b.Put = append(b.Put, it.Entry)
		} else {
			b.Remove = append(b.Remove, key)
		}
	}
	if len(p.origins) > 0 {
		b.Seen = make(Seen, len(p.origins))
	}
	for origin := range p.origins {
		b.Seen[origin] = r.seen[origin]
	}
	for _, id := range sorted(p.admitted) {
		b.Quarantine = append(b.Quarantine, p.admitted[id])
	}
	b.Release = sorted(p.released)
	return b
}
