// Package vitals is for knowing this host: what it has to share out, what it
// is, which boot this is, and the time since then.
package vitals

import (
	"time"

	"mn/mesh"
)

// Host is what does not change while an agent runs.
type Host struct {
	OS       string
	Arch     string
	Boot     mesh.BootID    // the kernel's, new at every boot
	Capacity mesh.Resources // less where a cgroup of ours allows less
}

// Read finds out about this host. Disk is what is free, or already ours, on
// the filesystem of dir.
func Read(dir string) (Host, error) { return Host{}, nil }

// Now is the time since boot, suspension included (CLOCK_BOOTTIME).
func Now() time.Duration { return 0 }
