package core

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mn/mesh"
	"mn/runner"
)

// leaves has the task of a job end with something that is kept of it.
func (l *lab) leaves(job mesh.JobID, outputs, end string) (by *host) {
	for _, h := range l.nodes {
		for key, o := range h.tasks {
			if a, ok := h.core.Alloc(o.Alloc); ok && a.Job == job {
				delete(h.tasks, key)
				h.trees[outputs], h.trees[end] = true, true
				o.Kind, o.Outputs = runner.Exited, &mesh.Kept{Tree: outputs, Bytes: 9, Files: 1, At: l.clock().Wall}
				o.Log = &mesh.Kept{Tree: end, Bytes: 3, At: l.clock().Wall}
				l.step(h, Observed{o})
				by = h
			}
		}
	}
	return by
}

// TestWhatIsLeftOutlivesItsNode though the work is done: two others have it, and keep it, and
// everybody knows who.
func TestWhatIsLeftOutlivesItsNode(t *testing.T) {
	l := newLab(t, 4)
	l.after(15 * time.Second)
	job := service("sum", 1)
	job.Type = mesh.Batch
	l.ask(l.nodes[0], Submit{Job: job})
	l.after(5 * time.Second)
	by := l.leaves("sum", "outputs", "end")
	if by == nil {
		t.Fatalf("nothing runs\n%s", l.events())
	}
	l.after(30 * time.Second)
	l.kill(by, true)
	l.after(5 * time.Second)
	keepers := 0
	for _, h := range l.nodes {
		if h == by {
			continue
		}
		status := h.core.records.statuses[h.core.records.allocsOf("sum")[0].ID][by.self.ID]
		if len(status.Tasks) != 1 || status.Tasks[0].Outputs == nil || status.Tasks[0].Log == nil {
			t.Fatalf("%s knows of %+v", h.name, status.Tasks)
		}
		for _, k := range status.Tasks[0].Left() {
			if len(k.Nodes) != 1+mesh.KeptCopies || k.Nodes[0] != by.self.ID {
				t.Errorf("%s: %s is on %v", h.name, k.Tree, k.Nodes)
			}
		}
		trees := h.core.Trees()
		switch has := h.trees["outputs"]; {
		case has != slices.Contains(trees, "outputs"), h.trees["end"] != slices.Contains(trees, "end"):
			t.Errorf("%s has %v, and wants %v", h.name, h.trees, trees)
		case has:
			keepers++
		}
	}
	if keepers != mesh.KeptCopies {
		t.Errorf("%d others keep it, want %d", keepers, mesh.KeptCopies)
	}
}

// TestAgentThatRestartsGoesOnToHaveItKept what a copy has left that ended just before.
func TestAgentThatRestartsGoesOnToHaveItKept(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	job := service("sum", 1)
	job.Type = mesh.Batch
	l.ask(l.nodes[0], Submit{Job: job})
	l.after(5 * time.Second)
	l.cut = func(a, b mesh.NodeID) bool { return true }
	by := l.leaves("sum", "outputs", "end")
	l.after(100 * time.Millisecond)
	l.kill(by, false)
	l.cut = func(a, b mesh.NodeID) bool { return false }
	l.start(by)
	l.meet(by)
	kept := func() bool {
		for _, h := range l.nodes {
			if !h.trees["outputs"] || !h.trees["end"] {
				return false
			}
		}
		return true
	}
	if _, ok := l.until(time.Minute, kept); !ok {
		t.Errorf("it is not kept\n%s", l.events())
	}
}

// TestOldEndsOfLogsAreNotKept where there are too many.
func TestOldEndsOfLogsAreNotKept(t *testing.T) {
	c := &Core{self: "a"}
	var allocs []mesh.AllocView
	for i := range logsKeptMax + 2 {
		allocs = append(allocs, mesh.AllocView{Status: &mesh.Status{Tasks: []mesh.TaskStatus{{
			Outputs: &mesh.Kept{Tree: fmt.Sprint("out", i), Nodes: []mesh.NodeID{"b", "a"}},
			Log: &mesh.Kept{
				Tree: fmt.Sprint("log", i), At: labEpoch.Add(time.Duration(i) * time.Second), Nodes: []mesh.NodeID{"a"},
			},
		}}}})
	}
	want := map[string]bool{}
	c.leftHere(allocs, want)
	if want["log0"] || want["log1"] || !want["log2"] || !want["out0"] || len(want) != 2*logsKeptMax+2 {
		t.Errorf("%d are wanted, the oldest %v, %v, %v", len(want), want["log0"], want["log1"], want["log2"])
	}
}

// TestFaultOfAnySizeStandsInARecord, and so does whatever else is observed: what people's
// files are called comes into it.
func TestFaultOfAnySizeStandsInARecord(t *testing.T) {
	l := newLab(t, 2)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: service("web", 1)})
	l.after(5 * time.Second)
	fault := strings.Repeat("\xff\x1b", 1<<19)
	for _, h := range l.nodes {
		for _, o := range h.tasks {
			for _, kind := range []runner.Kind{runner.Fetching, runner.Kept, runner.Exited} {
				o.Kind, o.Err, o.ExitCode = kind, fault, -1
				o.Outputs, o.Log = &mesh.Kept{Fault: fault}, &mesh.Kept{Fault: fault}
				l.step(h, Observed{o}) // panics if it is too much
			}
		}
	}
	a := l.nodes[0].core.records.allocsOf("web")[0]
	l.after(time.Second)
	task := l.nodes[0].core.records.statuses[a.ID][a.Node].Tasks[0]
	if task.Outputs == nil || task.Log == nil || len(task.Outputs.Fault) == 0 || len(task.Outputs.Fault) > mesh.TextMax ||
		strings.Contains(task.Outputs.Fault+task.Log.Fault, "\x1b") {
		t.Errorf("on record: %+v, %+v", task.Outputs, task.Log)
	}
}

// TestOutputsOnANodeAreBounded: the oldest go first, and there is no room for those of others.
func TestOutputsOnANodeAreBounded(t *testing.T) {
	l := newLab(t, 2)
	l.after(15 * time.Second)
	c, from := l.nodes[0].core, l.nodes[1].self.ID
	var allocs []mesh.AllocView
	for i := range outputsKeptMax/mesh.OutputBytesMax + 1 {
		allocs = append(allocs, mesh.AllocView{Status: &mesh.Status{Tasks: []mesh.TaskStatus{{Outputs: &mesh.Kept{
			Tree: fmt.Sprint("out", int(i)), Bytes: int64(mesh.OutputBytesMax),
			At: labEpoch.Add(time.Duration(i) * time.Second), Nodes: []mesh.NodeID{c.self},
		}}}}})
	}
	want := map[string]bool{}
	if n := c.leftHere(allocs, want); n != int64(outputsKeptMax) || want["out0"] || !want["out1"] {
		t.Errorf("%d bytes are kept, %v", n, want)
	}
	asked := func(bytes int64) int {
		h := Hold{Alloc: "a", Task: fmt.Sprint(bytes), Tree: fmt.Sprint("t", bytes), Kind: keptOutputs, Bytes: bytes}
		return len(c.Step(l.clock(), Received{From: from, Msg: Message{Hold: &h}}).Fetch)
	}
	for i := range int64(outputsKeptMax/mesh.OutputBytesMax) - 1 {
		if asked(int64(mesh.OutputBytesMax)-i) != 1 {
			t.Fatalf("the room is full after %d", i)
		}
	}
	if asked(int64(mesh.OutputBytesMax)+1) != 0 || asked(-1) != 0 {
		t.Error("it takes what is no outputs")
	}
	if asked(1<<20) != 1 || asked(int64(mesh.OutputBytesMax)-100) != 0 {
		t.Error("it takes more than it has room for, or none that is small")
	}
	log := Hold{Alloc: "a", Task: "1048576", Tree: "log", Kind: keptLog}
	if n := len(c.Step(l.clock(), Received{From: from, Msg: Message{Hold: &log}}).Fetch); n != 1 {
		t.Error("the end of a log waits for the outputs of its task")
	}
}

// TestWhatNobodyCanKeepIsAskedForLessAndLess, and at once when somebody new is there.
func TestWhatNobodyCanKeepIsAskedForLessAndLess(t *testing.T) {
	l := newLab(t, 2)
	l.after(15 * time.Second)
	job := service("sum", 1)
	job.Type = mesh.Batch
	l.ask(l.nodes[0], Submit{Job: job})
	l.after(5 * time.Second)
	by := l.leaves("sum", "outputs", "end")
	if by == nil {
		t.Fatalf("nothing runs\n%s", l.events())
	}
	l.after(time.Hour)
	wait := func() (longest time.Duration) {
		for _, f := range by.core.keep.left {
			longest = max(longest, f.next-l.now)
		}
		return longest
	}
	if n := len(by.core.keep.left); n != 2 || wait() < keepEvery<<2 || by.core.keep.next == never {
		t.Errorf("%d are asked for, the next in %v", n, wait())
	}
	a := l.nodes[0].core.records.allocsOf("sum")[0]
	task := by.core.records.statuses[a.ID][by.self.ID].Tasks[0]
	if len(task.Outputs.Nodes) != 2 || len(task.Log.Nodes) != 2 {
		t.Errorf("kept by %v and %v", task.Outputs.Nodes, task.Log.Nodes)
	}
	by.core.askAnew()
	if wait() != 0 || by.core.keep.next != by.core.now.Boot {
		t.Error("who comes is not asked")
	}
}

// TestNobodyDecidesByWhatIsLeft: a status in which nothing else is new is no cause to plan.
func TestNobodyDecidesByWhatIsLeft(t *testing.T) {
	status := func(state mesh.AllocState, log string) *mesh.Status {
		return &mesh.Status{
			Alloc: "a", State: state, At: labEpoch,
			Tasks: []mesh.TaskStatus{{Name: "x", State: state, Log: &mesh.Kept{Tree: log}}},
		}
	}
	for _, test := range []struct {
		before, now *mesh.Status
		want        bool
	}{
		{status(mesh.Running, "t1"), status(mesh.Running, "t2"), true},
		{status(mesh.Running, "t1"), status(mesh.Complete, "t2"), false},
		{&mesh.Status{}, status(mesh.Running, "t2"), false},
		{&mesh.Status{Alloc: "a"}, &mesh.Status{Alloc: "a"}, false}, // nothing is left
	} {
		if got := onlyLeft(test.before, test.now); got != test.want {
			t.Errorf("%+v after %+v: got %v", test.now, test.before, got)
		}
	}
}

// TestWitnessesGetNoLogs: they run nothing, and what tasks print is no business of theirs.
func TestWitnessesGetNoLogs(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	job := service("sum", 1)
	job.Type = mesh.Batch
	l.ask(l.nodes[0], Submit{Job: job})
	l.after(5 * time.Second)
	i := slices.IndexFunc(l.nodes, func(h *host) bool { return len(h.tasks) > 0 })
	if i < 0 {
		t.Fatalf("nothing runs\n%s", l.events())
	}
	witness := l.nodes[(i+1)%3].self.ID
	node := l.nodes[i].core.records.nodes[witness]
	node.Role = mesh.Witness
	l.nodes[i].core.records.nodes[witness] = node
	by := l.leaves("sum", "outputs", "end")
	l.after(10 * time.Minute)
	a := by.core.records.allocsOf("sum")[0]
	task := by.core.records.statuses[a.ID][by.self.ID].Tasks[0]
	if slices.Contains(task.Log.Nodes, witness) || len(task.Log.Nodes) != 2 || len(task.Outputs.Nodes) != 3 {
		t.Errorf("the log is on %v, the outputs on %v", task.Log.Nodes, task.Outputs.Nodes)
	}
}
