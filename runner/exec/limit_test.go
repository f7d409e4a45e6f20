package exec

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mn/mesh"
	"mn/runner"
	"mn/runner/cgroup"
	"mn/runner/drivertest"
	"mn/runner/supervise"
)

// limited are the isolations under which limits hold; "" is what is so without one.
func limited(t *testing.T) []mesh.Isolation {
	t.Helper()
	has := []mesh.Isolation{""}
	for _, i := range isolations(t) {
		if i != mesh.IsolateNone {
			has = append(has, i)
		}
	}
	if len(has) == 1 {
		t.Skip("limits need control groups")
	}
	return has
}

// hog is a task that waits, and then takes 200 MB in a process that is not its first. It may
// have 64 MiB.
func hog(i mesh.Isolation) runner.Spec {
	s := drivertest.Spec("hog", `
		touch ready; until [ -e go ]; do sleep 0.01; done
		head -c 200000000 /dev/zero | tail >/dev/null; exit $?`)
	s.Isolation, s.Resources.Memory = i, 64*mesh.MiB
	return s
}

func TestMemoryBeyondTheLimitEndsTheTaskAndNotItsNeighbour(t *testing.T) {
	for _, i := range limited(t) {
		t.Run(fmt.Sprintf("isolation %q", i), func(t *testing.T) {
			w := suite().NewWorld(t)
			quiet := drivertest.Spec("quiet", `touch ready; exec sleep 1000`)
			quiet.Isolation, quiet.Resources.Memory = i, 64*mesh.MiB
			neighbour := w.Run(quiet)
			w.Run(hog(i))
			w.Restart() // the limit is not the agent's
			w.Touch("hog", "go")
			o := w.Expect(runner.Exited)
			if o.Task != "hog" || !o.OOM || o.ExitCode != 137 || o.Limit != 64*mesh.MiB ||
				o.Peak < 60*mesh.MiB || o.Peak > o.Limit {
				t.Errorf("observed %+v, want it killed at 64 MiB", o)
			}
			if !drivertest.Alive(neighbour.PID) {
				t.Error("its neighbour has died")
			}
		})
	}
}

// What shows that the test above shows something.
func TestMemoryWithoutALimitIsTaken(t *testing.T) {
	w := suite().NewWorld(t)
	w.Run(hog(mesh.IsolateNone))
	w.Touch("hog", "go")
	if o := w.Expect(runner.Exited); o.OOM || o.ExitCode != 0 {
		t.Errorf("observed %+v, want it completed", o)
	}
}

// cpuOf is the CPU time of a process, without its children.
func cpuOf(tb testing.TB, pid int) time.Duration {
	tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if err != nil {
		tb.Fatal(err)
	}
	ns, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	return time.Duration(ns)
}

// coresOf is how many cores a process has while some of its time passes.
func coresOf(tb testing.TB, pid int, during time.Duration) float64 {
	tb.Helper()
	before, began := cpuOf(tb, pid), time.Now()
	<-time.After(during)
	return float64(cpuOf(tb, pid)-before) / float64(time.Since(began))
}

// So little that any machine has it to give, however busy it is; and three times that is far
// from it. How near it comes is for BenchmarkHalfACore.
func TestCPUBeyondTheLimitIsNotHad(t *testing.T) {
	for _, i := range limited(t) {
		t.Run(fmt.Sprintf("isolation %q", i), func(t *testing.T) {
			w := suite().NewWorld(t)
			s := drivertest.Spec("busy", `touch ready; while :; do :; done`)
			s.Isolation, s.Resources.CPU = i, mesh.Core/10
			o := w.Run(s)
			group := groupOf(t, w, "busy")
			w.Until("it is held up", func() bool {
				for _, dir := range group {
					text, err := os.ReadFile(filepath.Join(dir, "cpu.stat"))
					if err == nil && !strings.Contains(string(text), "nr_throttled 0\n") {
						return true
					}
				}
				return false
			})
			if cores := coresOf(t, o.PID, time.Second); cores > 0.3 {
				t.Errorf("it had %.2f cores, want at most a tenth", cores)
			}
		})
	}
}

// groupOf is the control group of a task that runs.
func groupOf(t *testing.T, w *drivertest.World, task string) cgroup.Group {
	t.Helper()
	spec, err := w.Driver.(*Driver).readSpec(key{alloc, task})
	if err != nil || len(spec.Groups) == 0 {
		t.Fatalf("task %q has the groups %v, %v", task, spec.Groups, err)
	}
	return spec.Groups
}

func TestControlGroupsAreGoneWithTheirTasks(t *testing.T) {
	for _, i := range limited(t) {
		if i == "" {
			continue
		}
		t.Run(string(i), func(t *testing.T) {
			w := suite().NewWorld(t)
			s := drivertest.Spec("web", `touch ready; until [ -e go ]; do sleep 0.01; done`)
			s.Isolation = i
			w.Run(s)
			group := groupOf(t, w, "web")
			pids := ""
			for _, dir := range group {
				if text, err := os.ReadFile(filepath.Join(dir, "pids.max")); err == nil {
					pids = strings.TrimSpace(string(text))
				}
			}
			if pids != strconv.Itoa(cgroup.PIDsMax) {
				t.Errorf("it may have %q processes, want %d", pids, cgroup.PIDsMax)
			}
			w.Close() // nobody is there to see to it
			w.Touch("web", "go")
			w.Until("its groups are gone", func() bool { return !isThere(group) })
			w.Forget("web")
		})
	}
}

// isThere says whether a group has a folder left.
func isThere(g cgroup.Group) bool {
	for _, dir := range g {
		if _, err := os.Stat(dir); err == nil {
			return true
		}
	}
	return false
}

// A process that has left its group and its session, and has got rid of its mark,
// cannot leave its control group as easily.
func TestKilledSupervisorLeavesNothingInTheControlGroup(t *testing.T) {
	for _, i := range limited(t)[1:] {
		t.Run(string(i), func(t *testing.T) {
			w := suite().NewWorld(t)
			s := drivertest.Spec("web", `
				env -i setsid /bin/sh -c 'touch daemon; exec /bin/sleep 1000' &
				until [ -e daemon ]; do sleep 0.01; done; touch ready; wait`)
			s.Isolation = i
			w.Run(s)
			group := groupOf(t, w, "web")
			if err := syscall.Kill(supervisor(t, w, "web"), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if o := w.Expect(runner.Exited); o.Err != "its supervisor died" {
				t.Errorf("observed %+v", o)
			}
			if isThere(group) { // as it is as long as anything runs in it
				t.Errorf("the group %v is left", group)
			}
		})
	}
}

// An agent that was killed at the wrong moment leaves a group that no task has.
func TestGroupsThatAreLeftOverAreRemoved(t *testing.T) {
	if len(limited(t)) == 1 {
		t.Skip("limits need control groups")
	}
	w := suite().NewWorld(t)
	s := drivertest.Spec("web", `touch ready; exec sleep 1000`)
	s.Isolation = mesh.IsolateCgroup
	web := w.Run(s)
	w.Close()
	home, err := cgroup.Open("/", groupsOf(w.Root))
	if err != nil {
		t.Fatal(err)
	}
	stray, err := home.Make("abc.stray.1", cgroup.Limits{PIDs: 10})
	if err != nil {
		t.Fatal(err)
	}
	sleeper := exec.Command("sleep", "1000")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	defer sleeper.Wait()
	defer sleeper.Process.Kill()
	for _, dir := range stray {
		pid := strconv.Itoa(sleeper.Process.Pid)
		if err := os.WriteFile(filepath.Join(dir, cgroup.ProcsFile), []byte(pid), 0); err != nil {
			t.Fatal(err)
		}
	}
	w.Open()
	w.Driver.(*Driver).Isolation()
	if isThere(stray) || drivertest.Alive(sleeper.Process.Pid) {
		t.Errorf("the group %v is left, or a process of it", stray)
	}
	if !isThere(groupOf(t, w, "web")) || !drivertest.Alive(web.PID) {
		t.Error("what runs was removed")
	}
}

func TestIsolationThatIsNotThereIsRefusedWithTheReason(t *testing.T) {
	w := suite().NewWorld(t)
	d := w.Driver.(*Driver)
	d.offer = func() offer {
		return offer{lacks: map[mesh.Isolation]string{
			mesh.IsolateCgroup: "no controller", mesh.IsolateSandbox: "no user namespaces",
		}}
	}
	for i, want := range map[mesh.Isolation]string{
		mesh.IsolateCgroup:  `isolation "cgroup" is not available: no controller`,
		mesh.IsolateSandbox: `isolation "sandbox" is not available: no user namespaces`,
		"vault":             `isolation "vault" is not known to this agent`,
	} {
		s := drivertest.Spec("web", "exit 0")
		s.Isolation = i
		w.Start(s)
		if o := w.Expect(runner.StartFailed); o.Err != want {
			t.Errorf("observed %q, want %q", o.Err, want)
		}
	}
	// Whoever has not asked runs all the same.
	s := drivertest.Spec("web", "exit 3")
	s.Resources.Memory = 64 * mesh.MiB
	w.Start(s)
	w.Expect(runner.Started)
	if o := w.Expect(runner.Exited); o.ExitCode != 3 {
		t.Errorf("observed %+v, want exit code 3", o)
	}
}

func TestGroupOfWhatCouldNotBeSpawnedIsRemoved(t *testing.T) {
	limited(t)
	w := suite().NewWorld(t)
	d := w.Driver.(*Driver)
	d.Isolation()
	d.cfg.Program = []string{"/nowhere/mn"}
	s := drivertest.Spec("web", "exit 0")
	s.Isolation = mesh.IsolateCgroup
	w.Start(s)
	w.Expect(runner.StartFailed)
	if left := d.home.Load().Names(); len(left) > 0 {
		t.Errorf("the groups %q are left", left)
	}
}

// A task of which nothing can be found out may run: its group stays.
func TestGroupsOfWhatCannotBeReadStay(t *testing.T) {
	limited(t)
	w := suite().NewWorld(t)
	s := drivertest.Spec("web", `touch ready; exec sleep 1000`)
	s.Isolation = mesh.IsolateCgroup
	web := w.Run(s)
	state := filepath.Join(w.Root, key{alloc, "web"}.file(supervise.StateFile))
	w.Close()
	if err := errors.Join(os.Rename(state, state+".away"), os.Mkdir(state, 0o700)); err != nil {
		t.Fatal(err)
	}
	w.Open()
	w.Driver.(*Driver).Isolation()
	if !isThere(groupOf(t, w, "web")) || !drivertest.Alive(web.PID) {
		t.Error("what runs was removed")
	}
	w.Close()
	if err := errors.Join(os.Remove(state), os.Rename(state+".away", state)); err != nil {
		t.Fatal(err)
	}
	w.Open()
}

func TestTrialsOfAnAgentThatWasKilledAreRemoved(t *testing.T) {
	w := suite().NewWorld(t)
	left := filepath.Join(w.Root, probePrefix+"123")
	if err := os.MkdirAll(filepath.Join(left, "work"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.Driver.(*Driver).Isolation()
	if _, err := os.Stat(left); err == nil {
		t.Errorf("%q is left", left)
	}
}
