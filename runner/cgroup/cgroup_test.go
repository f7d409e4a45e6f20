package cgroup

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestSettings(t *testing.T) {
	all := []string{"cpu", "memory", "pids"}
	for _, test := range []struct {
		name string
		f    folder
		l    Limits
		want string
	}{
		{"none", folder{v2: true, controllers: all}, Limits{}, ""},
		{
			"version 2",
			folder{v2: true, controllers: all},
			Limits{CPU: 500, Memory: 64 << 20, PIDs: 10},
			"cpu.max=50000 100000, memory.max=67108864, memory.swap.max=0?, memory.oom.group=1?, pids.max=10",
		},
		{
			"version 1",
			folder{controllers: all},
			Limits{CPU: 500, Memory: 64 << 20, PIDs: 10},
			"cpu.cfs_period_us=100000, cpu.cfs_quota_us=50000, memory.limit_in_bytes=67108864, " +
				"memory.memsw.limit_in_bytes=67108864?, memory.swappiness=0?, pids.max=10",
		},
		{
			"one tree of several",
			folder{controllers: []string{"memory"}},
			Limits{CPU: 500, Memory: 4096},
			"memory.limit_in_bytes=4096, memory.memsw.limit_in_bytes=4096?, memory.swappiness=0?",
		},
		{"many cores", folder{v2: true, controllers: all}, Limits{CPU: 64000}, "cpu.max=6400000 100000"},
		{"little CPU", folder{v2: true, controllers: all}, Limits{CPU: 10}, "cpu.max=1000 100000"},
		{"very little CPU", folder{v2: true, controllers: all}, Limits{CPU: 3}, "cpu.max=3000 1000000"},
		{
			"the least CPU",
			folder{controllers: all},
			Limits{CPU: 1},
			"cpu.cfs_period_us=1000000, cpu.cfs_quota_us=1000",
		},
	} {
		var got []string
		for _, s := range settings(test.f, test.l) {
			text := s.file + "=" + s.value
			if s.optional {
				text += "?"
			}
			got = append(got, text)
		}
		if got := strings.Join(got, ", "); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

// fixture makes files below a folder, and returns it.
func fixture(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const (
	mountsV2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	mountsV1 = `21 20 0:5 / /proc rw - proc proc rw
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:5 - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 /box /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
34 30 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
35 30 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
`
)

func TestTreesAreFound(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		want  string // mount, own group and controllers of each that is needed
	}{
		{"version 2", map[string]string{
			"proc/self/mountinfo": mountsV2, "proc/self/cgroup": "0::/system.slice/mn.service\n",
			"sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n",
		}, "2 /sys/fs/cgroup /system.slice/mn.service cpu+memory+pids"},
		{"version 1", map[string]string{
			"proc/self/mountinfo":                      mountsV1,
			"proc/self/cgroup":                         "9:name=systemd:/s\n4:memory:/box/m\n3:cpu,cpuacct:/c\n2:pids:/p\n0::/u\n",
			"sys/fs/cgroup/unified/cgroup.controllers": "hugetlb\n",
		}, "1 /sys/fs/cgroup/cpu,cpuacct /c cpu; 1 /sys/fs/cgroup/memory /m memory; 1 /sys/fs/cgroup/pids /p pids"},
		{"both", map[string]string{
			"proc/self/mountinfo":                      strings.Replace(mountsV1, "rw,pids", "rw,freezer", 1),
			"proc/self/cgroup":                         "4:memory:/elsewhere\n3:cpu,cpuacct:/\n0::/../above\n",
			"sys/fs/cgroup/unified/cgroup.controllers": "hugetlb pids\n",
		}, "1 /sys/fs/cgroup/cpu,cpuacct / cpu; 1 /sys/fs/cgroup/memory / memory; 2 /sys/fs/cgroup/unified /above pids"},
		{"nothing of memory", map[string]string{
			"proc/self/mountinfo": mountsV2, "proc/self/cgroup": "0::/\n",
			"sys/fs/cgroup/cgroup.controllers": "cpu pids\n",
		}, `no controller "memory" of control groups is mounted`},
		{"no groups", map[string]string{"proc/self/mountinfo": ""}, "the kernel has no control groups"},
	} {
		root := fixture(t, test.files)
		trees, err := find(root)
		var got []string
		for _, tree := range trees {
			if len(tree.controllers) > 0 {
				version := "1 "
				if tree.v2 {
					version = "2 "
				}
				got = append(got, version+strings.TrimPrefix(tree.mount, root)+" "+tree.own+" "+
					strings.Join(tree.controllers, "+"))
			}
		}
		if err != nil {
			got = []string{err.Error()}
		}
		if got := strings.Join(got, "; "); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

// A group of version 2 that has processes can have none in it that have controllers: then
// the one above it has them. A folder stands for a file that cannot be written.
func TestHomeIsTheNearestThatCanBeHad(t *testing.T) {
	root := fixture(t, map[string]string{
		"m/cgroup.subtree_control": "", "m/a/cgroup.subtree_control/x": "",
		"m/mn/cgroup.subtree_control": "cpu memory", "m/mn/n/cgroup.subtree_control": "",
	})
	tree := tree{mount: filepath.Join(root, "m"), own: "/a", v2: true, controllers: []string{"cpu"}}
	dir, err := tree.home("n")
	if want := filepath.Join(root, "m/mn/n"); dir != want || err != nil {
		t.Errorf("got %q, %v, want %q", dir, err, want)
	}
	for name, want := range map[string]string{"m": "+cpu", "m/mn": "cpu memory", "m/mn/n": "+cpu"} {
		if text, _ := os.ReadFile(filepath.Join(root, name, "cgroup.subtree_control")); string(text) != want {
			t.Errorf("%s lets its groups have %q, want %q", name, text, want)
		}
	}
	tree.mount, tree.own = filepath.Join(root, "m/a"), "/"
	if dir, err := tree.home("n"); err == nil {
		t.Errorf("got %q, want an error", dir)
	}
	if _, err := os.Stat(filepath.Join(root, "m/a/mn")); err == nil {
		t.Error("what was tried in vain has left something")
	}
}

func TestUsage(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		want  Usage
	}{
		{"version 2", map[string]string{
			"g/memory.events": "low 0\nmax 7\noom 1\noom_kill 2\noom_group_kill 1\n",
			"g/memory.peak":   "67108864\n", "g/memory.max": "67108864\n",
		}, Usage{2, 67108864, 67108864}},
		{"version 1", map[string]string{
			"g/memory.oom_control":          "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
			"g/memory.max_usage_in_bytes":   "4096\n",
			"g/memory.limit_in_bytes":       "9223372036854771712\n",
			"g/memory.memsw.limit_in_bytes": "1\n",
		}, Usage{3, 4096, 0}},
		{"no limit", map[string]string{"g/memory.max": "max\n", "g/memory.events": "oom_kill 0\n"}, Usage{}},
		{"nothing", map[string]string{"g/cpu.max": "max\n"}, Usage{}},
	} {
		root := fixture(t, test.files)
		if got := (Group{filepath.Join(root, "none"), filepath.Join(root, "g")}).Usage(); got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
	}
}

// Version 2, on machines that have it, also for no controller that is needed.
func TestProcessesOfAGroupAreKilled(t *testing.T) {
	trees, err := find("/")
	if err != nil {
		t.Skip(err)
	}
	for _, tree := range trees {
		dir := filepath.Join(tree.mount, tree.own, "test-cgroup-kill")
		if !tree.v2 && !slices.Contains(tree.has, "memory") {
			continue
		}
		if err := os.Mkdir(dir, 0o755); err != nil {
			if os.Geteuid() == 0 {
				t.Error(err)
			}
			continue
		}
		if err := os.Mkdir(filepath.Join(dir, "below"), 0o755); err != nil {
			t.Fatal(err)
		}
		sleeper := exec.Command("sleep", "1000")
		if err := sleeper.Start(); err != nil {
			t.Fatal(err)
		}
		gone := make(chan struct{})
		go func() { sleeper.Wait(); close(gone) }()
		pid := strconv.Itoa(sleeper.Process.Pid)
		if err := write(filepath.Join(dir, "below", ProcsFile), pid); err != nil {
			t.Error(err)
		}
		if err := (Group{dir}).Remove(); err != nil {
			t.Error(err)
		}
		select {
		case <-gone:
		case <-time.After(10 * time.Second):
			t.Errorf("version 2 %v: a process lives on", tree.v2)
			sleeper.Process.Kill()
		}
	}
}

// What a task has made in its group goes with it.
func TestGroupIsRemovedWithThoseInIt(t *testing.T) {
	home, err := Open("/", "test-cgroup")
	if err != nil {
		if os.Geteuid() == 0 {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	defer home.Close()
	g, err := home.Make("a", Limits{Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range g {
		if err := os.MkdirAll(filepath.Join(dir, "b/c"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if got := g.Usage(); got.Limit != 1<<20 {
		t.Errorf("got %+v, want a limit of 1 MiB", got)
	}
	if got := home.Names(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("there are %v", got)
	}
	again, err := home.Make("a", Limits{}) // anew
	if err != nil || again.Usage().Limit != 0 {
		t.Errorf("made anew it has %+v, %v", again.Usage(), err)
	}
	again.Kill()
	pids := slices.IndexFunc(again, func(dir string) bool { return len(fields(filepath.Join(dir, "pids.max"))) > 0 })
	if pids < 0 || fields(filepath.Join(again[pids], "pids.max"))[0] != "0" {
		t.Error("when it was killed, processes can be started in it")
	}
	if err := again.Remove(); err != nil || len(home.Names()) > 0 {
		t.Errorf("removed: %v; there are %v", err, home.Names())
	}
	if err := again.Remove(); err != nil {
		t.Errorf("removed again: %v", err)
	}
}
