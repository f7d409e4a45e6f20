package transport

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/hashicorp/memberlist"

	"mn/mesh"
)

// gossipMark is the first byte of a gossip packet. A packet of QUIC has bit
// 0x40 set there; what memberlist writes itself may have, so we put this first.
const gossipMark = 0

const (
	gossipQueue  = 256  // packets that memberlist has not taken yet
	maxGossipLen = 1452 // what the socket's reader keeps of a packet
)

// gossip is memberlist's transport: packets as they are, encrypted by
// memberlist under the mesh's keyring, streams over QUIC.
type gossip struct {
	e       *Endpoint
	ctx     context.Context // of the dials: memberlist waits for them when it shuts down
	stop    context.CancelFunc
	packets chan *memberlist.Packet
	streams *streamListener
}

var _ memberlist.NodeAwareTransport = (*gossip)(nil)

func newGossip(e *Endpoint) *gossip {
	ctx, stop := context.WithCancel(e.ctx)
	return &gossip{
		e:       e,
		ctx:     ctx,
		stop:    stop,
		packets: make(chan *memberlist.Packet, gossipQueue),
		streams: e.listenerOf(KindGossip),
	}
}

// Gossip is the transport for memberlist, on the same socket. Memberlist must
// encrypt: packets have no other protection. Its names of nodes must be their
// ids: streams go to the node of that id and to no other.
func (e *Endpoint) Gossip() memberlist.NodeAwareTransport { return e.gossip }

// begin makes QUIC keep gossip packets for us: until the first read it drops
// them, and the goroutine that reads may begin late.
func (g *gossip) begin() {
	ctx, cancel := context.WithCancel(g.e.ctx)
	cancel()
	_, _, _ = g.e.quic.ReadNonQUICPacket(ctx, nil) // ends at once
}

// receive passes gossip packets on, until the endpoint closes.
func (g *gossip) receive() {
	buf := make([]byte, maxGossipLen)
	for {
		n, from, err := g.e.quic.ReadNonQUICPacket(g.e.ctx, buf)
		if err != nil {
			return
		}
		if n < 2 || buf[0] != gossipMark {
			g.e.count.garbage.Add(1)
			g.e.guard.note(from, "packets dropped", errNotMN)
			continue
		}
		p := &memberlist.Packet{Buf: append([]byte(nil), buf[1:n]...), From: from, Timestamp: time.Now()}
		select {
		case g.packets <- p:
			g.e.count.gossipIn.Add(1)
		default:
			g.e.count.gossipDropped.Add(1)
		}
	}
}

// FinalAdvertiseAddr is the endpoint's address, whatever memberlist is told.
func (g *gossip) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return g.e.advertise.Addr().AsSlice(), int(g.e.advertise.Port()), nil
}

// WriteTo sends a packet.
func (g *gossip) WriteTo(b []byte, addr string) (time.Time, error) {
	to, err := udpAddr(addr)
	if err != nil {
		return time.Time{}, err
	}
	packet := append(make([]byte, 0, 1+len(b)), gossipMark)
	if _, err := g.e.quic.WriteTo(append(packet, b...), to); err != nil {
		return time.Time{}, fmt.Errorf("send gossip to %q: %w", addr, err)
	}
	g.e.count.gossipOut.Add(1)
	g.e.count.gossipOutLen.Add(int64(len(b)) + 1)
	return time.Now(), nil
}

// WriteToAddress sends a packet. Packets are not tied to a node's identity.
func (g *gossip) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return g.WriteTo(b, a.Addr)
}

// PacketCh is the packets that have come.
func (g *gossip) PacketCh() <-chan *memberlist.Packet { return g.packets }

// StreamCh is the streams that have come.
func (g *gossip) StreamCh() <-chan net.Conn { return g.streams.conns }

// DialTimeout opens a stream to whichever member of the mesh is at addr.
func (g *gossip) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return g.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout opens a stream to the node that is meant, at that address
// if it is not connected, and to no other.
func (g *gossip) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(g.ctx, timeout)
	defer cancel()
	return g.e.openGossip(ctx, mesh.NodeID(a.Name), a.Addr)
}

// openGossip opens a gossip stream to a node at an address: gossip often knows
// better than anyone where a node is now.
func (e *Endpoint) openGossip(ctx context.Context, id mesh.NodeID, addr string) (net.Conn, error) {
	to, err := udpAddr(addr)
	if err != nil {
		return nil, err
	}
	if to.String() == e.advertise.String() {
		return nil, errSelf
	}
	c, err := e.openAt(ctx, addr, KindGossip)
	if err != nil {
		return nil, err
	}
	if got := PeerOf(c); id != "" && got != id {
		_ = c.Close()
		return nil, fmt.Errorf("open stream to node %s at %q: %q is there", id, addr, got)
	}
	return c, nil
}

// Shutdown breaks off gossip's dials. The endpoint lives on without gossip.
func (g *gossip) Shutdown() error {
	g.stop()
	return nil
}
