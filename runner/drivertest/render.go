package drivertest

import (
	"slices"
	"testing"

	"mn/runner"
)

// renders: files are there when a task starts. Of other texts later it hears once, whoever is the agent then.
func renders(t *testing.T, w *World) {
	s := Spec("web", `trap 'cp conf/a next; mv next heard' HUP; cp conf/a first; cp b also; >ready
		while :; do sleep 0.05; done`)
	files := []runner.File{
		{Path: "conf/a", Text: "one", Mode: 0o644, Signal: "SIGHUP"},
		{Path: "b", Text: "one", Mode: 0o644, Restart: true},
	}
	render := func(a, b string) {
		files = slices.Clone(files)
		files[0].Text, files[1].Text = a, b
		w.Driver.Render(alloc, "web", 1, files)
	}
	expect := func(want ...string) {
		t.Helper()
		if o := w.Expect(runner.Rendered); !slices.Equal(o.Files, want) || o.Err != "" || o.Attempt != 1 {
			t.Errorf("observed %+v, want the files %q", o, want)
		}
	}
	hears := func(want string) {
		t.Helper()
		w.Until("the task hears of "+want, func() bool { return w.Wait("web", "heard") == want })
	}
	s.Templates = files
	w.Run(s)
	if first, also := w.Wait("web", "first"), w.Wait("web", "also"); first != "one" || also != "one" {
		t.Errorf("started with %q, %q", first, also)
	}
	render("one", "one")
	render("two", "one")
	expect("conf/a")
	hears("two")

	render("two", "two")
	expect("b")
	w.Restart()
	w.Driver.Render(alloc, "web", 2, files) // another attempt's
	render("two", "two")
	expect("b") // which it has yet to hear of, when it starts again
	render("three", "one")
	expect("conf/a") // and of b nothing any more
	hears("three")
	if b := w.Wait("web", "b"); b != "one" {
		t.Errorf("got %q, want what it has started with", b)
	}

	w.Driver.Stop(alloc, "web", 0)
	w.Expect(runner.Exited)
	s.Attempt, s.Templates = 2, slices.Clone(files)
	s.Templates[1].Text = "four"
	s.Command[2] = "cat conf/a b >both; exit 0"
	w.Start(s)
	w.Expect(runner.Started)
	w.Expect(runner.Exited)
	if both := w.Wait("web", "both"); both != "threefour" {
		t.Errorf("got %q", both)
	}
}
