package transport

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"

	"mn/mesh/identity"
)

// TestGossipRunsOnTheSameSocket: memberlist itself, packets and streams, beside
// messages.
func TestGossipRunsOnTheSameSocket(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t, true)
		var ends []*Endpoint
		var lists []*memberlist.Memberlist
		for i, id := range []*identity.Identity{l.founder, l.member(), l.member()} {
			e := l.listen(id, byte(i+1), nil)
			ends = append(ends, e)
			lists = append(lists, gossiping(t, e))
			if _, err := lists[i].Join([]string{ends[0].Addr().String()}); i > 0 && err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Second)
		ends[2].Send(ends[0].Self(), []byte("beside it"))
		if m := next(t, ends[0]); string(m.Body) != "beside it" {
			t.Errorf("got %q", m.Body)
		}
		for i, m := range lists {
			if n := m.NumMembers(); n != 3 {
				t.Errorf("node %d sees %d members", i, n)
			}
		}
		l.router.set("10.0.0.3:7000", true)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		for _, m := range lists[:2] {
			if n := m.NumMembers(); n != 2 {
				t.Errorf("after a crash: %d members", n)
			}
		}
		for _, m := range lists {
			if err := m.Shutdown(); err != nil {
				t.Error(err)
			}
		}
		closeAll(t, ends...)
	})
}

func gossiping(t *testing.T, e *Endpoint) *memberlist.Memberlist {
	t.Helper()
	c := memberlist.DefaultLANConfig()
	c.Name = string(e.Self())
	c.Transport = e.Gossip()
	c.SecretKey = bytes.Repeat([]byte("k"), 32)
	c.LogOutput = io.Discard
	m, err := memberlist.Create(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestGossipStreamsGoToTheNodeThatIsMeant(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t, true)
		a, b := l.listen(l.founder, 1, nil), l.listen(l.member(), 2, nil)
		defer closeAll(t, a, b)
		g := a.Gossip()
		to := memberlist.Address{Addr: b.Addr().String(), Name: string(b.Self())}
		c, err := g.DialAddressTimeout(to, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if s := <-b.Gossip().StreamCh(); PeerOf(s) != a.Self() {
			t.Errorf("the stream comes from %q", PeerOf(s))
		}
		for name, bad := range map[string]memberlist.Address{
			"another node": {Addr: b.Addr().String(), Name: "somebody"},
			"ourselves":    {Addr: a.Addr().String()},
			"nobody":       {Addr: "10.0.0.99:7000"},
			"a name":       {Addr: "host.example:7000"},
		} {
			if c, err := g.DialAddressTimeout(bad, time.Second); err == nil {
				t.Errorf("%s: got a stream", name)
				_ = c.Close()
			}
		}
		if _, err := g.WriteTo([]byte("x"), "host.example:7000"); err == nil {
			t.Error("sent a packet to a name")
		}
	})
}

// TestPacketsFitTheSocket: what memberlist may write at most arrives whole.
func TestPacketsFitTheSocket(t *testing.T) {
	l := newLab(t, false)
	a, b := l.listen(l.founder, 0, nil), l.listen(l.member(), 0, nil)
	defer closeAll(t, a, b)
	for _, n := range []int{1, 2, 1200, 1400} {
		want := bytes.Repeat([]byte{0xf4}, n) // as a label begins: the bit of QUIC is set
		if _, err := a.Gossip().WriteTo(want, b.Addr().String()); err != nil {
			t.Fatal(err)
		}
		select {
		case p := <-b.Gossip().PacketCh():
			if !bytes.Equal(p.Buf, want) || p.From.String() != a.Addr().String() {
				t.Errorf("%d bytes: got %d from %v", n, len(p.Buf), p.From)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("%d bytes have not arrived", n)
		}
	}
}

func TestTheAddressThatPeersUse(t *testing.T) {
	l := newLab(t, false)
	open := l.conf(l.founder)
	open.Addr = mustAddr("0.0.0.0:0")
	e, err := Listen(open)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(t, e)
	if a := e.Addr(); a.Addr().IsUnspecified() || a.Port() == 0 {
		t.Errorf("listening everywhere, peers are told %v", a)
	}
	ip, port, err := e.Gossip().FinalAdvertiseAddr("", 0)
	if err != nil || fmt.Sprintf("%v:%d", ip, port) != e.Addr().String() {
		t.Errorf("memberlist is told %v:%d, %v; peers %v", ip, port, err, e.Addr())
	}
	given := advertised(mustAddr("192.0.2.7:99"), &net.UDPAddr{})
	if given != mustAddr("192.0.2.7:99") {
		t.Errorf("what is given is not used: %v", given)
	}
	if _, err := udpAddr("localhost:1"); err == nil || !strings.Contains(err.Error(), "want ip:port") {
		t.Errorf("a name: got %v", err)
	}
	if !slices.Equal([]byte(mustUDP(t, "[::ffff:10.0.0.1]:1").IP), []byte{10, 0, 0, 1}) {
		t.Error("an IPv4 address in IPv6 clothes is another address")
	}
}

func mustAddr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func mustUDP(t *testing.T, s string) *net.UDPAddr {
	t.Helper()
	a, err := udpAddr(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
