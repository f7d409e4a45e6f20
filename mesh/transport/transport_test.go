package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"

	"mn/mesh/identity"
)

func TestMessagesArriveInOrderWithTheirSender(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t, true)
		a, b := l.listen(l.founder, 1, nil), l.listen(l.member(), 2, nil)
		defer closeAll(t, a, b)
		const n = 500
		for i := range n {
			a.Send(b.Self(), fmt.Appendf(nil, "%d", i))
		}
		for i := range n {
			m := next(t, b)
			if m.From != a.Self() || string(m.Body) != fmt.Sprint(i) {
				t.Fatalf("message %d: got %q from %q", i, m.Body, m.From)
			}
		}
		b.Send(a.Self(), []byte("answer"))
		if m := next(t, a); m.From != b.Self() || string(m.Body) != "answer" {
			t.Errorf("got %q from %q", m.Body, m.From)
		}
		if s := b.Stats(); s.Dials != 0 || s.Connections != 1 {
			t.Errorf("the answer went over another connection: %+v", s)
		}
	})
}

func TestALargeMessageArrivesAndATooLargeOneIsCounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t, true)
		a, b := l.listen(l.founder, 1, nil), l.listen(l.member(), 2, nil)
		defer closeAll(t, a, b)
		body := bytes.Repeat([]byte("x"), MaxMessage)
		a.Send(b.Self(), append(body, 'y'))
		a.Send(b.Self(), nil)
		a.Send(a.Self(), []byte("to myself"))
		a.Send(b.Self(), body)
		if m := next(t, b); !bytes.Equal(m.Body, body) {
			t.Errorf("got %d bytes, want %d", len(m.Body), len(body))
		}
		if s := a.Stats(); s.Dropped != 3 || s.Sent != 1 {
			t.Errorf("got %+v, want 3 dropped, 1 sent", s)
		}
	})
}

func TestWhatWaitsForAnUnreachablePeerIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t, true)
		a := l.listen(l.founder, 1, nil)
		defer closeAll(t, a)
		gone := l.member().ID()
		l.addrs[gone] = "10.0.0.9:7000"
		start := time.Now()
		for range 3 * maxQueued {
			a.Send(gone, []byte("hello"))
		}
		if time.Since(start) != 0 {
			t.Error("Send has blocked")
		}
		time.Sleep(2 * dialTimeout)
		if s := a.Stats(); s.Dropped != 3*maxQueued || s.Dials != 1 {
			t.Errorf("got %+v, want all dropped after one dial", s)
		}
		big := bytes.Repeat([]byte("x"), MaxMessage)
		for range 2 * maxQueuedLen / MaxMessage {
			a.Send(gone, big)
		}
		p := a.peers[gone]
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.queuedLen > maxQueuedLen {
			t.Errorf("%d bytes wait, more than %d", p.queuedLen, maxQueuedLen)
		}
	})
}

// TestAPeerThatRestartsIsReachedAtOnce: its answer to the next packet says
// that it has forgotten us; nobody waits for a timeout.
func TestAPeerThatRestartsIsReachedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t, true)
		a := l.listen(l.founder, 1, nil)
		defer closeAll(t, a)
		idB := l.member()
		b := l.listen(idB, 2, nil)
		a.Send(b.Self(), []byte("one"))
		next(t, b)

		l.router.set("10.0.0.2:7000", true) // so that nothing of its goodbye is heard
		closeAll(t, b)
		time.Sleep(time.Second)
		l.router.set("10.0.0.2:7000", false)
		b = l.listen(idB, 2, nil)
		defer closeAll(t, b)
		start := time.Now()
		for i := 0; ; i++ {
			a.Send(b.Self(), []byte("two"))
			select {
			case m := <-b.Received():
				if string(m.Body) != "two" {
					t.Errorf("got %q", m.Body)
				}
				if took := time.Since(start); took > 300*time.Millisecond {
					t.Errorf("took %v", took)
				}
				return
			case <-time.After(50 * time.Millisecond):
				if i > 100 {
					t.Fatal("never reached")
				}
			}
		}
	})
}

func TestADroppedPeerIsReachedWhereItIsNow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t, true)
		a := l.listen(l.founder, 1, nil)
		defer closeAll(t, a)
		idB := l.member()
		b := l.listen(idB, 2, nil)
		a.Send(b.Self(), []byte("one"))
		next(t, b)
		l.router.set("10.0.0.2:7000", true)
		closeAll(t, b)

		b = l.listen(idB, 3, nil)
		defer closeAll(t, b)
		a.Drop(b.Self())
		a.Send(b.Self(), []byte("two"))
		if m := next(t, b); string(m.Body) != "two" {
			t.Errorf("got %q", m.Body)
		}
	})
}

// TestAPeerThatIsDroppedWhileItIsCalledTakesWhatComesAfter: the call goes on, and its
// connection is used by who stands for the peer next. What was sent before is lost, or comes
// first; no stream of it is left open, behind which all later words would wait unread.
func TestAPeerThatIsDroppedWhileItIsCalledTakesWhatComesAfter(t *testing.T) {
	for _, known := range []bool{false, true} { // who stands for it next is there before the call is done
		bubble(t, func(t *testing.T) {
			l := newLab(t, true)
			a, b := l.listen(l.founder, 1, nil), l.listen(l.member(), 2, nil)
			defer closeAll(t, a, b)
			a.Send(b.Self(), []byte("before"))
			synctest.Wait()
			a.Drop(b.Self())
			if _, err := a.peer(b.Self()); known && err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			a.Send(b.Self(), []byte("after"))
			for string(next(t, b).Body) != "after" {
			}
			if s := a.Stats(); s.Connections != 1 || s.Dials != 1 {
				t.Errorf("got %+v, want what was dialled to be used", s)
			}
		})
	}
}

func TestTwoThatCallEachOtherAtOnceBothGetThrough(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t, true)
		a, b := l.listen(l.founder, 1, nil), l.listen(l.member(), 2, nil)
		defer closeAll(t, a, b)
		for i := range 20 {
			a.Send(b.Self(), []byte{byte(i + 1)})
			b.Send(a.Self(), []byte{byte(i + 1)})
		}
		for i := range 20 {
			if m := next(t, a); m.Body[0] != byte(i+1) {
				t.Fatalf("a got %d, want %d", m.Body[0], i+1)
			}
			if m := next(t, b); m.Body[0] != byte(i+1) {
				t.Fatalf("b got %d, want %d", m.Body[0], i+1)
			}
		}
		if s := a.Stats(); s.Connections > 2 {
			t.Errorf("%d connections", s.Connections)
		}
	})
}

func TestAnIdleConnectionSaysNothingAndIsLetGo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t, true)
		a, b := l.listen(l.founder, 1, nil), l.listen(l.member(), 2, nil)
		defer closeAll(t, a, b)
		a.Send(b.Self(), []byte("one"))
		next(t, b)
		time.Sleep(time.Second)
		sent := connectionOf(t, a).ConnectionStats().PacketsSent
		time.Sleep(idleTimeout / 2)
		if now := connectionOf(t, a).ConnectionStats().PacketsSent; now != sent {
			t.Errorf("%d packets on an idle connection", now-sent)
		}
		time.Sleep(idleTimeout)
		if s := a.Stats(); s.Connections != 0 {
			t.Errorf("%d connections after the idle time", s.Connections)
		}
		a.Send(b.Self(), []byte("two"))
		if m := next(t, b); string(m.Body) != "two" {
			t.Errorf("got %q", m.Body)
		}
	})
}

func connectionOf(t *testing.T, e *Endpoint) *quic.Conn {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	for c := range e.live {
		return c
	}
	t.Fatal("there is no connection")
	return nil
}

func TestAnEvictedPeerIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t, true)
		a, b := l.listen(l.founder, 1, nil), l.listen(l.member(), 2, nil)
		defer closeAll(t, a, b)
		l.mu.Lock()
		l.evicted[b.Self()] = true
		l.mu.Unlock()
		// b does not know yet, and calls.
		for range 20 {
			b.Send(a.Self(), []byte("let me in"))
			time.Sleep(time.Second)
		}
		if s := a.Stats(); s.Received != 0 || s.Refused == 0 || s.Connections != 0 {
			t.Errorf("got %+v", s)
		}
		if n := l.log.count("evicted"); n != 1 {
			t.Errorf("%d lines say so, want 1", n)
		}
		if _, err := a.Open(t.Context(), b.Self(), KindAPI); !errors.Is(err, identity.ErrEvicted) {
			t.Errorf("Open: got %v", err)
		}
	})
}

func TestStreamsReachTheListenerOfTheirKind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t, true)
		a, b := l.listen(l.founder, 1, nil), l.listen(l.member(), 2, nil)
		defer closeAll(t, a, b)
		api := b.Listener(KindAPI)
		c, err := a.Open(t.Context(), b.Self(), KindAPI)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s, err := api.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if PeerOf(s) != a.Self() || PeerOf(c) != b.Self() {
			t.Errorf("peers are %q and %q", PeerOf(s), PeerOf(c))
		}
		if _, err := c.Write([]byte("question")); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 8)
		if _, err := io.ReadFull(s, buf); err != nil || string(buf) != "question" {
			t.Errorf("got %q, %v", buf, err)
		}
		if err := api.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := api.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after Close: %v", err)
		}
		// Nobody listens now: the next is refused, at once.
		c2, err := a.Open(t.Context(), b.Self(), KindAPI)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c2.Read(buf); err == nil {
			t.Error("read from a stream that nobody took")
		}
		if b.Stats().StreamsRefused != 1 {
			t.Errorf("got %+v", b.Stats())
		}
	})
}

func TestCloseEndsAWriteThatNobodyTakes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t, true)
		a, b := l.listen(l.founder, 1, nil), l.listen(l.member(), 2, nil)
		defer closeAll(t, a, b)
		api := b.Listener(KindAPI)
		c, err := a.Open(t.Context(), b.Self(), KindAPI)
		if err != nil {
			t.Fatal(err)
		}
		s, err := api.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		written := make(chan error, 1)
		go func() { _, err := c.Write(make([]byte, 64<<20)); written <- err }()
		time.Sleep(time.Second)
		began := time.Now()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := <-written; err == nil || time.Since(began) > time.Second {
			t.Errorf("the write: got %v after %v, want it ended at once", err, time.Since(began))
		}
		if _, err := io.Copy(io.Discard, s); err == nil {
			t.Error("the other end takes a part for all")
		}
		if _, err := c.Write([]byte("more")); err == nil {
			t.Error("wrote to what is closed")
		}
		if err := c.Close(); err != nil { // twice does no harm
			t.Error(err)
		}
	})
}

func TestOpenGivesUpWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t, true)
		a := l.listen(l.founder, 1, nil)
		defer closeAll(t, a)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		gone := l.member().ID()
		l.addrs[gone] = "10.0.0.9:7000"
		start := time.Now()
		if _, err := a.Open(ctx, gone, KindAPI); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %v", took)
		}
		if _, err := a.Open(t.Context(), "nobody", KindAPI); !errors.Is(err, errUnknown) {
			t.Errorf("got %v, want that the address is not known", err)
		}
	})
}

func TestAfterCloseNothingIsLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t, true)
		a, b := l.listen(l.founder, 1, nil), l.listen(l.member(), 2, nil)
		a.Send(b.Self(), []byte("one"))
		next(t, b)
		closeAll(t, a)
		if _, err := a.Open(t.Context(), b.Self(), KindAPI); err == nil {
			t.Error("opened a stream on a closed endpoint")
		}
		a.Send(b.Self(), []byte("two"))
		time.Sleep(time.Second)
		synctest.Wait()
		if s := b.Stats(); s.Connections != 0 {
			t.Errorf("the other end still has %d connections", s.Connections)
		}
		closeAll(t, a, b) // twice does no harm
	})
}

func TestListenRefusesWhatCannotWork(t *testing.T) {
	l := newLab(t, false)
	good := l.conf(l.founder)
	for name, change := range map[string]func(*Config){
		"no identity": func(c *Config) { c.Identity = nil },
		"no log":      func(c *Config) { c.Log = nil },
		"no address":  func(c *Config) { c.Addr = netip.AddrPort{} },
		"foreign IP":  func(c *Config) { c.Addr = netip.MustParseAddrPort("203.0.113.7:0") },
	} {
		conf := good
		change(&conf)
		if e, err := Listen(conf); err == nil {
			t.Errorf("%s: it listens", name)
			closeAll(t, e)
		}
	}
}
