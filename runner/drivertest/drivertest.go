// Package drivertest is for holding drivers to their contract: the tests that
// every [runner.Driver] passes, with real tasks.
//
// The tasks are shell scripts; a driver must be able to run "sh" from the PATH
// that it is given.
package drivertest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mn/mesh"
	"mn/runner"
)

// patience bounds every wait: far more than anything takes on a loaded machine.
const patience = 30 * time.Second

// Suite says how to make drivers.
type Suite struct {
	// Open opens a driver on a folder of allocations; again after Close it is
	// the agent that restarts.
	Open func(t *testing.T, root string) runner.Driver
	// Now is the time since boot.
	Now func() time.Duration
	// Isolation is that of tasks that have none.
	Isolation mesh.Isolation
	// Adapt makes of a task one of the driver's kind; nil: it is one.
	Adapt func(*runner.Spec)
	// Contained: the end of a task's first process is the kernel's for all of them, and may come
	// before anybody has seen that process.
	Contained bool
	// Lease is that of a task whose lease ends soon: longer than it takes to start one. 3 s if 0.
	Lease time.Duration
}

// lease is how long that is.
func (s *Suite) lease() time.Duration {
	if s.Lease > 0 {
		return s.Lease
	}
	return 3 * time.Second // a start may take a while on a busy machine
}

// Run runs the suite: all of it at once, but for containers, whose tasks share an engine.
func (s Suite) Run(t *testing.T) {
	// Not t.Setenv, which allows of nothing at once. Nobody minds that it stays.
	if err := os.Setenv(secret, "x"); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		run  func(*testing.T, *World)
	}{
		{"StartIsObservedAndThenTheExitCode", startAndExit},
		{"StartFailsWithAReason", startFails},
		{"TaskSeesItsEnvironmentAndFolder", environment},
		{"SignalIsExitCode128AndMore", signal},
		{"AttemptIsStartedOnce", once},
		{"NextAttemptFollows", nextAttempt},
		{"StopGivesTimeToEnd", stopGently},
		{"StopKillsWhatDoesNotEnd", stopHard},
		{"StopWaitsForTheRestOfTheGroup", stopRest},
		{"StopSignalIsTheTasks", stopSignal},
		{"WarningComesBeforeTheStop", warned},
		{"WarnedTaskMayEndAtOnce", warnedEnds},
		{"StopWithoutAWarningTakesItsTime", unwarned},
		{"StopWithoutTimeDoesNotWaitForAWarning", warnedKilled},
		{"LeaseDoesNotWaitForAWarning", warnedLease},
		{"FilesAreRenderedAndTheTaskHearsOnce", renders},
		{"NothingStaysBehind", nothingLeft},
		{"StopFollowsStart", stopAtOnce},
		{"RestartOfTheAgentAdopts", adopt},
		{"EndWithoutTheAgentIsFound", foundEnd},
		{"LeaseEndsTheTask", leaseEnds},
		{"NothingStartsAfterItsLease", leaseOver},
		{"RenewalPutsTheEndOff", renewal},
		{"RemoveDeletesTheFiles", remove},
		{"NamesThatAreNoneAreRefused", badNames},
	} {
		if s.Contained && test.name == "StopWaitsForTheRestOfTheGroup" {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			if !s.Contained {
				t.Parallel()
			}
			w := &World{suite: s, t: t, Root: t.TempDir()}
			w.Open()
			t.Cleanup(w.end)
			test.run(t, w)
		})
	}
}

// secret is a variable of the agent's environment, which is nothing to its tasks.
const secret = "AGENT_SECRET"

// World is a driver with a folder, and what happens there.
type World struct {
	Root   string
	Driver runner.Driver

	suite Suite
	t     *testing.T
	runs  map[string]bool // tasks that were started and not seen to end
}

// NewWorld makes a world for a test of one's own. Its tasks end with the test.
func (s Suite) NewWorld(t *testing.T) *World {
	w := &World{suite: s, t: t, Root: t.TempDir()}
	w.Open()
	t.Cleanup(w.end)
	return w
}

// Open opens the driver, again after it was closed.
func (w *World) Open() {
	if w.runs == nil {
		w.runs = map[string]bool{}
	}
	w.Driver = w.suite.Open(w.t, w.Root)
}

// Restart closes the driver and opens it again.
func (w *World) Restart() {
	w.t.Helper()
	w.Close()
	w.Open()
}

// Close closes the driver.
func (w *World) Close() {
	w.t.Helper()
	if err := w.Driver.Close(); err != nil {
		w.t.Errorf("close: %v", err)
	}
}

// end ends what still runs.
func (w *World) end() {
	for name := range w.runs {
		w.Driver.Stop(alloc, name, 0)
	}
	for len(w.runs) > 0 {
		w.Next()
	}
	w.Close()
}

const alloc = mesh.AllocID("abcdefgh")

// Spec is a task that runs a script.
func Spec(task, script string) runner.Spec {
	return runner.Spec{
		Alloc: alloc, Task: task, Attempt: 1,
		Command: []string{"sh", "-c", script},
		Env:     []string{"PATH=" + os.Getenv("PATH")},
		Grace:   10 * time.Second,
	}
}

// Start starts a task. Its processes have the world's mark in their environment.
func (w *World) Start(s runner.Spec) {
	w.runs[s.Task] = true
	if s.Isolation == "" {
		s.Isolation = w.suite.Isolation
	}
	if w.suite.Adapt != nil {
		w.suite.Adapt(&s)
	}
	s.Env = append(slices.Clone(s.Env), w.mark())
	w.Driver.Start(s)
}

func (w *World) mark() string { return "DRIVERTEST_ROOT=" + w.Root }

// Marked are the processes that tasks of this world have started and that run,
// wherever they have got to, and whatever they think that their pids are.
func (w *World) Marked() (pids []int) {
	w.t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, name := range all {
		environ, err := os.ReadFile(name)
		if err != nil || !slices.Contains(strings.Split(string(environ), "\x00"), w.mark()) {
			continue
		}
		if pid, err := strconv.Atoi(strings.Split(name, "/")[2]); err == nil && Alive(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Forget says that a task was found to have ended.
func (w *World) Forget(task string) { delete(w.runs, task) }

// Next is the next observation.
func (w *World) Next() runner.Observation {
	w.t.Helper()
	select {
	case o := <-w.Driver.Observations():
		if o.Kind == runner.Exited || o.Kind == runner.StartFailed {
			delete(w.runs, o.Task)
		}
		return o
	case <-time.After(patience):
		w.t.Fatal("nothing was observed")
		panic("unreachable")
	}
}

// Expect is the next observation, which must be of that kind.
func (w *World) Expect(kind runner.Kind) runner.Observation {
	w.t.Helper()
	o := w.Next()
	if o.Kind != kind {
		w.t.Fatalf("observed %+v, want it %s", o, kind)
	}
	return o
}

// Run starts a script and waits until it says, by a file "ready" in its folder,
// that it is where it wants to be.
func (w *World) Run(s runner.Spec) runner.Observation {
	w.t.Helper()
	w.Start(s)
	o := w.Expect(runner.Started)
	w.Wait(s.Task, "ready")
	return o
}

// Wait waits for a file of a task's folder, and returns what it holds.
func (w *World) Wait(task, name string) string {
	w.t.Helper()
	path := filepath.Join(w.Root, runner.WorkDir(alloc, task), name)
	var text []byte
	w.Until(name+" appears", func() (ok bool) {
		var err error
		text, err = os.ReadFile(path)
		return err == nil
	})
	return strings.TrimSpace(string(text))
}

// Until waits until something holds that no event tells of.
func (w *World) Until(what string, holds func() bool) {
	w.t.Helper()
	deadline := time.After(patience)
	ticks := time.NewTicker(5 * time.Millisecond)
	defer ticks.Stop()
	for !holds() {
		select {
		case <-ticks.C:
		case <-deadline:
			w.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// Gone waits until a process is gone, or only waits to be reaped.
func (w *World) Gone(pid int) {
	w.t.Helper()
	w.Until(fmt.Sprintf("process %d is gone", pid), func() bool { return !Alive(pid) })
}

// Alive says whether a process runs.
func Alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	state := stat[strings.LastIndexByte(string(stat), ')')+2]
	return state != 'Z' && state != 'X'
}

// Touch makes a file in a task's folder.
func (w *World) Touch(task, name string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.Root, runner.WorkDir(alloc, task), name), nil, 0o666); err != nil {
		w.t.Fatal(err)
	}
}
