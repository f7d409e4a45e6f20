package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/quic-go/quic-go"

	"mn/mesh"
)

// MaxMessage is the size of the largest message, in bytes.
const MaxMessage = 1 << 20

// frameHead is the size of a frame's head: the length of what follows.
const frameHead = 4

var errFrameSize = errors.New("read frame: its length is out of bounds")

// appendFrames appends the messages to b, each behind its length.
func appendFrames(b []byte, msgs [][]byte) []byte {
	size := 0
	for _, m := range msgs {
		size += frameHead + len(m)
	}
	if cap(b)-len(b) < size {
		b = append(make([]byte, 0, len(b)+size), b...)
	}
	for _, m := range msgs {
		b = binary.BigEndian.AppendUint32(b, uint32(len(m)))
		b = append(b, m...)
	}
	return b
}

// readFrame reads one message: [io.EOF] at the end of the stream.
func readFrame(r io.Reader) ([]byte, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > MaxMessage {
		return nil, fmt.Errorf("%w: %d", errFrameSize, n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, fmt.Errorf("read frame: %w", cut(err))
	}
	return body, nil
}

// cut is the end of a stream where more was announced.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// acceptMessages reads a peer's messages from one connection, one stream
// after the other, until the connection ends.
func (e *Endpoint) acceptMessages(conn *quic.Conn, from mesh.NodeID) {
	for {
		s, err := conn.AcceptUniStream(e.ctx)
		if err != nil {
			return
		}
		if err := e.readMessages(e.ctx, s, from); errors.Is(err, errFrameSize) {
			e.guard.note(conn.RemoteAddr(), "connection ended", err)
			hangUp(conn, codeRefused, err.Error())
			return
		}
	}
}

func (e *Endpoint) readMessages(ctx context.Context, r io.Reader, from mesh.NodeID) error {
	for {
		body, err := readFrame(r)
		if err != nil {
			return err
		}
		select {
		case e.received <- Message{From: from, Body: body}:
			e.count.received.Add(1)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
