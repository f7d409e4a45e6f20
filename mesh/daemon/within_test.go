package daemon

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"mn/mesh"
	"mn/mesh/api"
)

// copies are a picture with copies of the job web, whose tasks are a and b, and of one that
// has a task only.
func copies(t *testing.T) *mesh.View {
	t.Helper()
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	made := func(id, job string, index, hour int, s mesh.AllocState, tasks ...mesh.TaskStatus) mesh.AllocView {
		return mesh.AllocView{
			Alloc: mesh.Alloc{
				ID: mesh.AllocID(id), Job: mesh.JobID(job), Group: job, Index: index, Node: "n1",
				At: at.Add(time.Duration(hour) * time.Hour), Reason: "version 1 wants it",
			},
			Status: &mesh.Status{State: s, Tasks: tasks},
		}
	}
	task := func(name string, s mesh.AllocState) mesh.TaskStatus {
		return mesh.TaskStatus{Name: name, State: s, Reason: "as " + string(s)}
	}
	unseen := made("fresh", "wait", 0, 1, mesh.Pending)
	unseen.Status = nil
	return &mesh.View{
		Self: "n1",
		Jobs: []mesh.JobView{
			{JobVersion: mesh.JobVersion{Job: mesh.Job{Name: "old"}}},
			{JobVersion: mesh.JobVersion{Job: mesh.Job{Name: "wait", Tasks: []mesh.Task{{Name: "wait", Command: []string{"x"}}}}}},
			{JobVersion: mesh.JobVersion{Job: mesh.Job{Name: "web"}}},
		},
		Allocs: []mesh.AllocView{
			made("old1", "old", 0, 1, mesh.Failed, task("old", mesh.Failed)),
			made("old2", "old", 0, 2, mesh.Complete, task("old", mesh.Complete)),
			unseen,
			made("web0", "web", 0, 3, mesh.Backoff, task("a", mesh.Backoff), task("b", mesh.Complete)),
			made("web1", "web", 1, 1, mesh.Running, task("a", mesh.Running), task("b", mesh.Complete)),
			made("web2", "web", 2, 1, mesh.Running, task("a", mesh.Running), task("b", mesh.Running)),
		},
	}
}

func TestTaskThatIsAskedForIsFound(t *testing.T) {
	view := copies(t)
	for _, test := range []struct {
		wish wish
		want string // copy/task, or what is said
	}{
		{wish{job: "web", runs: true}, "web1/a"},
		{wish{job: "web", task: "a", runs: true}, "web1/a"},
		{wish{job: "web", task: "b", alloc: "web2", runs: true}, "web2/b"},
		{wish{job: "web", index: "2", runs: true}, "has the tasks a, b"},
		{wish{job: "web"}, "has the tasks a, b"},
		{wish{job: "web", task: "b"}, "web1/b"},
		{wish{job: "web", task: "b", runs: true}, `the task "b" of copy web1 does not run, it is complete (as complete)`},
		{wish{job: "web", index: "0", task: "a", runs: true}, `does not run, it is backoff (as backoff)`},
		{wish{job: "web", index: "0", runs: true}, `no task of copy web0 runs, it is backoff`},
		{wish{job: "old"}, "old2/old"},
		{wish{job: "old", alloc: "old1"}, "old1/old"},
		{wish{job: "old", runs: true}, `does not run, it is complete`},
		{wish{job: "wait", runs: true}, "it is pending (version 1 wants it)"},
		{wish{job: "none"}, `no job "none"`},
		{wish{job: "web", task: "c"}, `job "web" has no copy with a task "c"`},
		{wish{job: "web", alloc: "old1"}, `has no copy with the id "old1"`},
		{wish{job: "web", index: "3"}, "has no copy with the index 3"},
		{wish{job: "web", index: "-1"}, `index "-1" is not a whole number`},
		{wish{job: "web", index: "x"}, `index "x" is not a whole number`},
	} {
		f, err := pick(view, test.wish)
		got := string(f.alloc.ID) + "/" + f.task
		if err != nil {
			got = err.Error()
			var fault *mesh.Fault
			if !errors.As(err, &fault) {
				t.Errorf("%+v: got %v, want a fault", test.wish, err)
			}
		}
		if !strings.Contains(got, test.want) {
			t.Errorf("%+v: got %q, want %q", test.wish, got, test.want)
		}
	}
}

// Of several copies that one is picked which runs where it can be reached: neither one that is
// lost, nor one that another has taken the place of.
func TestCopyThatRunsIsPickedBeforeThoseThatAreLost(t *testing.T) {
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	const here, lost, evicted, forgotten = "here", "lost", "out", "forgotten"
	made := func(id string, index, generation int, node mesh.NodeID, s mesh.AllocState) mesh.AllocView {
		return mesh.AllocView{
			Alloc: mesh.Alloc{
				ID: mesh.AllocID(id), Job: "web", Group: "web", Index: index, Generation: generation, Node: node,
				Want: mesh.WantRun, At: at.Add(time.Duration(generation) * time.Hour),
			},
			Status: &mesh.Status{State: s, Tasks: []mesh.TaskStatus{{Name: "web", State: s}}},
		}
	}
	stops := func(a mesh.AllocView) mesh.AllocView { a.Want = mesh.WantStop; return a }
	for name, test := range map[string]struct {
		copies []mesh.AllocView
		index  string
		want   mesh.AllocID
	}{
		"lost, and its replacement runs": {
			[]mesh.AllocView{made("x", 0, 0, lost, mesh.Running), made("y", 0, 1, here, mesh.Running)}, "", "y",
		},
		"the same, by its index": {
			[]mesh.AllocView{
				made("x", 0, 0, lost, mesh.Running), made("y", 0, 1, here, mesh.Running), made("z", 1, 0, here, mesh.Running),
			}, "0", "y",
		},
		"forgotten": {
			[]mesh.AllocView{stops(made("x", 0, 0, forgotten, mesh.Running)), made("y", 0, 1, here, mesh.Running)}, "", "y",
		},
		"evicted": {
			[]mesh.AllocView{made("x", 0, 0, evicted, mesh.Running), made("y", 0, 1, here, mesh.Running)}, "", "y",
		},
		"forgotten, and its replacement has ended": {
			[]mesh.AllocView{made("x", 0, 0, forgotten, mesh.Running), made("y", 0, 1, here, mesh.Complete)}, "", "y",
		},
		"lost, and its replacement begins": {
			[]mesh.AllocView{made("x", 0, 0, lost, mesh.Running), made("y", 0, 1, here, mesh.Pending)}, "", "y",
		},
		"back, and it is to stop": {
			[]mesh.AllocView{stops(made("x", 0, 0, here, mesh.Running)), made("y", 0, 1, here, mesh.Running)}, "", "y",
		},
		"back, and nobody has said yet which of them stops": {
			[]mesh.AllocView{made("x", 0, 0, here, mesh.Running), made("y", 0, 1, here, mesh.Running)}, "", "y",
		},
		"back, and it stays": {
			[]mesh.AllocView{made("x", 0, 0, here, mesh.Running), stops(made("y", 0, 1, here, mesh.Running))}, "", "x",
		},
		"one goes on while the next of its version begins": {
			[]mesh.AllocView{made("x", 0, 0, here, mesh.Running), made("y", 0, 1, here, mesh.Starting)}, "", "x",
		},
		"another index runs in sight": {
			[]mesh.AllocView{made("x", 0, 0, lost, mesh.Running), made("z", 1, 0, here, mesh.Running)}, "", "z",
		},
		"nothing but one out of sight": {[]mesh.AllocView{made("x", 0, 0, lost, mesh.Running)}, "", "x"},
		"what was there before it has ended": {
			[]mesh.AllocView{made("w", 0, 0, here, mesh.Stopped), made("x", 0, 1, lost, mesh.Running)}, "", "x",
		},
	} {
		view := &mesh.View{
			Self: here, Forgotten: []mesh.NodeID{forgotten},
			Nodes: []mesh.NodeView{
				{Node: mesh.Node{ID: here, Name: here}, Liveness: mesh.Alive},
				{Node: mesh.Node{ID: lost, Name: lost}, Liveness: mesh.Lost},
				{Node: mesh.Node{ID: evicted, Name: evicted}, Liveness: mesh.Alive, Evicted: true},
			},
			Jobs:   []mesh.JobView{{JobVersion: mesh.JobVersion{Job: mesh.Job{Name: "web"}}}},
			Allocs: test.copies,
		}
		if f, err := pick(view, wish{job: "web", index: test.index}); err != nil || f.alloc.ID != test.want {
			t.Errorf("%s: got %q, %v, want %q", name, f.alloc.ID, err, test.want)
		}
		last := wish{job: "web", alloc: test.copies[0].ID}
		if f, err := pick(view, last); err != nil || f.alloc.ID != last.alloc {
			t.Errorf("%s, by its id: got %q, %v", name, f.alloc.ID, err)
		}
	}
}

func TestPlacesAreBounded(t *testing.T) {
	places := make(chan struct{}, 2)
	giveBack, err := takePlace(places, "things")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := takePlace(places, "things"); err != nil {
		t.Fatal(err)
	}
	if _, err := takePlace(places, "things"); err == nil || !strings.Contains(err.Error(), "2 things at a time") {
		t.Errorf("got %v, want no place", err)
	}
	giveBack()
	giveBack() // once is enough
	if len(places) != 1 {
		t.Errorf("%d places are taken, want 1", len(places))
	}
}

// Each kind of what people do within copies is refused when its places are taken, before
// anything is looked for.
func TestWithoutAPlaceNothingIsDoneWithinCopies(t *testing.T) {
	b := &backend{daemon: &daemon{within: newWithin()}}
	for _, places := range []chan struct{}{b.within.execs, b.within.sends, b.within.lists} {
		for range cap(places) {
			places <- struct{}{}
		}
	}
	_, exec := b.Exec(t.Context(), api.ExecRequest{Job: "web", Command: []string{"sh"}})
	_, list := b.Files(t.Context(), api.FilesRequest{Job: "web"})
	send := b.SendFiles(t.Context(), api.FilesRequest{Job: "web"}, io.Discard)
	for what, err := range map[string]error{"exec": exec, "list": list, "send": send} {
		if err == nil || !strings.Contains(err.Error(), "as many as this node takes") {
			t.Errorf("%s: got %v, want no place", what, err)
		}
	}
}
