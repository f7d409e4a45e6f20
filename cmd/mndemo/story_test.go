package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mn/mesh"
	"mn/mesh/api"
)

// TestDemoKeepsItsPromise runs the demo as a newcomer does: real agents, one of
// which dies. Nothing is left of it afterwards.
func TestDemoKeepsItsPromise(t *testing.T) {
	mn := filepath.Join(t.TempDir(), "mn")
	build := exec.Command("go", "build", "-o", mn, "mn/cmd/mn")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build mn: %v\n%s", err, out)
	}
	// Short, for a socket's path must fit below.
	home, err := os.MkdirTemp("", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	t.Setenv("TMPDIR", home)
	var out bytes.Buffer
	if err := tell(t.Context(), &out, mn, "../../configs/examples/hello.toml"); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	rest := out.String()
	for _, want := range []string{
		"$ mn mesh init", "$ mn mesh join", "$ mn job run", "6 of 6 copies running",
		"$ mn logs hello", " from copy ", "A machine dies", "is dead",
		"6 of 6 copies run on the machines that are left", "comes back", "That was all",
	} {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("no %q where it belongs in\n%s", want, &out)
		}
		rest = after
	}
	left, err := os.ReadDir(home)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range left {
		t.Errorf("the demo left %s behind", entry.Name())
	}
}

func TestDemoThatIsInterruptedCleansUp(t *testing.T) {
	home := t.TempDir()
	t.Setenv("TMPDIR", home)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	if err := tell(ctx, &out, "/bin/true", "../../configs/examples/hello.toml"); err == nil {
		t.Error("an interrupted demo passed")
	}
	if left, err := os.ReadDir(home); err != nil || len(left) > 0 {
		t.Errorf("it left %v behind, %v", left, err)
	}
}

func TestLookCountsOnlyWhatLives(t *testing.T) {
	job := api.Job{Allocations: []api.Alloc{
		{Node: "a", Status: string(mesh.Running)},
		{Node: "a", Status: string(mesh.Lost)},
		{Node: "b", Status: string(mesh.Running)},
		{Node: "b", Status: string(mesh.Starting)},
	}}
	if got, want := look(job, "a"), (sight{runs: 1, lost: true}); got != want {
		t.Errorf("without a: got %+v, want %+v", got, want)
	}
	if got, want := look(job, "b"), (sight{runs: 1}); got != want {
		t.Errorf("without b: got %+v, want %+v", got, want)
	}
}
