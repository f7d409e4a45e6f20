package mesh

import (
	"fmt"
	"slices"
	"testing"
)

func TestOutputsMatchPatterns(t *testing.T) {
	tests := []struct {
		pattern, name string
		file, dir     bool // it is one; a folder of that name may have some
	}{
		{"out/*.csv", "out/a.csv", true, false},
		{"out/*.csv", "out", false, true},
		{"out/*.csv", "out/b", false, false},
		{"out/*.csv", "out/deep/a.csv", false, false},
		{"out/*.csv", "other", false, false},
		{"model/**", "model/a/b/c", true, true},
		{"model/**", "model/a", true, true},
		{"model/**", "models/a", false, false},
		{"**/*.log", "a.log", true, true},
		{"**/*.log", "x/y/a.log", true, true},
		{"**/*.log", "x/y/a.txt", false, true},
		{"a/**/b/**/c", "a/b/c", true, true},
		{"a/**/b/**/c", "a/x/b/y/z/c", true, true},
		{"a/**/b/**/c", "a/x/y/c", false, true},
		{"**", "any/thing", true, true},
		{"*", "x", true, false},
		{"*", "x/y", false, false},
		{"**/**/**/**/**/**/**/x", "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/y", false, true},
	}
	for _, tt := range tests {
		file, dir := Output([]string{"no", tt.pattern}, tt.name, false), Output([]string{tt.pattern}, tt.name, true)
		if file != tt.file || dir != tt.dir {
			t.Errorf("%q of %q: got %v, as a folder %v, want %v, %v", tt.name, tt.pattern, file, dir, tt.file, tt.dir)
		}
	}
}

// TestHeldChangesNoOther: a status that is on record is not changed by what a later one says.
func TestHeldChangesNoOther(t *testing.T) {
	before := TaskStatus{Outputs: &Kept{Tree: "x", Nodes: []NodeID{"a"}}, Log: &Kept{Tree: "y", Nodes: []NodeID{"a"}}}
	after, news := before.Held("x", "b")
	if !news || fmt.Sprint(after.Outputs.Nodes, after.Log.Nodes) != "[a b] [a]" {
		t.Errorf("got %v, %v, %v", after.Outputs, after.Log, news)
	}
	if !slices.Equal(before.Outputs.Nodes, []NodeID{"a"}) {
		t.Errorf("the status before has %v", before.Outputs.Nodes)
	}
	for _, again := range [][2]string{{"x", "b"}, {"z", "c"}} {
		if _, news := after.Held(again[0], NodeID(again[1])); news {
			t.Errorf("%v is news", again)
		}
	}
	if n := len((&TaskStatus{Outputs: &Kept{Fault: "no"}}).Left()); n != 0 {
		t.Errorf("%d things are left where there is a fault", n)
	}
}

// TestEndOfALogStaysUntilOthersHaveTheNext, for the node may be lost in between.
func TestEndOfALogStaysUntilOthersHaveTheNext(t *testing.T) {
	task := TaskStatus{Log: &Kept{Tree: "t2", Nodes: []NodeID{"a"}}, LogBefore: &Kept{Tree: "t1", Nodes: []NodeID{"a", "b"}}}
	if ends := task.Ends(); len(ends) != 2 || ends[0].Tree != "t2" || ends[1].Tree != "t1" {
		t.Errorf("got %v", ends)
	}
	if _, news := task.Held("t1", "c"); news {
		t.Error("who has what was before is news")
	}
	held, news := task.Held("t2", "b")
	if ends := held.Ends(); !news || len(ends) != 1 || len(ends[0].Nodes) != 2 || len(task.Ends()) != 2 {
		t.Errorf("got %v, %v", ends, news)
	}
}
