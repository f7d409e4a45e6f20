package crdt

import (
	"crypto/sha256"
	"encoding/binary"
)

// Groups is how many parts the origins fall into, for finding out of which of
// them two copies have seen different writes. With a thousand origins a group
// has four: what is said of one that differs costs little for the other three,
// and the digests of all groups take 2 KiB.
const Groups = 256

// groupOf is the group of an origin. The mesh's nodes must agree on it.
func groupOf(origin string) uint8 { return bucketOf(origin) }

// groups are digests of a Seen: sums, modulo 2^64, of the keyed hashes of what
// is known of each origin. A hash is made anew only when somebody asks after
// its origin has changed: writes come in bursts.
type groups struct {
	all    uint64
	of     [Groups]uint64
	hashes map[string]uint64 // by origin, as they are in the sums
	stale  set               // origins that have changed since
}

func newGroups() groups {
	return groups{hashes: map[string]uint64{}}
}

// refresh brings the sums up to date with a Seen.
func (g *groups) refresh(secret []byte, seen Seen) {
	for origin := range g.stale {
		was, is := g.hashes[origin], uint64(0)
		if k, ok := seen[origin]; ok {
			is = k.hash(secret, origin)
			g.hashes[origin] = is
		} else {
			delete(g.hashes, origin)
		}
		g.all += is - was
		g.of[groupOf(origin)] += is - was
	}
	clear(g.stale)
}

// hash is the hash of what is known of an origin.
func (k Known) hash(secret []byte, origin string) uint64 {
	var room [256]byte
	b := appendText(room[:0], secret)
	b = appendText(b, origin)
	b = binary.BigEndian.AppendUint64(b, k.Head)
	for _, g := range k.Gaps {
		b = binary.BigEndian.AppendUint64(b, g.From)
		b = binary.BigEndian.AppendUint64(b, g.To)
	}
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:])
}

// groupSet is a set of groups.
type groupSet [Groups]bool

func setOf(list []byte) (s groupSet) {
	for _, g := range list {
		s[g] = true
	}
	return s
}

// within is the part of s about the origins of some groups.
func (s Seen) within(in *groupSet) Seen {
	part := Seen{}
	for origin, k := range s {
		if in[groupOf(origin)] {
			part[origin] = k
		}
	}
	return part
}

// unlike is the part of s about the origins of some groups of which o says
// something else. Of an origin that only o has, it says that s has nothing.
func (s Seen) unlike(o Seen, in *groupSet) Seen {
	part := s.within(in)
	for origin, k := range o.within(in) {
		switch mine, ok := part[origin]; {
		case !ok:
			part[origin] = Known{}
		case mine.equal(k):
			delete(part, origin)
		}
	}
	return part
}
