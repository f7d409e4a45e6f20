package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strconv"
	"syscall"
	"time"
)

// Group is a group by its folders, one in each tree; nil is no group.
type Group []string

// ProcsFile is the file of a group's folder by which processes enter it: who
// writes 0 to it does.
const ProcsFile = "cgroup.procs"

// Usage is what a group has counted.
type Usage struct {
	Killed uint64 // processes that the kernel has killed for want of memory
	Peak   int64  // bytes of memory at the most; 0 if the kernel does not say
	Limit  int64  // of memory; 0 for none
}

// Usage reads what the group has counted.
func (g Group) Usage() Usage {
	var u Usage
	for _, dir := range g {
		for _, name := range []string{"memory.events", "memory.oom_control"} {
			u.Killed = max(u.Killed, uint64(after(fields(path.Join(dir, name)), "oom_kill")))
		}
		for _, name := range []string{"memory.peak", "memory.max_usage_in_bytes"} {
			u.Peak = max(u.Peak, number(path.Join(dir, name)))
		}
		for _, name := range []string{"memory.max", "memory.limit_in_bytes"} {
			u.Limit = max(u.Limit, number(path.Join(dir, name)))
		}
	}
	return u
}

// unlimited is what no machine has: version 1 writes no limit as a number.
const unlimited = 1 << 60

// number is the only number in a file; 0 if there is none, or if it is no limit.
func number(name string) int64 {
	f := fields(name)
	if len(f) != 1 {
		return 0
	}
	n, err := strconv.ParseInt(f[0], 10, 64)
	if err != nil || n >= unlimited {
		return 0
	}
	return n
}

// after is the number after a word.
func after(words []string, word string) int64 {
	for i, w := range words[:max(len(words)-1, 0)] {
		if w == word {
			n, _ := strconv.ParseInt(words[i+1], 10, 64)
			return n
		}
	}
	return 0
}

// Remove removes the group, and kills what is in it. The error says what is
// left.
func (g Group) Remove() error {
	ticks := time.NewTicker(removeEvery)
	defer ticks.Stop()
	var err error
	for range removeTimeout / removeEvery {
		err = nil
		for _, dir := range g {
			err = errors.Join(err, remove(dir))
		}
		if err == nil {
			return nil
		}
		g.Kill()
		<-ticks.C
	}
	return err
}

// remove removes a folder and those that the task has made in it.
func remove(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if e.IsDir() {
			err = errors.Join(err, remove(path.Join(dir, e.Name())))
		}
	}
	if err != nil {
		return err
	}
	if err := syscall.Rmdir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &fs.PathError{Op: "remove", Path: dir, Err: err}
	}
	return nil
}

// Kill kills all that is in the group, and lets nothing more be started in it: who forks
// faster than we find out would get away.
func (g Group) Kill() {
	for _, dir := range g {
		write(path.Join(dir, "pids.max"), "0") // only that of one tree has it
	}
	for _, dir := range g {
		kill(dir)
	}
}

func kill(dir string) {
	if write(path.Join(dir, "cgroup.kill"), "1") == nil {
		return // and all below it
	}
	for _, f := range fields(path.Join(dir, ProcsFile)) {
		if pid, err := strconv.Atoi(f); err == nil && pid > 1 && pid != os.Getpid() {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // it is gone
	}
	for _, e := range entries {
		if e.IsDir() {
			kill(path.Join(dir, e.Name()))
		}
	}
}
