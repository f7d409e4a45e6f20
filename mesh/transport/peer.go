package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"mn/mesh"
	"mn/mesh/identity"
)

// Bounds of what waits for one peer, and of tries to reach it.
const (
	maxQueued    = 4096                   // messages: reservations come by the hundred
	maxQueuedLen = 8 << 20                // bytes
	batchLen     = 64 << 10               // bytes written at once, or one message
	writeTimeout = 5 * time.Second        // for a batch
	minBackoff   = 100 * time.Millisecond // after a try that failed
	maxBackoff   = 2 * time.Second
)

var (
	errClosed  = errors.New("the endpoint is closed")
	errUnknown = errors.New("its address is not known")
	errSelf    = errors.New("it is this node itself")
	errDropped = errors.New("it was lost sight of")
)

// peer is our side of one other node: what waits for it, and the connection
// over which it goes. Its goroutines run only while there is something to do.
type peer struct {
	e  *Endpoint
	id mesh.NodeID

	mu        sync.Mutex
	queue     [][]byte
	queuedLen int
	draining  bool
	dropped   bool          // another peer has taken our place, or will
	conn      *quic.Conn    // the newest one, alive as far as we know
	dialled   string        // the address, if it was us who dialled conn
	up        chan struct{} // closed when conn is replaced
	dialling  *dial
	backoff   time.Duration
	retryAt   time.Time

	// Of the one goroutine that drains.
	out     *quic.SendStream
	outConn *quic.Conn
}

// dial is one try to reach a peer; all who want the peer wait for the same.
type dial struct {
	done chan struct{}
	conn *quic.Conn
	err  error
}

// Send puts a message on its way. It never blocks. The message may be lost: if
// the peer cannot be reached, if too much waits for it already, or with its
// connection. Whoever calls must not change msg afterwards.
func (e *Endpoint) Send(to mesh.NodeID, msg []byte) {
	if len(msg) == 0 || len(msg) > MaxMessage || to == e.self {
		e.count.dropped.Add(1)
		return
	}
	p, err := e.peer(to)
	if err != nil {
		e.count.dropped.Add(1)
		return
	}
	p.enqueue(msg)
}

// peer is our side of a node that may be talked with.
func (e *Endpoint) peer(id mesh.NodeID) (*peer, error) {
	switch {
	case id == e.self:
		return nil, errSelf
	case !e.conf.Admitted(id):
		return nil, fmt.Errorf("reach node %q: %w", id, identity.ErrEvicted)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.peers[id]
	switch {
	case p != nil:
		return p, nil
	case e.closed:
		return nil, errClosed
	case len(e.peers) >= maxPeers:
		return nil, fmt.Errorf("reach node %q: there are %d peers already", id, maxPeers)
	}
	p = &peer{e: e, id: id, up: make(chan struct{})}
	e.peers[id] = p
	return p, nil
}

// Drop forgets the connections to a node and what waits for it. It is for a
// node that gossip has lost, so that the next word to it goes to where it is
// by then, and for one that was evicted.
func (e *Endpoint) Drop(id mesh.NodeID) {
	e.mu.Lock()
	dropped := e.peers[id]
	delete(e.peers, id)
	var gone []*quic.Conn
	for c := range e.live {
		if identity.PeerOf(c.ConnectionState().TLS) == id {
			gone = append(gone, c)
		}
	}
	e.mu.Unlock()
	if dropped != nil {
		dropped.drop()
	}
	for _, c := range gone {
		hangUp(c, codeBye, "lost sight of you")
	}
}

// drop ends the use of a peer: what waits is lost. A dial that is under way goes on, and
// its connection is for whichever peer stands for the node by then.
func (p *peer) drop() {
	p.mu.Lock()
	p.dropped = true
	p.mu.Unlock()
	p.discard()
}

func (p *peer) isDropped() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dropped
}

func (p *peer) enqueue(msg []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	full := len(p.queue) >= maxQueued || p.queuedLen+len(msg) > maxQueuedLen
	// A peer that was just found unreachable is not worth a queue: what waits
	// would be stale when it arrives.
	if full || p.dropped || p.conn == nil && p.dialling == nil && time.Now().Before(p.retryAt) {
		p.e.count.dropped.Add(1)
		return
	}
	p.queue = append(p.queue, msg)
	p.queuedLen += len(msg)
	if !p.draining {
		p.draining = p.e.start(p.drain)
	}
}

// take is the next messages to write, or nil when the drain may end.
func (p *peer) take() [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, size := 0, 0
	for n < len(p.queue) && (n == 0 || size+len(p.queue[n]) <= batchLen) {
		size += len(p.queue[n])
		n++
	}
	if n == 0 {
		p.queue, p.draining = nil, false
		return nil
	}
	batch := p.queue[:n:n]
	p.queue = p.queue[n:]
	p.queuedLen -= size
	return batch
}

// drain writes what waits, until nothing does. It leaves no open stream behind that another
// peer for the same node does not know of: messages are read from one stream after the other.
func (p *peer) drain() {
	defer func() {
		if p.isDropped() && p.out != nil {
			_ = p.out.Close()
		}
	}()
	for batch := p.take(); batch != nil; batch = p.take() {
		if err := p.write(batch); err != nil {
			p.e.count.dropped.Add(int64(len(batch)))
			p.discard()
			p.e.conf.Log.Debug("messages lost", "peer", p.id, "count", len(batch), "why", err)
			continue
		}
		p.e.count.sent.Add(int64(len(batch)))
	}
}

// discard drops what waits for a peer that cannot be reached.
func (p *peer) discard() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.e.count.dropped.Add(int64(len(p.queue)))
	p.queue, p.queuedLen = nil, 0
}

func (p *peer) write(batch [][]byte) error {
	ctx, cancel := context.WithTimeout(p.e.ctx, dialTimeout)
	defer cancel()
	conn, err := p.connect(ctx)
	switch {
	case err != nil:
		return err
	case p.isDropped():
		return fmt.Errorf("reach node %q: %w", p.id, errDropped)
	case p.outConn != conn:
		if p.out != nil {
			_ = p.out.Close() // what is on its way there still arrives
		}
		if p.out, err = conn.OpenUniStreamSync(ctx); err != nil {
			p.outConn = nil
			return fmt.Errorf("open message stream to %q: %w", p.id, err)
		}
		p.outConn = conn
	}
	if err := p.out.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	if _, err := p.out.Write(appendFrames(nil, batch)); err != nil {
		// Part of a frame may be out: the stream is of no use any more.
		hangUp(conn, codeStalled, "messages are not taken")
		return fmt.Errorf("write to %q: %w", p.id, err)
	}
	return nil
}

// connect is a connection to the peer: the one that there is, whoever dialled
// it, else a new one.
func (p *peer) connect(ctx context.Context) (*quic.Conn, error) {
	p.mu.Lock()
	addr, known := p.e.conf.Resolve(p.id)
	if c := p.conn; c != nil {
		moved := known && p.dialled != "" && p.dialled != addr
		if c.Context().Err() == nil && !moved {
			p.mu.Unlock()
			return c, nil
		}
		p.conn = nil
	}
	d := p.dialling
	if d == nil {
		if !known {
			p.delay()
			p.mu.Unlock()
			return nil, fmt.Errorf("reach node %q: %w", p.id, errUnknown)
		}
		d = &dial{done: make(chan struct{})}
		if !p.e.start(func() { p.run(d, addr) }) {
			p.mu.Unlock()
			return nil, errClosed
		}
		p.dialling = d
	}
	up := p.up
	p.mu.Unlock()

	select {
	case <-d.done:
		return d.conn, d.err
	case <-up: // it has called us meanwhile
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.conn == nil {
			return nil, fmt.Errorf("reach node %q: it hung up", p.id)
		}
		return p.conn, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("reach node %q: %w", p.id, ctx.Err())
	}
}

// run performs a dial and tells all who wait for it.
func (p *peer) run(d *dial, addr string) {
	d.conn, d.err = p.e.dial(p.e.ctx, p.id, addr)
	if d.err == nil {
		_, d.err = p.e.adopt(d.conn, addr)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dialling = nil
	if d.err != nil {
		p.delay()
		p.e.conf.Log.Debug("peer not reached", "peer", p.id, "addr", addr, "why", d.err)
	}
	close(d.done)
}

// delay puts the next try off, longer each time. p.mu is held.
func (p *peer) delay() {
	p.backoff = min(max(2*p.backoff, minBackoff), maxBackoff)
	p.retryAt = time.Now().Add(p.backoff)
}

// dial makes a connection to a node, or to whichever is at addr if id is "".
func (e *Endpoint) dial(ctx context.Context, id mesh.NodeID, addr string) (*quic.Conn, error) {
	to, err := udpAddr(addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	e.count.dials.Add(1)
	trust := e.conf.Identity.ClientTLS(protoPeer, id, e.conf.Admitted)
	conn, err := e.quic.Dial(ctx, to, trust, quicConfig())
	if err != nil {
		e.count.dialsFailed.Add(1)
		err = reason(err)
		var refusal *refusalError
		if errors.As(err, &refusal) || errors.Is(err, identity.ErrWrongMesh) {
			e.guard.note(to, "peer not trusted", err)
		}
		return nil, fmt.Errorf("dial %q: %w", addr, err)
	}
	return conn, nil
}

// adopt takes a new connection into use; addr is set if we dialled it. The
// newest is the best: a peer that dials although there was one has lost it.
func (e *Endpoint) adopt(conn *quic.Conn, addr string) (mesh.NodeID, error) {
	id := identity.PeerOf(conn.ConnectionState().TLS)
	p, err := e.peer(id)
	if err != nil {
		hangUp(conn, codeRefused, err.Error())
		return "", err
	}
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		hangUp(conn, codeBye, "the agent stops")
		return "", errClosed
	}
	e.live[conn] = struct{}{}
	e.wg.Go(func() { e.acceptStreams(conn, id) })
	e.wg.Go(func() {
		e.acceptMessages(conn, id)
		p.lost(conn)
	})
	e.mu.Unlock()

	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn, p.dialled = conn, addr
	p.backoff, p.retryAt = 0, time.Time{}
	close(p.up)
	p.up = make(chan struct{})
	return id, nil
}

// lost forgets a connection that has ended.
func (p *peer) lost(conn *quic.Conn) {
	<-conn.Context().Done()
	p.e.mu.Lock()
	delete(p.e.live, conn)
	p.e.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn == conn {
		p.conn = nil
	}
}

// connectionAt is a live connection to whoever is at addr.
func (e *Endpoint) connectionAt(addr *net.UDPAddr) *quic.Conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	for c := range e.live {
		if c.RemoteAddr().String() == addr.String() && c.Context().Err() == nil {
			return c
		}
	}
	return nil
}
