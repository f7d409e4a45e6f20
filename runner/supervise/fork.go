package supervise

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"mn/runner/logs"
)

// fork starts the task's first process, in a process group of its own.
func fork(spec Spec, out *output) (pid int, err error) {
	if len(spec.Command) == 0 {
		return 0, errors.New("start task: its command is empty")
	}
	path, err := lookPath(spec.Command[0], spec.Env, spec.Dir)
	if err != nil {
		return 0, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, fmt.Errorf("start task: %w", err)
	}
	defer null.Close()
	attr := &syscall.ProcAttr{
		Dir:   spec.Dir,
		Env:   spec.Env,
		Files: []uintptr{null.Fd(), out.stdout.write.Fd(), out.stderr.write.Fd()},
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	}
	if u := spec.User; u != nil {
		attr.Sys.Credential = &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}
	}
	pid, err = syscall.ForkExec(path, spec.Command, attr)
	if err != nil {
		return 0, fmt.Errorf("start %q in %q: %w", path, spec.Dir, err)
	}
	return pid, nil
}

// lookPath finds a command as a shell in dir with that environment would.
func lookPath(name string, env []string, dir string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil // relative to dir, in which the child already is by then
	}
	for _, v := range env {
		list, ok := strings.CutPrefix(v, "PATH=")
		if !ok {
			continue
		}
		for _, folder := range filepath.SplitList(list) {
			path := filepath.Join(folder, name)
			if !filepath.IsAbs(path) {
				path = filepath.Join(dir, path)
			}
			info, err := os.Stat(path)
			if err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return path, nil
			}
		}
		return "", fmt.Errorf("find command %q: not in PATH %q", name, list)
	}
	return "", fmt.Errorf("find command %q: the task has no PATH", name)
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
		return nil, fmt.Errorf("make pipe of %s: %w", stream, err)
	}
	// Only our end may be non-blocking: the task's end is what the task expects.
	if err := syscall.SetNonblock(fds[0], true); err != nil {
		return nil, fmt.Errorf("make pipe of %s: %w", stream, err)
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
