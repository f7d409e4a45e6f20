package exec

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mn/mesh"
	"mn/runner"
	"mn/runner/drivertest"
	"mn/runner/logs"
	"mn/runner/supervise"
)

const alloc = mesh.AllocID("abcdefgh")

// agent is what an agent does: it runs a task, says its pid, and waits to be
// killed. It is run in a process of its own.
func agent(root, isolation, script string) error {
	d, err := Open(Config{
		Root: root, Groups: groupsOf(root), Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	s := drivertest.Spec("web", script)
	s.Isolation = mesh.Isolation(isolation)
	d.Start(s)
	o := <-d.Observations()
	if o.Kind != runner.Started {
		return fmt.Errorf("observed %+v", o)
	}
	fmt.Println(o.PID)
	select {}
}

// lines are all lines of a task's output.
func lines(t *testing.T, root, task string) []string {
	t.Helper()
	var got []string
	dir := filepath.Join(root, runner.LogDir(alloc, task))
	err := logs.Read(t.Context(), dir, logs.Query{Tail: -1}, func(l logs.Line) error {
		got = append(got, l.Text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// F1: the agent is killed. Its task runs on with its pid, the next agent adopts
// it, and no line of its output is lost or doubled.
func TestKilledAgentLosesNothing(t *testing.T) {
	w := suite().NewWorld(t)
	w.Close()
	script := `touch ready; i=0; until [ -e go ]; do echo line $i; i=$((i+1)); sleep 0.002; done; echo $i >count; exit 5`
	cmd := exec.Command("/proc/self/exe", "agent", w.Root, "", script)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		t.Fatal(err)
	}
	w.Wait("web", "ready")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	written := len(lines(t, w.Root, "web"))
	w.Until("the task writes on", func() bool { return len(lines(t, w.Root, "web")) > written+100 })

	w.Open()
	found := w.Driver.Found()
	if len(found) != 1 || found[0].Kind != runner.Adopted || found[0].PID != pid || !drivertest.Alive(pid) {
		t.Fatalf("found %+v, want pid %d adopted", found, pid)
	}
	w.Touch("web", "go")
	if o := w.Expect(runner.Exited); o.ExitCode != 5 || o.Attempt != 1 || o.Err != "" {
		t.Errorf("observed %+v, want exit code 5", o)
	}
	got := lines(t, w.Root, "web")
	if want := w.Wait("web", "count"); strconv.Itoa(len(got)) != want {
		t.Errorf("%d lines are in the log, %s were written", len(got), want)
	}
	for i, line := range got {
		if line != fmt.Sprintf("line %d", i) {
			t.Fatalf("line %d of the log is %q", i, line)
		}
	}
}

// supervisor is the pid of a task's supervisor.
func supervisor(t *testing.T, w *drivertest.World, task string) int {
	t.Helper()
	f, err := w.Driver.(*Driver).inspect(key{alloc, task})
	if err != nil || !f.live {
		t.Fatalf("inspect: live %v, %v", f.live, err)
	}
	return f.start.Supervisor
}

// stopped says whether all threads of a process are stopped.
func stopped(t *testing.T, pid int) bool {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("find the threads of %d: %v", pid, err)
	}
	return !slices.ContainsFunc(threads, func(name string) bool {
		stat, err := os.ReadFile(name)
		return err == nil && !bytes.Contains(stat, []byte(") T "))
	})
}

// A supervisor that is too slow to greet, as on a machine that is short of everything, is
// connected when it can: it hears again for how long its task may run.
func TestSlowSupervisorIsConnectedLater(t *testing.T) {
	w := suite().NewWorld(t)
	w.Run(drivertest.Spec("web", `touch ready; until [ -e go ]; do sleep 0.05; done; exit 5`))
	slow := supervisor(t, w, "web")
	w.Close()
	if err := syscall.Kill(slow, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	w.Until("all of the supervisor stands still", func() bool { return stopped(t, slow) })
	w.Open()
	tasks := w.Driver.(*Driver).tasks
	deaf := func() bool {
		web := tasks[key{alloc, "web"}]
		web.mu.Lock()
		defer web.mu.Unlock()
		return web.deaf != 0
	}
	if !deaf() {
		t.Fatal("a supervisor that stands still has greeted")
	}
	if err := syscall.Kill(slow, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	w.Until("the supervisor is connected", func() bool { return !deaf() })
	w.Touch("web", "go")
	if o := w.Expect(runner.Exited); o.ExitCode != 5 || o.Attempt != 1 {
		t.Errorf("observed %+v, want exit code 5", o)
	}
}

// A supervisor that is killed takes its task along, and what the task has put
// out of its group is found by its mark.
func TestKilledSupervisorLeavesNothing(t *testing.T) {
	for _, agentAway := range []bool{false, true} {
		t.Run(fmt.Sprintf("agent away %v", agentAway), func(t *testing.T) {
			w := suite().NewWorld(t)
			o := w.Run(drivertest.Spec("web", `
				setsid sh -c 'echo $$ >daemon; exec sleep 1000' &
				sleep 1000 & echo $! >member
				until [ -s daemon ]; do sleep 0.01; done; touch ready; wait`))
			pid := supervisor(t, w, "web")
			if agentAway {
				w.Close()
			}
			syscall.Kill(pid, syscall.SIGKILL)
			var end runner.Observation
			if agentAway {
				w.Gone(pid)
				w.Open()
				if found := w.Driver.Found(); len(found) == 1 {
					end = found[0]
				}
				if end.Kind == runner.Adopted { // the kernel was still at it
					end = w.Next()
				}
			} else {
				end = w.Next()
			}
			if end.Kind != runner.Exited || end.ExitCode != -1 || end.Err != "its supervisor died" {
				t.Errorf("observed %+v", end)
			}
			w.Gone(o.PID)
			for _, name := range []string{"daemon", "member"} {
				pid, err := strconv.Atoi(w.Wait("web", name))
				if err != nil {
					t.Fatal(err)
				}
				w.Gone(pid)
			}
			w.Forget("web")
		})
	}
}

// After a boot of the machine the pids on record are those of strangers.
func TestAfterABootNothingIsKilled(t *testing.T) {
	w := suite().NewWorld(t)
	o := w.Run(drivertest.Spec("web", `touch ready; exec sleep 1000`))
	stranger := exec.Command("sleep", "1000")
	stranger.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer stranger.Wait()
	defer stranger.Process.Kill()
	w.Driver.Stop(alloc, "web", 0)
	w.Expect(runner.Exited)
	w.Gone(o.PID)
	w.Close()

	f, err := os.OpenFile(filepath.Join(w.Root, runner.TaskDir(alloc, "web"), supervise.StateFile), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ticks, err := supervise.StartTicks(stranger.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	start := supervise.Start{Attempt: 2, Boot: "another", PID: stranger.Process.Pid, PIDStart: ticks}
	if err := supervise.WriteState(f, supervise.State{Start: start}); err != nil {
		t.Fatal(err)
	}
	w.Open()
	found := w.Driver.Found()
	if len(found) != 1 || found[0].Attempt != 2 || found[0].Err != "lost with the previous boot of the machine" {
		t.Errorf("found %+v", found)
	}
	if !drivertest.Alive(stranger.Process.Pid) {
		t.Error("a stranger was killed")
	}
}

func TestFloodIsRotated(t *testing.T) {
	t.Parallel() // it takes long
	w := suite().NewWorld(t)
	const count = 1_060_000 // lines of 101 bytes: 107 MB
	w.Start(drivertest.Spec("web", fmt.Sprintf("seq -f %%0100.0f %d", count)))
	w.Expect(runner.Started)
	if o := w.Expect(runner.Exited); o.ExitCode != 0 || o.Err != "" {
		t.Errorf("observed %+v", o)
	}
	files, err := filepath.Glob(filepath.Join(w.Root, runner.LogDir(alloc, "web"), "stdout.*[0-9]"))
	if err != nil || len(files) != logs.DefaultLimits().Files {
		t.Errorf("kept %d files, %v, want %d", len(files), err, logs.DefaultLimits().Files)
	}
	next := 0
	for _, line := range lines(t, w.Root, "web") {
		n, err := strconv.Atoi(line)
		if err != nil || next != 0 && n != next {
			t.Fatalf("line %q where %d is due", line, next)
		}
		next = n + 1
	}
	if next != count+1 {
		t.Errorf("the log ends with %d, want %d", next-1, count)
	}
}

// smallDisk makes dir a filesystem of its own with so much room.
func smallDisk(t *testing.T, dir string, size int) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting a small filesystem needs root")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Fatalf("mount tmpfs: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
}

func TestFullDiskDoesNotHoldUpATask(t *testing.T) {
	w := suite().NewWorld(t)
	smallDisk(t, filepath.Join(w.Root, runner.LogDir(alloc, "web")), 64<<10)
	w.Start(drivertest.Spec("web", "seq 100000; exit 3"))
	w.Expect(runner.Started)
	o := w.Expect(runner.Exited)
	if o.ExitCode != 3 || !strings.HasSuffix(o.Err, "bytes of its output could not be written") {
		t.Errorf("observed %+v, want exit code 3 and output dropped", o)
	}
	if got := lines(t, w.Root, "web"); len(got) == 0 || got[0] != "1" {
		t.Errorf("the log has %d lines, want the first ones", len(got))
	}
}

// With a disk that has become full since the start, the end is still recorded;
// a start on a full disk is refused with the reason.
func TestFullDiskKeepsTheEnd(t *testing.T) {
	w := suite().NewWorld(t)
	w.Close()
	smallDisk(t, w.Root, 256<<10)
	w.Open()
	o := w.Run(drivertest.Spec("web", `touch ready; until [ -e go ]; do sleep 0.01; done; exit 5`))
	pid := supervisor(t, w, "web")
	w.Close()
	w.Touch("web", "go.next")
	err := os.WriteFile(filepath.Join(w.Root, "filler"), make([]byte, 1<<20), 0o600)
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("fill the disk: %v", err)
	}
	work := filepath.Join(w.Root, runner.WorkDir(alloc, "web"))
	if err := os.Rename(filepath.Join(work, "go.next"), filepath.Join(work, "go")); err != nil {
		t.Fatal(err)
	}
	w.Gone(o.PID)
	w.Gone(pid)
	w.Open()
	if found := w.Driver.Found(); len(found) != 1 || found[0].ExitCode != 5 {
		t.Errorf("found %+v, want exit code 5", found)
	}
	w.Forget("web")
	w.Start(drivertest.Spec("next", "exit 0"))
	if o := w.Next(); o.Kind != runner.StartFailed || !strings.Contains(o.Err, "no space left on device") {
		t.Errorf("observed %+v, want no space left", o)
	}
}

// Orphans of a task are ours to reap, not only at its end.
func TestZombiesAreReaped(t *testing.T) {
	w := suite().NewWorld(t)
	w.Run(drivertest.Spec("web", `for i in 1 2 3 4 5 6 7 8; do (sh -c 'exit 0' &); done; touch ready; exec sleep 1000`))
	pid := supervisor(t, w, "web")
	w.Until("only the task is left", func() bool {
		names, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
		if err != nil {
			t.Fatal(err)
		}
		children := 0
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				return false
			}
			children += len(strings.Fields(string(text)))
		}
		return children == 1
	})
}

// A socket's address has 108 bytes; folders are longer than that.
func TestLongPaths(t *testing.T) {
	w := suite().NewWorld(t)
	w.Close()
	w.Root = filepath.Join(w.Root, strings.Repeat("long/", 60))
	w.Open()
	o := w.Run(drivertest.Spec("web", `touch ready; exec sleep 1000`))
	w.Restart()
	found := w.Driver.Found()
	if len(found) != 1 || found[0].PID != o.PID {
		t.Fatalf("found %+v, want pid %d", found, o.PID)
	}
	w.Driver.Stop(alloc, "web", 0)
	w.Expect(runner.Exited)
}

// A supervisor whose door is gone is stopped by a signal, and its end is seen.
func TestSupervisorWithoutDoor(t *testing.T) {
	w := suite().NewWorld(t)
	w.Run(drivertest.Spec("web", `trap 'exit 7' TERM; touch ready; while :; do sleep 0.01; done`))
	w.Close()
	door := filepath.Join(w.Root, runner.TaskDir(alloc, "web"), supervise.SocketFile)
	w.Until("the door is there, and gone", func() bool { return os.Remove(door) == nil })
	w.Open()
	if found := w.Driver.Found(); len(found) != 1 || found[0].Kind != runner.Adopted {
		t.Fatalf("found %+v, want it adopted", found)
	}
	w.Driver.Stop(alloc, "web", 0)
	if o := w.Expect(runner.Exited); o.ExitCode != 7 {
		t.Errorf("observed %+v, want exit code 7", o)
	}
}

func TestRetiredAreKeptWithinBounds(t *testing.T) {
	w := suite().NewWorld(t)
	w.Driver.(*Driver).sweepPause = time.Millisecond
	var want []string
	for i := range retiredMax + 5 {
		id := mesh.AllocID(fmt.Sprintf("r%02d", i))
		if err := os.MkdirAll(filepath.Join(w.Root, runner.LogDir(id, "web")), 0o755); err != nil {
			t.Fatal(err)
		}
		w.Driver.Retire(id)
		if i >= 5 {
			want = append(want, string(id))
		}
	}
	w.Driver.Retire("never-here")
	w.Run(drivertest.Spec("web", `touch ready; exec sleep 1000`)) // not retired: not counted
	w.Until("the oldest are gone", func() bool { return slices.Equal(retired(t, w.Root), want) })

	// Of one that holds more than all may, what it has worked with goes at once, and not
	// what it has said.
	work := filepath.Join(w.Root, runner.WorkDir("r54", "web"))
	if err := os.MkdirAll(work, 0o755); err != nil {
		t.Fatal(err)
	}
	marker := filepath.Join(w.Root, runner.TaskDir("r54", "web"), "payload")
	if err := os.WriteFile(marker, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	big := filepath.Join(work, "model")
	if err := os.WriteFile(big, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(big, retiredBytesMax+1); err != nil {
		t.Fatal(err)
	}
	w.Driver.Retire("r54")
	w.Until("its files are gone", func() bool {
		_, err := os.Stat(work)
		return errors.Is(err, fs.ErrNotExist)
	})
	if _, err := os.Stat(marker); err == nil {
		t.Error("the files of its job are said to be there")
	}
	if got := retired(t, w.Root); !slices.Equal(got, want) {
		t.Errorf("there are %q, want %q", got, want)
	}
	if _, err := os.Stat(filepath.Join(w.Root, runner.LogDir("r54", "web"))); err != nil {
		t.Error(err)
	}
	if !drivertest.Alive(supervisor(t, w, "web")) {
		t.Error("what runs was removed")
	}
}

// retired are the retired allocations that still have a folder.
func retired(t *testing.T, root string) []string {
	t.Helper()
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "r") {
			ids = append(ids, e.Name())
		}
	}
	return ids
}
