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
