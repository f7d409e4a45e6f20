package runner

import (
	"testing"

	"mn/mesh"
)

// TestEndOfALogThatOthersHaveIsRemembered, whatever ends come after it that nobody else has.
func TestEndOfALogThatOthersHaveIsRemembered(t *testing.T) {
	c := &Copy{facts: Facts{Node: "a"}}
	one := &task{}
	see := func(tree string) { c.left(one, Observation{Log: &mesh.Kept{Tree: tree}}) }
	see("t1")
	see("t2")
	if one.status.LogBefore != nil {
		t.Errorf("of what nobody had, %+v is remembered", one.status.LogBefore)
	}
	one.status, _ = one.status.Held("t2", "b")
	see("t3")
	see("t4")
	if b := one.status.LogBefore; b == nil || b.Tree != "t2" || one.status.Log.Tree != "t4" {
		t.Errorf("got %+v, after %+v", one.status.Log, b)
	}
	if one.status, _ = one.status.Held("t4", "b"); one.status.LogBefore != nil {
		t.Error("it is remembered for ever")
	}
}
