package supervise

import (
	"errors"
	"io"
	"os"
	"path"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"mn/runner/cgroup"
	"mn/runner/sandbox"
)

// enterWord is the argument of a process that is to become a task: it enters the
// task's control group, gives up what a sandboxed task has not, and executes the
// task's command. Only that process itself can do the one, and have done the
// other, before the first instruction of the task.
const enterWord = "enter"

// The open files of such a process.
const (
	reportFD = 3 // takes why it could not; closes when it has become the task
	specFD   = 4 // what to start
	groupsFD = 5 // and more: the files by which it enters the groups
)

// self is the program that we are, whatever lies at its path by now.
const self = "/proc/self/exe"

// forkEntered starts the first process of a task in its control group, and as its user: who
// has become that user can tell what is closed to it.
func forkEntered(spec Spec, files []uintptr) (*family, int, error) {
	ways, err := openWays(spec)
	if err != nil {
		return nil, 0, err
	}
	defer closeAll(ways)
	pid, err := forkEntering(ways, files, leading())
	if err != nil {
		return nil, 0, err
	}
	return &family{leader: pid}, pid, nil
}

// openWays opens what a process needs that is to become the task, wherever it is
// by then: what to start, and the ways into its groups.
func openWays(spec Spec) ([]*os.File, error) {
	f, err := os.Open(SpecFile)
	if err != nil {
		return nil, because(err, "read what to start")
	}
	ways := []*os.File{f}
	for _, dir := range spec.Groups {
		f, err := os.OpenFile(path.Join(dir, cgroup.ProcsFile), os.O_WRONLY, 0)
		if err != nil {
			closeAll(ways)
			return nil, because(err, "open control group")
		}
		ways = append(ways, f)
	}
	return ways, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// forkEntering starts a process that becomes the task, or what is to run within the
// task instead (see mainEnter), and waits until it has.
func forkEntering(
	ways []*os.File, files []uintptr, sys *syscall.SysProcAttr, instead ...string,
) (pid int, err error) {
	report, theirs, err := os.Pipe()
	if err != nil {
		return 0, because(err, "start task")
	}
	defer report.Close()
	all := append(files[:reportFD:reportFD], theirs.Fd())
	for _, w := range ways {
		all = append(all, w.Fd())
	}
	pid, err = forkSelf(all, sys, append([]string{enterWord}, instead...)...)
	theirs.Close()
	if err != nil {
		return 0, err
	}
	runtime.KeepAlive(ways)
	why, err := io.ReadAll(io.LimitReader(report, errMax))
	if err == nil && len(why) == 0 {
		return pid, nil
	}
	wait(pid)
	return 0, errors.Join(err, errors.New(string(why)))
}

// forkSelf starts a process between us and a task, which some words tell what it is for.
func forkSelf(files []uintptr, sys *syscall.SysProcAttr, words ...string) (pid int, err error) {
	pid, err = syscall.ForkExec(self, append([]string{"mn", "supervise"}, words...), &syscall.ProcAttr{
		Env: Environ(), Files: files, Sys: sys,
	})
	if err != nil {
		return 0, because(err, "start task")
	}
	return pid, nil
}

// wait waits for the end of a child that could not do what it was for.
func wait(pid int) (status syscall.WaitStatus) {
	for {
		if _, err := syscall.Wait4(pid, &status, 0, nil); err != syscall.EINTR {
			return status
		}
	}
}

// mainEnter is the process that becomes the task; or, if there are arguments, what
// runs within it instead: how many variables it has besides the task's, these, and the command.
func mainEnter(instead []string) int {
	syscall.CloseOnExec(reportFD)
	if err := enter(instead); err != nil {
		os.NewFile(reportFD, "report").WriteString(err.Error())
		return 1
	}
	return 0
}

// enter returns only if it cannot become the task, or if there is none to become:
// then all was tried but that.
func enter(instead []string) error {
	syscall.CloseOnExec(specFD)
	spec, err := specIn(os.NewFile(specFD, SpecFile))
	if err != nil {
		return err
	}
	if len(instead) > 0 {
		n, err := strconv.Atoi(instead[0])
		if err != nil || n < 0 || n >= len(instead) {
			return errors.New("what is to be run is not understood")
		}
		spec.Env, spec.Command = with(spec.Env, instead[1:1+n]), instead[1+n:]
	}
	for i := range spec.Groups {
		syscall.CloseOnExec(groupsFD + i)
		if _, err := syscall.Write(groupsFD+i, []byte("0")); err != nil {
			return because(err, "enter control group")
		}
	}
	if box := spec.Sandbox; box != nil {
		writable := box.Writable
		for _, v := range box.Volumes {
			if v.Write {
				writable = append(writable, v.Target)
			}
		}
		err = sandbox.Confine(writable, box.Devices)
	} else if spec.User != nil {
		err = become(*spec.User)
	}
	if err != nil {
		return err
	}
	if err := enterDir(spec); err != nil {
		return err
	}
	if len(spec.Command) == 0 {
		return nil
	}
	file, err := lookPath(spec.Command[0], spec.Env, spec.Dir)
	if err != nil {
		return err
	}
	err = syscall.Exec(file, spec.Command, spec.Env)
	return because(err, "start "+strconv.Quote(file)+" in "+strconv.Quote(spec.Dir))
}

// enterDir enters the task's folder.
func enterDir(spec Spec) error {
	err := os.Chdir(spec.Dir)
	switch {
	case err == nil:
		return nil
	case spec.Sandbox != nil:
		err = because(err, "as a sandbox shows it")
	case spec.User != nil && errors.Is(err, syscall.EACCES):
		if dir := closedOn(spec.Dir); dir != "" {
			return errors.New("enter its folder " + strconv.Quote(spec.Dir) + ": " + strconv.Quote(dir) +
				" lets user " + spec.User.String() + " not through: let others pass (chmod o+x " + dir +
				"), or keep the agent's data elsewhere (mn agent --data)")
		}
	}
	return because(err, "enter its folder")
}

// closedOn is the first folder on the way to another, or that one, through which this
// process may not pass; "" if there is none.
func closedOn(dir string) string {
	for i := 1; i <= len(dir); i++ {
		if i > 1 && i < len(dir) && dir[i] != '/' {
			continue
		}
		if _, err := os.Stat(dir[:i] + "/."); errors.Is(err, syscall.EACCES) {
			return dir[:i]
		}
	}
	return ""
}

// become makes this thread, and so the program that it becomes, another user's.
// Who does so is no longer told to die with its parent.
func become(u User) error {
	parent := os.Getppid()
	var groups *uint32
	if len(u.Groups) > 0 {
		groups = &u.Groups[0]
	}
	_, _, errno := syscall.RawSyscall(syscall.SYS_SETGROUPS,
		uintptr(len(u.Groups)), uintptr(unsafe.Pointer(groups)), 0)
	if errno == 0 {
		_, _, errno = syscall.RawSyscall(syscall.SYS_SETGID, uintptr(u.GID), 0, 0)
	}
	if errno == 0 {
		_, _, errno = syscall.RawSyscall(syscall.SYS_SETUID, uintptr(u.UID), 0, 0)
	}
	if errno == 0 {
		_, _, errno = syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0)
	}
	if errno != 0 {
		return because(errno, "become user "+strconv.Itoa(int(u.UID)))
	}
	if os.Getppid() != parent {
		return errors.New("start task: its supervisor died")
	}
	return nil
}
