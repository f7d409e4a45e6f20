package transport

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"mn/mesh"
	"mn/mesh/identity"
)

// StreamKind says what a stream is for: its first byte.
type StreamKind byte

// The kinds of streams.
const (
	KindGossip  StreamKind = 1 // memberlist's push and pull
	KindAPI     StreamKind = 2 // the API, asked by a peer
	KindMember  StreamKind = 3 // what only members ask of each other
	KindContent StreamKind = 4 // objects of the content stores
)

// Bounds of streams that a peer opens.
const (
	acceptQueue = 64              // streams of a kind that nobody has taken yet
	kindTimeout = 5 * time.Second // to say what kind a stream is
)

// The codes with which streams end early.
const (
	streamUnwanted quic.StreamErrorCode = 1 // nobody listens for this kind, or too many wait
	streamDone     quic.StreamErrorCode = 0
)

// Open opens a stream to a peer.
func (e *Endpoint) Open(ctx context.Context, to mesh.NodeID, kind StreamKind) (net.Conn, error) {
	p, err := e.peer(to)
	if err != nil {
		return nil, err
	}
	conn, err := p.connect(ctx)
	if err != nil {
		return nil, err
	}
	c, err := e.open(ctx, conn, kind)
	if err == nil || conn.Context().Err() == nil {
		return c, err
	}
	// The connection had ended without our noticing. Once more, on a new one.
	if conn, err = p.connect(ctx); err != nil {
		return nil, err
	}
	return e.open(ctx, conn, kind)
}

// openAt opens a stream to whichever member of the mesh is at addr.
func (e *Endpoint) openAt(ctx context.Context, addr string, kind StreamKind) (net.Conn, error) {
	to, err := udpAddr(addr)
	if err != nil {
		return nil, err
	}
	conn := e.connectionAt(to)
	if conn == nil {
		if conn, err = e.dial(ctx, "", addr); err != nil {
			return nil, err
		}
		if _, err := e.adopt(conn, addr); err != nil {
			return nil, err
		}
	}
	return e.open(ctx, conn, kind)
}

func (e *Endpoint) open(ctx context.Context, conn *quic.Conn, kind StreamKind) (net.Conn, error) {
	s, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, fmt.Errorf("open stream: %w", err)
	}
	c := newStreamConn(s, conn)
	if _, err := c.Write([]byte{byte(kind)}); err != nil {
		return nil, fmt.Errorf("open stream: %w", err)
	}
	return c, nil
}

// Listener is where streams of a kind arrive. There is one for each kind; a
// stream of a kind that nobody listens for is refused.
func (e *Endpoint) Listener(kind StreamKind) net.Listener { return e.listenerOf(kind) }

func (e *Endpoint) listenerOf(kind StreamKind) *streamListener {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.listeners[kind]
	if l == nil {
		l = &streamListener{
			e: e, kind: kind, conns: make(chan net.Conn, acceptQueue), done: make(chan struct{}),
		}
		e.listeners[kind] = l
	}
	return l
}

// acceptStreams takes the streams that a peer opens on one connection.
func (e *Endpoint) acceptStreams(conn *quic.Conn, _ mesh.NodeID) {
	for {
		s, err := conn.AcceptStream(e.ctx)
		if err != nil {
			return
		}
		if !e.start(func() { e.route(s, conn) }) {
			return
		}
	}
}

// route gives a stream to the listener of its kind.
func (e *Endpoint) route(s *quic.Stream, conn *quic.Conn) {
	c := newStreamConn(s, conn)
	if err := c.SetReadDeadline(time.Now().Add(kindTimeout)); err != nil {
		c.refuse()
		return
	}
	var kind [1]byte
	if _, err := io.ReadFull(c, kind[:]); err != nil {
		c.refuse()
		return
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		c.refuse()
		return
	}
	e.mu.Lock()
	l := e.listeners[StreamKind(kind[0])]
	e.mu.Unlock()
	if l == nil || !l.offer(c) {
		e.count.streamsRefused.Add(1)
		c.refuse()
	}
}

// streamListener is the streams of one kind.
type streamListener struct {
	e     *Endpoint
	kind  StreamKind
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

var _ net.Listener = (*streamListener)(nil)

func (l *streamListener) offer(c net.Conn) bool {
	select {
	case <-l.done:
		return false
	default:
	}
	select {
	case l.conns <- c:
		return true
	default:
		return false
	}
}

// Accept waits for the next stream.
func (l *streamListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-l.e.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close refuses further streams.
func (l *streamListener) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.e.mu.Lock()
		defer l.e.mu.Unlock()
		if l.e.listeners[l.kind] == l {
			delete(l.e.listeners, l.kind)
		}
	})
	return nil
}

// Addr is where the endpoint listens.
func (l *streamListener) Addr() net.Addr { return l.e.conn.LocalAddr() }

// streamConn is a stream as a connection.
type streamConn struct {
	*quic.Stream
	writing       atomic.Int32 // calls of Write that have not returned
	local, remote net.Addr
	peer          mesh.NodeID
}

var _ net.Conn = (*streamConn)(nil)

func newStreamConn(s *quic.Stream, conn *quic.Conn) *streamConn {
	peer := identity.PeerOf(conn.ConnectionState().TLS)
	return &streamConn{Stream: s, local: conn.LocalAddr(), remote: conn.RemoteAddr(), peer: peer}
}

// PeerOf is the node at the other end of a connection that this package made,
// as its certificate says, and "" for any other connection.
func PeerOf(c net.Conn) mesh.NodeID {
	if s, ok := c.(*streamConn); ok {
		return s.peer
	}
	return ""
}

func (c *streamConn) LocalAddr() net.Addr  { return c.local }
func (c *streamConn) RemoteAddr() net.Addr { return c.remote }

// CloseWrite says that nothing more is written.
func (c *streamConn) CloseWrite() error { return c.Stream.Close() }

// Write implements [net.Conn].
func (c *streamConn) Write(p []byte) (int, error) {
	c.writing.Add(1)
	defer c.writing.Add(-1)
	return c.Stream.Write(p)
}

// Close ends both directions: what was written still arrives. A Write that still waits for
// the other end to take something ends as well, of which the stream's own Close takes no
// notice; and as only a part of it arrives, the other end is told that this was not all.
func (c *streamConn) Close() error {
	c.CancelRead(streamDone)
	_ = c.SetWriteDeadline(time.Unix(1, 0)) // no Write begins to wait from here on
	if c.writing.Load() > 0 {
		c.CancelWrite(streamDone)
	}
	_ = c.Stream.Close() // its only error is that the writing was cancelled
	return nil
}

// refuse ends both directions at once.
func (c *streamConn) refuse() {
	c.CancelRead(streamUnwanted)
	c.CancelWrite(streamUnwanted)
}
