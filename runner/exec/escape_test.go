package exec

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"mn/mesh"
	"mn/runner"
	"mn/runner/drivertest"
)

// outside is what a sandboxed task has no business with. A test makes it.
type outside struct {
	Data     string // a folder of the agent's, with a file "secret"
	Private  string // a folder that any user may write
	PID      int    // of a process that is no task
	Socket   string // an abstract socket's name
	Segment  int    // the key of shared memory
	Control  string // the file by which one leaves one's control group
	Ordinary string // a file in the task's own folder, to see that the test can succeed
}

// attempt is one way out. It returns nil if it was one.
type attempt struct {
	name string
	// inside: it is tried in a sandbox only, as a machine would not like it otherwise, or may
	// not be able to. What it must fail with there, if it is set, shows that it was refused.
	inside bool
	with   error
	// landlock is the version of it that refuses this, where nothing else does; 0: something does.
	landlock int
	try      func(o outside) error
}

// open opens a file and closes it again.
func open(name string, flags int) error {
	f, err := os.OpenFile(name, flags, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// call makes a system call.
func call(number uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	if _, _, errno := syscall.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
		return errno
	}
	return nil
}

// made takes away what an attempt has made.
func made(name string, err error) error {
	if err == nil {
		os.Remove(name)
	}
	return err
}

// run runs a command to its end, with namespaces of its own.
func run(flags uintptr) error {
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	return cmd.Run()
}

// attempts are all ways out that are tried.
var attempts = []attempt{
	// What is not to be read.
	{name: "read a file of the agent", try: func(o outside) error { return open(filepath.Join(o.Data, "secret"), 0) }},
	{name: "read what a neighbour was started with", try: func(o outside) error {
		return open(filepath.Join(o.Data, "tasks/neighbour/spec.json"), 0)
	}},
	{name: "read what only root may", try: func(outside) error { return open("/etc/shadow", 0) }},
	{name: "read the home of root", try: func(outside) error { return open("/root", 0) }},
	{name: "read the logs of the machine", try: func(outside) error { return open("/var/log", 0) }},
	{name: "go through the root of another", try: func(o outside) error {
		return eitherOf(o, func(pid int) error { return open(fmt.Sprintf("/proc/%d/root/etc/shadow", pid), 0) })
	}},
	{name: "read the environment of a process", try: func(o outside) error {
		return open(fmt.Sprintf("/proc/%d/environ", o.PID), 0)
	}},
	{name: "read what the kernel says", try: func(outside) error { return open("/dev/kmsg", 0) }},
	{name: "open a file by its handle", try: openByHandle},
	{name: "attach shared memory of the machine", try: func(o outside) error {
		return call(unix.SYS_SHMGET, uintptr(o.Segment), 0, 0)
	}},
	// What is not to be written.
	{name: "write to a folder of anybody", try: func(o outside) error {
		name := filepath.Join(o.Private, "escaped")
		return made(name, open(name, os.O_CREATE|os.O_WRONLY))
	}},
	{name: "write to the root", try: func(outside) error {
		return made("/mn-escaped", open("/mn-escaped", os.O_CREATE|os.O_WRONLY))
	}},
	{name: "write to the programs", try: func(outside) error {
		return made("/usr/mn-escaped", open("/usr/mn-escaped", os.O_CREATE|os.O_WRONLY))
	}},
	{name: "write to the settings", try: func(outside) error {
		return made("/etc/mn-escaped", open("/etc/mn-escaped", os.O_CREATE|os.O_WRONLY))
	}},
	{name: "change the kernel's settings", try: func(outside) error {
		return open("/proc/sys/kernel/core_pattern", os.O_WRONLY)
	}},
	{name: "make a device", try: func(outside) error {
		return made("device", unix.Mknod("device", unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))))
	}},
	{name: "leave the control group", try: func(o outside) error { return os.WriteFile(o.Control, []byte("0"), 0) }},
	// What is not to be reached.
	{name: "signal a neighbour", try: func(o outside) error { return syscall.Kill(o.PID, 0) }},
	{name: "trace a neighbour", try: func(o outside) error {
		return call(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(o.PID), 0, 0)
	}},
	{name: "read the memory of a neighbour", try: func(o outside) error {
		return open(fmt.Sprintf("/proc/%d/mem", o.PID), 0)
	}},
	{name: "connect to an abstract socket", landlock: 6, try: func(o outside) error {
		c, err := net.Dial("unix", o.Socket)
		if err == nil {
			c.Close()
		}
		return err
	}},
	// What is not to be gained.
	{name: "become root by a program that is root's", try: becomeRoot},
	{name: "become root", try: func(outside) error { return call(unix.SYS_SETUID, 0) }},
	{name: "have a capability", try: func(outside) error {
		return call(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, unix.CAP_SYS_BOOT)
	}},
	{name: "change the root", try: func(outside) error { return syscall.Chroot("/") }},
	{name: "mount", try: func(outside) error {
		if err := os.MkdirAll("m", 0o700); err != nil {
			return nil // which is not what is to be found out
		}
		if err := syscall.Mount("tmpfs", "m", "tmpfs", 0, ""); err != nil {
			return err
		}
		return syscall.Unmount("m", 0)
	}},
	{name: "mount in the new way", try: func(outside) error {
		fd, err := unix.Fsopen("tmpfs", 0)
		if err == nil {
			unix.Close(fd)
		}
		return err
	}},
	{name: "unmount what hides", inside: true, with: syscall.EPERM, try: func(outside) error {
		return syscall.Unmount("/proc", syscall.MNT_DETACH)
	}},
	{name: "make it writable again", inside: true, with: syscall.EPERM, try: func(outside) error {
		return syscall.Mount("", "/usr", "", syscall.MS_REMOUNT|syscall.MS_BIND, "")
	}},
	{name: "have another user namespace", try: func(outside) error { return run(syscall.CLONE_NEWUSER) }},
	{name: "have other mounts", try: func(outside) error { return run(syscall.CLONE_NEWNS) }},
	{name: "unshare", try: func(outside) error { return call(unix.SYS_UNSHARE, unix.CLONE_NEWIPC) }},
	{name: "enter a namespace", try: func(o outside) error { return eitherOf(o, enterNamespace) }},
	{name: "load a program into the kernel", try: func(outside) error {
		// A map of one element: type, size of key, size of value, how many, flags.
		attr := [16]uint32{2, 4, 4, 1, 0}
		return call(unix.SYS_BPF, 0, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	}},
	{name: "watch the kernel", try: func(outside) error {
		attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{}))}
		fd, err := unix.PerfEventOpen(&attr, 0, -1, -1, 0)
		if err == nil {
			unix.Close(fd)
		}
		return err
	}},
	{name: "use the keys of others", try: func(outside) error {
		return call(unix.SYS_KEYCTL, unix.KEYCTL_GET_KEYRING_ID, ^uintptr(2), 1) // the session's
	}},
	{name: "have its work done by the kernel", inside: true, with: syscall.EPERM, try: func(outside) error {
		return call(unix.SYS_IO_URING_SETUP, 1, 0)
	}},
	{name: "load a module", inside: true, with: syscall.EPERM, try: func(outside) error {
		return call(unix.SYS_INIT_MODULE, 0, 0, 0)
	}},
	{name: "load a kernel", inside: true, with: syscall.EPERM, try: func(outside) error {
		return call(unix.SYS_KEXEC_LOAD, 0, 0, 0, 0)
	}},
	{name: "reboot", inside: true, with: syscall.EPERM, try: func(outside) error {
		return call(unix.SYS_REBOOT, 0, 0, 0, 0) // with magic numbers that are wrong
	}},
}

// openByHandle opens a file that may be seen without its name.
func openByHandle(o outside) error {
	handle, mount, err := unix.NameToHandleAt(unix.AT_FDCWD, o.Ordinary, 0)
	if err != nil {
		return err
	}
	_ = mount
	dir, err := os.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	fd, err := unix.OpenByHandleAt(int(dir.Fd()), handle, unix.O_RDONLY)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

// becomeRoot runs a program that is root's whoever runs it.
func becomeRoot(outside) error {
	cmd := exec.Command("./suid", "-u")
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	out, err := cmd.Output()
	if err == nil && strings.TrimSpace(string(out)) != "0" {
		err = fmt.Errorf("it was user %s", out)
	}
	return err
}

// eitherOf tries something with the first process that there is, which is the sandbox's own
// there, and with a neighbour.
func eitherOf(o outside, try func(pid int) error) error {
	first := try(1)
	if try(o.PID) == nil {
		return nil
	}
	return first
}

func enterNamespace(pid int) error {
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/ipc", pid))
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Setns(int(f.Fd()), 0)
}

// escape tries every way out, and says what came of it.
func escape(text string) {
	var o outside
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		panic(err)
	}
	results := map[string]string{}
	for _, a := range attempts {
		if a.inside && os.Geteuid() == 0 {
			continue
		}
		results[a.name] = ""
		if err := a.try(o); err != nil {
			results[a.name] = err.Error()
			if a.with != nil && !errors.Is(err, a.with) {
				results[a.name] = "" // it was let in
			}
		}
	}
	out, err := json.Marshal(results)
	if err == nil {
		err = errors.Join(os.WriteFile("results.new", out, 0o600), os.Rename("results.new", "results"))
	}
	if err != nil {
		panic(err)
	}
}

// newOutside makes what is not to be reached.
func newOutside(t *testing.T, w *drivertest.World) outside {
	t.Helper()
	neighbour := w.Run(drivertest.Spec("neighbour", `touch ready; exec sleep 1000`))
	o := outside{
		Data: filepath.Join(w.Root, string(alloc)), Private: t.TempDir(), PID: neighbour.PID,
		Socket: "@mn-escape-" + filepath.Base(filepath.Dir(w.Root)), Segment: os.Getpid(),
		Control: "/sys/fs/cgroup/memory/cgroup.procs", Ordinary: "escape",
	}
	if _, err := os.Stat(o.Control); err != nil {
		o.Control = "/sys/fs/cgroup/cgroup.procs"
	}
	if err := os.Chmod(o.Private, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(o.Data, "secret"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	door, err := net.Listen("unix", o.Socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { door.Close() })
	id, _, errno := syscall.Syscall(unix.SYS_SHMGET, uintptr(o.Segment), 4096, unix.IPC_CREAT|0o666)
	if errno != 0 {
		t.Fatalf("make shared memory: %v", errno)
	}
	t.Cleanup(func() { call(unix.SYS_SHMCTL, id, unix.IPC_RMID, 0) })
	return o
}

// copyProgram copies a program to where a task finds it.
func copyProgram(t *testing.T, from, to string, mode os.FileMode) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close(), os.Chmod(to, mode)); err != nil {
		t.Fatal(err)
	}
}

// escapes runs the attempts in a task of that isolation.
func escapes(t *testing.T, w *drivertest.World, o outside, i mesh.Isolation) map[string]string {
	t.Helper()
	task := "escape-" + string(i)
	work := filepath.Join(w.Root, runner.WorkDir(alloc, task))
	if err := os.MkdirAll(work, 0o755); err != nil {
		t.Fatal(err)
	}
	copyProgram(t, "/proc/self/exe", filepath.Join(work, "escape"), 0o755)
	copyProgram(t, "/usr/bin/id", filepath.Join(work, "suid"), os.ModeSetuid|0o755)
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	s := drivertest.Spec(task, "")
	s.Command, s.Isolation = []string{"./escape", "escape", string(text)}, i
	w.Start(s)
	w.Expect(runner.Started)
	if o := w.Expect(runner.Exited); o.ExitCode != 0 {
		t.Fatalf("observed %+v: %v", o, lines(t, w.Root, task))
	}
	var results map[string]string
	if err := json.Unmarshal([]byte(w.Wait(task, "results")), &results); err != nil {
		t.Fatal(err)
	}
	return results
}

// Each way out leads out of a plain process, which shows that it is one, and out of
// no sandbox.
func TestNoWayOutOfASandbox(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root's plain processes may do all of this")
	}
	w := suite().NewWorld(t)
	o := newOutside(t, w)
	landlock, _, errno := syscall.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		landlock = 0
	}
	plain, boxed := escapes(t, w, o, mesh.IsolateNone), escapes(t, w, o, mesh.IsolateSandbox)
	for _, a := range attempts {
		if why, tried := plain[a.name]; why != "" || tried == a.inside {
			t.Errorf("%s: a plain process cannot, or was not asked to: %q", a.name, why)
		}
		if a.landlock > int(landlock) {
			continue
		}
		if why, tried := boxed[a.name]; why == "" || !tried {
			t.Errorf("%s: a sandboxed task can, or was not asked to", a.name)
		} else {
			t.Logf("%s: %s", a.name, why)
		}
	}
}
