package crdt

import (
	"slices"
	"sort"
)

// index is the keys of a copy in order. New keys wait until somebody asks for
// the order: writes come in bursts, and sorting a burst costs less than
// inserting each of it. Slices handed out are never changed.
type index struct {
	sorted []string
	fresh  []string
	gone   int // removed since sorted was made
}

func (x *index) add(key string) { x.fresh = append(x.fresh, key) }

func (x *index) removed() { x.gone++ }

// from is the keys from the given one on; some may be gone from items.
func (x *index) from(key string, items map[string]*item) []string {
	if len(x.fresh) > 0 || x.gone > len(x.sorted)/2 {
		x.merge(items)
	}
	return x.sorted[sort.SearchStrings(x.sorted, key):]
}

func (x *index) merge(items map[string]*item) {
	slices.Sort(x.fresh)
	merged := make([]string, 0, len(items))
	for a, b := x.sorted, x.fresh; len(a)+len(b) > 0; {
		var key string
		if len(b) == 0 || len(a) > 0 && a[0] < b[0] {
			key, a = a[0], a[1:]
		} else {
			key, b = b[0], b[1:]
		}
		twice := len(merged) > 0 && merged[len(merged)-1] == key
		if items[key] != nil && !twice {
			merged = append(merged, key)
		}
	}
	*x = index{sorted: merged}
}

// arrivals is the entries of a copy in the order in which they came. It is what
// a session reads: an entry replaced meanwhile comes again further on, so
// whoever has read to the end has missed nothing.
type arrivals struct {
	items []*item
	last  uint64
	dead  int
}

func (l *arrivals) add(it *item) {
	l.last++
	it.arrival = l.last
	l.items = append(l.items, it)
}

func (l *arrivals) drop(it *item) {
	it.dead = true
	l.dead++
	const few = 64
	if l.dead > few && l.dead > len(l.items)/2 {
		// A new array: an old one may be being read.
		live := make([]*item, 0, len(l.items)-l.dead+few)
		for _, it := range l.items {
			if !it.dead {
				live = append(live, it)
			}
		}
		l.items, l.dead = live, 0
	}
}

// from is what came at place pos or later; some of it may be dead.
func (l *arrivals) from(pos uint64) []*item {
	return l.items[sort.Search(len(l.items), func(i int) bool { return l.items[i].arrival >= pos }):]
}
