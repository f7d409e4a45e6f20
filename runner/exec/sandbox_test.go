package exec

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"mn/mesh"
	"mn/runner"
	"mn/runner/drivertest"
)

// sandboxed is what a sandboxed task can do, and how its machine looks to it.
const sandboxed = `
	exec 2>&1; set -e
	test "$(pwd)" = "$WORK"; echo x >own; echo x >"$SHARED/ours"
	echo x >/tmp/mn-test-x; echo x >/var/tmp/y; test -e /tmp/y; echo x >/dev/shm/mn-test-x; echo x >/dev/null; mkfifo fifo
	head -c 8 /dev/urandom | wc -c | grep -q 8
	echo out >/dev/stdout; echo err >/dev/stderr; : </dev/stdin
	test "$(cat /proc/self/comm)" = cat; test $$ -lt 100; ls /usr/bin >/dev/null; test -r /etc/passwd
	test ! -e /root; test ! -e /home; test ! -e /sys; test ! -e "$ROOT/elsewhere"
	grep -q '^NoNewPrivs:.1$' /proc/self/status
	grep -q '^CapEff:.0*$' /proc/self/status; grep -q '^CapPrm:.0*$' /proc/self/status
	if grep -q 4294967295 /proc/self/uid_map; then echo no user namespace; exit 9; fi
	(exit 3) || test $? = 3; { sh -c 'kill -9 $$' || test $? = 137; } 2>/dev/null
	sleep 0.01 & wait $!
	id -u >uid; echo all is well
	touch ready; until [ -e go ]; do sleep 0.01; done`

func boxedSpec(w *drivertest.World) runner.Spec {
	s := drivertest.Spec("web", sandboxed)
	s.Isolation = mesh.IsolateSandbox
	s.Env = append(s.Env, "ROOT="+w.Root, "WORK="+filepath.Join(w.Root, runner.WorkDir(alloc, "web")),
		"SHARED="+filepath.Join(w.Root, runner.SharedDir(alloc)))
	return s
}

func TestSandboxHasWhatATaskNeeds(t *testing.T) {
	if len(isolations(t)) < 3 {
		t.Skip("there are no sandboxes here")
	}
	for _, user := range []string{"", "daemon"} {
		t.Run("user "+user, func(t *testing.T) {
			if user != "" && os.Geteuid() != 0 {
				t.Skip("only root can run tasks as others")
			}
			w := suite().NewWorld(t)
			if err := os.Mkdir(filepath.Join(w.Root, "elsewhere"), 0o777); err != nil {
				t.Fatal(err)
			}
			s := boxedSpec(w)
			s.User = user
			w.Start(s)
			w.Expect(runner.Started)
			w.Touch("web", "go")
			if o := w.Expect(runner.Exited); o.ExitCode != 0 {
				t.Errorf("observed %+v: %q", o, lines(t, w.Root, "web"))
			}
			if got := lines(t, w.Root, "web"); strings.Join(got, " ") != "out err all is well" {
				t.Errorf("it has said %q", got)
			}
			if uid := w.Wait("web", "uid"); uid == "0" || user == "daemon" && uid != "1" {
				t.Errorf("it was user %s", uid)
			}
			for _, name := range []string{"/tmp/mn-test-x", "/dev/shm/mn-test-x"} {
				if _, err := os.Stat(name); err == nil {
					t.Errorf("%q of the sandbox is the machine's", name)
				}
			}
		})
	}
}

// A sandboxed task finds what was saved, and is saved, as others are.
func TestSandboxedTaskIsSaved(t *testing.T) {
	if len(isolations(t)) < 3 {
		t.Skip("there are no sandboxes here")
	}
	open, root := keeping(t, &shelf{})
	s := saving(root, `cat $DIR/n; echo two >$DIR/n.next && mv $DIR/n.next $DIR/n && echo whole >$READY; sleep 1000`, 1,
		mesh.Checkpoint{Tree: "one"})
	s.Isolation = mesh.IsolateSandbox
	d := open()
	d.Start(s)
	next(t, d, runner.Restored)
	next(t, d, runner.Started)
	if o := next(t, d, runner.Saved); o.Checkpoint.Tree != "two" || o.Checkpoint.Label != "whole" {
		t.Errorf("saved %+v", o.Checkpoint)
	}
	d.Stop(alloc, "web", 0)
	next(t, d, runner.Exited)
	if got := lines(t, root, "web"); len(got) != 1 || got[0] != "one" {
		t.Errorf("it has found %q", got)
	}
}

func TestSandboxOfRootIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("nobody else can be root")
	}
	w := suite().NewWorld(t)
	s := boxedSpec(w)
	s.User = "root"
	w.Start(s)
	if o := w.Expect(runner.StartFailed); !strings.Contains(o.Err, "no sandbox is root's") {
		t.Errorf("observed %+v", o)
	}
}

// What an agent can do that is not root depends on the machine. Where it has sandboxes,
// they are as good.
func TestSandboxOfAnAgentThatIsNotRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("it is what the other tests are about")
	}
	const agentUser = 12345
	w := suite().NewWorld(t)
	w.Close()
	for _, dir := range []string{w.Root, filepath.Dir(w.Root)} {
		if err := os.Chown(dir, agentUser, agentUser); err != nil {
			t.Fatal(err)
		}
	}
	s := boxedSpec(w)
	script := "export " + strings.Join(s.Env[1:], " ") + "\n" + sandboxed
	cmd := exec.Command("/proc/self/exe", "agent", w.Root, string(mesh.IsolateSandbox), script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: agentUser, Gid: agentUser}}
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Wait("web", "ready")
	if uid := w.Wait("web", "uid"); uid != "12345" {
		t.Errorf("it was user %s", uid)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	w.Open()
	if found := w.Driver.Found(); len(found) != 1 || found[0].Kind != runner.Adopted {
		t.Errorf("found %+v, want it adopted", found)
	}
	w.Touch("web", "go")
	if o := w.Expect(runner.Exited); o.ExitCode != 0 {
		t.Errorf("observed %+v: %q", o, lines(t, w.Root, "web"))
	}
}

// A sandbox shows the devices that its task was given, and no others.
func TestSandboxHasItsDevices(t *testing.T) {
	if len(isolations(t)) < 3 {
		t.Skip("there are no sandboxes here")
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can make devices")
	}
	const zero = 1<<8 | 5 // which has the numbers of /dev/zero
	given, other := "/dev/mn-test-given", "/dev/mn-test-other"
	render, ours := "/dev/mn-test-render", "/dev/mn-test-root"
	for name, mode := range map[string]os.FileMode{given: 0o666, other: 0o666, render: 0o660, ours: 0o660} {
		os.Remove(name)
		if err := syscall.Mknod(name, syscall.S_IFCHR|0o666, zero); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Remove(name) })
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(render, 0, 54321); err != nil { // as is usual: for a group of users
		t.Fatal(err)
	}
	w := suite().NewWorld(t)
	s := drivertest.Spec("web", "exec 2>/dev/null; head -c 5 "+given+" | wc -c; test ! -e "+other+" && echo alone; head -c 1 /dev/zero >"+given+
		" && echo writes; : <>"+render+" && echo member; (: <>"+ours+") || echo refused")
	s.Isolation = mesh.IsolateSandbox
	s.Devices = []mesh.GivenDevice{{ID: "a", Path: given}, {ID: "r", Path: render}, {ID: "o", Path: ours}, {ID: "b", Path: "/etc/passwd"}, {ID: "c", Path: "/dev/../root"}}
	w.Start(s)
	w.Expect(runner.Started)
	w.Expect(runner.Exited)
	if got := strings.Join(lines(t, w.Root, "web"), " "); got != "5 alone writes member refused" {
		t.Errorf("it has said %q", got)
	}
}

// The agent's data may be in a folder that sandboxes show.
func TestSandboxBelowAFolderThatIsShown(t *testing.T) {
	if os.Geteuid() != 0 || len(isolations(t)) < 3 {
		t.Skip("only root can write to /opt, and there must be sandboxes")
	}
	data, err := os.MkdirTemp("/opt", "mn-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(data) })
	if err := os.Chmod(data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "secret"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	d, err := Open(Config{
		Root: filepath.Join(data, "allocs"), Hidden: []string{data},
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	s := drivertest.Spec("web", `test ! -e `+data+`/secret && echo x >own && ! touch `+data+`/x && ! touch `+data+`/allocs/x`)
	s.Isolation = mesh.IsolateSandbox
	d.Start(s)
	next(t, d, runner.Started)
	if o := next(t, d, runner.Exited); o.ExitCode != 0 {
		t.Errorf("observed %+v: %q", o, lines(t, filepath.Join(data, "allocs"), "web"))
	}
}
