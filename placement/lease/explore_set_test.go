package lease

// digests is a set of digests. It takes 16 to 32 bytes for each, where a map
// takes twice that, and one miss of the cache to look.
type digests struct {
	slots []digest // a power of two; the zero digest is an empty slot
	count int
}

const digestsMin = 1 << 12

// add is false if d was there already.
func (s *digests) add(d digest) bool {
	if 2*s.count >= len(s.slots) {
		s.grow()
	}
	at := s.find(d)
	if s.slots[at] == d {
		return false
	}
	s.slots[at] = d
	s.count++
	return true
}

// find is where d is, or is to be.
func (s *digests) find(d digest) uint64 {
	mask := uint64(len(s.slots) - 1)
	at := d[0] & mask
	for s.slots[at] != d && s.slots[at] != (digest{}) {
		at = (at + 1) & mask
	}
	return at
}

func (s *digests) grow() {
	old := s.slots
	s.slots = make([]digest, max(2*len(old), digestsMin))
	for _, d := range old {
		if d != (digest{}) {
			s.slots[s.find(d)] = d
		}
	}
}
