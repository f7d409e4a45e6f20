package supervise

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/signal"
	"path"
	"strconv"
	"syscall"

	"mn/runner/sandbox"
)

// firstWord is the argument of the first process of a sandbox. It makes what the
// task sees, starts the task, hands signals on, reaps what nobody else does, and
// ends when the task has: the kernel then kills all that is left in there. It is
// not the task itself, for which the first process of a pid namespace is a
// special place: signals would not end it, and its end would leave no time to
// those that it has started.
//
// Namespaces are nested. Mounts, pids and the like belong to a user namespace in
// which this process may do all of that; the task is in another below it, where
// not even a program that was root would have a say in them.
const firstWord = "first"

// What a first process writes to its supervisor: one of these bytes, the latter
// with the reason, and when the task has ended its status, as a number.
const (
	begunByte  = 'b'
	failedByte = 'f'
	statusMax  = 16 // bytes of that
)

// namespaces are those that a sandbox has besides those of users.
const namespaces = syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC

// rootDir is the folder in the task's in which a sandbox is built. It stays empty.
const rootDir = "root"

// forkSandboxed starts a task in a sandbox. Its leader is the sandbox's first
// process.
func forkSandboxed(spec Spec, files []uintptr) (*family, int, error) {
	if spec.User == nil {
		return nil, 0, errors.New("start task: its sandbox has no user")
	}
	report, theirs, err := os.Pipe()
	if err != nil {
		return nil, 0, because(err, "start task")
	}
	sys := leading()
	sys.Cloneflags = namespaces
	if os.Geteuid() != 0 {
		sys.Cloneflags |= syscall.CLONE_NEWUSER
		sys.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		sys.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	door, inside, err := openDoor()
	if err != nil {
		report.Close()
		theirs.Close()
		return nil, 0, err
	}
	leader, err := forkSelf(append(files[:reportFD:reportFD], theirs.Fd(), inside.Fd()), sys, firstWord)
	theirs.Close()
	inside.Close()
	if err != nil {
		report.Close()
		door.Close()
		return nil, 0, because(err, "make sandbox")
	}
	word := [1]byte{failedByte}
	_, err = io.ReadFull(report, word[:])
	if word[0] == begunByte {
		pid := leader
		if born := children(strconv.Itoa(leader)); len(born) > 0 {
			pid = born[0]
		}
		return &family{leader: leader, report: report, door: door}, pid, nil
	}
	door.Close()
	why, _ := io.ReadAll(io.LimitReader(report, errMax))
	report.Close()
	if status := wait(leader); err != nil {
		return nil, 0, errors.New("make sandbox: its first process ended with status " + strconv.Itoa(int(status)))
	}
	return nil, 0, errors.New(string(why))
}

// toldMax are the signals that may wait to be handed on: one of each kind.
const toldMax = 8

// mainFirst is the first process of a sandbox.
func mainFirst() int {
	syscall.CloseOnExec(reportFD)
	syscall.CloseOnExec(doorFD)
	report := os.NewFile(reportFD, "report")
	if err := first(report); err != nil {
		report.WriteString(string(failedByte) + err.Error())
		return 1
	}
	return 0
}

func first(report *os.File) error {
	told, child := make(chan os.Signal, toldMax), make(chan os.Signal, 1)
	signal.Notify(child, syscall.SIGCHLD)
	// From the task: they must not end it as they end others.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT,
		syscall.SIGUSR1, syscall.SIGUSR2)
	spec, err := readSpec()
	if err != nil {
		return err
	}
	signal.Notify(told, spec.stop())
	if spec.Warn != 0 {
		signal.Notify(told, syscall.Signal(spec.Warn))
	}
	for _, n := range spec.Signals {
		signal.Notify(told, syscall.Signal(n))
	}
	ways, err := openWays(spec)
	if err != nil {
		return err
	}
	if err := build(spec); err != nil {
		return because(err, "make sandbox")
	}
	pid, err := forkEntering(ways, []uintptr{0, 1, 2}, inner(*spec.User))
	closeAll(ways)
	if err != nil {
		return err
	}
	if _, err := report.Write([]byte{begunByte}); err != nil {
		return err
	}
	attend(pid, spec.stop(), report, told, child, visitors(os.NewFile(doorFD, "door")))
	return nil
}

// build makes what the task sees. The current folder is the task's.
func build(spec Spec) error {
	if err := os.Mkdir(rootDir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	plan := sandbox.Plan{
		Root: path.Join(dir, rootDir), Writable: spec.Sandbox.Writable, Hidden: spec.Sandbox.Hidden,
		Devices: spec.Sandbox.Devices,
	}
	for _, v := range spec.Sandbox.Volumes {
		plan.Volumes = append(plan.Volumes, sandbox.Volume(v))
	}
	return sandbox.Build(plan)
}

// inner is the process that becomes the task, in a user namespace that knows
// nobody but its user. Where we are root for being in one ourselves, that user is
// who we were before.
func inner(u User) *syscall.SysProcAttr {
	sys := &syscall.SysProcAttr{
		Setpgid: true, Cloneflags: syscall.CLONE_NEWUSER, GidMappingsEnableSetgroups: true,
		Credential: &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups},
	}
	if mapped() {
		sys.GidMappingsEnableSetgroups, sys.Credential.NoSetGroups = false, true
		sys.UidMappings = []syscall.SysProcIDMap{{ContainerID: int(u.UID), HostID: 0, Size: 1}}
		sys.GidMappings = []syscall.SysProcIDMap{{ContainerID: int(u.GID), HostID: 0, Size: 1}}
		return sys
	}
	sys.UidMappings = []syscall.SysProcIDMap{{ContainerID: int(u.UID), HostID: int(u.UID), Size: 1}}
	seen := map[uint32]bool{}
	for _, gid := range append([]uint32{u.GID}, u.Groups...) {
		if !seen[gid] {
			seen[gid] = true
			id := syscall.SysProcIDMap{ContainerID: int(gid), HostID: int(gid), Size: 1}
			sys.GidMappings = append(sys.GidMappings, id)
		}
	}
	return sys
}

// mapped says whether we are in a user namespace that was made for one user.
func mapped() bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	f := bytes.Fields(text)
	return err == nil && len(f) == 3 && string(f[2]) == "1"
}

// attend stays with the task to its end, and if it was asked to end, until all that
// it has started has ended too. Guests are let in as long as there is a task.
func attend(
	task int, stop os.Signal, report *os.File, told, child <-chan os.Signal, visitors <-chan []*os.File,
) {
	asked, ended := false, false
	var in guests
	for {
		select {
		case files := <-visitors:
			in.welcome(files[0], files[1:], ended)
			closeAll(files)
			continue
		case s := <-told:
			asked = asked || s == stop
			syscall.Kill(-task, s.(syscall.Signal))
			continue
		case <-child:
		}
		for {
			var status syscall.WaitStatus
			pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
			if errors.Is(err, syscall.EINTR) {
				continue
			}
			in.left(pid)
			if pid == task {
				ended = true
				report.Write([]byte(strconv.Itoa(int(status))))
				in.end()
			}
			if ended && (!asked || err != nil) {
				return
			}
			if err != nil || pid == 0 {
				break
			}
		}
	}
}
