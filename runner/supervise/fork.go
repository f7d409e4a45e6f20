package supervise

import (
	"bytes"
	"errors"
	"os"
	"path"
	"slices"
	"strconv"
	"syscall"
	"time"

	"mn/runner/logs"
)

// fork starts the task's first process, in a process group of its own, and
// returns its pid and whom we are to wait for.
func fork(spec Spec, out *output) (*family, int, error) {
	if len(spec.Command) == 0 {
		return nil, 0, errors.New("start task: its command is empty")
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, 0, because(err, "start task")
	}
	defer null.Close()
	files := []uintptr{null.Fd(), out.stdout.write.Fd(), out.stderr.write.Fd()}
	if u := spec.User; u != nil {
		for _, fd := range files[1:] { // so that it can open /dev/stdout
			if err := syscall.Fchown(int(fd), int(u.UID), int(u.GID)); err != nil {
				return nil, 0, because(err, "start task")
			}
		}
	}
	switch {
	case spec.Sandbox != nil:
		return forkSandboxed(spec, files)
	case len(spec.Groups) > 0 || spec.User != nil:
		return forkEntered(spec, files)
	}
	file, err := lookPath(spec.Command[0], spec.Env, spec.Dir)
	if err != nil {
		return nil, 0, err
	}
	attr := &syscall.ProcAttr{Dir: spec.Dir, Env: spec.Env, Files: files, Sys: leading()}
	pid, err := syscall.ForkExec(file, spec.Command, attr)
	if err != nil {
		return nil, 0, because(err, "start "+strconv.Quote(file)+" in "+strconv.Quote(spec.Dir))
	}
	return &family{leader: pid}, pid, nil
}

// leading is a process that leads a group, and ends with us.
func leading() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// lookPath finds a command as a shell in dir with that environment would.
func lookPath(name string, env []string, dir string) (string, error) {
	if slices.Contains([]byte(name), '/') {
		return name, nil // relative to dir, in which the child already is by then
	}
	for _, v := range env {
		list, ok := bytes.CutPrefix([]byte(v), []byte("PATH="))
		if !ok {
			continue
		}
		folders := bytes.Split(list, []byte(":"))
		if len(list) == 0 {
			folders = nil // not one without a name
		}
		for _, folder := range folders {
			file := path.Join(string(folder), name)
			if !path.IsAbs(file) {
				file = path.Join(dir, file)
			}
			info, err := os.Stat(file)
			if err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return file, nil
			}
		}
		return "", errors.New("find command " + strconv.Quote(name) +
			": not in PATH " + strconv.Quote(string(list)))
	}
	return "", errors.New("find command " + strconv.Quote(name) + ": the task has no PATH")
}

// output takes what a task writes to the log. Each stream has a goroutine.
type output struct{ stdout, stderr *pump }

// openOutput makes the pipes of a task.
func openOutput() (*output, error) {
	stdout, err := newPump(logs.Stdout)
	if err != nil {
		return nil, err
	}
	stderr, err := newPump(logs.Stderr)
	if err != nil {
		stdout.read.Close()
		stdout.write.Close()
		return nil, err
	}
	return &output{stdout, stderr}, nil
}

// forked closes our copies of what is the task's now, and begins to pump.
func (o *output) forked() {
	for _, p := range []*pump{o.stdout, o.stderr} {
		p.write.Close()
		go p.run()
	}
}

// wait waits until the last writer has closed both streams, for at most limit,
// and says how many bytes were dropped.
func (o *output) wait(limit time.Duration) (dropped int64) {
	deadline := time.Now().Add(limit)
	for _, p := range []*pump{o.stdout, o.stderr} {
		p.read.SetReadDeadline(deadline)
	}
	return <-o.stdout.dropped + <-o.stderr.dropped
}

// pumpBytes is the size of a pipe's default buffer in the kernel: with less one
// would read twice, with more not more.
const pumpBytes = 64 << 10

// pump takes one stream from its pipe to its files.
type pump struct {
	read    *os.File
	write   *os.File
	log     *logs.Writer
	dropped chan int64 // the count, once, at the end
}

func newPump(stream string) (*pump, error) {
	var fds [2]int
	if err := syscall.Pipe2(fds[:], syscall.O_CLOEXEC); err != nil {
		return nil, because(err, "make pipe of "+stream)
	}
	// Only our end may be non-blocking: the task's end is what the task expects.
	if err := syscall.SetNonblock(fds[0], true); err != nil {
		return nil, because(err, "make pipe of "+stream)
	}
	return &pump{
		read:    os.NewFile(uintptr(fds[0]), stream),
		write:   os.NewFile(uintptr(fds[1]), stream),
		log:     logs.NewWriter(logsName, stream, logs.DefaultLimits()),
		dropped: make(chan int64, 1),
	}, nil
}

func (p *pump) run() {
	buf := make([]byte, pumpBytes)
	for {
		n, err := p.read.Read(buf)
		p.log.Write(buf[:n])
		if err != nil { // all writers have closed it, or we have waited enough
			break
		}
	}
	p.read.Close()
	p.log.Close()
	p.dropped <- p.log.Dropped()
}
