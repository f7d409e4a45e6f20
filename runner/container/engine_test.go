package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mn/mesh"
	"mn/runner"
	"mn/runner/container/podmantest"
	"mn/runner/drivertest"
	"mn/runner/exec"
	"mn/runner/frames"
	"mn/runner/logs"
)

const alloc = mesh.AllocID("abcdefgh")

// lines are all lines of a task's output.
func lines(t *testing.T, root, task string) (got []string) {
	t.Helper()
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

// supervisor is the pid of the process that supervises a task of a world.
func supervisor(t *testing.T, w *drivertest.World, task string) int {
	t.Helper()
	folder := filepath.Join(w.Root, runner.TaskDir(alloc, task))
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		text, _ := os.ReadFile(name)
		if args := strings.Split(string(text), "\x00"); len(args) > 2 && args[1] == "container" && args[2] == folder {
			pid := 0
			fmt.Sscanf(name, "/proc/%d/", &pid)
			return pid
		}
	}
	t.Fatalf("nobody supervises %s", folder)
	return 0
}

// One Podman serves all of these tests: each has an allocation's folder of its own.
func TestWithEngine(t *testing.T) {
	t.Parallel()
	p := start(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *podmantest.Podman)
	}{
		{"DeadSupervisorsContainerIsRemoved", deadSupervisor},
		{"LeftContainersAreRemovedAndOthersAreNot", left},
		{"SilentEngineIsNoEnd", silentEngine},
		{"RetiredContainersAreRemoved", retired},
		{"SilentEngineIsNoWayToOutliveALease", silentLease},
		{"OutputIsWholeOverALostEngine", wholeOutput},
		{"FoldersVolumesAndLimits", folders},
		{"RootIsNoRoot", noRoot},
		{"NobodyIsShownTheEngine", barred},
		{"UserOfTheTaskOwnsItsFolder", owner},
		{"StopSignalIsTheTasks", stopSignal},
		{"ImageThatIsNowhereIsToldOf", nowhere},
		{"EarlierAttemptsContainersAreRemovedFirst", earlier},
		{"NobodyTakesDevicesByAVariable", variable},
		{"CommandsJoinTheContainer", commands},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(t, p)
			if left := p.Containers(); len(left) > 0 {
				t.Errorf("containers %v are left", left)
				p.Run("rm", "--force", "--all", "--time", "0")
			}
		})
	}
}

func deadSupervisor(t *testing.T, p *podmantest.Podman) {
	w := suite(p).NewWorld(t)
	o := w.Run(drivertest.Spec("web", `touch ready; exec sleep 1000`))
	if err := syscall.Kill(supervisor(t, w, "web"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	e := w.Expect(runner.Exited)
	if e.ExitCode != -1 || !strings.Contains(e.Err, "supervisor died") {
		t.Errorf("observed %+v", e)
	}
	w.Gone(o.PID)
	if left := p.Containers(); len(left) > 0 {
		t.Errorf("containers %v are left of it", left)
	}
}

// What an agent finds that nobody has in hand goes; what is another's stays.
func left(t *testing.T, p *podmantest.Podman) {
	run := func(labels ...string) {
		args := []string{"run", "--detach", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"}
		for _, l := range labels {
			args = append(args, "--label", l)
		}
		p.Run(append(args, podmantest.Image, "sleep", "1000")...)
	}
	run(labelNode+"="+string(node), labelAlloc+"=gonegone", labelTask+"=web")
	run(labelNode+"=another-node", labelAlloc+"=gonegone", labelTask+"=web")
	run("of=nobody")
	w := suite(p).NewWorld(t)
	w.Run(drivertest.Spec("web", `touch ready; exec sleep 1000`))
	d := w.Driver.(*exec.Driver)
	ctx, cancel := context.WithCancel(t.Context())
	watched := make(chan struct{})
	e := engine(t, p)
	go func() {
		defer close(watched)
		e.Watch(ctx, d.Has, func(mesh.Engine) {})
	}()
	w.Until("one of four is removed", func() bool { return len(p.Containers()) == 3 })
	cancel()
	<-watched
	if got := p.Run("ps", "--all", "--format", "{{.Labels}}"); strings.Contains(got, "gonegone") != true ||
		strings.Contains(got, string(node)+" ") && strings.Contains(got, "mn.alloc:gonegone mn.node:"+string(node)) {
		t.Errorf("there is left:\n%s", got)
	}
	w.Driver.Stop(alloc, "web", 0)
	w.Expect(runner.Exited)
	p.Run("rm", "--force", "--all", "--time", "0")
}

// earlier: of attempts of which an engine has made containers when nobody waited any more.
func earlier(t *testing.T, p *podmantest.Podman) {
	w := suite(p).NewWorld(t)
	for _, attempt := range []string{"1", "2"} {
		p.Run("run", "--detach", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096", "--name", "left"+attempt,
			"--label", labelNode+"="+string(node), "--label", labelAlloc+"="+string(alloc), "--label", labelTask+"=web",
			"--label", labelAttempt+"="+attempt, podmantest.Image, "sleep", "1000")
	}
	s := drivertest.Spec("web", `touch ready; exec sleep 1000`)
	s.Attempt = 3
	w.Run(s)
	if left := p.Containers(); len(left) != 1 || !strings.HasSuffix(left[0], "-web-3") {
		t.Errorf("containers %v are there", left)
	}
	w.Driver.Stop(alloc, "web", 0)
	w.Expect(runner.Exited)
}

func variable(t *testing.T, p *podmantest.Podman) {
	w := suite(p).NewWorld(t)
	const image = "localhost/greedy:latest"
	p.Run("create", "--name", "greedy", podmantest.Image, "true")
	p.Run("commit", "--change", "ENV "+visible+"=all", "greedy", image)
	p.Run("rm", "greedy")
	s := drivertest.Spec("web", `echo "<$`+visible+`>"`)
	s.Container = &mesh.Container{Image: image, Network: mesh.NetworkNone}
	w.Start(s)
	w.Expect(runner.Started)
	w.Expect(runner.Exited)
	if got := lines(t, w.Root, "web"); !slices.Equal(got, []string{"<void>"}) {
		t.Errorf("it says %q", got)
	}
}

func silentEngine(t *testing.T, p *podmantest.Podman) {
	w := suite(p).NewWorld(t)
	w.Run(drivertest.Spec("web", `touch ready; until [ -e go ]; do sleep 0.1; done; exit 5`))
	p.Silence()
	if e := engineLess(t, p); e.Lacks == "" {
		t.Error("an engine that is silent is seen")
	}
	select {
	case o := <-w.Driver.Observations():
		t.Fatalf("observed %+v of a task that runs", o)
	case <-time.After(2 * time.Second):
	}
	w.Start(drivertest.Spec("other", `exit 0`))
	if o := w.Expect(runner.StartFailed); !strings.Contains(o.Err, "does not answer") &&
		!strings.Contains(o.Err, "failed to connect") {
		t.Errorf("observed %+v", o)
	}
	p.Serve()
	w.Touch("web", "go")
	if o := w.Expect(runner.Exited); o.ExitCode != 5 || o.Err != "" {
		t.Errorf("observed %+v, want exit code 5", o)
	}
}

// engineLess is what is seen of an engine that may be silent.
func engineLess(t *testing.T, p *podmantest.Podman) mesh.Engine {
	return New(Config{Socket: p.Socket, Node: node}).Look(t.Context())
}

// retired: what its supervisor could not remove, as the engine was away.
func retired(t *testing.T, p *podmantest.Podman) {
	w := suite(p).NewWorld(t)
	w.Run(drivertest.Spec("web", `touch ready; exec sleep 1000`))
	w.Driver.Stop(alloc, "web", 0)
	w.Expect(runner.Exited)
	p.Run("create", "--label", labelNode+"="+string(node), "--label", labelAlloc+"="+string(alloc),
		"--label", labelTask+"=web", podmantest.Image, "true")
	w.Driver.Retire(alloc)
	w.Until("it is removed", func() bool { return len(p.Containers()) == 0 })
}

func silentLease(t *testing.T, p *podmantest.Podman) {
	w := suite(p).NewWorld(t)
	s := drivertest.Spec("web", `trap '' TERM; touch ready; while :; do sleep 0.1; done`)
	s.Until, s.Grace = suite(p).Now()+10*time.Second, time.Second/2
	o := w.Run(s)
	p.Silence()
	w.Gone(o.PID)
	if now := suite(p).Now(); now < s.Until || now > s.Until+10*time.Second {
		t.Errorf("it was gone %v after its lease", now-s.Until)
	}
	p.Serve()
	if o := w.Expect(runner.Exited); !o.Expired {
		t.Errorf("observed %+v, want it expired", o)
	}
}

func wholeOutput(t *testing.T, p *podmantest.Podman) {
	w := suite(p).NewWorld(t)
	w.Run(drivertest.Spec("web", `
		i=0; touch ready
		until [ -e go ]; do echo line $i; echo warn $i >&2; i=$((i+1)); [ $((i%10)) = 0 ] && sleep 0.01; done
		echo $i >count; exit 5`))
	p.Silence()
	p.Serve()
	ticks := time.NewTimer(time.Second)
	<-ticks.C // of output that comes by the new connection
	w.Touch("web", "go")
	w.Expect(runner.Exited)
	n := 0
	fmt.Sscan(w.Wait("web", "count"), &n)
	got := map[string]int{}
	for _, l := range lines(t, w.Root, "web") {
		got[l]++
	}
	for i := range n {
		for _, l := range []string{fmt.Sprint("line ", i), fmt.Sprint("warn ", i)} {
			if got[l] != 1 {
				t.Fatalf("%q of %d is there %d times", l, n, got[l])
			}
		}
	}
	if len(got) != 2*n {
		t.Errorf("%d lines, want %d", len(got), 2*n)
	}
}

func folders(t *testing.T, p *podmantest.Podman) {
	w := suite(p).NewWorld(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "fruit"), []byte("plum"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := drivertest.Spec("web", `
		cat /data/fruit volumes/data/fruit; echo x >/data/x || echo no; echo y >/out/y; echo z >shared-is-here
		echo x >/x || echo root is read only
		cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null
		cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null; touch ready`)
	s.Volumes = []mesh.Volume{
		{Name: "data", Source: dir, Target: "/data"}, {Name: "out", Source: t.TempDir(), Target: "/out", Mode: mesh.ReadWrite},
	}
	s.Resources = mesh.Resources{CPU: mesh.Core / 2, Memory: 64 * mesh.MiB}
	s.Container = &mesh.Container{Image: podmantest.Image, ReadOnly: true}
	w.Run(s)
	if o := w.Expect(runner.Exited); o.ExitCode != 0 {
		t.Errorf("observed %+v", o)
	}
	got := strings.Join(lines(t, w.Root, "web"), "\n")
	for _, want := range []string{"plumplumno", "root is read only", "67108864", "50000"} {
		if !strings.Contains(got, want) {
			t.Errorf("it says %q, want %q in it", got, want)
		}
	}
	if text, err := os.ReadFile(filepath.Join(s.Volumes[1].Source, "y")); err != nil || string(text) != "y\n" {
		t.Errorf("its volume holds %q, %v", text, err)
	}
}

func noRoot(t *testing.T, p *podmantest.Podman) {
	w := suite(p).NewWorld(t)
	w.Run(drivertest.Spec("web", `
		grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status
		mount -t tmpfs none /tmp || echo no mount; mknod x b 8 0 || echo no device; touch ready`))
	w.Expect(runner.Exited)
	got := lines(t, w.Root, "web")
	for _, want := range []string{"no mount", "no device", "NoNewPrivs:\t1", "CapBnd:\t00000000000004fb"} {
		if !slices.Contains(got, want) {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
}

func barred(t *testing.T, p *podmantest.Podman) {
	w := suite(p).NewWorld(t)
	s := drivertest.Spec("web", `ls`)
	s.Volumes = []mesh.Volume{{Name: "engine", Source: filepath.Dir(p.Socket), Target: "/engine", Mode: mesh.ReadWrite}}
	w.Start(s)
	if o := w.Expect(runner.StartFailed); !strings.Contains(o.Err, "by which one has the whole node") {
		t.Errorf("observed %+v", o)
	}
}

func owner(t *testing.T, p *podmantest.Podman) {
	w := suite(p).NewWorld(t)
	s := drivertest.Spec("web", `id -u; echo x >$HOME/mine; touch ready`)
	s.User = "1234"
	s.Env = append(s.Env, "HOME="+filepath.Join(w.Root, runner.WorkDir(alloc, "web")))
	w.Run(s)
	w.Expect(runner.Exited)
	if got := lines(t, w.Root, "web"); !slices.Equal(got, []string{"1234"}) {
		t.Errorf("it says %q", got)
	}
	w.Wait("web", "mine")
}

func stopSignal(t *testing.T, p *podmantest.Podman) {
	w := suite(p).NewWorld(t)
	s := drivertest.Spec("web", `trap 'exit 9' INT; trap 'exit 8' TERM; touch ready; while :; do sleep 0.1; done`)
	s.Container, s.Stop = &mesh.Container{Image: podmantest.Image}, "SIGINT"
	w.Run(s)
	w.Driver.Stop(alloc, "web", time.Minute)
	if o := w.Expect(runner.Exited); o.ExitCode != 9 {
		t.Errorf("observed %+v, want exit code 9", o)
	}
}

func nowhere(t *testing.T, p *podmantest.Podman) {
	w := suite(p).NewWorld(t)
	for pull, want := range map[mesh.PullPolicy]string{
		mesh.PullNever:   `image "localhost:1/no/such:1" is not on this node, and its pull is "never"`,
		mesh.PullMissing: `pull image "localhost:1/no/such:1": `,
	} {
		s := drivertest.Spec("web", `ls`)
		s.Container = &mesh.Container{Image: "localhost:1/no/such:1", Pull: pull}
		w.Start(s)
		if o := w.Expect(runner.StartFailed); !strings.Contains(o.Err, want) {
			t.Errorf("observed %+v, want %q", o, want)
		}
	}
}

func commands(t *testing.T, p *podmantest.Podman) {
	w := suite(p).NewWorld(t)
	w.Run(drivertest.Spec("web", `touch ready; exec sleep 1000`))
	d := w.Driver.(*exec.Driver)
	join := func(terminal bool, script string) io.ReadWriteCloser {
		t.Helper()
		c := runner.Command{Command: []string{"sh", "-c", script}, Terminal: terminal, Term: "xterm", Rows: 33, Columns: 77}
		conn, err := d.Join(alloc, "web", c)
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	// heard is all that is said to the end.
	heard := func(conn io.ReadWriteCloser) string {
		defer conn.Close()
		var said strings.Builder
		for from := frames.NewReader(conn); ; {
			kind, payload, err := from.Next()
			if err != nil {
				return said.String()
			}
			fmt.Fprintf(&said, "%c%s", kind, payload)
		}
	}
	conn := join(false, `cat; echo "$TERM" >&2; exit 5`)
	if err := errors.Join(
		frames.Write(conn, frames.Input, []byte("pear\n")), frames.Write(conn, frames.Closed, nil)); err != nil {
		t.Fatal(err)
	}
	if got := heard(conn); !strings.Contains(got, "opear\n") || !strings.Contains(got, "exterm\n") ||
		!strings.HasSuffix(got, "x5") {
		t.Errorf("it says %q", got)
	}
	got := heard(join(true, `sleep 1; stty size; exit 3`))
	if !strings.Contains(got, "33 77") || !strings.HasSuffix(got, "x3") {
		t.Errorf("with a terminal it says %q", got)
	}
	runs := func(args string) bool { return strings.Contains(p.Run("top", p.Containers()[0], "args"), args) }
	conn = join(false, `echo $$ >guest; exec sleep 4321`)
	w.Wait("web", "guest")
	if !runs("4321") {
		t.Fatal("it does not run")
	}
	conn.Close()
	w.Until("it is killed", func() bool { return !runs("4321") })
	conn = join(false, `cat >part; touch whole`)
	if err := frames.Write(conn, frames.Input, []byte("half of it")); err != nil {
		t.Fatal(err)
	}
	w.Wait("web", "part")
	conn.Close() // whoever has sent that is lost
	w.Until("it is killed", func() bool { return !runs("touch whole") })
	if _, err := os.Stat(filepath.Join(w.Root, runner.WorkDir(alloc, "web"), "whole")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the command took a part for the whole: %v", err)
	}
	conn = join(false, `sleep 1000`)
	w.Driver.Stop(alloc, "web", 0)
	if got := heard(conn); !strings.HasPrefix(got, "f") && !strings.HasSuffix(got, "x137") {
		t.Errorf("as its task ends it says %q", got)
	}
	w.Expect(runner.Exited)
}
