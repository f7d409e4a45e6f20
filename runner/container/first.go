package container

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"mn/mesh"
	"mn/runner"
	"mn/runner/supervise"
)

// first is the first process of a container. Its engine says which it is, and is believed only
// if the process is one of the container's: pids are given to others when it has ended, and
// an engine may count them from elsewhere.
type first struct {
	mark []byte // what is in the environment of all that the task starts; nil if nobody knows

	mu    sync.Mutex
	id    string // of the container, "" before it is made
	pid   int    // 0 if nobody knows
	ticks uint64 // see [supervise.StartTicks]
}

// newFirst is the first process that is yet to come.
func newFirst(s *runner.Spec) *first {
	f := &first{}
	for _, v := range s.Env {
		if strings.HasPrefix(v, mesh.VarTaskDir+"=") {
			f.mark = []byte(v)
		}
	}
	return f
}

// accept takes note of the process that the engine calls the first, if none is known, and says
// whether one is.
func (f *first) accept(id string, pid int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.id = id
	if f.pid > 0 || pid <= 0 {
		return f.pid > 0
	}
	ticks, err := supervise.StartTicks(pid)
	if err != nil || !f.owns(pid) {
		return false
	}
	if again, err := supervise.StartTicks(pid); err != nil || again != ticks {
		return false // another than the one that was looked at
	}
	f.pid, f.ticks = pid, ticks
	return true
}

// owns says whether a process is of the container: by its environment, or its control group.
// The lock must be held.
func (f *first) owns(pid int) bool {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	if environ, err := os.ReadFile(filepath.Join(dir, "environ")); err == nil && f.mark != nil {
		isMark := func(v []byte) bool { return bytes.Equal(v, f.mark) }
		if slices.ContainsFunc(bytes.Split(environ, []byte{0}), isMark) {
			return true
		}
	}
	groups, err := os.ReadFile(filepath.Join(dir, "cgroup"))
	return err == nil && f.id != "" && slices.ContainsFunc(strings.FieldsFunc(string(groups), func(r rune) bool {
		return r == '/' || r == '\n'
	}), func(part string) bool { return strings.Contains(part, f.id) && !strings.Contains(part, "conmon") })
}

// known is its pid, 0 if nobody knows.
func (f *first) known() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pid
}

// alive says whether it is known and lives, whatever its engine says.
func (f *first) alive() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pid > 0 && f.lives()
}

// lives says whether the process that is known lives. The lock must be held.
func (f *first) lives() bool {
	ticks, err := supervise.StartTicks(f.pid)
	return err == nil && ticks == f.ticks && !zombie(f.pid)
}

// zombie says whether a process has ended, and nobody has asked how yet.
func zombie(pid int) bool {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	end := bytes.LastIndex(text, []byte(") "))
	return err == nil && end >= 0 && end+2 < len(text) && (text[end+2] == 'Z' || text[end+2] == 'X')
}

// signal sends it a signal, if it is known and lives.
func (f *first) signal(s syscall.Signal) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pid == 0 {
		return errors.New("nobody knows its pid")
	}
	p, err := os.FindProcess(f.pid) // which holds on to it: nobody else gets the signal
	if err != nil {
		return fmt.Errorf("find process %d: %w", f.pid, err)
	}
	defer p.Release()
	if !f.lives() {
		return os.ErrProcessDone
	}
	return p.Signal(s)
}

// kill kills what is left of the container: its first process, or whatever is found to be of
// it where that is not known. It says whether there was something.
func (f *first) kill() bool {
	if f.known() > 0 {
		_ = f.signal(syscall.SIGKILL) // what comes of it is seen below
		return f.alive()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return false
	}
	found := false
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		p, err := os.FindProcess(pid)
		if err != nil {
			continue
		}
		if f.owns(pid) && !zombie(pid) {
			found = true
			_ = p.Signal(syscall.SIGKILL) // it is looked for again
		}
		p.Release()
	}
	return found
}

// signalOf is the signal of a name as engines take them: SIGINT, INT or 2.
func signalOf(name string) syscall.Signal {
	if n, err := strconv.Atoi(name); err == nil && n > 0 && n <= signalMax {
		return syscall.Signal(n)
	}
	name = strings.ToUpper(name)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if s := unix.SignalNum(name); s != 0 {
		return s
	}
	return syscall.SIGTERM
}
