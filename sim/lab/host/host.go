// Package host is for having several machines in one: a [Host] has a network of
// its own, with an address that no other process of this machine can reach, and
// a boot id of its own; it may have a small disk, and clocks that are off.
//
// It is made of namespaces, a TAP device, mounts and cgroups, so it takes root,
// and [Missing] says what else. The device ends in a wire.Switch of this
// process: nothing of it touches the machine's real network.
//
// A network has no name that could be left behind: it is gone with the last
// process in it. What has one (folders, mounts, cgroups) stands below a [Claim]
// with its owner written on it, and the next run sweeps up after dead owners.
//
// A Host owns one goroutine, which is a thread in its namespaces.
package host

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mn/sim/lab/wire"
)

// port is the one UDP port of an agent, unless it is told otherwise.
const port = 7700

// Config says what machine to make.
type Config struct {
	Name   string       // under which it is plugged in
	Dir    string       // exists; for what the host itself needs to write, and its disk
	Disk   string       // where its own disk is mounted, if it has one
	Prefix netip.Prefix // its address, and the network of it
	Switch *wire.Switch
	Clock  bool // its processes have a test clock, if they were built for one
}

// Host is a machine of the lab.
type Host struct {
	cfg    Config
	thread *thread
	prefix netip.Prefix
}

// New makes a machine and plugs it in.
func New(c Config) (*Host, error) {
	h := &Host{cfg: c, prefix: c.Prefix}
	if err := h.Reboot(); err != nil {
		return nil, err
	}
	var err error
	if h.thread, err = newThread(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		return nil, fmt.Errorf("make host %q: %w", c.Name, err)
	}
	var tap *os.File
	err = h.thread.do(func() error {
		if err := h.mount(); err != nil {
			return err
		}
		if tap, err = openTAP(); err != nil {
			return err
		}
		return up(c.Prefix)
	})
	if err == nil {
		err = c.Switch.Plug(c.Name, tap)
	}
	if err == nil && c.Clock {
		err = h.SetClock(Clock{})
	}
	if err != nil {
		if tap != nil {
			err = errors.Join(err, tap.Close())
		}
		h.thread.close()
		return nil, fmt.Errorf("make host %q: %w", c.Name, err)
	}
	return h, nil
}

// mount puts the host's boot id in the place of the machine's, where only its
// own processes see it.
func (h *Host) mount() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("keep mounts to ourselves: %w", err)
	}
	// A disk could not be taken away that another host has mounted, too.
	if err := unmountAll(h.cfg.Dir, h.cfg.Disk); err != nil {
		return err
	}
	const id = "/proc/sys/kernel/random/boot_id"
	if err := unix.Mount(h.bootFile(), id, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount a boot id: %w", err)
	}
	return nil
}

func (h *Host) bootFile() string { return filepath.Join(h.cfg.Dir, h.cfg.Name+".boot") }

// Reboot gives the host a new boot id: of what is started from now on it has
// booted since.
func (h *Host) Reboot() error {
	id, err := os.ReadFile("/proc/sys/kernel/random/uuid")
	if err == nil {
		err = os.WriteFile(h.bootFile(), id, 0o600)
	}
	if err != nil {
		return fmt.Errorf("write a boot id: %w", err)
	}
	return nil
}

// Address is where an agent on the host is reached.
func (h *Host) Address() string { return netip.AddrPortFrom(h.prefix.Addr(), port).String() }

// Flags are none: an agent listens on all that its host has.
func (h *Host) Flags() []string { return nil }

// Start starts a process on the host.
func (h *Host) Start(cmd *exec.Cmd) error {
	if h.cfg.Clock {
		cmd.Env = append(cmd.Env, "MN_TEST_CLOCK="+h.clockFile())
	}
	return h.thread.do(cmd.Start)
}

// Move gives the host another address.
func (h *Host) Move(to netip.Prefix) error {
	if err := h.thread.do(func() error { return up(to) }); err != nil {
		return fmt.Errorf("move host %q to %q: %w", h.cfg.Name, to, err)
	}
	h.prefix = to
	return nil
}

// powerFails has the disk of the host lose what is not durable.
func (h *Host) powerFails(i *Image) error {
	if err := h.thread.do(func() error { return unix.Unmount(i.dir, 0) }); err != nil {
		return fmt.Errorf("unmount %q on host %q: %w", i.dir, h.cfg.Name, err)
	}
	if err := i.fail(); err != nil {
		return err
	}
	device, err := deviceAt(i.dir)
	if err == nil {
		err = h.thread.do(func() error { return unix.Mount(device, i.dir, "ext4", 0, "") })
	}
	if err != nil {
		return fmt.Errorf("mount %q on host %q: %w", i.dir, h.cfg.Name, err)
	}
	return nil
}

// Clock is how far the clocks of a host are off.
type Clock struct {
	Boot, Wall time.Duration // ahead of the machine's
	PPM        int64         // faster, from when it is set
}

func (h *Host) clockFile() string { return filepath.Join(h.cfg.Dir, h.cfg.Name+".clock") }

// SetClock sets the host's clocks, for what runs there and what will.
func (h *Host) SetClock(c Clock) error {
	if !h.cfg.Clock {
		return fmt.Errorf("set the clock of %q: it was made without one", h.cfg.Name)
	}
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return fmt.Errorf("read the clock: %w", err)
	}
	text := fmt.Sprintf("%v %v %d %v\n", c.Boot, c.Wall, c.PPM, time.Duration(ts.Nano()))
	next := h.clockFile() + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		return fmt.Errorf("set the clock of %q: %w", h.cfg.Name, err)
	}
	if err := os.Rename(next, h.clockFile()); err != nil {
		return fmt.Errorf("set the clock of %q: %w", h.cfg.Name, err)
	}
	return nil
}

// Close lets go of the host. Its processes must have ended.
func (h *Host) Close() error {
	err := h.cfg.Switch.Unplug(h.cfg.Name)
	h.thread.close()
	return err
}

// Missing says in one line each what this machine lacks for having hosts. It
// tries.
func Missing() []string {
	if os.Geteuid() != 0 {
		return []string{"root: network and mount namespaces take it"}
	}
	t, err := newThread(unix.CLONE_NEWNET | unix.CLONE_NEWNS)
	if err != nil {
		return []string{"namespaces: " + err.Error()}
	}
	defer t.close()
	var lacks []string
	err = t.do(func() error {
		tap, err := openTAP()
		if err == nil {
			err = errors.Join(up(netip.MustParsePrefix("10.77.0.1/24")), tap.Close())
		}
		return err
	})
	if err != nil {
		lacks = append(lacks, "TAP devices: "+err.Error()+"; modprobe tun, or in a container: --device /dev/net/tun")
	}
	if err := t.do(func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, "") }); err != nil {
		lacks = append(lacks, "mounts: "+strings.TrimSpace(err.Error()))
	}
	return lacks
}
