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
		order[i] = ranked{id, weight(key, id)}
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
	return Rank("slot/"+strconv.Itoa(int(slot)), nodes)
}

// weight is a node's claim to a key. It must be the same on every machine and
// in every release: changing it moves all leases at once.
func weight(key string, id mesh.NodeID) uint64 {
	var d xxhash.Digest
	d.Reset()
	d.WriteString(key)
	d.WriteString("\x00")
	d.WriteString(string(id))
	return d.Sum64()
}
