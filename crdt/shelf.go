package crdt

import (
	"errors"
	"maps"
	"slices"
	"strings"
)

// Bounds of each of the two shelves: what waits aside, what is in quarantine.
const (
	MaxHeld          = 256     // entries
	maxHeldBytes     = 4 << 20 // of keys and values
	quarantinedValue = 4 << 10 // what is kept of a quarantined entry's value
)

// held is an entry that was refused.
type held struct {
	entry Entry
	hash  Digest // of the entry as it came
	err   error
	skip  bool // peers need not send it again
}

func (h *held) shown() Quarantined {
	return Quarantined{ID: h.hash.String(), Entry: h.entry, Reason: h.err.Error()}
}

// shelf holds refused entries, the highest of each key.
type shelf struct {
	byKey map[string]*held
	bytes int
}

func newShelf() shelf { return shelf{byKey: map[string]*held{}} }

// hold puts h on the shelf; before is what had to go for it. It is false if
// there is no room. An entry below one that is held needs no place of its own:
// whatever becomes of the higher one, the lower one has lost to it.
func (s *shelf) hold(h held) (before *held, ok bool) {
	key := h.entry.Key
	before = s.byKey[key]
	if before != nil && before.hash != h.hash && !h.entry.beats(&before.entry) {
		return nil, true
	}
	freed := 0
	if before != nil {
		freed = before.entry.Size()
	}
	full := before == nil && len(s.byKey) >= MaxHeld
	if full || s.bytes-freed+h.entry.Size() > maxHeldBytes {
		return nil, false
	}
	s.bytes += h.entry.Size() - freed
	s.byKey[key] = &h
	if before != nil && before.hash == h.hash {
		before = nil // the same once more
	}
	return before, true
}

// restore puts back what the disk has kept. Peers may send it again: a newer
// release may understand it.
func (s *shelf) restore(q Quarantined) {
	h := held{entry: q.Entry.forDisplay(), err: errors.New(q.Reason)}
	if copy(h.hash[:], unhex(q.ID)) == len(h.hash) {
		s.hold(h)
	}
}

func (s *shelf) drop(key string) {
	if h := s.byKey[key]; h != nil {
		s.bytes -= h.entry.Size()
		delete(s.byKey, key)
	}
}

// list is what is held, by key.
func (s *shelf) list() []*held {
	if len(s.byKey) == 0 {
		return nil
	}
	return slices.SortedFunc(maps.Values(s.byKey), func(a, b *held) int {
		return strings.Compare(a.entry.Key, b.entry.Key)
	})
}

// forDisplay is as much of an entry, however odd, as can be kept and shown.
func (e Entry) forDisplay() Entry {
	clean := func(s string, n int) string { return strings.ToValidUTF8(s[:min(len(s), n)], "?") }
	e.Key = clean(e.Key, MaxKey)
	e.Dot.Origin = clean(e.Dot.Origin, MaxOrigin)
	e.Stamp.Node = clean(e.Stamp.Node, MaxOrigin)
	e.Value = slices.Clone(e.Value[:min(len(e.Value), quarantinedValue)])
	return e
}
