package runner

import (
	"slices"
	"strings"
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
	if s == nil || len(s.From) != 1 || s.From[0].Tree != "four" || s.Every != time.Minute ||
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
	seen(Restored, 1, "")
	if latest() != nil {
		t.Errorf("restored from nothing, it has %+v", latest())
	}
	c.Step(now, Observed{Observation{Alloc: "a", Task: "t", Attempt: 1, Kind: Restored, Checkpoint: &s.From[0]}})
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
	if spec := start(c.Step(now, Tick{})); spec == nil || spec.Attempt != 2 || spec.Saving.From[0].Tree != "five" {
		t.Errorf("restarted, it goes on from %+v", spec)
	}
	before := c.Status()
	c = NewCopy(a, group, job, Facts{Node: "n2", Root: "/allocs"})
	c.Step(now, Resume{Status: &before})
	if l := latest(); l == nil || l.Tree != "five" || len(l.Nodes) != 2 {
		t.Errorf("the next agent knows of %+v", l)
	}
}

// saved is a copy of a job that is saved, which has begun, and what its driver may see of it.
func savedCopy(resume ...mesh.Checkpoint) (c *Copy, see func(Kind, int, string) Output) {
	job := &mesh.Job{Name: "train", Type: mesh.Batch, Tasks: []mesh.Task{{
		Name: "t", Command: []string{"x"}, Timeout: mesh.Duration(time.Hour), Checkpoint: &mesh.CheckpointPolicy{},
	}}}
	a := mesh.Alloc{ID: "a", Job: "train", Group: "t", Resume: resume}
	c = NewCopy(a, job.Groups()[0], job, Facts{Node: "n1", Root: "/allocs"})
	now := Now{Boot: time.Hour, Wall: time.Unix(1e9, 0)}
	c.Step(now, Run{})
	return c, func(kind Kind, attempt int, tree string) Output {
		o := Observation{Alloc: "a", Task: "t", Attempt: attempt, Kind: kind, At: now.Wall, Err: "nobody has it"}
		switch kind {
		case Started:
			o.StartedAt = now.Wall
		case RestoreFailed:
			now.Boot += time.Minute
		}
		if tree != "" {
			o.Checkpoint = &mesh.Checkpoint{Tree: tree}
		}
		return c.Step(now, Observed{o})
	}
}

// told are the checkpoints that a status names, each with who has it.
func told(t mesh.TaskStatus) string {
	var all []string
	for _, p := range t.Saved() {
		text := p.Tree
		for _, n := range p.Nodes {
			text += " " + string(n)
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

// TestWhatOthersHaveIsRemembered until they have what was saved since.
func TestWhatOthersHaveIsRemembered(t *testing.T) {
	c, see := savedCopy()
	see(Started, 1, "")
	for _, step := range []struct {
		save, held, by string
		latest, kept   string // with who has it
		older          string
	}{
		{"1", "", "", "1 n1", "", ""},
		{"", "1", "n2", "1 n1 n2", "", ""},
		{"2", "", "", "2 n1", "1 n1 n2", ""},
		{"3", "", "", "3 n1", "1 n1 n2", ""},
		{"4", "", "", "4 n1", "1 n1 n2", ""},
		{"", "3", "n2", "4 n1", "3 n1 n2", ""},
		{"", "2", "n3", "4 n1", "3 n1 n2", "2 n1 n3"}, // if n1 and n2 are lost
		{"", "3", "n3", "4 n1", "3 n1 n2 n3", ""},
		{"", "x", "n3", "4 n1", "3 n1 n2 n3", ""},
		{"", "4", "n3", "4 n1 n3", "3 n1 n2 n3", ""},
		{"5", "", "", "5 n1", "4 n1 n3", "3 n1 n2 n3"},
		{"", "5", "n2", "5 n1 n2", "4 n1 n3", ""},
		{"", "5", "n3", "5 n1 n2 n3", "", ""}, // on as many as are to keep it
		{"6", "", "", "6 n1", "5 n1 n2 n3", ""},
	} {
		var out Output
		if step.save != "" {
			out = see(Saved, 1, step.save)
		} else {
			before := c.Status().Tasks[0]
			out = c.Step(Now{Boot: time.Hour}, Held{Task: "t", Tree: step.held, By: mesh.NodeID(step.by)})
			if after := c.Status().Tasks[0]; out.Changed != (told(before) != told(after)) {
				t.Errorf("%+v: changed %v", step, out.Changed)
			}
		}
		want := strings.TrimRight(step.latest+"; "+step.kept+"; "+step.older, "; ")
		if got := told(c.Status().Tasks[0]); got != want {
			t.Errorf("%+v: got %q, want %q", step, got, want)
		}
	}
	before := c.Status()
	next, _ := savedCopy()
	next = NewCopy(next.alloc, next.job.Groups()[0], next.job, next.facts)
	next.Step(Now{Boot: time.Hour}, Resume{Status: &before})
	var trees []string
	for _, p := range next.from(next.tasks[0]) {
		trees = append(trees, p.Tree)
	}
	if !slices.Equal(trees, []string{"6", "5"}) {
		t.Errorf("the next agent would go on from %v", trees)
	}
}

// TestATaskWaitsForWhatWasSavedOfIt, which uses up none of its restarts or its time.
func TestATaskWaitsForWhatWasSavedOfIt(t *testing.T) {
	c, see := savedCopy(
		mesh.Checkpoint{Task: "t", Seq: 4, Tree: "four"},
		mesh.Checkpoint{Task: "t", Seq: 9, Tree: "nine"},
	)
	var told []mesh.EventKind
	for attempt := 1; attempt <= 100; attempt++ {
		out := see(RestoreFailed, attempt, "")
		for _, e := range out.Events {
			told = append(told, e.Kind)
		}
		s := c.Status().Tasks[0]
		if s.State != mesh.Backoff || s.Unrestored.IsZero() || len(s.RestartedAt) > 0 || !s.FirstStart.IsZero() ||
			!strings.Contains(s.Reason, "nothing can be had of what was saved: nobody has it") {
			t.Fatalf("after %d attempts: %+v", attempt, s)
		}
		if wake := c.Wake(); wake-c.now.Boot > time.Minute || wake <= c.now.Boot {
			t.Fatalf("it looks again after %v", wake-c.now.Boot)
		}
		out = c.Step(Now{Boot: c.Wake(), Wall: c.now.Wall}, Tick{})
		if len(out.Orders) != 1 || out.Orders[0].Verb != DoStart || out.Orders[0].Spec.Attempt != attempt+1 {
			t.Fatalf("then it orders %v", out.Orders)
		}
		// At first only the latest: whoever has it may be back in a moment.
		if from := out.Orders[0].Spec.Saving.From; len(from) != 2 || from[0].Tree != "nine" || from[1].Tree != "four" {
			t.Fatalf("it is to go on from %v", from)
		}
		if s := c.Status().Tasks[0]; s.State != mesh.Starting || s.Reason == "" {
			t.Fatalf("meanwhile its status is %+v", s)
		}
	}
	if len(told) != 1 {
		t.Errorf("people are told %v", told)
	}
	o := Observation{
		Alloc: "a", Task: "t", Attempt: 101, Kind: Restored, Err: "checkpoint 9: nobody has it",
		Checkpoint: &mesh.Checkpoint{Task: "t", Seq: 4, Tree: "four", Label: "step 4"},
	}
	out := c.Step(c.now, Observed{o})
	want := `task "t": goes on from checkpoint 4 (step 4); checkpoint 9: nobody has it`
	if len(out.Events) != 1 || out.Events[0].Kind != mesh.TaskRestored || out.Events[0].Text != want {
		t.Errorf("then %+v", out.Events)
	}
	see(Started, 101, "")
	if s := c.Status().Tasks[0]; !s.Unrestored.IsZero() || s.State != mesh.Running || s.Checkpoint.Tree != "four" || s.Reason != "" {
		t.Errorf("it runs: %+v", s)
	}
	if see(Saved, 101, "ten"); c.Status().Tasks[0].Checkpoint.Seq != 10 {
		t.Errorf("it saves %+v", c.Status().Tasks[0].Checkpoint)
	}
}

// TestAPersonHadATaskBeginAnew: nothing of before is looked for, and what it saves is later.
func TestAPersonHadATaskBeginAnew(t *testing.T) {
	c, see := savedCopy(mesh.Checkpoint{Task: "t", Seq: 9, Tree: "nine"}, mesh.Checkpoint{Task: "t", Seq: 10})
	if from := c.from(c.tasks[0]); len(from) != 0 {
		t.Errorf("it is to go on from %v", from)
	}
	see(Started, 1, "")
	see(Saved, 1, "new")
	if from := c.from(c.tasks[0]); len(from) != 1 || from[0].Tree != "new" || from[0].Seq != 11 {
		t.Errorf("then it goes on from %v", from)
	}
}

// TestAStopIsNotKeptFromATaskThatWaits for what was saved of it.
func TestAStopIsNotKeptFromATaskThatWaits(t *testing.T) {
	c, see := savedCopy(mesh.Checkpoint{Task: "t", Seq: 9, Tree: "nine"})
	c.Step(c.now, Stop{Reason: "told to"})
	see(RestoreFailed, 1, "")
	if s := c.Status(); s.State != mesh.Stopped {
		t.Errorf("told to stop while it was looked for: %+v", s)
	}
	c, see = savedCopy(mesh.Checkpoint{Task: "t", Seq: 9, Tree: "nine"})
	see(RestoreFailed, 1, "")
	c.Step(c.now, Stop{Reason: "told to"})
	if s := c.Status(); s.State != mesh.Stopped {
		t.Errorf("told to stop before it was looked for again: %+v", s)
	}
}

// TestUnsafeWorkDoesNotWait for what was saved of it: it was ordered to start, and a person
// decides.
func TestUnsafeWorkDoesNotWait(t *testing.T) {
	c, see := savedCopy(mesh.Checkpoint{Task: "t", Seq: 9, Tree: "nine"}, mesh.Checkpoint{Task: "t", Seq: 8, Tree: "eight"})
	job := *c.job
	job.Tasks = slices.Clone(job.Tasks)
	job.Tasks[0].Safety = &mesh.Safety{Unsafe: true}
	*c = *NewCopy(c.alloc, job.Groups()[0], &job, c.facts)
	first := c.Step(Now{Boot: time.Hour, Wall: time.Unix(1e9, 0)}, Run{}).Orders[0]
	see(RestoreFailed, 1, "")
	s := c.Status()
	if len(first.Spec.Saving.From) != 2 {
		t.Errorf("it looks for %v, and does not get to look again", first.Spec.Saving.From)
	}
	if s.State != mesh.Failed || !s.Began("t") || s.Tasks[0].Unrestored.IsZero() {
		t.Errorf("its status is %+v, and it has begun: %v", s, s.Began("t"))
	}
}

// TestATaskHearsOfItsCheckpoint once that is on record: an order is carried out after that.
func TestATaskHearsOfItsCheckpoint(t *testing.T) {
	c, see := savedCopy()
	see(Started, 1, "")
	out := see(Saved, 1, "one")
	if len(out.Orders) != 1 || out.Orders[0].Verb != DoAcknowledge || out.Orders[0].Tree != "one" || !out.Changed {
		t.Errorf("it is ordered %v, changed %v", out.Orders, out.Changed)
	}
	if c.Status().Tasks[0].Checkpoint.Tree != "one" {
		t.Errorf("its status is %+v", c.Status())
	}
}

// TestToFindWhatWasSavedTakesNoneOfItsTime, however long that is.
func TestToFindWhatWasSavedTakesNoneOfItsTime(t *testing.T) {
	c, _ := savedCopy(mesh.Checkpoint{Task: "t", Seq: 9, Tree: "nine"})
	c.Step(Now{Boot: 10 * time.Hour, Wall: time.Unix(1e9, 0)}, Tick{})
	if s := c.Status(); s.State != mesh.Starting {
		t.Fatalf("after hours its status is %+v", s)
	}
	c.Step(c.now, Observed{Observation{Alloc: "a", Task: "t", Attempt: 1, Kind: Restored, Checkpoint: &c.alloc.Resume[0]}})
	c.Step(c.now, Observed{Observation{Alloc: "a", Task: "t", Attempt: 1, Kind: Started, StartedAt: c.now.Wall}})
	if s := c.Status().Tasks[0]; s.State != mesh.Running || s.FirstUptime != 10*time.Hour {
		t.Errorf("it runs: %+v", s)
	}
}

// TestWhatWasSavedBeforeAnyoneLooked counts: it comes with the news that the task runs, or ended.
func TestWhatWasSavedBeforeAnyoneLooked(t *testing.T) {
	for _, kind := range []Kind{Adopted, Exited} {
		c, see := savedCopy()
		see(Started, 1, "")
		before := c.Status()
		next := NewCopy(c.alloc, c.job.Groups()[0], c.job, c.facts)
		o := Observation{Alloc: "a", Task: "t", Attempt: 1, Kind: kind, Checkpoint: &mesh.Checkpoint{Tree: "one"}}
		next.Step(c.now, Resume{Status: &before, Found: []Observation{o}})
		if got := next.Status().Tasks[0].Checkpoint; got == nil || got.Tree != "one" || got.Seq != 1 {
			t.Errorf("%s: it has %+v", kind, got)
		}
	}
}

// TestToLookForFilesIsNoBeginning, however often that was: nothing has run.
func TestToLookForFilesIsNoBeginning(t *testing.T) {
	job := &mesh.Job{Name: "pay", Type: mesh.Batch, Payload: &mesh.Payload{Tree: "ab"}, Tasks: []mesh.Task{{
		Name: "t", Command: []string{"x"}, Safety: &mesh.Safety{Unsafe: true},
	}}}
	c := NewCopy(mesh.Alloc{ID: "a", Job: "pay", Group: "t"}, job.Groups()[0], job, Facts{Node: "n1", Root: "/allocs"})
	now := Now{Boot: time.Hour, Wall: time.Unix(1e9, 0)}
	c.Step(now, Run{})
	for attempt := 1; attempt <= 3; attempt++ {
		c.Step(now, Observed{Observation{Alloc: "a", Task: "t", Attempt: attempt, Kind: FilesMissing, At: now.Wall}})
		now.Boot += time.Minute
		if attempt < 3 {
			c.Step(now, Tick{})
		}
	}
	c.Step(now, Stop{Reason: "told to"})
	if s := c.Status(); s.State != mesh.Stopped || s.Began("t") {
		t.Errorf("stopped when it had only looked: %+v, and it has begun: %v", s, s.Began("t"))
	}
}
