package inventory

import (
	"os"
	"slices"
	"testing"

	"mn/mesh"
)

func TestForeignMemory(t *testing.T) {
	const gib = mesh.GiB
	mine := func(pid int) bool { return pid < 100 }
	tests := []struct {
		name  string
		used  mesh.Bytes
		users []User
		held  bool // we have the device
		want  mesh.Bytes
	}{
		{"nobody", 0, nil, false, 0},
		{"the driver alone", 200 * mesh.MiB, nil, false, 0},
		{"somebody, and no processes are named", 3 * gib, nil, false, 3 * gib},
		{"we, and no processes are named", 3 * gib, nil, true, 0},
		{"ours", 3 * gib, []User{{1, 3 * gib}}, true, 0},
		{"theirs", 3 * gib, []User{{101, 2 * gib}, {102, gib}}, false, 3 * gib},
		{"both", 3 * gib, []User{{1, gib}, {101, 2 * gib}}, true, 2 * gib},
		{"a little of nobody", 2*gib + 100*mesh.MiB, []User{{1, gib}, {101, gib}}, true, gib},
		{"much of nobody: of another container", 7 * gib, []User{{1, gib}, {101, gib}}, true, 6 * gib},
		{"theirs is not told", 3 * gib, []User{{1, gib}, {101, -1}}, true, 2 * gib},
		{"ours is not told", 3 * gib, []User{{1, -1}, {101, gib}}, true, gib},
		{"neither is told", 3 * gib, []User{{1, -1}, {101, -1}}, true, 0},
		{"more than there is", 3 * gib, []User{{101, 7 * gib}, {102, 7 * gib}}, false, 8 * gib},
		{"processes have more than is used", gib, []User{{1, 2 * gib}, {101, -1}}, true, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := Ours{Process: mine, Device: func(id string) bool { return id == "a" && tt.held }}
			r := Reading{Device: mesh.Device{ID: "a", Memory: 8 * gib}, Used: tt.used, Users: tt.users}
			if got := o.foreign(r); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// What is told is never less than there is, and does not change with every page.
func TestForeignMemoryIsToldCalmly(t *testing.T) {
	d := mesh.Device{Memory: 2000 * mesh.MiB}
	told := mesh.Bytes(0)
	for i, step := range []struct{ now, want mesh.Bytes }{
		{0, 0}, {1, 64}, {64, 64}, {65, 128}, {2, 128}, {600, 640}, {400, 640}, {384, 384}, {1990, 2000}, {0, 0},
	} {
		if told = calm(told, step.now*mesh.MiB, d); told != step.want*mesh.MiB {
			t.Errorf("step %d: got %v, want %v MiB", i, told, step.want)
		}
	}
}

// Those of the real answer of a driver: the biggest are named, and ours are not.
func TestForeignProcessesAreNamed(t *testing.T) {
	text, err := os.ReadFile("testdata/ampere-535.xml")
	if err != nil {
		t.Fatal(err)
	}
	readings, err := parseSMI(text)
	if err != nil {
		t.Fatal(err)
	}
	root := files(map[string]string{
		"proc/4021/status": "Name:\tUid: 5\nState:\tR (running)\nUid:\t0\t7\t7\t7\nGid:\t8\n",
		"proc/4022/status": "Name:\tpython3\nUid:\t3999999999\t0\t0\t0\n",
	})
	tests := []struct {
		name string
		ours int
		want []string
	}{
		{"all", 0, []string{"root/4021", "3999999999/4022"}},
		{"all but ours", 4021, []string{"3999999999/4022"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := Ours{Process: func(pid int) bool { return pid == tt.ours }, User: Runs(root)}
			for _, r := range readings {
				if len(r.Users) > 0 && r.Users[0].PID == 4021 {
					if got := o.strangers(r); !slices.Equal(got, tt.want) {
						t.Errorf("got %q, want %q", got, tt.want)
					}
					return
				}
			}
			t.Error("nobody uses a device in the driver's answer")
		})
	}
	r := Reading{Users: []User{{9, 1}, {8, 5}, {7, -1}, {6, 2}, {5, 3}, {4, 1}}}
	if got, want := (Ours{}).strangers(r), []string{"?/4", "?/5", "?/6", "?/8"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDescendants(t *testing.T) {
	root := files(map[string]string{
		"proc/10/stat": "10 (mn) S 1 10 10 0",
		"proc/20/stat": "20 (a) b) R 10 20 20 0",
		"proc/30/stat": "30 (python3 (x)) S 20 20 20 0",
		"proc/40/stat": "40 (sh) S 1 40 40 0",
		"proc/50/stat": "50 (loop) S 51 0",
		"proc/51/stat": "51 (loop) S 50 0",
		"proc/60/stat": "odd",
	})
	ours := Descendants(root, func(pid int) bool { return pid == 10 })
	for pid, want := range map[int]bool{
		10: true, 20: true, 30: true, 40: false, 50: false, 60: false, 70: false, 1: false, 0: false, -10: false,
	} {
		if got := ours(pid); got != want {
			t.Errorf("process %d: got %v, want %v", pid, got, want)
		}
	}
	here := Descendants(os.DirFS("/"), func(pid int) bool { return pid == os.Getppid() })
	if !here(os.Getpid()) {
		t.Error("this process is not known to descend from its parent")
	}
}
