package host

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// device is the one network interface of a host, besides loopback.
const device = "mn0"

// openTAP makes the device in the caller's network. Each read of the file is a
// frame that the host sends, each write one that it gets.
func openTAP() (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", "/dev/net/tun", err)
	}
	request, err := unix.NewIfreq(device)
	if err == nil {
		request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make network device %q: %w", device, err)
	}
	return os.NewFile(uintptr(fd), "tap"), nil
}

// up gives the caller's network an address on the device, and sets both
// interfaces working.
func up(prefix netip.Prefix) error {
	// Without IPv6 nothing goes over the wire but what agents send.
	off := "/proc/sys/net/ipv6/conf/all/disable_ipv6"
	if err := os.WriteFile(off, []byte("1"), 0); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("do without IPv6: %w", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open socket: %w", err)
	}
	defer unix.Close(fd)
	mask := net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())
	for _, set := range []struct {
		what string
		op   uint
		ip   []byte
	}{
		{"address", unix.SIOCSIFADDR, prefix.Addr().AsSlice()},
		{"netmask", unix.SIOCSIFNETMASK, mask},
	} {
		request, err := unix.NewIfreq(device)
		if err == nil {
			err = request.SetInet4Addr(set.ip)
		}
		if err == nil {
			err = unix.IoctlIfreq(fd, set.op, request)
		}
		if err != nil {
			return fmt.Errorf("set %s %q of %q: %w", set.what, prefix, device, err)
		}
	}
	for _, name := range []string{"lo", device} {
		request, err := unix.NewIfreq(name)
		if err == nil {
			request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
			err = unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
		}
		if err != nil {
			return fmt.Errorf("set %q up: %w", name, err)
		}
	}
	return nil
}
