package transport

import (
	"net"
	"net/netip"
)

// HostIP is the address under which other machines reach this one: that of the
// interface which leads out, else of the first interface that is up and has one.
// A machine without a network has only its loopback address.
func HostIP() netip.Addr {
	if ip, ok := routedIP(); ok {
		return ip
	}
	if ip, ok := firstIP(upAddrs()); ok {
		return ip
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// routedIP is the address from which packets leave for elsewhere. Connecting a
// UDP socket asks the routing table and sends nothing.
func routedIP() (netip.Addr, bool) {
	c, err := net.Dial("udp4", "192.0.2.1:9") // TEST-NET-1: routed as any other
	if err != nil {
		return netip.Addr{}, false // a network of its own, without a way out
	}
	defer c.Close() //nolint:errcheck // nothing was sent
	addr, err := addrPort(c.LocalAddr())
	return addr.Addr(), err == nil && !addr.Addr().IsLoopback()
}

// upAddrs are the addresses of the interfaces that are up, in their order.
func upAddrs() []net.Addr {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var all []net.Addr
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		if addrs, err := i.Addrs(); err == nil {
			all = append(all, addrs...)
		}
	}
	return all
}

// firstIP is the first address that other machines can use, IPv4 before IPv6.
func firstIP(addrs []net.Addr) (netip.Addr, bool) {
	var second netip.Addr
	for _, a := range addrs {
		ipnet, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, ok := netip.AddrFromSlice(ipnet.IP)
		ip = ip.Unmap()
		switch {
		case !ok || !ip.IsGlobalUnicast():
		case ip.Is4():
			return ip, true
		case !second.IsValid():
			second = ip
		}
	}
	return second, second.IsValid()
}
