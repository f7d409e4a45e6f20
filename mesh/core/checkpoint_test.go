package core

import (
	"slices"
	"testing"
	"time"

	"mn/mesh"
	"mn/runner"
)

// saves has the tasks of a job say that they were saved under a name.
func (l *lab) saves(job mesh.JobID, tree string) {
	for _, h := range l.nodes {
		for _, o := range h.tasks {
			if a, ok := h.core.Alloc(o.Alloc); ok && a.Job == job {
				h.trees[tree] = true
				o.Kind, o.Checkpoint = runner.Saved, &mesh.Checkpoint{Tree: tree, Bytes: 7, At: l.clock().Wall}
				l.post(h, labDelay, Observed{o})
			}
		}
	}
}

// TestWhatWasSavedOutlivesItsNode: others keep it, and the copy that takes the place of the
// one that is lost goes on from it.
func TestWhatWasSavedOutlivesItsNode(t *testing.T) {
	l := newLab(t, 4)
	l.after(15 * time.Second)
	job := service("train", 1)
	job.Tasks[0].Checkpoint = &mesh.CheckpointPolicy{Copies: 2}
	l.ask(l.nodes[0], Submit{Job: job})
	l.after(5 * time.Second)
	l.saves("train", "one")
	l.after(10 * time.Second)
	l.saves("train", "two")
	l.after(10 * time.Second)
	first := l.runs()
	latest := func() *mesh.Checkpoint {
		for _, a := range l.nodes[0].core.View().AllocsOf("train") {
			if a.Node == first.self.ID && a.Status != nil {
				return a.Status.Tasks[0].Checkpoint
			}
		}
		return nil
	}
	c := latest()
	if c == nil || c.Tree != "two" || c.Seq != 2 || len(c.Nodes) != 3 || c.Nodes[0] != first.self.ID {
		t.Fatalf("the latest is %+v, want the second, on three disks", c)
	}
	for _, h := range l.nodes {
		if has := slices.Contains(c.Nodes, h.self.ID); has != h.trees["two"] || has != slices.Contains(h.core.Trees(), "two") {
			t.Errorf("%s is named: %v; it has it: %v, and keeps %v", h.name, has, h.trees["two"], h.core.Trees())
		}
	}
	l.kill(first, true)
	l.after(30 * time.Second)
	next := l.runs()
	if next == nil || next == first {
		t.Fatalf("%v run", l.running())
	}
	var from *mesh.Checkpoint
	for _, o := range next.orders {
		if o.Spec != nil && o.Spec.Saving != nil {
			from = o.Spec.Saving.From
		}
	}
	if from == nil || from.Tree != "two" || from.Seq != 2 {
		t.Errorf("the next copy goes on from %+v", from)
	}
	l.saves("train", "three")
	l.after(time.Second)
	for _, a := range next.core.View().AllocsOf("train") {
		if a.Node == next.self.ID && a.Status.Tasks[0].Checkpoint.Seq != 3 {
			t.Errorf("it counts on with %+v", a.Status.Tasks[0].Checkpoint)
		}
	}
}
