package vitals

import (
	"bytes"
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"

	"mn/mesh"
)

// unlimited is no limit.
const unlimited = math.MaxInt64

// limits are what the cgroups of this process allow: in each hierarchy the
// least on the way from our group up to the root. Some machines mount both
// versions of cgroups; a controller is in one of them.
func limits(root fs.FS) mesh.Resources {
	l := mesh.Resources{CPU: unlimited, Memory: unlimited}
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return l // a kernel without cgroups
	}
	for line := range bytes.Lines(groups) {
		// "4:memory:/a/b" in version 1, "0::/a/b" in version 2.
		f := strings.SplitN(strings.TrimSpace(string(line)), ":", 3)
		if len(f) != 3 {
			continue
		}
		if f[1] == "" {
			for _, mount := range []string{"sys/fs/cgroup", "sys/fs/cgroup/unified"} {
				upward(f[2], func(group string) { l = lesser(l, v2(root, path.Join(mount, group))) })
			}
			continue
		}
		for controller := range strings.SplitSeq(f[1], ",") {
			mount := path.Join("sys/fs/cgroup", controller)
			upward(f[2], func(group string) { l = lesser(l, v1(root, path.Join(mount, group))) })
		}
	}
	return l
}

// upward visits a group and those above it.
func upward(group string, visit func(string)) {
	for group = path.Clean("/" + group); ; group = path.Dir(group) {
		visit(group)
		if group == "/" {
			return
		}
	}
}

func lesser(a, b mesh.Resources) mesh.Resources {
	return mesh.Resources{CPU: min(a.CPU, b.CPU), Memory: min(a.Memory, b.Memory)}
}

// v2 is what a group of version 2 allows.
func v2(root fs.FS, dir string) mesh.Resources {
	l := mesh.Resources{CPU: unlimited, Memory: unlimited}
	if f := fields(root, path.Join(dir, "cpu.max")); len(f) == 2 {
		l.CPU = cores(number(f[0]), number(f[1]))
	}
	if f := fields(root, path.Join(dir, "memory.max")); len(f) == 1 {
		l.Memory = mesh.Bytes(number(f[0]))
	}
	return l
}

// v1 is what a group of version 1 allows. Its idea of no memory limit is a
// number beyond every machine.
func v1(root fs.FS, dir string) mesh.Resources {
	l := mesh.Resources{CPU: unlimited, Memory: unlimited}
	quota := fields(root, path.Join(dir, "cpu.cfs_quota_us"))
	period := fields(root, path.Join(dir, "cpu.cfs_period_us"))
	if len(quota) == 1 && len(period) == 1 {
		l.CPU = cores(number(quota[0]), number(period[0]))
	}
	if f := fields(root, path.Join(dir, "memory.limit_in_bytes")); len(f) == 1 {
		l.Memory = mesh.Bytes(number(f[0]))
	}
	return l
}

func fields(root fs.FS, name string) []string {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return nil // no such controller, or not limited
	}
	return strings.Fields(string(text))
}

// number reads a limit; "max", -1 and what makes no sense are none.
func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return unlimited
	}
	return n
}

// cores is how many cores a quota of microseconds within a period is.
func cores(quota, period int64) mesh.Cores {
	if quota == unlimited || period == unlimited || quota > unlimited/int64(mesh.Core) {
		return unlimited
	}
	return max(mesh.Cores(quota*int64(mesh.Core)/period), 1)
}
