package crdt

import (
	"maps"
	"testing"

	"pgregory.net/rapid"
)

// dots is the dumb twin of a Known: simply the set.
type dots map[uint64]bool

const dotsMax = 40

// drawKnown draws a Known together with its twin.
func drawKnown(t *rapid.T, label string) (Known, dots) {
	k, twin := Known{}, dots{}
	for _, seq := range rapid.SliceOfN(rapid.Uint64Range(1, dotsMax), 0, dotsMax).Draw(t, label) {
		var ok bool
		if k, ok = k.add(seq); !ok {
			t.Fatalf("add %d to %v", seq, k)
		}
		twin[seq] = true
	}
	return k, twin
}

func mustEqual(t *rapid.T, what string, k Known, twin dots) {
	for seq := range uint64(dotsMax + 2) {
		if k.has(seq) != twin[seq] {
			t.Fatalf("%s: %v has %d: %v, want %v", what, k, seq, k.has(seq), twin[seq])
		}
	}
	if k.Head != 0 && !k.canonical() {
		t.Fatalf("%s: %v is not canonical", what, k)
	}
}

func TestSeenIsASetOfDots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, ta := drawKnown(t, "a")
		b, tb := drawKnown(t, "b")
		mustEqual(t, "a", a, ta)
		both, any, less := dots{}, maps.Clone(ta), maps.Clone(ta)
		covers := true
		for seq := range tb {
			both[seq] = ta[seq]
			any[seq] = true
			covers = covers && ta[seq]
		}
		mustEqual(t, "meet", a.meet(b), both)
		mustEqual(t, "join", a.join(b), any)
		if a.covers(b) != covers {
			t.Fatalf("%v covers %v: %v, want %v", a, b, a.covers(b), covers)
		}
		holes := rapid.SliceOfN(rapid.Uint64Range(1, dotsMax+1), 0, 5).Draw(t, "holes")
		for _, seq := range holes {
			delete(less, seq)
		}
		mustEqual(t, "without", a.without(holes), less)
		mustEqual(t, "a is as it was", a, ta)
		mustEqual(t, "b is as it was", b, tb)
	})
}

// add is with, and the result in its place.
func (s Seen) add(d Dot) bool {
	k, ok := s.with(d)
	if ok {
		s[d.Origin] = k
	}
	return ok
}

func TestSeenIsBounded(t *testing.T) {
	s := Seen{}
	for i := range uint64(MaxGaps) {
		if !s.add(Dot{"x", 2 * (i + 1)}) {
			t.Fatalf("gap %d of %d was refused", i+1, MaxGaps)
		}
	}
	if s.add(Dot{"x", 10 * MaxGaps}) {
		t.Error("one gap too many was noted")
	}
	if s.Has(Dot{"x", 10 * MaxGaps}) {
		t.Error("what was not noted is there")
	}
	if !s.add(Dot{"x", 2*MaxGaps + 1}) || !s.add(Dot{"x", 1}) {
		t.Error("a dot that needs no gap was refused")
	}
	for i := range MaxOrigins {
		s.add(Dot{string(rune(i + 1000)), 1})
	}
	if len(s) > MaxOrigins {
		t.Errorf("%d origins", len(s))
	}
}

func TestSeenFromOutsideIsChecked(t *testing.T) {
	for _, tc := range []struct {
		name string
		seen Seen
		ok   bool
	}{
		{"nothing", nil, true},
		{"good", Seen{"x": {Head: 9, Gaps: []Gap{{From: 1, To: 2}, {From: 4, To: 8}}}}, true},
		{"no origin", Seen{"": {Head: 1}}, false},
		{"empty", Seen{"x": {}}, false},
		{"near overflow", Seen{"x": {Head: MaxSeq + 1}}, false},
		{"gap at the head", Seen{"x": {Head: 9, Gaps: []Gap{{From: 4, To: 9}}}}, false},
		{"gap above", Seen{"x": {Head: 9, Gaps: []Gap{{From: 4, To: 1 << 63}}}}, false},
		{"gap turned round", Seen{"x": {Head: 9, Gaps: []Gap{{From: 4, To: 3}}}}, false},
		{"gaps touch", Seen{"x": {Head: 9, Gaps: []Gap{{From: 1, To: 2}, {From: 3, To: 4}}}}, false},
		{"gap at zero", Seen{"x": {Head: 9, Gaps: []Gap{{From: 0, To: 2}}}}, false},
		{"too many gaps", Seen{"x": {Head: 9, Gaps: make([]Gap, MaxGaps+1)}}, false},
	} {
		if err := tc.seen.Check(); (err == nil) != tc.ok {
			t.Errorf("%s: got %v, want ok: %v", tc.name, err, tc.ok)
		}
	}
}
