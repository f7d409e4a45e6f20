package vitals

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"mn/mesh"
)

func TestReadKnowsThisHost(t *testing.T) {
	h, err := Read(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if h.OS == "" || h.Arch == "" || len(h.Boot) != 36 {
		t.Errorf("got %+v, want a boot id of 36 characters", h)
	}
	c := h.Capacity
	if c.CPU <= 0 || c.CPU > 4096*mesh.Core || c.Memory < 16*mesh.MiB || c.Memory > 1024*mesh.TiB || c.Disk <= 0 {
		t.Errorf("got capacity %+v", c)
	}
}

// What is written into the folder stays part of its capacity.
func TestDiskCountsWhatIsOurs(t *testing.T) {
	dir := t.TempDir()
	const size, tries = 32 << 20, 20 // others write to the same disk meanwhile
	var diff mesh.Bytes
	for i := range tries {
		before, err := disk(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		after, err := disk(dir)
		if err != nil {
			t.Fatal(err)
		}
		if diff = after - before; -size/2 < diff && diff < size/2 {
			break
		}
	}
	if diff <= -size/2 || diff >= size/2 {
		t.Errorf("capacity changed by %v with a file of %v", diff, mesh.Bytes(size))
	}
	if _, err := disk(filepath.Join(dir, "missing")); err == nil {
		t.Error("a missing folder has a capacity")
	}
}

func TestNowGoesOn(t *testing.T) {
	a := Now()
	b := Now()
	if a <= 0 || b < a {
		t.Errorf("got %v, then %v", a, b)
	}
}

func TestLimitsOfCgroups(t *testing.T) {
	tests := []struct {
		name   string
		files  map[string]string
		cpu    mesh.Cores
		memory mesh.Bytes
	}{
		{"no cgroups", nil, unlimited, unlimited},
		{"version 2, no limits", map[string]string{
			"proc/self/cgroup":            "0::/a\n",
			"sys/fs/cgroup/a/cpu.max":     "max 100000\n",
			"sys/fs/cgroup/a/memory.max":  "max\n",
			"sys/fs/cgroup/other/cpu.max": "1000 100000\n",
		}, unlimited, unlimited},
		{"version 2, ours and the parent's", map[string]string{
			"proc/self/cgroup":             "0::/a/b\n",
			"sys/fs/cgroup/a/b/cpu.max":    "250000 100000\n",
			"sys/fs/cgroup/a/memory.max":   "1073741824\n",
			"sys/fs/cgroup/a/b/memory.max": "2147483648\n",
		}, 2500, mesh.GiB},
		{"version 1", map[string]string{
			"proc/self/cgroup":                             "5:memory:/x\n4:cpu,cpuacct:/y\n",
			"sys/fs/cgroup/cpu/y/cpu.cfs_quota_us":         "50000\n",
			"sys/fs/cgroup/cpu/y/cpu.cfs_period_us":        "100000\n",
			"sys/fs/cgroup/memory/x/memory.limit_in_bytes": "536870912\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":   "9223372036854771712\n",
		}, 500, 512 * mesh.MiB},
		{"version 1, no limits", map[string]string{
			"proc/self/cgroup":                    "4:cpu:/\n",
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us":  "-1\n",
			"sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
		}, unlimited, unlimited},
		{"both mounted", map[string]string{
			"proc/self/cgroup":                 "2:memory:/\n0::/u\n",
			"sys/fs/cgroup/unified/u/cpu.max":  "100000 100000\n",
			"sys/fs/cgroup/memory/unexpected":  "",
			"sys/fs/cgroup/unified/u/cgroup.x": "",
		}, 1000, unlimited},
		{"nonsense", map[string]string{
			"proc/self/cgroup":         "garbage\n0::/../../etc\n",
			"sys/fs/cgroup/cpu.max":    "x y z\n",
			"sys/fs/cgroup/memory.max": "-5\n",
		}, unlimited, unlimited},
		{"hardly anything", map[string]string{
			"proc/self/cgroup":      "0::/\n",
			"sys/fs/cgroup/cpu.max": "1 1000000\n",
		}, 1, unlimited},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := fstest.MapFS{}
			for name, text := range tt.files {
				root[name] = &fstest.MapFile{Data: []byte(text)}
			}
			if got := limits(root); got.CPU != tt.cpu || got.Memory != tt.memory {
				t.Errorf("got cpu %d, memory %d, want %d, %d", got.CPU, got.Memory, tt.cpu, tt.memory)
			}
		})
	}
}

func TestMemoryNeedsItsLine(t *testing.T) {
	for _, text := range []string{"", "MemFree: 5 kB\n", "MemTotal: x kB\n", "MemTotal: -5 kB\n"} {
		root := fstest.MapFS{"proc/meminfo": &fstest.MapFile{Data: []byte(text)}}
		if got, err := memory(root); err == nil || !strings.Contains(err.Error(), "memory of the machine") {
			t.Errorf("%q: got %v, %v, want an error", text, got, err)
		}
	}
}

// Whatever the kernel says, the limits are positive.
func FuzzLimits(f *testing.F) {
	f.Add("0::/a\n", "100000 100000\n", "5\n")
	f.Add("4:cpu,memory:/a\n", "9223372036854775807 1\n", "-1\n")
	f.Fuzz(func(t *testing.T, groups, cpu, memory string) {
		root := fstest.MapFS{}
		for name, text := range map[string]string{
			"proc/self/cgroup":                           groups,
			"sys/fs/cgroup/cpu.max":                      cpu,
			"sys/fs/cgroup/memory.max":                   memory,
			"sys/fs/cgroup/memory/memory.limit_in_bytes": memory,
		} {
			root[name] = &fstest.MapFile{Data: []byte(text)}
		}
		if l := limits(root); l.CPU <= 0 || l.Memory <= 0 {
			t.Errorf("got %+v", l)
		}
	})
}
