package supervise

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// reaper waits for the processes of a task. All of them are descendants of this
// process, and those whose parents die become its children: it is done when it
// has none left.
//
// A pid means what we think only as long as its bearer has not been reaped. So
// nothing is reaped while signals are sent: the lock is held for both.
type reaper struct {
	leader int
	died   chan syscall.WaitStatus // of the leader, once
	gone   chan struct{}           // closed when there is no process left

	mu      sync.Mutex
	reaped  bool // the leader is
	killing bool // everything that becomes ours is killed
}

func newReaper(leader int) *reaper {
	r := &reaper{leader: leader, died: make(chan syscall.WaitStatus, 1), gone: make(chan struct{})}
	go r.run()
	return r
}

func (r *reaper) run() {
	defer close(r.gone)
	for {
		// Wait without reaping: that is for the lock to allow.
		err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || !r.reap() { // no children
			return
		}
	}
}

// reap reaps one process that has ended. What that process leaves behind has
// become ours before: while killing, it is next.
func (r *reaper) reap() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
	if err != nil && !errors.Is(err, syscall.EINTR) {
		return false
	}
	if pid == r.leader {
		r.reaped = true
		r.died <- status
	}
	if r.killing && pid > 0 {
		r.killChildren()
	}
	return true
}

// signalGroup signals the task's process group, if it still has its leader.
func (r *reaper) signalGroup(sig syscall.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.reaped {
		syscall.Kill(-r.leader, sig)
	}
}

// killAll kills what is there and what will turn up.
func (r *reaper) killAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.killing = true
	if !r.reaped {
		syscall.Kill(-r.leader, syscall.SIGKILL)
	}
	r.killChildren()
}

// killChildren kills the group of each of our children: a whole group at once,
// so that it cannot fork faster than it is killed.
func (r *reaper) killChildren() {
	own := syscall.Getpgrp()
	for _, pid := range children() {
		if group, err := syscall.Getpgid(pid); err == nil && group != own {
			syscall.Kill(-group, syscall.SIGKILL)
		}
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

// children are our child processes, those that wait to be reaped among them.
func children() []int {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil
	}
	var pids []int
	for _, t := range threads {
		text, err := os.ReadFile("/proc/self/task/" + t.Name() + "/children")
		if err != nil {
			continue // the thread has ended; its children went to another one
		}
		for field := range bytes.FieldsSeq(text) {
			if pid, err := strconv.Atoi(string(field)); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// StartTicks is when a process was started, in clock ticks since boot: with its
// pid it names the process for good.
func StartTicks(pid int) (uint64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read start of process %d: %w", pid, err)
	}
	return parseTicks(text)
}

// parseTicks reads field 22 of /proc/PID/stat. The second field is the
// command in brackets, in which anything can stand.
func parseTicks(text []byte) (uint64, error) {
	_, rest, ok := cutLast(text, ')')
	fields := bytes.Fields(rest)
	if !ok || len(fields) < 20 {
		return 0, fmt.Errorf("read start of process: %q is no process status", text)
	}
	ticks, err := strconv.ParseUint(string(fields[19]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read start of process: %w", err)
	}
	return ticks, nil
}

func cutLast(text []byte, sep byte) (before, after []byte, ok bool) {
	i := bytes.LastIndexByte(text, sep)
	if i < 0 {
		return text, nil, false
	}
	return text[:i], text[i+1:], true
}
