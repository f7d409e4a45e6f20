package transport

import (
	"net"
	"testing"
)

func TestFirstIPIsOneThatOthersCanUse(t *testing.T) {
	tests := []struct {
		name  string
		addrs []string
		want  string // "" for none
	}{
		{"nothing", nil, ""},
		{"loopback only", []string{"127.0.0.1/8", "::1/128"}, ""},
		{"link-local only", []string{"169.254.3.4/16", "fe80::1/64"}, ""},
		{"a network without a way out", []string{"127.0.0.1/8", "10.77.0.50/24"}, "10.77.0.50"},
		{"IPv4 before IPv6", []string{"2001:db8::1/64", "192.168.4.2/24"}, "192.168.4.2"},
		{"IPv6 alone", []string{"127.0.0.1/8", "2001:db8::1/64"}, "2001:db8::1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var addrs []net.Addr
			for _, a := range tt.addrs {
				ip, ipnet, err := net.ParseCIDR(a)
				if err != nil {
					t.Fatal(err)
				}
				addrs = append(addrs, &net.IPNet{IP: ip, Mask: ipnet.Mask})
			}
			got, ok := firstIP(addrs)
			if ok != (tt.want != "") || ok && got.String() != tt.want {
				t.Errorf("got %v, %v, want %q", got, ok, tt.want)
			}
		})
	}
}
