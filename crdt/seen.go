package crdt

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Bounds of what a copy says about the writes it has.
const (
	MaxGaps    = 256  // gaps of one origin
	MaxOrigins = 4096 // origins in one Seen
)

// Seen says which writes a copy has incorporated: for each origin the highest
// dot, and the gaps below it. An incorporated write is either still the entry
// of its key, or lost to the one that is, or its key's tombstone was collected.
//
// Values of a Seen are never changed in place, so a shallow copy is a copy.
type Seen map[string]Known

// Known is the part of a [Seen] about one origin. The gaps are sorted, do not
// touch each other, and lie below Head.
type Known struct {
	_    struct{} `cbor:",toarray"`
	Head uint64   // the highest dot
	Gaps []Gap    // what is missing below it
}

// Gap is a range of dots, both ends included.
type Gap struct {
	_        struct{} `cbor:",toarray"`
	From, To uint64
}

// Has says whether d has been incorporated.
func (s Seen) Has(d Dot) bool {
	k, ok := s[d.Origin]
	return ok && k.has(d.Seq)
}

// with is what is known of d's origin once d has been incorporated. It is false
// where that would take more than [MaxGaps] or [MaxOrigins]: then d will come
// once more.
func (s Seen) with(d Dot) (Known, bool) {
	k, ok := s[d.Origin]
	if !ok && len(s) >= MaxOrigins {
		return k, false
	}
	return k.add(d.Seq)
}

// Clone is a copy that later changes of s leave alone.
func (s Seen) Clone() Seen {
	if s == nil {
		return Seen{}
	}
	return maps.Clone(s)
}

// Covers says whether s has everything that o has.
func (s Seen) Covers(o Seen) bool {
	for origin, k := range o {
		if !s[origin].covers(k) {
			return false
		}
	}
	return true
}

// Equal says whether s and o have the same writes.
func (s Seen) Equal(o Seen) bool { return s.Covers(o) && o.Covers(s) }

// Origins are the origins of s, sorted.
func (s Seen) Origins() []string { return sorted(s) }

// String is "a:7 b:9-{3,5..6}": heads, each without its gaps.
func (s Seen) String() string {
	var b strings.Builder
	for i, origin := range s.Origins() {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%s:%v", origin, s[origin])
	}
	return b.String()
}

// Check says what is wrong with a Seen that came from outside.
func (s Seen) Check() error {
	return s.check(func(k Known) bool { return k.canonical() })
}

// checkPart is Check for a part of a Seen: it may say of an origin that there
// is nothing.
func (s Seen) checkPart() error {
	return s.check(func(k Known) bool { return k.canonical() || k.Head == 0 && len(k.Gaps) == 0 })
}

func (s Seen) check(good func(Known) bool) error {
	if len(s) > MaxOrigins {
		return &MalformedError{fmt.Sprintf("seen: %d origins are more than %d", len(s), MaxOrigins)}
	}
	for origin, k := range s {
		if origin == "" || len(origin) > MaxOrigin || !good(k) {
			return &MalformedError{fmt.Sprintf("seen: impossible dots of origin %q", origin)}
		}
	}
	return nil
}

func (k Known) has(seq uint64) bool {
	if seq == 0 || seq > k.Head {
		return false
	}
	_, in := k.find(seq)
	return !in
}

// find is the gap that holds seq, or else the first gap above it.
func (k Known) find(seq uint64) (int, bool) {
	i, _ := slices.BinarySearchFunc(k.Gaps, seq, func(g Gap, seq uint64) int {
		if g.To < seq {
			return -1
		}
		return 1
	})
	return i, i < len(k.Gaps) && k.Gaps[i].From <= seq
}

// add is k with seq; it is false where that needs one gap too many.
func (k Known) add(seq uint64) (Known, bool) {
	if seq == 0 || k.has(seq) {
		return k, seq != 0
	}
	if seq > k.Head {
		if seq > k.Head+1 {
			if len(k.Gaps) >= MaxGaps {
				return k, false
			}
			k.Gaps = append(slices.Clone(k.Gaps), Gap{From: k.Head + 1, To: seq - 1})
		}
		k.Head = seq
		return k, true
	}
	i, _ := k.find(seq)
	var parts []Gap
	if g := k.Gaps[i]; g.From < seq {
		parts = append(parts, Gap{From: g.From, To: seq - 1})
	}
	if g := k.Gaps[i]; seq < g.To {
		parts = append(parts, Gap{From: seq + 1, To: g.To})
	}
	if len(k.Gaps)-1+len(parts) > MaxGaps {
		return k, false
	}
	k.Gaps = slices.Replace(slices.Clone(k.Gaps), i, i+1, parts...)
	return k, true
}

// covers says whether k has everything that o has.
func (k Known) covers(o Known) bool {
	if k.Head >= o.Head && len(k.Gaps) == 0 {
		return true
	}
	return k.meet(o).equal(o)
}

func (k Known) equal(o Known) bool {
	return k.Head == o.Head && slices.Equal(k.Gaps, o.Gaps)
}

// meet is what both have.
func (k Known) meet(o Known) Known {
	head := min(k.Head, o.Head)
	var gaps []Gap
	for a, b := k.Gaps, o.Gaps; len(a)+len(b) > 0; {
		if len(b) == 0 || len(a) > 0 && a[0].From <= b[0].From {
			gaps, a = widen(gaps, a[0]), a[1:]
		} else {
			gaps, b = widen(gaps, b[0]), b[1:]
		}
	}
	return Known{Head: head, Gaps: gaps}.trim()
}

// widen adds g to sorted gaps, none of which begins after it.
func widen(gaps []Gap, g Gap) []Gap {
	if n := len(gaps); n > 0 && g.From <= gaps[n-1].To+1 {
		gaps[n-1].To = max(gaps[n-1].To, g.To)
		return gaps
	}
	return append(gaps, g)
}

// join is what one of them has.
func (k Known) join(o Known) Known {
	if k.Head < o.Head {
		k, o = o, k
	}
	theirs := o.Gaps
	if o.Head < k.Head {
		theirs = append(slices.Clone(o.Gaps), Gap{From: o.Head + 1, To: k.Head})
	}
	var gaps []Gap
	for a, b := k.Gaps, theirs; len(a) > 0 && len(b) > 0; {
		if from, to := max(a[0].From, b[0].From), min(a[0].To, b[0].To); from <= to {
			gaps = append(gaps, Gap{From: from, To: to})
		}
		if a[0].To < b[0].To {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return Known{Head: k.Head, Gaps: gaps}
}

// without is k less some dots.
func (k Known) without(seqs []uint64) Known {
	slices.Sort(seqs)
	holes := Known{Head: k.Head}
	for _, seq := range seqs {
		holes.Gaps = widen(holes.Gaps, Gap{From: seq, To: seq})
	}
	return k.meet(holes)
}

// trim cuts gaps off at the head, and then lowers the head to a dot that is there.
func (k Known) trim() Known {
	for n := len(k.Gaps); n > 0 && k.Gaps[n-1].To >= k.Head; n-- {
		k.Head = min(k.Head, k.Gaps[n-1].From-1)
		k.Gaps = k.Gaps[:n-1]
	}
	return k
}

// canonical says whether k is what the other methods rely on.
func (k Known) canonical() bool {
	if k.Head == 0 || k.Head > MaxSeq || len(k.Gaps) > MaxGaps {
		return false
	}
	free := uint64(1) // the lowest dot at which the next gap may begin
	for _, g := range k.Gaps {
		if g.From < free || g.To < g.From || g.To >= k.Head {
			return false
		}
		free = g.To + 2
	}
	return true
}

// String is "9-{3,5..6}".
func (k Known) String() string {
	if len(k.Gaps) == 0 {
		return fmt.Sprint(k.Head)
	}
	parts := make([]string, len(k.Gaps))
	for i, g := range k.Gaps {
		parts[i] = fmt.Sprint(g.From)
		if g.To > g.From {
			parts[i] = fmt.Sprintf("%d..%d", g.From, g.To)
		}
	}
	return fmt.Sprintf("%d-{%s}", k.Head, strings.Join(parts, ","))
}
