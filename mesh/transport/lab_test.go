package transport

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"

	"mn/mesh"
	"mn/mesh/identity"
)

// lab is a mesh of endpoints, in a bubble over a simulated network or on
// loopback.
type lab struct {
	t       testing.TB
	founder *identity.Identity
	net     *simnet.Simnet // nil: loopback
	router  *router
	log     logBuffer

	mu      sync.Mutex
	addrs   map[mesh.NodeID]string
	evicted map[mesh.NodeID]bool
}

// router drops what comes from or goes to a cut address.
type router struct {
	simnet.PerfectRouter
	mu  sync.Mutex
	cut map[string]bool
}

func (r *router) SendPacket(p simnet.Packet) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cut[p.From.String()] || r.cut[p.To.String()] {
		return nil
	}
	_ = r.PerfectRouter.SendPacket(p) // to nobody: lost, as on any network
	return nil
}

func (r *router) set(addr string, cut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut[addr] = cut
}

func newLab(t testing.TB, simulated bool) *lab {
	t.Helper()
	founder, err := identity.Found(t.TempDir(), mesh.Worker, time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, founder: founder, addrs: map[mesh.NodeID]string{}, evicted: map[mesh.NodeID]bool{}}
	if simulated {
		l.router = &router{cut: map[string]bool{}}
		l.net = &simnet.Simnet{Router: l.router}
	}
	return l
}

// member makes the identity of another node of the mesh.
func (l *lab) member() *identity.Identity {
	l.t.Helper()
	dir := l.t.TempDir()
	key, err := identity.EnsureKey(dir)
	if err != nil {
		l.t.Fatal(err)
	}
	ca, err := l.founder.Authority()
	if err != nil {
		l.t.Fatal(err)
	}
	cert, err := ca.Sign(key.Public(), mesh.Worker, time.Now())
	if err != nil {
		l.t.Fatal(err)
	}
	id, err := identity.Admit(dir, key,
		identity.Admission{Certificate: cert, CA: ca.Certificate(), Keyring: l.founder.Keyring()}, time.Now(), nil)
	if err != nil {
		l.t.Fatal(err)
	}
	return id
}

func (l *lab) conf(id *identity.Identity) Config {
	return Config{
		Addr:     netip.MustParseAddrPort("127.0.0.1:0"),
		Identity: id,
		Log:      slog.New(slog.NewTextHandler(&l.log, nil)),
		Admitted: func(n mesh.NodeID) bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return !l.evicted[n]
		},
		Resolve: func(n mesh.NodeID) (string, bool) {
			l.mu.Lock()
			defer l.mu.Unlock()
			a, ok := l.addrs[n]
			return a, ok
		},
	}
}

// listen starts an endpoint; in a bubble it is at 10.0.0.<host>:7000.
func (l *lab) listen(id *identity.Identity, host byte, change func(*Config)) *Endpoint {
	l.t.Helper()
	conf := l.conf(id)
	if l.net != nil {
		conf.Conn = l.plug(host)
	}
	if change != nil {
		change(&conf)
	}
	e, err := Listen(conf)
	if err != nil {
		l.t.Fatal(err)
	}
	l.mu.Lock()
	l.addrs[id.ID()] = e.Addr().String()
	l.mu.Unlock()
	return e
}

// plug connects a socket to the simulated network, 5 ms from any other.
func (l *lab) plug(host byte) net.PacketConn {
	addr := &net.UDPAddr{IP: net.IP{10, 0, 0, host}, Port: 7000}
	link := &simnet.SimulatedLink{Latency: 5 * time.Millisecond, UploadPacket: l.router}
	c := simnet.NewBlockingSimConn(addr, link)
	l.router.AddNode(addr, link)
	link.Start()
	return &plugged{c, link}
}

// plugged is a socket that takes its link along when it closes.
type plugged struct {
	*simnet.SimConn
	link *simnet.SimulatedLink
}

func (p *plugged) Close() error { return errors.Join(p.SimConn.Close(), p.link.Close()) }

// bubble runs a test in virtual time and gives what is left the time to end.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(t)
		time.Sleep(time.Minute)
	})
}

func closeAll(t testing.TB, ends ...*Endpoint) {
	t.Helper()
	for _, e := range ends {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}

// logBuffer keeps what was logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), s)
}

// next is the next message, or fails the test after a while.
func next(t testing.TB, e *Endpoint) Message {
	t.Helper()
	select {
	case m := <-e.Received():
		return m
	case <-time.After(10 * time.Second):
		t.Fatal("no message came")
		return Message{}
	}
}
