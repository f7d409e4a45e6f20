package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// beaconVar makes the test binary a task.
const beaconVar = "MNBENCH_TEST_BEACON"

func TestMain(m *testing.M) {
	if socket := os.Getenv(beaconVar); socket != "" {
		if err := beacon(socket); err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestBeaconTellsTheTower: a task says which copy it is as soon as it runs, and
// ends when it is told to.
func TestBeaconTellsTheTower(t *testing.T) {
	tower, err := newTower(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer tower.close()
	task := exec.Command(os.Args[0])
	task.Env = append(os.Environ(), beaconVar+"="+tower.path,
		"MN_JOB=job", "MN_NODE=node-2", "MN_ALLOC_ID=abc")
	began := time.Now()
	if err := task.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if at, err := tower.wait(ctx, "job", 1, began); err != nil || at.Before(began) {
		t.Fatalf("heard at %v, %v", at, err)
	}
	if err := task.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := task.Wait(); err != nil {
		t.Errorf("the task did not end as it should: %v", err)
	}
}

// TestTowerCountsOnlyWhatWasAskedFor: not another job's tasks, not what was
// there before, not what no task says.
func TestTowerCountsOnlyWhatWasAskedFor(t *testing.T) {
	tower, err := newTower(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer tower.close()
	conn, err := net.Dial("unixgram", tower.path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, text := range []string{"hello", "job node-1 abc"} { // the first is no task's
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	heard := <-tower.heard
	if heard.job != "job" || heard.node != "node-1" || heard.alloc != "abc" {
		t.Errorf("heard %+v", heard)
	}
	began := heard.at
	want := began.Add(time.Second)
	tower.heard <- started{job: "job", at: began.Add(-time.Second)}
	tower.heard <- started{job: "other", at: began.Add(2 * time.Second)}
	tower.heard <- started{job: "job", at: want}
	got, err := tower.wait(t.Context(), "job", 1, began)
	if err != nil || !got.Equal(want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestSpread(t *testing.T) {
	tests := []struct {
		values        []float64
		median, worst float64
	}{
		{nil, 0, 0},
		{[]float64{7}, 7, 7},
		{[]float64{9, 1, 5}, 5, 9},
		{[]float64{4, 1, 3, 100}, 3.5, 100},
	}
	for _, test := range tests {
		median, worst := spread(test.values)
		if median != test.median || worst != test.worst {
			t.Errorf("spread(%v) = %v, %v, want %v, %v", test.values, median, worst, test.median, test.worst)
		}
	}
}

func TestReportNamesTheMachineOnce(t *testing.T) {
	var out bytes.Buffer
	r := &report{out: &out, release: "v1.2"}
	r.times("one", []time.Duration{20 * time.Millisecond, 30 * time.Millisecond}, 50*time.Millisecond)
	r.values("two", []float64{123.4}, 0, "B/s")
	text := out.String()
	if strings.Count(text, "mn v1.2, ") != 1 || strings.Count(text, "median") != 1 {
		t.Errorf("the head does not stand there once:\n%s", text)
	}
	for _, want := range [][]string{
		{"one", "25.0 ms", "30.0 ms", "< 50.0 ms", "0.50"},
		{"two", "123 B/s", "123 B/s"},
	} {
		if !hasRow(text, want) {
			t.Errorf("no row %q in\n%s", want, text)
		}
	}
}

// hasRow says whether a line of the table has just these cells.
func hasRow(table string, cells []string) bool {
	for line := range strings.Lines(table) {
		if strings.Join(strings.Fields(line), " ") == strings.Join(cells, " ") {
			return true
		}
	}
	return false
}
