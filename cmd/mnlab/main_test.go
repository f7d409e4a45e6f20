package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mn/sim/lab/cases"
	"mn/sim/lab/watch"
)

// taskVar makes the test binary a task.
const taskVar = "MNLAB_TEST_TASK"

func TestMain(m *testing.M) {
	if kind := os.Getenv(taskVar); kind != "" {
		ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer cancel()
		if err := task(ctx, strings.Fields(kind)); err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// start starts a task, with what mn gives one.
func start(t *testing.T, kind string, sink watch.Sink) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), taskVar+"="+kind, "LAB_SINK="+string(sink), "MN_JOB=web", "MN_ALLOC_INDEX=3",
		"MN_FENCE=17", "MN_ALLOC_ID=abc", "MN_NODE=n1")
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, &out
}

// tokens waits until so many were written.
func tokens(t *testing.T, sink watch.Sink, want int) []watch.Token {
	t.Helper()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for deadline := time.After(10 * time.Second); ; {
		got, err := sink.Tokens()
		if err != nil {
			t.Fatal(err)
		}
		if len(got) >= want {
			return got
		}
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("%d tokens were written, want %d", len(got), want)
		}
	}
}

func TestTickActsUntilItIsStopped(t *testing.T) {
	sink := watch.Sink(filepath.Join(t.TempDir(), "sink"))
	cmd, out := start(t, "tick", sink)
	got := tokens(t, sink, 2)[0]
	if got.Job != "web" || got.Index != 3 || got.Fence != 17 || got.Alloc != "abc" || got.Node != "n1" || got.What != "tick" {
		t.Errorf("got %+v", got)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it did not end as it should: %v", err)
	}
	if !strings.HasPrefix(out.String(), "tick 1\ntick 2\n") {
		t.Errorf("it counted %q", out)
	}
}

func TestWorkIsDone(t *testing.T) {
	sink := watch.Sink(filepath.Join(t.TempDir(), "sink"))
	cmd, _ := start(t, "work 10ms", sink)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := tokens(t, sink, 2); got[0].What != "began" || got[1].What != "done" {
		t.Errorf("got %+v", got)
	}
}

func TestTaskRefusesWhatItIsNot(t *testing.T) {
	for _, args := range [][]string{{"dance"}, {"work"}, {"work", "long"}} {
		if err := task(t.Context(), args); err == nil {
			t.Errorf("task %q was done", args)
		}
	}
}

func TestChosen(t *testing.T) {
	tests := []struct {
		names   []string
		ci, all bool
		want    int // cases; 0 for an error
	}{
		{nil, false, false, 0},
		{[]string{"nothing"}, false, false, 0},
		{[]string{"outage", "split-2-2"}, false, false, 2},
		{nil, false, true, len(cases.All())},
	}
	for _, test := range tests {
		got, err := chosen(test.names, test.ci, test.all)
		if len(got) != test.want || (err != nil) != (test.want == 0) {
			t.Errorf("%q, ci %v, all %v: got %d, %v", test.names, test.ci, test.all, len(got), err)
		}
	}
	ci, err := chosen(nil, true, false)
	if err != nil || len(ci) < 8 || len(ci) >= len(cases.All()) {
		t.Errorf("%d cases in CI, %v", len(ci), err)
	}
}

func TestReportSaysWhatFailedAndWhere(t *testing.T) {
	var out bytes.Buffer
	report(&out, []cases.Result{
		{Case: "good", OK: true, Seconds: 1.5, Measures: []cases.Measure{{Name: "kills", Value: "7"}}},
		{Case: "bad", Dir: "/tmp/x/bad", Failures: []cases.Failure{{Oracle: "I1 exclusivity", Text: "two at once"}}},
	}, 90*time.Second)
	for _, want := range []string{
		"ok     good", "kills 7", "FAILED bad", "I1 exclusivity: two at once", "/tmp/x/bad", "2 cases, 1 failed, in 90 s",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	out.Reset()
	catalogue(&out)
	if !strings.Contains(out.String(), "kill-storm") {
		t.Errorf("the catalogue is\n%s", &out)
	}
}

func TestUnknownCommandSaysWhichThereAre(t *testing.T) {
	for _, args := range [][]string{nil, {"dance"}} {
		if err := command(t.Context(), args); err == nil || !strings.Contains(err.Error(), "mnlab run") {
			t.Errorf("%q: got %v", args, err)
		}
	}
}

func TestHelpIsNoFailure(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"-h"}, {"run", "-h"}} {
		if err := command(t.Context(), args); err != nil {
			t.Errorf("%q: got %v", args, err)
		}
	}
}

func TestWithoutMnItSaysHowToGetOne(t *testing.T) {
	args := []string{"run", "--mn", filepath.Join(t.TempDir(), "mn"), "outage"}
	if err := command(t.Context(), args); err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("got %v", err)
	}
}
