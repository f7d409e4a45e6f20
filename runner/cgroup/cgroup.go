// Package cgroup is for limiting what a task takes of its machine, with the
// control groups of the kernel: it finds where groups can be made, makes them,
// reads what they have counted, and removes them. Who enters a group is not its
// business.
//
// A controller is in version 2, where all of them share one tree, or in version
// 1, where each may have a tree of its own; some machines have both. A group is
// therefore a folder in each tree that has a controller which is needed.
//
// Supervisors use it, so it imports as little as they do: see package
// runner/supervise/early.
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

// PIDsMax is how many processes and threads a task may have at a time: more than
// any sane program, and few enough that one that forks without end leaves the
// machine, which has 32,768 pids by default, to the others.
const PIDsMax = 4096

// Bounds of the removal of a group: killed processes take a moment to go.
const (
	removeTimeout = 2 * time.Second
	removeEvery   = 2 * time.Millisecond
)

// Limits are what a group may take; 0 is no limit.
type Limits struct {
	CPU    int64 // thousandths of a core
	Memory int64 // bytes
	PIDs   int64
}

// Home is where an agent makes its groups.
type Home struct{ folders []folder }

// folder is the part of a home that is in one tree.
type folder struct {
	dir         string
	v2          bool
	controllers []string // of those that are needed
}

// needed are the controllers without which there is no limiting.
var needed = []string{"cpu", "memory", "pids"}

// parent is the group of all agents of the machine.
const parent = "mn"

// Open finds or makes the home of an agent, whose name no other on this machine
// has. It is the nearest to the agent's own group that may have groups in it; so
// what limits the agent limits its tasks. The error says why there is none. A
// group was made then, and removed again.
func Open(root, name string) (*Home, error) {
	if name == "" {
		return nil, errors.New("the agent has no name for its control groups")
	}
	trees, err := find(root)
	if err != nil {
		return nil, err
	}
	h := &Home{}
	for i := range trees {
		t := &trees[i]
		if len(t.controllers) == 0 {
			continue
		}
		dir, err := t.home(name)
		if err != nil {
			return nil, err
		}
		h.folders = append(h.folders, folder{dir, t.v2, t.controllers})
	}
	trial, err := h.Make("trial", Limits{CPU: 1000, Memory: 1 << 30, PIDs: PIDsMax})
	if err != nil {
		return nil, err
	}
	return h, trial.Remove()
}

// home finds or makes the home of an agent in one tree.
func (t *tree) home(name string) (string, error) {
	var first error
	for group := t.own; ; group = path.Dir(group) {
		top := path.Join(t.mount, group)
		dir, err := t.make(top, name)
		if err == nil {
			return dir, nil
		}
		os.Remove(path.Join(top, parent)) // if it has nothing in it
		if first == nil {
			first = err
		}
		if group == "/" {
			return "", first
		}
	}
}

// make makes the home of an agent under a group.
func (t *tree) make(top, name string) (string, error) {
	dir := path.Join(top, parent, name)
	if t.v2 {
		if err := enable(top, t.controllers); err != nil {
			return "", err
		}
	}
	for _, d := range []string{path.Dir(dir), dir} {
		if err := syscall.Mkdir(d, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", &fs.PathError{Op: "make a control group in", Path: top, Err: err}
		}
		if !t.v2 {
			continue
		}
		if err := enable(d, t.controllers); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// Make makes a group, anew if there is one.
func (h *Home) Make(name string, l Limits) (Group, error) {
	g := h.Group(name)
	if err := g.Remove(); err != nil {
		return nil, err
	}
	for i, f := range h.folders {
		err := os.Mkdir(g[i], 0o755)
		if err == nil {
			err = limit(g[i], settings(f, l))
		}
		if err != nil {
			g.Remove()
			return nil, err
		}
	}
	return g, nil
}

// Group is the group of that name.
func (h *Home) Group(name string) Group {
	var g Group
	for _, f := range h.folders {
		g = append(g, path.Join(f.dir, name))
	}
	return g
}

// Names are the groups that there are.
func (h *Home) Names() []string {
	var names []string
	seen := map[string]bool{}
	for _, f := range h.folders {
		entries, err := os.ReadDir(f.dir)
		if err != nil {
			continue // nothing to be seen is nothing to be removed
		}
		for _, e := range entries {
			if e.IsDir() && !seen[e.Name()] {
				seen[e.Name()] = true
				names = append(names, e.Name())
			}
		}
	}
	return names
}

// Close removes the home, if nothing is in it.
func (h *Home) Close() {
	for _, f := range h.folders {
		os.Remove(f.dir)
	}
}

// setting is what is written to one file of a group.
type setting struct {
	file, value string
	optional    bool // some kernels have no such file
}

// Quotas of CPU are for periods. Those of the kernel are at least 1 ms, and
// periods at most 1 s: longer ones let a task burn all at once, and then starve.
const (
	periodUsual = 100_000 // microseconds
	periodMost  = 1_000_000
	quotaLeast  = 1000
)

// settings are what limits a group in a folder.
func settings(f folder, l Limits) []setting {
	var all []setting
	for _, c := range f.controllers {
		switch {
		case c == "cpu" && l.CPU > 0:
			quota, period := l.CPU*periodUsual/1000, int64(periodUsual)
			if quota < quotaLeast {
				quota, period = max(l.CPU*periodMost/1000, quotaLeast), periodMost
			}
			q, p := strconv.FormatInt(quota, 10), strconv.FormatInt(period, 10)
			if f.v2 {
				all = append(all, setting{file: "cpu.max", value: q + " " + p})
			} else {
				all = append(all, setting{file: "cpu.cfs_period_us", value: p},
					setting{file: "cpu.cfs_quota_us", value: q})
			}
		case c == "memory" && l.Memory > 0:
			m := strconv.FormatInt(l.Memory, 10)
			if f.v2 {
				all = append(all, setting{file: "memory.max", value: m},
					setting{"memory.swap.max", "0", true}, setting{"memory.oom.group", "1", true})
			} else {
				// The second is of memory and swap together, and never less than the first. Many
				// kernels have it only if they are told to.
				all = append(all, setting{file: "memory.limit_in_bytes", value: m},
					setting{"memory.memsw.limit_in_bytes", m, true}, setting{"memory.swappiness", "0", true})
			}
		case c == "pids" && l.PIDs > 0:
			all = append(all, setting{file: "pids.max", value: strconv.FormatInt(l.PIDs, 10)})
		}
	}
	return all
}

func limit(dir string, all []setting) error {
	for _, s := range all {
		err := write(path.Join(dir, s.file), s.value)
		if err != nil && !(s.optional && errors.Is(err, fs.ErrNotExist)) {
			return err
		}
	}
	return nil
}

// write writes to a file that is there. The error names it, and the value.
func write(name, value string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteString(value); err != nil {
		return &fs.PathError{Op: "write " + value + " to", Path: name, Err: errors.Unwrap(err)}
	}
	return nil
}
