// Package transport carries everything between nodes over one UDP socket:
// messages and streams over QUIC, each connection authenticated on both sides
// by the mesh's CA, and gossip's packets beside it. DESIGN.md says why.
//
// It promises that what comes from a node was said by that node. It does not
// promise delivery: a message may be lost with its connection, never delayed
// into another order. It does not decide who belongs to the mesh: the CA and
// [Config.Admitted] do.
//
// An [Endpoint] owns its goroutines: [Endpoint.Close] returns when all have
// ended. There are two for each connection, and one for each peer that has
// messages waiting; an idle connection is let go and dialled again when there
// is something to say.
package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"mn/mesh"
	"mn/mesh/identity"
)

// The protocols on the socket, as TLS names them.
const (
	protoPeer = "mn/1"
	protoJoin = "mn-join/1"
)

// Bounds of an endpoint.
const (
	maxPeers          = 4096             // nodes that we talk with
	maxHandshakes     = 256              // half-open connections
	retryHandshakes   = 32               // half-open connections before addresses must be proved
	maxStreams        = 1024             // streams that a peer may have open to us
	maxMessageStreams = 4                // a peer needs one
	streamWindow      = 1 << 20          // bytes in flight on a stream
	connWindow        = 4 << 20          // bytes in flight on a connection
	startWindow       = 128 << 10        // of both, before they grow with use
	handshakeTimeout  = 3 * time.Second  // without a word from the other end
	dialTimeout       = 5 * time.Second  // in all
	idleTimeout       = 30 * time.Second // then a connection is let go
	receiveQueue      = 256              // messages that nobody has taken yet

	// QUIC answers a packet of a forgotten connection only if the packet has
	// more than 42 bytes: with ids this long, any packet with a message has.
	connIDLen = 18
)

// Config says what an endpoint needs to know.
type Config struct {
	Addr      netip.AddrPort // to listen on
	Advertise netip.AddrPort // that peers are told; found out if it is zero
	Conn      net.PacketConn // instead of Addr; the endpoint closes it

	Identity *identity.Identity
	Admitted identity.AdmitFunc                          // false for a node that was evicted
	Resolve  func(mesh.NodeID) (addr string, known bool) // where a peer is now
	Join     JoinHandler                                 // lets nodes in; nil: no door
	Log      *slog.Logger
}

func (c *Config) validate() error {
	switch {
	case c.Identity == nil:
		return errors.New("check transport: an identity is needed")
	case c.Admitted == nil || c.Resolve == nil || c.Log == nil:
		return errors.New("check transport: Admitted, Resolve and Log are needed")
	case c.Conn == nil && !c.Addr.IsValid():
		return errors.New("check transport: an address to listen on is needed")
	}
	return nil
}

// Message is what a peer has sent.
type Message struct {
	From mesh.NodeID // as its certificate says
	Body []byte
}

// Endpoint is a node's end of all its connections.
type Endpoint struct {
	conf      Config
	self      mesh.NodeID
	conn      net.PacketConn
	advertise netip.AddrPort
	quic      *quic.Transport
	listener  *quic.Listener
	received  chan Message
	gossip    *gossip
	door      *door
	guard     *guard
	count     counters

	ctx  context.Context // of everything that the endpoint runs
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	peers     map[mesh.NodeID]*peer
	live      map[*quic.Conn]struct{}
	listeners map[StreamKind]*streamListener
}

// Listen opens the socket and serves it.
func Listen(conf Config) (*Endpoint, error) {
	if err := conf.validate(); err != nil {
		return nil, err
	}
	conn := conf.Conn
	if conn == nil {
		var err error
		if conn, err = openSocket(conf.Addr); err != nil {
			return nil, err
		}
	}
	e := &Endpoint{
		conf:      conf,
		self:      conf.Identity.ID(),
		conn:      conn,
		advertise: advertised(conf.Advertise, conn.LocalAddr()),
		received:  make(chan Message, receiveQueue),
		guard:     newGuard(conf.Log),
		peers:     map[mesh.NodeID]*peer{},
		live:      map[*quic.Conn]struct{}{},
		listeners: map[StreamKind]*streamListener{},
	}
	e.ctx, e.stop = context.WithCancel(context.Background())
	reset := quic.StatelessResetKey(conf.Identity.Key().ResetKey())
	e.quic = &quic.Transport{
		Conn: conn,
		// The same after a restart, so that peers learn at once, from our
		// answer to their next packet, that we have forgotten them.
		StatelessResetKey:   &reset,
		ConnectionIDLength:  connIDLen,
		ConnContext:         e.admitHandshake,
		VerifySourceAddress: e.wantProofOfAddress,
	}
	e.gossip = newGossip(e)
	e.door = newDoor(e)
	listener, err := e.quic.Listen(e.serverTLS(), quicConfig())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %q: %w", conn.LocalAddr(), err), conn.Close())
	}
	e.listener = listener
	e.gossip.begin()
	e.wg.Go(e.accept)
	e.wg.Go(e.gossip.receive)
	return e, nil
}

// openSocket binds a UDP socket, and keeps quic-go from writing to the
// standard logger about the size of its buffer.
func openSocket(addr netip.AddrPort) (net.PacketConn, error) {
	if err := os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true"); err != nil {
		return nil, fmt.Errorf("silence the warning about receive buffers: %w", err)
	}
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", addr, err)
	}
	return conn, nil
}

func quicConfig() *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout:           handshakeTimeout,
		MaxIdleTimeout:                 idleTimeout,
		InitialStreamReceiveWindow:     startWindow,
		MaxStreamReceiveWindow:         streamWindow,
		InitialConnectionReceiveWindow: startWindow,
		MaxConnectionReceiveWindow:     connWindow,
		MaxIncomingStreams:             maxStreams,
		MaxIncomingUniStreams:          maxMessageStreams,
	}
}

// advertised is the address that peers shall use: as given, else where we
// listen, with a concrete IP.
func advertised(given netip.AddrPort, local net.Addr) netip.AddrPort {
	if given.IsValid() {
		return given
	}
	addr, err := addrPort(local)
	if err != nil || !addr.Addr().IsUnspecified() {
		return addr
	}
	return netip.AddrPortFrom(HostIP(), addr.Port())
}

// addrPort is a UDP address in the one form that we compare and print.
func addrPort(a net.Addr) (netip.AddrPort, error) {
	udp, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("address %q is not one of UDP", a)
	}
	ap := udp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
}

// udpAddr reads an address of the form ip:port. Names are resolved by whoever
// has them: an endpoint never asks the DNS.
func udpAddr(s string) (*net.UDPAddr, error) {
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		return nil, fmt.Errorf("read address %q: want ip:port", s)
	}
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())), nil
}

// Self is the node whose end this is.
func (e *Endpoint) Self() mesh.NodeID { return e.self }

// Addr is the address that peers shall use.
func (e *Endpoint) Addr() netip.AddrPort { return e.advertise }

// Received is the messages of all peers, each peer's in order. Whoever takes
// them slowly slows the senders down; nothing is dropped here.
func (e *Endpoint) Received() <-chan Message { return e.received }

// Close says goodbye to all peers and ends everything.
func (e *Endpoint) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	live := make([]*quic.Conn, 0, len(e.live))
	for c := range e.live {
		live = append(live, c)
	}
	e.mu.Unlock()
	e.stop()
	for _, c := range live {
		hangUp(c, codeBye, "the agent stops")
	}
	err := errors.Join(e.listener.Close(), e.quic.Close(), e.conn.Close())
	e.wg.Wait()
	if err != nil {
		return fmt.Errorf("close endpoint: %w", err)
	}
	return nil
}

// start runs f unless the endpoint is closing, and says whether it does.
func (e *Endpoint) start(f func()) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	e.wg.Go(f)
	return true
}
