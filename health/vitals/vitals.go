// Package vitals is for knowing this host: what it has to share out, what it
// is, which boot this is, and the time since then.
//
// What a cgroup of ours does not allow is not there to be shared out: in a
// container of 2 cores on a machine of 64, two cores are the capacity. The
// package reads /proc and /sys itself: a handful of files does not earn a
// library. It has no goroutine.
package vitals

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mn/health/clock"
	"mn/mesh"
)

// filesMax bounds how many files are looked at to see what is already ours.
const filesMax = 1_000_000

// Host is what does not change while an agent runs.
type Host struct {
	OS       string
	Arch     string
	Boot     mesh.BootID    // the kernel's, new at every boot
	Capacity mesh.Resources // less where a cgroup of ours allows less
}

// Read finds out about this host. Its disk is what is free on the filesystem of
// dir, together with what dir holds already.
func Read(dir string) (Host, error) {
	h := Host{OS: runtime.GOOS, Arch: runtime.GOARCH}
	root := os.DirFS("/")
	boot, err := fs.ReadFile(root, "proc/sys/kernel/random/boot_id")
	if err != nil {
		return h, fmt.Errorf("read boot id: %w", err)
	}
	h.Boot = mesh.BootID(strings.TrimSpace(string(boot)))
	if h.Capacity.Memory, err = memory(root); err != nil {
		return h, err
	}
	if h.Capacity.Disk, err = disk(dir); err != nil {
		return h, err
	}
	// NumCPU knows the affinity of this process.
	h.Capacity.CPU = mesh.Cores(runtime.NumCPU()) * mesh.Core
	l := limits(root)
	h.Capacity.CPU = min(h.Capacity.CPU, l.CPU)
	h.Capacity.Memory = min(h.Capacity.Memory, l.Memory)
	return h, nil
}

// Now is the time since boot, suspension included (CLOCK_BOOTTIME).
func Now() time.Duration { return clock.Boot() }

// memory is how much memory the machine has.
func memory(root fs.FS) (mesh.Bytes, error) {
	text, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0, fmt.Errorf("read memory of the machine: %w", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if f := strings.Fields(lines.Text()); len(f) == 3 && f[0] == "MemTotal:" {
			kib, err := strconv.ParseInt(f[1], 10, 53)
			if err != nil || kib < 0 {
				return 0, fmt.Errorf("read memory of the machine: %q is no size", lines.Text())
			}
			return mesh.Bytes(kib) * mesh.KiB, nil
		}
	}
	return 0, errors.New("read memory of the machine: no MemTotal in /proc/meminfo")
}

// disk is what dir has and can have.
func disk(dir string) (mesh.Bytes, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("read free disk of %q: %w", dir, err)
	}
	total := mesh.Bytes(st.Bavail) * mesh.Bytes(st.Bsize)
	files := 0
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if files++; files > filesMax {
			return filepath.SkipAll
		}
		if err != nil {
			return nil // gone meanwhile, or not for us to see: counted as nothing
		}
		info, err := e.Info()
		if err != nil {
			return nil
		}
		if s, ok := info.Sys().(*syscall.Stat_t); ok {
			total += mesh.Bytes(s.Blocks) * 512 / mesh.Bytes(max(s.Nlink, 1))
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("read used disk of %q: %w", dir, err)
	}
	return total, nil
}
