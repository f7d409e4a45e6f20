package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// Bounds of a server.
const (
	readersMax  = 4   // goroutines that answer packets, each one at a time
	streamsMax  = 128 // connections of TCP; more wait until one ends
	askedMax    = 128 // questions on one connection
	streamMax   = 30 * time.Second
	firstMax    = 2 * time.Second // until the first question on a connection
	idleMax     = 8 * time.Second // until the next
	writeMax    = 2 * time.Second
	listenTries = 8 // to have the same free port for both protocols
	errorPause  = 100 * time.Millisecond
)

// Server answers questions on one port of UDP and TCP. It owns its goroutines, for which
// [Server.Close] waits.
type Server struct {
	table   atomic.Pointer[Table]
	packets *net.UDPConn
	streams *net.TCPListener
	slots   chan struct{} // of connections
	log     *slog.Logger

	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup
}

// Listen begins to answer at an address, from a table. With port 0 it takes one that is free.
func Listen(at netip.AddrPort, t *Table, log *slog.Logger) (*Server, error) {
	s := &Server{slots: make(chan struct{}, streamsMax), log: log}
	s.table.Store(t)
	var err error
	for range listenTries {
		if err = s.open(at); err == nil || at.Port() != 0 || !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("listen for DNS on %q: %w", at, err)
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	for range min(readersMax, runtime.GOMAXPROCS(0)) {
		s.wg.Go(s.answerPackets)
	}
	s.wg.Go(s.accept)
	return s, nil
}

// open takes the port for both protocols.
func (s *Server) open(at netip.AddrPort) error {
	streams, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	if err != nil {
		return err
	}
	at = netip.AddrPortFrom(at.Addr(), streams.Addr().(*net.TCPAddr).AddrPort().Port())
	packets, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return errors.Join(err, streams.Close())
	}
	if at.Addr().IsUnspecified() {
		if err := askDestination(packets); err != nil {
			return errors.Join(err, packets.Close(), streams.Close())
		}
	}
	s.packets, s.streams = packets, streams
	return nil
}

// askDestination has the kernel say to which address a packet came: the answer comes from there, where
// the machine has several.
func askDestination(c *net.UDPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var err4, err6 error
	err = raw.Control(func(fd uintptr) {
		err4 = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		err6 = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
	})
	if err == nil && err4 != nil && err6 != nil { // a socket may have one of the families only
		err = err4
	}
	return err
}

// Addr is where the server listens.
func (s *Server) Addr() netip.AddrPort {
	at := s.packets.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// Set has all further answers come from another table.
func (s *Server) Set(t *Table) { s.table.Store(t) }

// Close ends all, also what is being answered.
func (s *Server) Close() error {
	s.stop()
	err := errors.Join(s.packets.Close(), s.streams.Close())
	s.wg.Wait()
	return err
}

// answerPackets answers one packet after the other, from the socket that it came to.
func (s *Server) answerPackets() {
	r := newRand()
	buf := make([]byte, queryMax+1) // a longer one is seen to be
	for {
		n, from, err := dns.ReadFromSessionUDP(s.packets, buf)
		if err != nil {
			if !s.goOn("read a question", err) {
				return
			}
			continue
		}
		out := Reply(s.table.Load(), buf[:n], UDP, r)
		if out == nil {
			continue
		}
		if _, err := dns.WriteToSessionUDP(s.packets, out, from); err != nil {
			s.log.Debug("a question is left without an answer", "from", from.RemoteAddr(), "err", err)
		}
	}
}

// goOn says whether to go on after an error, some time later.
func (s *Server) goOn(what string, err error) bool {
	if s.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
		return false
	}
	s.log.Debug("DNS: "+what, "err", err)
	pause := time.NewTimer(errorPause)
	defer pause.Stop()
	select {
	case <-pause.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// accept serves connections, so many at a time.
func (s *Server) accept() {
	for {
		select {
		case s.slots <- struct{}{}:
		case <-s.ctx.Done():
			return
		}
		c, err := s.streams.Accept()
		if err != nil {
			<-s.slots
			if !s.goOn("accept a connection", err) {
				return
			}
			continue
		}
		s.wg.Go(func() {
			defer func() { <-s.slots }()
			s.converse(c)
		})
	}
}

// converse answers the questions on a connection.
func (s *Server) converse(c net.Conn) {
	ends := context.AfterFunc(s.ctx, func() { _ = c.Close() })
	defer func() { ends(); _ = c.Close() }()
	r := newRand()
	end := time.Now().Add(streamMax)
	patience := firstMax
	for range askedMax {
		by := time.Now().Add(patience)
		if by.After(end) {
			by = end
		}
		if c.SetReadDeadline(by) != nil {
			return
		}
		packet, err := readPacket(c)
		if err != nil {
			return
		}
		out := Reply(s.table.Load(), packet, TCP, r)
		if out == nil {
			return
		}
		if c.SetWriteDeadline(time.Now().Add(writeMax)) != nil {
			return
		}
		framed := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(out)), uint16(len(out)))
		if _, err := c.Write(append(framed, out...)); err != nil {
			return
		}
		patience = idleMax
	}
}

// readPacket reads a packet from a connection, which has its length before it.
func readPacket(c io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint16(size[:])
	if n > queryMax {
		return nil, fmt.Errorf("read a question: %d bytes are more than %d", n, queryMax)
	}
	packet := make([]byte, n)
	_, err := io.ReadFull(c, packet)
	return packet, err
}

func newRand() *rand.Rand { return rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) }
