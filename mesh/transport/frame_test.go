package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestFramesReadBack(t *testing.T) {
	msgs := [][]byte{[]byte("a"), bytes.Repeat([]byte("b"), 70000), bytes.Repeat([]byte("c"), MaxMessage)}
	r := bytes.NewReader(appendFrames([]byte(nil), msgs))
	for i, want := range msgs {
		got, err := readFrame(r)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("frame %d: got %d bytes, %v, want %d", i, len(got), err, len(want))
		}
	}
	if _, err := readFrame(r); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

func TestABadFrameIsRefusedBeforeItIsRead(t *testing.T) {
	for _, n := range []uint32{0, MaxMessage + 1, 1 << 31} {
		head := binary.BigEndian.AppendUint32(nil, n)
		if _, err := readFrame(bytes.NewReader(head)); !errors.Is(err, errFrameSize) {
			t.Errorf("length %d: got %v", n, err)
		}
	}
	cut := appendFrames(nil, [][]byte{[]byte("hello")})
	for n := 1; n < len(cut); n++ {
		if _, err := readFrame(bytes.NewReader(cut[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut after %d bytes: got %v", n, err)
		}
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add(appendFrames(nil, [][]byte{[]byte("hello"), []byte("world")}))
	f.Add([]byte{0, 0x10, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		for {
			before := len(b) - r.Len()
			m, err := readFrame(r)
			if err != nil {
				return
			}
			// Whatever reads writes the same bytes again.
			if got := appendFrames(nil, [][]byte{m}); !bytes.Equal(got, b[before:len(b)-r.Len()]) {
				t.Fatalf("%x reads as %x", b, m)
			}
		}
	})
}

func TestTheGuardSaysAThingOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		g := newGuard(slog.New(slog.NewTextHandler(&log, nil)))
		from := func(ip byte, port int) net.Addr { return &net.UDPAddr{IP: net.IP{10, 0, 0, ip}, Port: port} }
		for port := range 1000 {
			g.note(from(1, port), "refused", errNotMN)
		}
		g.note(from(2, 1), "refused", errNotMN)
		g.note(from(1, 1), "refused", errBusy)
		if n := log.count("level=WARN"); n != 3 {
			t.Errorf("%d lines, want one for each source and reason", n)
		}
		time.Sleep(quietPerNote)
		g.note(from(1, 1), "refused", errNotMN)
		if log.count("repeated=999") != 1 {
			t.Errorf("the next line does not say how often: %s", log.b.String())
		}
		for i := range 10 * maxSources {
			g.note(&net.UnixAddr{Name: strings.Repeat("x", i)}, "refused", errNotMN)
		}
		if len(g.sources) > maxSources {
			t.Errorf("%d sources are remembered", len(g.sources))
		}
		lines := log.count("level=WARN")
		for i := range 1000 {
			g.note(from(byte(i), 1), "refused", fmt.Errorf("what %s say", strings.Repeat("I", i)))
		}
		if more := log.count("level=WARN") - lines; more > maxLines {
			t.Errorf("%d lines about a thousand strangers with a thousand reasons", more)
		}
		one := newGuard(slog.New(slog.DiscardHandler))
		for i := range 1000 {
			one.note(from(1, 1), "refused", errors.New(strings.Repeat("x", i)))
		}
		if n := len(one.sources["10.0.0.1"]); n > maxReasons+1 {
			t.Errorf("%d reasons of one source are remembered", n)
		}
	})
}
