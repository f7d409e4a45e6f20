package lease

import (
	"iter"
	"math/bits"
	"strconv"
	"strings"

	"mn/mesh"
)

// SlotSet is a set of slots, 32 bytes on the wire. Sets are compared with ==.
type SlotSet [mesh.Slots / 8]byte

// AllSlots is the set of every slot.
func AllSlots() SlotSet {
	var s SlotSet
	for i := range s {
		s[i] = 0xff
	}
	return s
}

// SlotsOf is the set of the slots given.
func SlotsOf(slots ...mesh.Slot) SlotSet {
	var s SlotSet
	for _, slot := range slots {
		s.Add(slot)
	}
	return s
}

// Add puts slot into the set.
func (s *SlotSet) Add(slot mesh.Slot) { s[slot/8] |= 1 << (slot % 8) }

// Remove takes slot out of the set.
func (s *SlotSet) Remove(slot mesh.Slot) { s[slot/8] &^= 1 << (slot % 8) }

// Has says whether slot is in the set.
func (s SlotSet) Has(slot mesh.Slot) bool { return s[slot/8]&(1<<(slot%8)) != 0 }

// Without is the slots of s that are not in o.
func (s SlotSet) Without(o SlotSet) SlotSet {
	for i := range s {
		s[i] &^= o[i]
	}
	return s
}

// Empty says whether no slot is in the set.
func (s SlotSet) Empty() bool { return s == SlotSet{} }

// Len is the number of slots in the set.
func (s SlotSet) Len() int {
	n := 0
	for _, b := range s {
		n += bits.OnesCount8(b)
	}
	return n
}

// All yields the slots in ascending order.
func (s SlotSet) All() iter.Seq[mesh.Slot] {
	return func(yield func(mesh.Slot) bool) {
		for i, b := range s {
			for ; b != 0; b &= b - 1 {
				if !yield(mesh.Slot(i*8 + bits.TrailingZeros8(b))) {
					return
				}
			}
		}
	}
}

// String is the set as ranges: "0-3,7".
func (s SlotSet) String() string {
	var parts []string
	for i := 0; i < mesh.Slots; i++ {
		if !s.Has(mesh.Slot(i)) {
			continue
		}
		from := i
		for i+1 < mesh.Slots && s.Has(mesh.Slot(i+1)) {
			i++
		}
		part := strconv.Itoa(from)
		if i > from {
			part += "-" + strconv.Itoa(i)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ",")
}
