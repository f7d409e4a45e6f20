package membership

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
)

// DiscoveryPort is where beacons are sent to, unless configured otherwise.
const DiscoveryPort = 7701

const maxInterfaces = 16 // that beacons are sent on

// lan is the broadcast domains of the interfaces that an address belongs to.
// Every node binds the broadcast addresses themselves, so that any number of
// nodes on one machine hear each other, and so that nothing but broadcasts of
// the network is heard.
type lan struct {
	sockets []*net.UDPConn
	packets chan []byte
	done    chan struct{}
	once    sync.Once
	wg      sync.WaitGroup
}

var _ Discovery = (*lan)(nil)

// ListenLAN opens discovery on the network of the address that the node listens
// on: on all networks if that is unspecified. IPv6 has no broadcast: it is an
// error there, as where no interface can broadcast.
func ListenLAN(bind netip.Addr, port uint16) (Discovery, error) {
	targets, err := broadcastAddrs(bind)
	if err != nil {
		return nil, err
	}
	l := &lan{packets: make(chan []byte, 16), done: make(chan struct{})}
	for _, t := range targets {
		s, err := listenShared(netip.AddrPortFrom(t, port))
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
		l.sockets = append(l.sockets, s)
	}
	for _, s := range l.sockets {
		l.wg.Go(func() { l.read(s) })
	}
	return l, nil
}

// listenShared binds a socket that others may bind too.
func listenShared(addr netip.AddrPort) (*net.UDPConn, error) {
	var optErr error
	conf := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		err := c.Control(func(fd uintptr) {
			optErr = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
		})
		return errors.Join(err, optErr)
	}}
	c, err := conf.ListenPacket(context.Background(), "udp4", addr.String())
	if err != nil {
		return nil, fmt.Errorf("listen for beacons on %q: %w", addr, err)
	}
	return c.(*net.UDPConn), nil
}

// broadcastAddrs is where to broadcast so that the neighbours of bind hear it.
func broadcastAddrs(bind netip.Addr) ([]netip.Addr, error) {
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list addresses of this machine: %w", err)
	}
	var targets []netip.Addr
	for _, a := range interfaces {
		ipnet, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		t, ok := broadcastOf(ipnet)
		ours := bind.IsUnspecified() || ipnet.Contains(bind.Unmap().AsSlice())
		if ok && ours && len(targets) < maxInterfaces {
			targets = append(targets, t)
		}
	}
	if len(targets) == 0 {
		return nil, fmt.Errorf("find the broadcast address of %q: no IPv4 network of this machine has it",
			bind)
	}
	return targets, nil
}

// broadcastOf is the last address of an IPv4 network that has one.
func broadcastOf(n *net.IPNet) (netip.Addr, bool) {
	ip, mask := n.IP.To4(), n.Mask
	if ip == nil || len(mask) != net.IPv4len {
		return netip.Addr{}, false
	}
	if ones, bits := mask.Size(); bits-ones < 2 {
		return netip.Addr{}, false // a link of two ends
	}
	var b [4]byte
	for i := range b {
		b[i] = ip[i] | ^mask[i]
	}
	return netip.AddrFrom4(b), true
}

func (l *lan) read(s *net.UDPConn) {
	buf := make([]byte, maxBeacon+1)
	for {
		n, _, err := s.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // of one packet
		}
		select {
		case l.packets <- append([]byte(nil), buf[:n]...):
		case <-l.done:
			return
		}
	}
}

// Send says something on every network.
func (l *lan) Send(packet []byte) error {
	var errs []error
	for _, s := range l.sockets {
		to := s.LocalAddr().(*net.UDPAddr)
		if _, err := s.WriteToUDP(packet, to); err != nil {
			errs = append(errs, fmt.Errorf("broadcast to %q: %w", to, err))
		}
	}
	return errors.Join(errs...)
}

// Receive waits for what someone says on any of the networks.
func (l *lan) Receive(buf []byte) (int, error) {
	select {
	case p := <-l.packets:
		return copy(buf, p), nil
	case <-l.done:
		return 0, net.ErrClosed
	}
}

// Close leaves the networks.
func (l *lan) Close() error {
	var errs []error
	l.once.Do(func() {
		close(l.done)
		for _, s := range l.sockets {
			errs = append(errs, s.Close())
		}
		l.wg.Wait()
	})
	return errors.Join(errs...)
}
