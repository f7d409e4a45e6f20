package reconcile

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mn/mesh"
)

// TestTheNextCopyGoesOnFromTheLatestCheckpoint of its seat, unless it begins anew.
func TestTheNextCopyGoesOnFromTheLatestCheckpoint(t *testing.T) {
	w := newWorld()
	room := mesh.Resources{CPU: 4 * mesh.Core, Memory: mesh.GiB, Disk: mesh.GiB}
	w.addNode("a", room)
	w.addNode("b", room)
	moves := 5
	job := mesh.Job{
		Name: "train", Type: mesh.Batch, Reschedule: &mesh.ReschedulePolicy{Attempts: &moves},
		Tasks: []mesh.Task{{Name: "t", Command: []string{"x"}, Checkpoint: &mesh.CheckpointPolicy{}}},
	}
	job.Defaults()
	w.submit(job, false)
	v := w.view()
	first, began := v.Jobs[0], v.Now
	copyOf := func(generation int, resume, saved uint64) mesh.AllocView {
		a := mesh.AllocView{
			Alloc: mesh.Alloc{
				ID: mesh.AllocID(rune('0' + generation)), Job: "train", Version: 1, Hash: first.Hash, Group: "t",
				Content: mesh.HashGroup(&first.Job, "t"), Generation: generation, Node: "a", Want: mesh.WantRun, At: began,
			},
			Status: &mesh.Status{State: mesh.Failed, At: began, Tasks: []mesh.TaskStatus{{Name: "t", State: mesh.Failed}}},
		}
		if resume > 0 {
			a.Resume = []mesh.Checkpoint{{Task: "t", Seq: resume, At: began}}
		}
		if saved > 0 {
			a.Status.Tasks[0].Checkpoint = &mesh.Checkpoint{Task: "t", Seq: saved, At: began}
		}
		return a
	}
	v.Now = v.Now.Add(mesh.DefaultDrainDeadline) // whatever delay there is
	next := func(job mesh.JobView) uint64 {
		plan := Job(v, &job, nil, true)
		if len(plan.Place) != 1 {
			t.Fatalf("it places %v; %s", plan.Place, plan.Text)
		}
		for _, c := range plan.Place[0].Alloc.Resume {
			return c.Seq
		}
		return 0
	}
	for _, tt := range []struct {
		name   string
		copies []mesh.AllocView
		want   uint64
	}{
		{"nothing was saved", []mesh.AllocView{copyOf(0, 0, 0)}, 0},
		{"the copy has saved", []mesh.AllocView{copyOf(0, 0, 3)}, 3},
		{"the copy has saved nothing of its own yet", []mesh.AllocView{copyOf(0, 0, 3), copyOf(1, 3, 0)}, 3},
		{"it came further", []mesh.AllocView{copyOf(0, 0, 3), copyOf(1, 3, 5)}, 5},
		{"an earlier one came further", []mesh.AllocView{copyOf(0, 0, 7), copyOf(1, 3, 5)}, 7},
	} {
		v.Allocs = tt.copies
		if got := next(first); got != tt.want {
			t.Errorf("%s: it goes on from %d, want %d", tt.name, got, tt.want)
		}
	}
	anew := first
	anew.JobVersion = first.NextRun(&job)
	anew.Hash, anew.At = "h2", v.Now
	anew.Line = []mesh.Ancestor{first.Ancestor()}
	v.Jobs[0] = anew
	if got := next(anew); got != 0 {
		t.Errorf("a version that begins anew goes on from %d", got)
	}
	left := copyOf(0, 0, 9)
	left.Status.Tasks[0].Checkpoint.At = v.Now.Add(mesh.DefaultDrainDeadline)
	left.Status.At, v.Now = v.Now.Add(mesh.DefaultDrainDeadline), v.Now.Add(2*mesh.DefaultDrainDeadline)
	v.Allocs = append(v.Allocs, left)
	if got := next(anew); got != 9 {
		t.Errorf("a copy that such a version has left to run has saved 9, and the next goes on from %d", got)
	}
	v.Allocs = v.Allocs[:2]
	retry := first
	retry.JobVersion = first.Next(mesh.VerbRetry)
	retry.Hash, retry.At, retry.Line = "h3", v.Now, []mesh.Ancestor{first.Ancestor()}
	v.Jobs[0] = retry
	if got := next(retry); got != 7 {
		t.Errorf("a retry goes on from %d, want 7", got)
	}
}

// TestTheCopyThatCameFurthestStays where the job wants that.
func TestTheCopyThatCameFurthestStays(t *testing.T) {
	s := &seat{group: mesh.Group{Tasks: []mesh.Task{{Name: "a"}, {Name: "b"}}}}
	at := func(a, b uint64) *mesh.AllocView {
		v := &mesh.AllocView{Status: &mesh.Status{}}
		for name, seq := range map[string]uint64{"a": a, "b": b} {
			task := mesh.TaskStatus{Name: name}
			if seq > 0 {
				task.Checkpoint = &mesh.Checkpoint{Seq: seq}
			}
			v.Status.Tasks = append(v.Status.Tasks, task)
		}
		return v
	}
	for _, tt := range []struct {
		copies []*mesh.AllocView
		want   int
	}{
		{[]*mesh.AllocView{at(0, 0), at(0, 0)}, 0},
		{[]*mesh.AllocView{at(0, 0), at(1, 0)}, 1},
		{[]*mesh.AllocView{at(2, 0), at(1, 9)}, 0},
		{[]*mesh.AllocView{at(2, 3), at(2, 4), at(2, 4)}, 1},
	} {
		if got := (&planner{}).furthest(s, tt.copies); got != tt.copies[tt.want] {
			t.Errorf("%v: not the one at %d", tt.copies, tt.want)
		}
	}
}

// TestWhatElseThereIs to go on from, should the latest not be to be had: what is on other nodes.
func TestWhatElseThereIs(t *testing.T) {
	type saved struct {
		seq     uint64
		seconds int64
		nodes   string // "" for the word of a person that it begins anew
	}
	for _, tt := range []struct {
		copies [][2]saved // the latest of a copy, and what others kept of it
		want   string
	}{
		{nil, ""},
		{[][2]saved{{{5, 0, "a"}}}, "5a"},
		{[][2]saved{{{5, 0, "a"}, {4, 0, "ab"}}}, "5a 4ab"},
		{[][2]saved{{{5, 0, "ab"}, {4, 0, "a"}}}, "5ab"},
		{[][2]saved{{{5, 0, "ab"}, {4, 0, "ac"}}}, "5ab 4ac"},
		// Two have gone on beside each other from the same.
		{[][2]saved{{{5, 1, "a"}, {4, 0, "ac"}}, {{5, 0, "b"}, {4, 0, "ac"}}}, "5a 5b 4ac"},
		{[][2]saved{{{5, 0, "a"}, {4, 0, "c"}}, {{5, 1, "b"}}, {{6, 0, "d"}, {3, 0, "e"}}}, "6d 5b 5a 4c"},
		{[][2]saved{{{5, 0, "a"}}, {{6, 0, ""}}, {{7, 0, "b"}}}, "7b 6"},
		{[][2]saved{{{5, 0, "a"}}, {{6, 0, ""}}}, "6"},
	} {
		s := &seat{content: "x"}
		p := &planner{job: &mesh.JobView{}}
		for i := range tt.copies {
			a := &mesh.AllocView{Alloc: mesh.Alloc{Content: "x"}}
			for _, c := range tt.copies[i] {
				if c.seq > 0 {
					r := mesh.Checkpoint{Task: "t", Seq: c.seq, At: time.Unix(c.seconds, 0)}
					for _, n := range c.nodes {
						r.Nodes, r.Tree = append(r.Nodes, mesh.NodeID(n)), "tree"
					}
					a.Resume = append(a.Resume, r)
				}
			}
			s.copies = append(s.copies, a)
		}
		var got []string
		for _, c := range p.resumeTask(s, "t") {
			text := fmt.Sprint(c.Seq)
			for _, n := range c.Nodes {
				text += string(n)
			}
			got = append(got, text)
		}
		if text := strings.Join(got, " "); text != tt.want {
			t.Errorf("%v: %q, want %q", tt.copies, text, tt.want)
		}
	}
}
