package runner

import (
	"testing"
	"time"

	"mn/mesh"
)

// TestATaskGoesOnFromTheLatest that was saved in its seat, by it or a copy before it, and
// counts on from there.
func TestATaskGoesOnFromTheLatest(t *testing.T) {
	job := &mesh.Job{Name: "train", Type: mesh.Batch, Tasks: []mesh.Task{{
		Name: "t", Command: []string{"${MN_CHECKPOINT_DIR}", "${MN_CHECKPOINT_READY}"},
		Checkpoint: &mesh.CheckpointPolicy{Every: mesh.Duration(time.Minute)},
	}}}
	group := job.Groups()[0]
	a := mesh.Alloc{ID: "a", Job: "train", Group: "t", Resume: []mesh.Checkpoint{
		{Task: "other", Seq: 9, Tree: "no"}, {Task: "t", Seq: 4, Tree: "four", Nodes: []mesh.NodeID{"n1"}},
	}}
	c := NewCopy(a, group, job, Facts{Node: "n2", Name: "n2", Root: "/allocs"})
	now := Now{Boot: time.Hour, Wall: time.Unix(1e9, 0)}
	start := func(o Output) *Spec {
		for _, order := range o.Orders {
			if order.Verb == DoStart {
				return order.Spec
			}
		}
		return nil
	}
	spec := start(c.Step(now, Run{}))
	s := spec.Saving
	if s == nil || s.From == nil || s.From.Tree != "four" || s.Every != time.Minute ||
		spec.Command[0] != s.Dir || spec.Command[1] != s.Ready {
		t.Fatalf("it is started with %+v, %v", s, spec.Command)
	}
	latest := func() *mesh.Checkpoint { return c.Status().Tasks[0].Checkpoint }
	seen := func(kind Kind, attempt int, tree string) Output {
		o := Observation{Alloc: "a", Task: "t", Attempt: attempt, Kind: kind, StartedAt: now.Wall, At: now.Wall, ExitCode: 1}
		if tree != "" {
			o.Checkpoint = &mesh.Checkpoint{Tree: tree, Bytes: 3, Label: "step 5", At: now.Wall}
		}
		return c.Step(now, Observed{o})
	}
	seen(Started, 1, "")
	if l := latest(); l == nil || l.Tree != "four" || l.Seq != 4 || len(l.Nodes) != 2 || l.Nodes[1] != "n2" {
		t.Errorf("started, it has %+v, want what it goes on from, here too", l)
	}
	if out := seen(Saved, 1, "five"); !out.Changed || latest().Seq != 5 || latest().Tree != "five" || len(latest().Nodes) != 1 {
		t.Errorf("saved: %+v, changed %v", latest(), out.Changed)
	}
	c.Step(now, Held{Task: "t", Tree: "four", By: "n3"})
	if out := c.Step(now, Held{Task: "t", Tree: "five", By: "n1"}); !out.Changed || len(latest().Nodes) != 2 {
		t.Errorf("held by another: %+v", latest())
	}
	seen(Saved, 7, "of another attempt")
	seen(Exited, 1, "")
	now.Boot += time.Minute
	if spec := start(c.Step(now, Tick{})); spec == nil || spec.Attempt != 2 || spec.Saving.From.Tree != "five" {
		t.Errorf("restarted, it goes on from %+v", spec)
	}
	before := c.Status()
	c = NewCopy(a, group, job, Facts{Node: "n2", Root: "/allocs"})
	c.Step(now, Resume{Status: &before})
	if l := latest(); l == nil || l.Tree != "five" || len(l.Nodes) != 2 {
		t.Errorf("the next agent knows of %+v", l)
	}
}
