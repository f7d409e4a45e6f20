package drivertest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mn/mesh"
	"mn/runner"
)

func startAndExit(t *testing.T, w *World) {
	before := time.Now()
	w.Start(Spec("web", "exit 3"))
	o := w.Expect(runner.Started)
	if o.Alloc != alloc || o.Task != "web" || o.Attempt != 1 || o.PID <= 0 && !w.suite.Contained ||
		o.StartedAt.Before(before.Add(-time.Second)) {
		t.Errorf("observed %+v", o)
	}
	e := w.Expect(runner.Exited)
	if e.Attempt != 1 || e.ExitCode != 3 || e.Signal != 0 || e.Err != "" || e.At.Before(o.StartedAt) {
		t.Errorf("observed %+v, want exit code 3", e)
	}
}

func startFails(t *testing.T, w *World) {
	for task, command := range map[string][]string{
		"missing": {"no-such-command-anywhere"},
		"path":    {"/no/such/command"},
		"empty":   nil,
	} {
		s := Spec(task, "")
		s.Command = command
		w.Start(s)
		o := w.Expect(runner.StartFailed)
		if o.Task != task || o.Attempt != 1 || o.Err == "" ||
			len(command) > 0 && !strings.Contains(o.Err, command[0]) {
			t.Errorf("observed %+v, want a reason that names %q", o, command)
		}
	}
}

func environment(t *testing.T, w *World) {
	s := Spec("env", `
		pwd >dir; echo "$COLOUR" >colour
		env | grep -c `+secret+` >secrets
		ls -l /proc/self/fd | grep -c socket >sockets
		touch ready; cat`)
	s.Env = append(s.Env, "COLOUR=deep blue")
	w.Run(s)
	if got, want := w.Wait("env", "dir"), filepath.Join(w.Root, runner.WorkDir(alloc, "env")); got != want {
		t.Errorf("the task starts in %q, want %q", got, want)
	}
	if got := w.Wait("env", "colour"); got != "deep blue" {
		t.Errorf("COLOUR is %q", got)
	}
	if got := w.Wait("env", "secrets"); got != "0" {
		t.Error("the task sees the agent's environment")
	}
	if got := w.Wait("env", "sockets"); got != "0" {
		t.Error("the task has inherited sockets")
	}
	// Its input is empty, so cat has ended and with it the script.
	if o := w.Expect(runner.Exited); o.ExitCode != 0 {
		t.Errorf("observed %+v, want exit code 0", o)
	}
}

func signal(t *testing.T, w *World) {
	w.Start(Spec("web", "kill -9 $$"))
	w.Expect(runner.Started)
	if o := w.Expect(runner.Exited); o.ExitCode != 137 || o.Signal != 9 || o.OOM {
		t.Errorf("observed %+v, want signal 9", o)
	}
}

func once(t *testing.T, w *World) {
	s := Spec("web", "echo x >>starts; touch ready; exec sleep 1000")
	w.Start(s)
	w.Driver.Start(s) // told again at once
	first := w.Expect(runner.Started)
	w.Wait("web", "ready")
	w.Driver.Start(s) // and again while it runs
	w.Restart()
	w.Driver.Start(s) // and again by the next agent
	w.Driver.Stop(alloc, "web", 0)
	if o := w.Expect(runner.Exited); o.Signal != 9 && o.Signal != 15 {
		t.Errorf("observed %+v, want it killed", o)
	}
	w.Gone(first.PID)
	w.Start(s) // and after its end: what is observed is that end
	if o := w.Expect(runner.Exited); o.Attempt != 1 || o.Signal == 0 {
		t.Errorf("observed %+v, want the end of attempt 1 again", o)
	}
	if got := w.Wait("web", "starts"); got != "x" {
		t.Errorf("the task was started %d times", strings.Count(got, "x"))
	}
}

func nextAttempt(t *testing.T, w *World) {
	for attempt := 1; attempt <= 3; attempt++ {
		s := Spec("web", fmt.Sprintf("exit %d", attempt))
		s.Attempt = attempt
		w.Start(s)
		if o := w.Expect(runner.Started); o.Attempt != attempt {
			t.Errorf("observed %+v, want attempt %d", o, attempt)
		}
		if o := w.Expect(runner.Exited); o.Attempt != attempt || o.ExitCode != attempt {
			t.Errorf("observed %+v, want attempt %d", o, attempt)
		}
	}
	w.Driver.Start(Spec("web", "exit 9")) // attempt 1 again: over long ago
	if o := w.Next(); o.Kind == runner.Started {
		t.Errorf("observed %+v of an attempt that is over", o)
	}
}

func stopGently(t *testing.T, w *World) {
	w.Run(Spec("web", `trap 'exit 7' TERM; touch ready; while :; do sleep 0.01; done`))
	w.Driver.Stop(alloc, "web", patience)
	if o := w.Expect(runner.Exited); o.ExitCode != 7 {
		t.Errorf("observed %+v, want its own exit code 7", o)
	}
	w.Driver.Stop(alloc, "web", patience) // nothing runs: nothing happens
}

func stopHard(t *testing.T, w *World) {
	o := w.Run(Spec("web", `trap '' TERM; touch ready; while :; do sleep 0.01; done`))
	w.Driver.Stop(alloc, "web", 50*time.Millisecond)
	if e := w.Expect(runner.Exited); e.Signal != 9 || e.OOM {
		t.Errorf("observed %+v, want signal 9", e)
	}
	w.Gone(o.PID)
}

func stopSignal(t *testing.T, w *World) {
	s := Spec("web", `trap 'exit 9' INT; trap 'exit 8' TERM; touch ready; while :; do sleep 0.01; done`)
	s.Stop = "SIGINT"
	w.Run(s)
	w.Driver.Stop(alloc, "web", patience)
	if o := w.Expect(runner.Exited); o.ExitCode != 9 {
		t.Errorf("observed %+v, want exit code 9", o)
	}
}

// warning is a task that is warned so long before it is asked to end.
func warning(before time.Duration, onWarning string) runner.Spec {
	s := Spec("web", fmt.Sprintf(`
		trap '%s' USR1; trap 'test -e warned && exit 5; exit 6' TERM
		touch ready; while :; do sleep 0.01; done`, onWarning))
	s.Warn, s.WarnTime = "SIGUSR1", before
	return s
}

func warned(t *testing.T, w *World) {
	w.Run(warning(200*time.Millisecond, "touch warned"))
	w.Driver.Stop(alloc, "web", patience)
	if o := w.Expect(runner.Exited); o.ExitCode != 5 {
		t.Errorf("observed %+v, want exit code 5: warned, and then asked to end", o)
	}
}

// Who is sent nobody any more serves on for so long, and is told nothing.
func unwarned(t *testing.T, w *World) {
	s := warning(300*time.Millisecond, "touch warned")
	s.Warn = ""
	w.Run(s)
	by := w.suite.Now() + s.WarnTime
	w.Driver.Stop(alloc, "web", patience)
	if o := w.Expect(runner.Exited); o.ExitCode != 6 || w.suite.Now() < by {
		t.Errorf("observed %+v, want exit code 6, %v after it was to end", o, s.WarnTime)
	}
}

func warnedEnds(t *testing.T, w *World) {
	w.Run(warning(time.Hour, "exit 4"))
	w.Driver.Stop(alloc, "web", patience)
	if o := w.Expect(runner.Exited); o.ExitCode != 4 {
		t.Errorf("observed %+v, want exit code 4", o)
	}
}

func warnedKilled(t *testing.T, w *World) {
	w.Run(warning(time.Hour, "touch warned"))
	w.Driver.Stop(alloc, "web", patience)
	w.Wait("web", "warned")
	w.Driver.Stop(alloc, "web", 0)
	if o := w.Expect(runner.Exited); o.ExitCode != 5 && o.Signal != 9 {
		t.Errorf("observed %+v, want it ended", o)
	}
}

func warnedLease(t *testing.T, w *World) {
	s := warning(time.Hour, "touch warned")
	s.Until = w.suite.Now() + w.suite.lease()
	w.Run(s)
	w.Driver.Stop(alloc, "web", patience)
	w.Wait("web", "warned")
	if o := w.Expect(runner.Exited); o.ExitCode != 5 || w.suite.Now() < s.Until {
		t.Errorf("observed %+v, want exit code 5, at the end of its lease", o)
	}
}

// A worker that needs longer than its parent to end has the whole grace.
func stopRest(t *testing.T, w *World) {
	w.Run(Spec("web", `
		sh -c 'trap "sleep 0.3; echo saved >saved; exit" TERM; touch ready; while :; do sleep 0.01; done' &
		trap 'exit 0' TERM; wait`))
	w.Driver.Stop(alloc, "web", patience)
	w.Expect(runner.Exited)
	if got := w.Wait("web", "saved"); got != "saved" {
		t.Errorf("the worker was killed before it had ended")
	}
}

// What leaves the process group and the session, and what its parent forgets.
func nothingLeft(t *testing.T, w *World) {
	w.Run(Spec("web", `
		setsid sh -c 'setsid sh -c "touch orphan; exec sleep 1000" & setsid sleep 1000 & touch child; exit' &
		sleep 1000 & (exit 0) & sleep 0.05
		until [ -e orphan ] && [ -e child ]; do sleep 0.01; done
		touch ready; until [ -e go ]; do sleep 0.01; done; exit 0`))
	if pids := w.Marked(); len(pids) < 4 {
		t.Errorf("%d processes are there, want the task's and three more", len(pids))
	}
	w.Touch("web", "go")
	if o := w.Expect(runner.Exited); o.ExitCode != 0 || o.Err != "" {
		t.Errorf("observed %+v, want exit code 0", o)
	}
	if pids := w.Marked(); len(pids) > 0 {
		t.Errorf("processes %v live although the end was observed", pids)
	}
}

func stopAtOnce(t *testing.T, w *World) {
	w.Start(Spec("web", "exec sleep 1000"))
	w.Driver.Stop(alloc, "web", 0)
	o := w.Next()
	if o.Kind == runner.Started {
		o = w.Next()
	}
	if o.Kind == runner.Started || o.ExitCode == 0 && o.Kind == runner.Exited {
		t.Errorf("observed %+v, want it ended", o)
	}
}

func adopt(t *testing.T, w *World) {
	s := w.Run(Spec("web", `touch ready; until [ -e go ]; do sleep 0.01; done; exit 5`))
	if found := w.Driver.Found(); len(found) != 0 {
		t.Errorf("found %+v in an empty folder", found)
	}
	w.Restart()
	found := w.Driver.Found()
	if len(found) != 1 || found[0].Kind != runner.Adopted || found[0].PID != s.PID ||
		found[0].Attempt != 1 || !found[0].StartedAt.Equal(s.StartedAt) || !Alive(s.PID) {
		t.Fatalf("found %+v, want pid %d adopted", found, s.PID)
	}
	w.Touch("web", "go")
	if o := w.Expect(runner.Exited); o.ExitCode != 5 || o.Attempt != 1 {
		t.Errorf("observed %+v, want exit code 5", o)
	}
}

func foundEnd(t *testing.T, w *World) {
	s := w.Run(Spec("web", `touch ready; until [ -e go ]; do sleep 0.01; done; exit 5`))
	w.Close()
	w.Touch("web", "go")
	w.Gone(s.PID)
	for range 2 { // and again for the agent after that
		w.Until("the end is found", func() bool {
			w.Open()
			found := w.Driver.Found()
			if len(found) == 1 && found[0].Kind == runner.Exited {
				if found[0].ExitCode != 5 || found[0].Attempt != 1 {
					t.Errorf("found %+v, want exit code 5", found)
				}
				return true
			}
			w.Close()
			return false
		})
		w.Close()
	}
	w.runs = nil
	w.Open()
}

func leaseEnds(t *testing.T, w *World) {
	s := Spec("web", `touch ready; exec sleep 1000`)
	s.Until = w.suite.Now() + w.suite.lease()
	w.Run(s)
	w.Close() // the agent is dead: the task must stop all the same
	w.Until("the lease has ended", func() bool { return w.suite.Now() > s.Until })
	w.Until("the task has stopped", func() bool {
		w.Open()
		found := w.Driver.Found()
		if len(found) == 1 && found[0].Kind == runner.Exited {
			if !found[0].Expired || found[0].At.IsZero() {
				t.Errorf("found %+v, want it expired", found)
			}
			return true
		}
		w.Close()
		return false
	})
	w.runs = map[string]bool{}
}

// leaseOver: a machine may have slept since the order.
func leaseOver(t *testing.T, w *World) {
	s := Spec("web", `touch ran`)
	s.Until = w.suite.Now() - time.Second
	w.Start(s)
	o := w.Expect(runner.StartFailed)
	if !o.Expired || o.Err == "" {
		t.Errorf("observed %+v, want it expired, with the reason", o)
	}
	if _, err := os.Stat(filepath.Join(w.Root, runner.WorkDir(alloc, "web"), "ran")); err == nil {
		t.Error("the task has run")
	}
}

func renewal(t *testing.T, w *World) {
	s := Spec("web", `touch ready; exec sleep 1000`)
	s.Until = w.suite.Now() + 2*w.suite.lease()
	w.Run(s)
	until := s.Until + time.Second
	w.Driver.Renew(alloc, "web", until)
	w.Driver.Renew(alloc, "web", s.Until-time.Second) // never back
	o := w.Expect(runner.Exited)
	if !o.Expired || w.suite.Now() < until {
		t.Errorf("observed %+v %v before the renewed end", o, until-w.suite.Now())
	}
}

func remove(t *testing.T, w *World) {
	w.Run(Spec("web", `touch ready; exec sleep 1000`))
	w.Driver.Remove(alloc) // it runs: nothing happens
	if _, err := os.Stat(filepath.Join(w.Root, runner.WorkDir(alloc, "web"))); err != nil {
		t.Errorf("files of a task that runs: %v", err)
	}
	w.Driver.Stop(alloc, "web", 0)
	w.Expect(runner.Exited)
	w.Driver.Remove(alloc)
	w.Until("the files are gone", func() bool {
		_, err := os.Stat(filepath.Join(w.Root, string(alloc)))
		return os.IsNotExist(err)
	})
}

func badNames(t *testing.T, w *World) {
	outside := filepath.Join(filepath.Dir(w.Root), "outside")
	for _, name := range []string{"..", "../../../outside", "a/b", "", "a b"} {
		s := Spec(name, "exit 0")
		w.Start(s)
		if o := w.Expect(runner.StartFailed); o.Task != name {
			t.Errorf("observed %+v", o)
		}
		w.Driver.Remove(mesh.AllocID(name))
		w.Driver.Retire(mesh.AllocID(name))
	}
	if _, err := os.Stat(outside); !os.IsNotExist(err) {
		t.Errorf("a task has left the folder: %v", err)
	}
}
