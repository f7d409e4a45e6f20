package main

import (
	"bytes"
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
	if err := task.Start(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	got, err := tower.next(began.Add(10 * time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if got.job != "job" || got.node != "node-2" || got.alloc != "abc" || got.at.Before(began) {
		t.Errorf("heard %+v", got)
	}
	if err := task.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := task.Wait(); err != nil {
		t.Errorf("the task did not end as it should: %v", err)
	}
}

func TestTowerRefusesWhatNoTaskSays(t *testing.T) {
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
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if s, err := tower.next(time.Now().Add(10 * time.Second)); err == nil {
		t.Errorf("heard %+v", s)
	}
	if s, err := tower.next(time.Now()); err == nil {
		t.Errorf("heard %+v out of silence", s)
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
	r := newReport(&out)
	r.times("one", []time.Duration{20 * time.Millisecond, 30 * time.Millisecond}, 50*time.Millisecond)
	r.values("two", []float64{123.4}, 0, "B/s")
	text := out.String()
	if strings.Count(text, " cores, ") != 1 || strings.Count(text, "median") != 1 {
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
