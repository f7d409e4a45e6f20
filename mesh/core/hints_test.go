package core

import (
	"testing"
	"time"

	"mn/mesh"
)

// TestHintsHideUntilTheyAreOld: the latest of a service counts, for a while, and no more are kept than
// there is room for.
func TestHintsHideUntilTheyAreOld(t *testing.T) {
	l := newLab(t, 1)
	l.after(time.Second)
	h := l.nodes[0]
	said := func(at int64, fail, pass []mesh.ServiceKey) bool {
		return h.core.Step(l.clock(), Hinted{At: time.UnixMilli(at), Fail: fail, Pass: pass}).Hinted
	}
	fails := func(key mesh.ServiceKey) bool {
		_, is := h.core.View().Failing[key]
		return is
	}
	a, b := []mesh.ServiceKey{1}, []mesh.ServiceKey{2}
	if !said(10, a, nil) || !fails(1) || fails(2) {
		t.Error("a service that fails is not known")
	}
	if said(10, nil, a) || !fails(1) {
		t.Error("what is not later counts")
	}
	if said(5, nil, a) || !fails(1) {
		t.Error("what came late counts")
	}
	if !said(11, b, a) || fails(1) || !fails(2) {
		t.Error("what is later does not count")
	}
	l.after(hintFor + 2*syncEvery)
	if fails(2) || len(h.core.hints) > 0 {
		t.Error("what is old counts")
	}
	var many []mesh.ServiceKey
	for i := range 2 * hintsMax {
		many = append(many, mesh.ServiceKey(i))
	}
	if said(20, many, nil); len(h.core.hints) != hintsMax {
		t.Errorf("%d hints are kept, want %d", len(h.core.hints), hintsMax)
	}
	if !said(21, nil, many) || fails(0) {
		t.Error("what is known is not changed where there is no room for more")
	}
}
