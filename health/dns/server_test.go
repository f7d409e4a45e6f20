package dns

import (
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func listen(t testing.TB, at string, table *Table) *Server {
	t.Helper()
	s, err := Listen(netip.MustParseAddrPort(at), table, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// exchange asks a server.
func exchange(t testing.TB, network, at, name string, kind uint16) *dns.Msg {
	t.Helper()
	q := new(dns.Msg)
	q.SetQuestion(name, kind)
	m, _, err := (&dns.Client{Net: network, Timeout: 10 * time.Second}).ExchangeContext(t.Context(), q, at)
	if err != nil {
		t.Fatalf("%s %s: %v", network, name, err)
	}
	return m
}

func TestTheServerAnswersOverBothProtocols(t *testing.T) {
	s := listen(t, "127.0.0.1:0", testTable())
	for _, network := range []string{"udp", "tcp"} {
		m := exchange(t, network, s.Addr().String(), "web.service.mn.", dns.TypeA)
		if got, want := text(m), "NOERROR\nweb.service.mn. 2 IN A 10.0.0.1\nweb.service.mn. 2 IN A 10.0.0.2"; got != want {
			t.Errorf("%s: got %s", network, got)
		}
	}
	s.Set(crowd(60))
	if m := exchange(t, "udp", s.Addr().String(), "web.service.mn.", dns.TypeSRV); !m.Truncated {
		t.Errorf("it is not cut off: %s", text(m))
	}
	if m := exchange(t, "tcp", s.Addr().String(), "web.service.mn.", dns.TypeSRV); len(m.Answer) != 60 || m.Truncated {
		t.Errorf("%d answers over TCP, want 60", len(m.Answer))
	}
}

// TestItAnswersFromWhereItWasAsked: on a machine with several addresses, whoever asks one of them takes
// no answer from another.
func TestItAnswersFromWhereItWasAsked(t *testing.T) {
	for _, at := range []string{"0.0.0.0:0", "[::]:0"} {
		s := listen(t, at, testTable())
		for _, ip := range []string{"127.0.0.1", "127.9.8.7"} {
			addr := netip.AddrPortFrom(netip.MustParseAddr(ip), s.Addr().Port()).String()
			if m := exchange(t, "udp", addr, "idb.node.mn.", dns.TypeA); len(m.Answer) != 1 {
				t.Errorf("%s asked at %s: got %s", at, addr, text(m))
			}
		}
	}
}

func TestAPortThatIsTakenIsAnError(t *testing.T) {
	s := listen(t, "127.0.0.1:0", testTable())
	if other, err := Listen(s.Addr(), nil, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("two servers have one address")
		_ = other.Close()
	}
	// UDP alone is taken, too.
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	at := c.LocalAddr().(*net.UDPAddr).AddrPort()
	if other, err := Listen(at, nil, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("it listens where somebody else does")
		_ = other.Close()
	}
	if l, err := net.Listen("tcp", at.String()); err != nil {
		t.Errorf("the other protocol's port is not given back: %v", err)
	} else {
		_ = l.Close()
	}
}

// TestManyQuestionsOnOneConnection: also when they come in pieces, or many at once; no more than some.
func TestManyQuestionsOnOneConnection(t *testing.T) {
	s := listen(t, "127.0.0.1:0", testTable())
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	packet := question(t, "web.service.mn.", dns.TypeA)
	framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
	for i := range framed {
		if _, err := c.Write(framed[i : i+1]); err != nil {
			t.Fatal(err)
		}
	}
	const atOnce = 10
	if _, err := c.Write(slices.Repeat(framed, atOnce)); err != nil {
		t.Fatal(err)
	}
	conn, answered := &dns.Conn{Conn: c}, 0
	for {
		m, err := conn.ReadMsg()
		if err != nil {
			break
		}
		if len(m.Answer) != 2 {
			t.Fatalf("got %s", text(m))
		}
		if answered++; answered > atOnce {
			if _, err := c.Write(framed); err != nil {
				break // it has ended
			}
		}
	}
	if answered != askedMax {
		t.Errorf("%d questions were answered, want %d", answered, askedMax)
	}
}

func TestRubbishEndsAConnectionAndNothingElse(t *testing.T) {
	s := listen(t, "127.0.0.1:0", testTable())
	for _, rubbish := range []string{"GET / HTTP/1.1\r\n\r\n", "\x00\x00", "\x00\x03abc", "\xff\xff"} {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, rubbish); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(c); len(b) != 0 || errors.Is(err, net.ErrClosed) {
			t.Errorf("%q: got %q, %v", rubbish, b, err)
		}
		_ = c.Close()
	}
	u, err := net.Dial("udp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	for _, rubbish := range []string{"x", "hello, I am no question at all", string(make([]byte, 2*queryMax))} {
		if _, err := io.WriteString(u, rubbish); err != nil {
			t.Fatal(err)
		}
	}
	if m := exchange(t, "udp", s.Addr().String(), "web.service.mn.", dns.TypeA); len(m.Answer) != 2 {
		t.Errorf("got %s", text(m))
	}
}

// TestConnectionsThatSayNothing: as many as there may be, and one more, which is served when they are gone.
func TestConnectionsThatSayNothing(t *testing.T) {
	s := listen(t, "127.0.0.1:0", testTable())
	var idle []net.Conn
	for range streamsMax {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
	}
	if m := exchange(t, "tcp", s.Addr().String(), "web.service.mn.", dns.TypeA); len(m.Answer) != 2 {
		t.Errorf("got %s", text(m))
	}
	for _, c := range idle {
		b := make([]byte, 1)
		if _, err := c.Read(b); !errors.Is(err, io.EOF) {
			t.Errorf("a connection that says nothing: %v", err)
		}
		_ = c.Close()
	}
	if m := exchange(t, "udp", s.Addr().String(), "web.service.mn.", dns.TypeA); len(m.Answer) != 2 {
		t.Errorf("got %s", text(m))
	}
}

func TestCloseEndsConnections(t *testing.T) {
	s, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), testTable(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still there")
	}
	again := listen(t, s.Addr().String(), testTable())
	if again.Addr() != s.Addr() {
		t.Errorf("got %v, want %v", again.Addr(), s.Addr())
	}
}

// BenchmarkServer is questions per second by one client after the other, over a socket.
func BenchmarkServer(b *testing.B) {
	s := listen(b, "127.0.0.1:0", crowd(20))
	packet := question(b, "web.service.mn.", dns.TypeA)
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("udp", s.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		buf := make([]byte, datagramMax)
		for pb.Next() {
			if _, err := c.Write(packet); err != nil {
				b.Error(err)
				return
			}
			if _, err := c.Read(buf); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "questions/s")
}
