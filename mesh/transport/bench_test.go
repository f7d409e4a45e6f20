package transport

import (
	"bytes"
	"io"
	"testing"
	"time"
)

// pair is two endpoints on loopback that know each other.
func pair(b *testing.B) (*Endpoint, *Endpoint) {
	b.Helper()
	l := newLab(b, false)
	x, y := l.listen(l.founder, 0, nil), l.listen(l.member(), 0, nil)
	b.Cleanup(func() { closeAll(b, x, y) })
	return x, y
}

// BenchmarkSend is a message there and one back.
func BenchmarkSend(b *testing.B) {
	x, y := pair(b)
	msg := bytes.Repeat([]byte("m"), 200)
	go func() {
		for m := range y.Received() {
			y.Send(m.From, m.Body)
		}
	}()
	x.Send(y.Self(), msg)
	next(b, x)
	b.ReportAllocs()
	for b.Loop() {
		x.Send(y.Self(), msg)
		<-x.Received()
	}
}

// BenchmarkHandshake is a new connection with certificates on both sides.
func BenchmarkHandshake(b *testing.B) {
	x, y := pair(b)
	for b.Loop() {
		c, err := x.dial(b.Context(), y.Self(), y.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		hangUp(c, codeBye, "")
	}
}

// BenchmarkOpen is a new stream on a connection that there is.
func BenchmarkOpen(b *testing.B) {
	x, y := pair(b)
	l := y.Listener(KindAPI)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte{1})
			_ = c.Close()
		}
	}()
	for b.Loop() {
		c, err := x.Open(b.Context(), y.Self(), KindAPI)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			b.Fatal(err)
		}
		_ = c.Close()
	}
}

// BenchmarkThroughput is large messages one way.
func BenchmarkThroughput(b *testing.B) {
	x, y := pair(b)
	msg := bytes.Repeat([]byte("m"), 256<<10)
	b.SetBytes(int64(len(msg)))
	for b.Loop() {
		x.Send(y.Self(), msg)
		select {
		case <-y.Received():
		case <-time.After(5 * time.Second):
			b.Fatal("lost")
		}
	}
}
