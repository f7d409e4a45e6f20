package lease

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"slices"
	"time"

	"mn/mesh"
)

// membersMax bounds the admitted nodes that a party keeps track of.
const membersMax = 4096

// peer is an admitted node.
type peer struct {
	key     ed25519.PublicKey
	witness bool
	alive   bool          // by gossip: a hint
	since   time.Duration // alive or not since then
}

// peers is who is in the mesh, as far as this node knows.
type peers map[mesh.NodeID]peer

// update takes a new list of members at now. It returns who has come to life.
func (ps peers) update(m Members, self mesh.NodeID, now time.Duration) []mesh.NodeID {
	var back []mesh.NodeID
	alive, witness := setOf(m.Alive), setOf(m.Witnesses)
	admitted := 0
	for _, member := range m.Admitted[:min(len(m.Admitted), membersMax)] {
		id := member.ID
		old, known := ps[id]
		if (!known || !bytes.Equal(old.key, member.Key)) && !owns(id, member.Key) {
			delete(ps, id)
			continue // its record is not its own: it cannot be a voter
		}
		admitted++
		is := peer{member.Key, witness.has(id), id == self || alive.has(id), old.since}
		if !known || old.alive != is.alive {
			is.since = now
			if is.alive && id != self {
				back = append(back, id)
			}
		} else if old.witness == is.witness {
			continue
		}
		ps[id] = is
	}
	if admitted < len(ps) {
		ps.retain(m.Admitted)
	}
	return back
}

// wake takes a new list of who is alive, where nothing else has changed. Both are
// sorted. It returns who has come to life.
func (ps peers) wake(before, alive nodeSet, self mesh.NodeID, now time.Duration) []mesh.NodeID {
	var back []mesh.NodeID
	turn := func(id mesh.NodeID, is bool) {
		p, known := ps[id]
		if !known || id == self || p.alive == is {
			return
		}
		p.alive, p.since = is, now
		ps[id] = p
		if is {
			back = append(back, id)
		}
	}
	for len(before)+len(alive) > 0 {
		switch {
		case len(alive) == 0 || len(before) > 0 && before[0] < alive[0]:
			turn(before[0], false)
			before = before[1:]
		case len(before) == 0 || alive[0] < before[0]:
			turn(alive[0], true)
			alive = alive[1:]
		default:
			before, alive = before[1:], alive[1:]
		}
	}
	return back
}

// same says whether two lists are one.
func same[T any](a, b []T) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }

// owns says whether a key is that of a node.
func owns(id mesh.NodeID, key []byte) bool {
	return len(key) == ed25519.PublicKeySize && mesh.NodeIDOf(key) == id
}

// retain forgets all but these.
func (ps peers) retain(admitted []mesh.Member) {
	is := make(map[mesh.NodeID]bool, len(admitted))
	for _, member := range admitted[:min(len(admitted), membersMax)] {
		is[member.ID] = true
	}
	for id := range ps {
		if !is[id] {
			delete(ps, id)
		}
	}
}

// nodeSet is a set of nodes: sorted, as lists of them mostly come.
type nodeSet []mesh.NodeID

func setOf(ids []mesh.NodeID) nodeSet {
	if !slices.IsSorted(ids) {
		ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	}
	return ids
}

func (s nodeSet) has(id mesh.NodeID) bool {
	_, found := slices.BinarySearch(s, id)
	return found
}

// alive is who seems to be alive beside self, by id.
func (ps peers) alive(self mesh.NodeID) []mesh.NodeID {
	var ids []mesh.NodeID
	for id, p := range ps {
		if p.alive && id != self {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// seats is how many voters so many admitted nodes have. Even numbers add a node
// that can fail and no node that may.
func seats(admitted int) int {
	switch {
	case admitted <= 2:
		return 1
	case admitted <= 4:
		return 3
	case admitted <= 8:
		return 5
	}
	return VotersMax
}

// candidate is an admitted node that could be a voter.
type candidate struct {
	Voter
	witness bool
	current bool
	alive   bool
	fit     bool // alive for long enough, or a voter not lost for too long
}

// better orders candidates: who is fit, then witnesses, which have nothing else
// to do, then who is a voter already, so that the roster moves little.
func (c candidate) better(o candidate) int {
	return cmp.Or(first(c.fit, o.fit), first(c.witness, o.witness),
		first(c.current, o.current), cmp.Compare(c.ID, o.ID))
}

func first(a, b bool) int {
	switch {
	case a && !b:
		return -1
	case b && !a:
		return 1
	}
	return 0
}

// choose is who should be the voters: nil if those of now shall stay. Voters
// become fewer only because fewer nodes are admitted, never because some are
// dead; and none are chosen whose own majority is not alive.
func choose(now []Voter, candidates []candidate) []Voter {
	seats := seats(len(candidates))
	able := slices.DeleteFunc(slices.Clone(candidates), func(c candidate) bool {
		return !c.fit && !c.current
	})
	slices.SortFunc(able, candidate.better)
	size := min(seats, len(able)-(1-len(able)%2))
	if size < 1 || size < min(seats, len(now)) {
		return nil
	}
	var voters []Voter
	alive := 0
	for _, c := range able[:size] {
		voters = append(voters, c.Voter)
		if c.alive {
			alive++
		}
	}
	slices.SortFunc(voters, byID)
	stay := slices.EqualFunc(voters, now, func(a, b Voter) bool { return a.ID == b.ID })
	if stay || alive <= size/2 {
		return nil
	}
	return voters
}

// candidates is every admitted node as this one sees it.
func (p *Party) candidates() []candidate {
	var list []candidate
	for id, peer := range p.peers {
		c := candidate{Voter: Voter{id, peer.key}, witness: peer.witness, alive: peer.alive}
		c.current = p.roster.Seat(id) >= 0
		lasted := p.now - peer.since
		switch {
		case c.current:
			c.fit = peer.alive || lasted < p.cfg.Replace
		default:
			c.fit = peer.alive && lasted >= p.cfg.Settle
		}
		list = append(list, c)
	}
	return list
}
