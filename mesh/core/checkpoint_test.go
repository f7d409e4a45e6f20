package core

import (
	"slices"
	"strings"
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
	if c := next.goesOnFrom("train"); c == nil || c.Tree != "two" || c.Seq != 2 {
		t.Errorf("the next copy goes on from %+v", c)
	}
	l.saves("train", "three")
	l.after(time.Second)
	for _, a := range next.core.View().AllocsOf("train") {
		if a.Node == next.self.ID && a.Status.Tasks[0].Checkpoint.Seq != 3 {
			t.Errorf("it counts on with %+v", a.Status.Tasks[0].Checkpoint)
		}
	}
}

// goesOnFrom is what the copy of a job that runs on a node has begun with, or has saved
// since.
func (h *host) goesOnFrom(job mesh.JobID) *mesh.Checkpoint {
	for _, a := range h.core.View().AllocsOf(job) {
		if a.Node == h.self.ID && a.Status != nil && a.State() == mesh.Running {
			return a.Status.Tasks[0].Checkpoint
		}
	}
	return nil
}

// training is a mesh that runs a job that is saved, of which others have what was saved
// first.
func training(t *testing.T) (l *lab, first *host) {
	l = newLab(t, 4)
	l.after(15 * time.Second)
	job := service("train", 1)
	job.Tasks[0].Checkpoint = &mesh.CheckpointPolicy{Copies: 1}
	l.ask(l.nodes[0], Submit{Job: job})
	l.after(5 * time.Second)
	l.saves("train", "one")
	l.after(5 * time.Second)
	return l, l.runs()
}

// TestAPlannedCopyGoesOnFromWhatIsKnownByNow, and not from what was known when its node was asked:
// that takes a second if the first that is asked does not answer. Found by the simulator,
// saved-work 1200147: it went on from a checkpoint before one that all knew of.
func TestAPlannedCopyGoesOnFromWhatIsKnownByNow(t *testing.T) {
	l := newLab(t, 4)
	l.after(15 * time.Second)
	job := service("train", 1)
	job.Tasks[0].Checkpoint = &mesh.CheckpointPolicy{Copies: 2}
	l.ask(l.nodes[0], Submit{Job: job})
	l.after(5 * time.Second)
	l.saves("train", "one")
	l.after(10 * time.Second)
	var lead *host
	for _, h := range l.nodes {
		if _, _, ok := h.core.right(mesh.SlotOf("train")); ok {
			lead = h
		}
	}
	next := lead.core.records.allocsOf("train")[0].Alloc
	next.ID, next.Generation, next.Replaces, next.Resume = "next", next.Generation+1, next.ID, nil
	next.Fence, _, _ = lead.core.right(mesh.SlotOf("train"))
	lead.core.become(&placing{alloc: next})
	a, ok := lead.core.records.effective("next")
	if !ok || len(a.Resume) != 1 || a.Resume[0].Tree != "one" || len(a.Resume[0].Nodes) != 3 {
		t.Errorf("decided: %v; it goes on from %+v, want the one that three have", ok, a.Resume)
	}
}

// TestWhatACopySavesOnItsWayOutIsKept though it has ended by then.
func TestWhatACopySavesOnItsWayOutIsKept(t *testing.T) {
	l, first := training(t)
	l.saves("train", "two")
	l.ask(l.nodes[0], Act{Job: "train", Verb: mesh.VerbPause})
	l.after(labDelay + labFork + time.Millisecond)
	if n := l.total(); n != 0 {
		t.Fatalf("%d tasks run of a job that is paused", n)
	}
	l.after(10 * time.Second)
	var c *mesh.Checkpoint
	for _, a := range l.nodes[0].core.View().AllocsOf("train") {
		c = a.Status.Tasks[0].Checkpoint
	}
	if c == nil || c.Tree != "two" || len(c.Nodes) != 2 {
		t.Fatalf("paused, it has %+v, want the second on two disks", c)
	}
	for _, h := range l.nodes {
		if slices.Contains(h.core.Trees(), "two") != slices.Contains(c.Nodes, h.self.ID) {
			t.Errorf("%s keeps %v, and %v have it", h.name, h.core.Trees(), c.Nodes)
		}
	}
	l.kill(first, true)
	for _, h := range l.nodes {
		if h != first {
			l.ask(h, Act{Job: "train", Verb: mesh.VerbResume})
			break
		}
	}
	l.after(30 * time.Second)
	if next := l.runs(); next == nil || next.goesOnFrom("train") == nil || next.goesOnFrom("train").Tree != "two" {
		t.Errorf("resumed, it runs on %v", l.running())
	}
}

// TestWhatIsOverIsNotKept: what a batch job has completed, and what a later copy goes on from
// that others have as well.
func TestWhatIsOverIsNotKept(t *testing.T) {
	l, first := training(t)
	l.kill(first, true)
	l.after(30 * time.Second)
	next := l.runs()
	l.saves("train", "later")
	l.after(10 * time.Second)
	l.start(first)
	l.meet(first)
	l.after(30 * time.Second)
	for _, h := range l.nodes {
		if slices.Contains(h.core.Trees(), "one") {
			t.Errorf("%s keeps %v, though all goes on from what came later", h.name, h.core.Trees())
		}
	}
	if next == nil || !slices.Contains(next.core.Trees(), "later") {
		t.Errorf("where it runs %v are kept", next.core.Trees())
	}
}

// TestASlowPeerComesToItsEnd: while it fetches what was saved of a task it is asked for nothing
// newer of that.
func TestASlowPeerComesToItsEnd(t *testing.T) {
	l, first := training(t)
	by := l.nodes[0]
	if by == first {
		by = l.nodes[1]
	}
	hold := func(alloc mesh.AllocID, tree string) []Fetch {
		ready := by.core.Step(l.clock(), Received{From: first.self.ID, Msg: Message{Hold: &Hold{Alloc: alloc, Task: "loop", Tree: tree}}})
		return ready.Fetch
	}
	if got := hold("a", "x"); len(got) != 1 {
		t.Fatalf("it fetches %v", got)
	}
	if got := append(hold("a", "x"), hold("a", "y")...); len(got) != 0 {
		t.Errorf("meanwhile it begins to fetch %v", got)
	}
	if got := hold("b", "y"); len(got) != 1 {
		t.Errorf("of another copy it fetches %v", got)
	}
	by.core.Step(l.clock(), Fetched{Tree: "x"})
	if got := append(hold("a", "y"), hold("a", "z")...); len(got) != 0 {
		t.Errorf("it fetches %v, and one is under way", got)
	}
	by.core.Step(l.clock(), Fetched{Tree: "y"})
	if got := hold("a", "z"); len(got) != 1 {
		t.Errorf("then it fetches %v", got)
	}
}

// setFails says whether nodes fail to fetch anything.
func (l *lab) setFails(fails bool) {
	for _, h := range l.nodes {
		h.fails = fails
	}
}

// TestWhatOthersHaveIsGoneOnFrom where the machine is gone before others had what was saved
// last.
func TestWhatOthersHaveIsGoneOnFrom(t *testing.T) {
	l, first := training(t)
	l.setFails(true)
	l.saves("train", "two")
	l.saves("train", "three")
	l.after(10 * time.Second)
	if c := first.goesOnFrom("train"); c == nil || c.Tree != "three" || len(c.Nodes) != 1 {
		t.Fatalf("it has %+v, want the third on its own disk alone", c)
	}
	for _, h := range l.nodes {
		if h != first && h.trees["one"] && !slices.Contains(h.core.Trees(), "one") {
			t.Errorf("%s keeps %v, and what it has is all that others have", h.name, h.core.Trees())
		}
	}
	l.kill(first, true)
	l.setFails(false)
	l.after(40 * time.Second)
	next := l.runs()
	if next == nil || next == first {
		t.Fatalf("%v run", l.running())
	}
	if c := next.goesOnFrom("train"); c == nil || c.Tree != "one" || c.Seq != 1 {
		t.Errorf("the next copy goes on from %+v, want what others have", c)
	}
	l.saves("train", "four")
	l.after(time.Second)
	if c := next.goesOnFrom("train"); c == nil || c.Seq != 4 {
		t.Errorf("it has saved %+v, want it to be later than all before", c)
	}
}

// says is what a node makes of a job.
func (h *host) says(job mesh.JobID) (mesh.JobStatus, string) {
	plan, _, _ := h.core.Outlook(h.core.View().Job(job))
	return plan.Status, plan.Text
}

// lostWork is such a mesh in which nothing can be had of what was saved, as the machine
// that has it is off: the copy that takes its place waits.
func lostWork(t *testing.T) (l *lab, first, next *host) {
	l, first = training(t)
	l.setFails(true)
	l.kill(first, true)
	l.after(2 * time.Minute)
	if n := l.total(); n != 0 {
		t.Fatalf("%d tasks run, with nothing to go on from", n)
	}
	for _, h := range l.nodes {
		if h != first {
			next = h
		}
	}
	if n := strings.Count(l.events(), "review_opened") + strings.Count(l.events(), "job_settled"); n != 2 {
		t.Errorf("people are told %d times:\n%s", n, l.events())
	}
	status, text := next.says("train")
	if status != mesh.JobPaused || !strings.Contains(text, "nothing can be had of what was saved: nobody has it") {
		t.Fatalf("the job is %s: %s", status, text)
	}
	return l, first, next
}

// TestACopyWaitsForWhatWasSaved, however long that takes, and uses nothing up meanwhile.
func TestACopyWaitsForWhatWasSaved(t *testing.T) {
	l, _, by := lostWork(t)
	l.after(time.Hour)
	l.setFails(false) // others have it after all
	l.after(70 * time.Second)
	runs := l.runs()
	if runs == nil {
		_, text := by.says("train")
		t.Fatal("it does not run: ", text)
	}
	if c := runs.goesOnFrom("train"); c == nil || c.Tree != "one" {
		t.Errorf("it goes on from %+v", c)
	}
	for _, a := range runs.core.View().AllocsOf("train") {
		if a.Node == runs.self.ID && (len(a.Status.Tasks[0].RestartedAt) > 0 || !a.Status.Tasks[0].Unrestored.IsZero()) {
			t.Errorf("after that its status is %+v", a.Status)
		}
	}
}

// TestAPersonHasACopyBeginAnew where nothing can be had of what was saved.
func TestAPersonHasACopyBeginAnew(t *testing.T) {
	l, first, by := lostWork(t)
	plan, _, _ := by.core.Outlook(by.core.View().Job("train"))
	if len(plan.Reviews) != 1 || plan.Reviews[0].Kind != mesh.ReviewRestore {
		t.Fatalf("reviews are %+v", plan.Reviews)
	}
	if r := l.ask(by, Judge{Alloc: plan.Reviews[0].Alloc, Approve: true}); r.Fault != nil {
		t.Fatal(r.Fault)
	}
	l.after(10 * time.Second)
	next := l.runs()
	if next == nil {
		_, text := by.says("train")
		t.Fatal("it does not begin anew: ", text)
	}
	if c := next.goesOnFrom("train"); c != nil {
		t.Errorf("it begins with %+v", c)
	}
	l.saves("train", "other")
	l.setFails(false)
	l.after(10 * time.Second)
	l.start(first) // it has the work of before
	l.meet(first)
	l.after(10 * time.Second)
	l.kill(next, true)
	l.after(time.Minute)
	last := l.runs()
	if last == nil || last == next {
		t.Fatalf("%v run", l.running())
	}
	if c := last.goesOnFrom("train"); c == nil || c.Tree != "other" || c.Seq != 3 {
		t.Errorf("the one after it goes on from %+v", c)
	}
}

// TestWhatIsSavedOfATaskThatWasFound does not hide that it runs: its decision may not be here yet.
func TestWhatIsSavedOfATaskThatWasFound(t *testing.T) {
	c := newLab(t, 1).nodes[0].core
	o := runner.Observation{Alloc: "a", Task: "t", Attempt: 1, Kind: runner.Adopted, PID: 7}
	c.tend.found["a"] = []runner.Observation{o}
	o.Kind, o.Checkpoint = runner.Saved, &mesh.Checkpoint{Tree: "one"}
	c.observed(o)
	if got := c.tend.found["a"][0]; got.Kind != runner.Adopted || got.PID != 7 || got.Checkpoint == nil {
		t.Errorf("saved, it is %+v", got)
	}
	o.Kind, o.Checkpoint = runner.Exited, nil
	c.observed(o)
	if got := c.tend.found["a"][0]; got.Kind != runner.Exited || got.Checkpoint == nil {
		t.Errorf("ended, it is %+v", got)
	}
}
