package placement

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/cespare/xxhash/v2"

	"mn/mesh"
)

// Rank orders nodes for a key by rendezvous hashing (highest random weight).
// Every node computes the same order from the same set, in whatever order it is
// given; a node that comes or goes changes only its own place.
func Rank(key string, nodes []mesh.NodeID) []mesh.NodeID {
	type ranked struct {
		id     mesh.NodeID
		weight uint64
	}
	order := make([]ranked, len(nodes))
	for i, id := range nodes {
		order[i] = ranked{id, Weight(key, id)}
	}
	slices.SortFunc(order, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.id, b.id))
	})
	ids := make([]mesh.NodeID, len(nodes))
	for i, r := range order {
		ids[i] = r.id
	}
	return ids
}

// RankSlot orders nodes for the lease of a slot: the first bids for it, the
// others stand by.
func RankSlot(slot mesh.Slot, nodes []mesh.NodeID) []mesh.NodeID {
	return Rank(slotKey(slot), nodes)
}

// Leaders is which of a set of nodes ranks first for each slot: what RankSlot
// says, kept up to date as nodes come and go. A node that comes is compared with
// the first of each slot; where one goes, only the slots are looked at in which
// it was first. The zero Leaders is of no nodes.
type Leaders struct {
	nodes []mesh.NodeID // sorted
	first [mesh.Slots]leader
}

type leader struct {
	id     mesh.NodeID
	weight uint64
}

// Of is the node that ranks first for a slot, "" if there is none.
func (l *Leaders) Of(s mesh.Slot) mesh.NodeID { return l.first[s].id }

// Set says who the nodes are now. They are sorted, and nobody changes them later.
func (l *Leaders) Set(nodes []mesh.NodeID) {
	before := l.nodes
	l.nodes = nodes
	for s := range l.first {
		if id := l.first[s].id; id != "" && !contains(nodes, id) {
			l.first[s] = leader{}
			l.contest(mesh.Slot(s), nodes)
		}
	}
	for i, id := range nodes {
		for len(before) > 0 && before[0] < id {
			before = before[1:]
		}
		if len(before) > 0 && before[0] == id {
			continue
		}
		for s := range l.first {
			l.contest(mesh.Slot(s), nodes[i:i+1])
		}
	}
}

// With is the node that would rank first for a slot if id were there too.
func (l *Leaders) With(s mesh.Slot, id mesh.NodeID) mesh.NodeID {
	return l.first[s].best(slotKey(s), []mesh.NodeID{id}).id
}

func contains(sorted []mesh.NodeID, id mesh.NodeID) bool {
	_, ok := slices.BinarySearch(sorted, id)
	return ok
}

// contest lets nodes compete with the one that is first for a slot.
func (l *Leaders) contest(s mesh.Slot, nodes []mesh.NodeID) {
	l.first[s] = l.first[s].best(slotKey(s), nodes)
}

// best is the first in rank for a key: the one that was, or one of these.
func (first leader) best(key string, nodes []mesh.NodeID) leader {
	for _, id := range nodes {
		w := Weight(key, id)
		if first.id == "" || w > first.weight || w == first.weight && id < first.id {
			first = leader{id, w}
		}
	}
	return first
}

// slotKeys are the names under which nodes are ranked for the slots.
var slotKeys = func() (keys [mesh.Slots]string) {
	for s := range keys {
		keys[s] = "slot/" + strconv.Itoa(s)
	}
	return keys
}()

func slotKey(s mesh.Slot) string { return slotKeys[s] }

// Weight is the claim to a key of a node, or of whatever else has an id: the highest
// ranks first. It must be the same on every machine and in every release: changing
// it moves all leases at once.
func Weight[ID ~string](key string, id ID) uint64 {
	var room [96]byte // for both, without allocating
	b := append(room[:0], key...)
	b = append(b, 0)
	return xxhash.Sum64(append(b, id...))
}
