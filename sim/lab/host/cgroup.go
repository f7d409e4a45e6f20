package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Group is a cgroup that keeps processes short of something.
type Group struct{ dir string }

// cgroups is where the first version of cgroups is.
const cgroups = "/sys/fs/cgroup"

// periodMicros is the time in which a CPU quota may be used.
const periodMicros = 100_000

// LimitCPU makes a group that may use that share of one core.
func LimitCPU(name string, share float64) (*Group, error) {
	return newGroup("cpu", name, map[string]int64{
		"cpu.cfs_period_us": periodMicros,
		"cpu.cfs_quota_us":  int64(share * periodMicros),
	})
}

// LimitMemory makes a group that may use so many bytes.
func LimitMemory(name string, bytes int64) (*Group, error) {
	return newGroup("memory", name, map[string]int64{"memory.limit_in_bytes": bytes})
}

func newGroup(controller, name string, limits map[string]int64) (*Group, error) {
	root := filepath.Join(cgroups, controller)
	if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err != nil {
		return nil, fmt.Errorf("limit %s: this machine has no cgroup of version 1 for it: %w", controller, err)
	}
	g := &Group{filepath.Join(root, name)}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make cgroup: %w", err)
	}
	for file, limit := range limits {
		if err := g.write(file, limit); err != nil {
			return nil, errors.Join(err, g.Close())
		}
	}
	return g, nil
}

func (g *Group) write(file string, value int64) error {
	path := filepath.Join(g.dir, file)
	if err := os.WriteFile(path, []byte(strconv.FormatInt(value, 10)), 0); err != nil {
		return fmt.Errorf("set %d in %q: %w", value, path, err)
	}
	return nil
}

// Add puts a process into the group, with what it starts from then on.
func (g *Group) Add(pid int) error { return g.write("cgroup.procs", int64(pid)) }

// Close lifts the limit: what is in the group goes back to where all are.
func (g *Group) Close() error {
	text, err := os.ReadFile(filepath.Join(g.dir, "cgroup.procs"))
	if err != nil {
		return fmt.Errorf("list the processes of a cgroup: %w", err)
	}
	out := &Group{filepath.Dir(g.dir)}
	for _, pid := range numbers(text) {
		if err := out.Add(pid); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	if err := unix.Rmdir(g.dir); err != nil {
		return fmt.Errorf("remove cgroup %q: %w", g.dir, err)
	}
	return nil
}
