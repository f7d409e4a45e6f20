package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// killRounds bounds how often we look for what is left: a process may fork
// while we look, but the forks of dead processes come to an end.
const killRounds = 200

// process is one process as /proc shows it.
type process struct {
	pid, parent int
	command     string // arguments, each ended by a zero byte
	ours        bool   // belongs to the directory that was asked for
}

// killAll ends every process that belongs to a data directory.
func killAll(dir string) error {
	for range killRounds {
		left, err := processesOf(dir)
		if err != nil {
			return err
		}
		if len(left) == 0 {
			return nil
		}
		if err := sendAll(left, syscall.SIGKILL); err != nil {
			return err
		}
	}
	return fmt.Errorf("processes of %q do not end", dir)
}

func sendAll(all []process, s syscall.Signal) error {
	for _, p := range all {
		if err := syscall.Kill(p.pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("send %v to process %d: %w", s, p.pid, err)
		}
	}
	return nil
}

// processesOf finds what belongs to a data directory: processes that name it
// in their arguments or environment or stand in it, and all that descend from
// them. The caller and those that it descends from do not count.
func processesOf(dir string) ([]process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	all := map[int]*process{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if p, ok := look(pid, dir); ok {
			all[pid] = p
		}
	}
	for pid := os.Getpid(); all[pid] != nil; pid = all[pid].parent {
		all[pid].ours = false
	}
	var found []process
	for _, p := range all {
		if descends(all, p) {
			found = append(found, *p)
		}
	}
	return found, nil
}

// descends says whether p or one that it descends from is ours, without the
// caller in between.
func descends(all map[int]*process, p *process) bool {
	for range len(all) {
		if p.pid == os.Getpid() {
			return false
		}
		if p.ours {
			return true
		}
		if p = all[p.parent]; p == nil {
			return false
		}
	}
	return false
}

// look reads one process. It is false for one that has ended meanwhile, and
// for a zombie, which has nothing left to kill.
func look(pid int, dir string) (*process, bool) {
	stat, err := os.ReadFile(procFile(pid, "stat"))
	if err != nil {
		return nil, false
	}
	// The name in parentheses may hold anything, also parentheses.
	_, rest, ok := strings.Cut(string(stat[max(0, bytes.LastIndexByte(stat, ')')):]), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 2 || fields[0] == "Z" || fields[0] == "X" {
		return nil, false
	}
	p := &process{pid: pid}
	if p.parent, err = strconv.Atoi(fields[1]); err != nil {
		return nil, false
	}
	command, _ := os.ReadFile(procFile(pid, "cmdline"))
	environ, _ := os.ReadFile(procFile(pid, "environ"))
	cwd, _ := os.Readlink(procFile(pid, "cwd"))
	if len(command) == 0 && len(environ) == 0 {
		return nil, false // of the kernel, or on its last way out: it has no memory any more
	}
	p.command = string(command)
	p.ours = names(p.command, dir) || names(string(environ), dir) || names(cwd, dir)
	return p, true
}

// names says whether a text holds a path, and not only the beginning of the
// name of another.
func names(text, path string) bool {
	for {
		_, after, found := strings.Cut(text, path)
		if !found {
			return false
		}
		if after == "" || strings.ContainsRune("/\x00: ", rune(after[0])) {
			return true
		}
		text = after
	}
}

func procFile(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}
