package content

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// On a stream, a request is the number of objects, in one byte, and their hashes. The
// answer is, for each in its order, its length in four bytes and its bytes; a length of 0
// stands for one that is not there. A stream carries one request.

// askMax is how many objects a request may name.
const askMax = 64

// Dial opens a stream to somebody who answers with [Store.Answer].
type Dial func(ctx context.Context) (io.ReadWriteCloser, error)

// Fetch asks over a new stream: a Dial is a [Source].
func (dial Dial) Fetch(ctx context.Context, want []Hash, got func(object []byte) error) error {
	for len(want) > 0 {
		n := min(len(want), askMax)
		if err := dial.fetch(ctx, want[:n], got); err != nil {
			return err
		}
		want = want[n:]
	}
	return nil
}

func (dial Dial) fetch(ctx context.Context, want []Hash, got func(object []byte) error) (err error) {
	stream, err := dial(ctx)
	if err != nil {
		return fmt.Errorf("ask for objects: %w", err)
	}
	defer func() { err = errors.Join(err, stream.Close()) }()
	ended := context.AfterFunc(ctx, func() { stream.Close() })
	defer ended()
	request := []byte{byte(len(want))}
	for _, h := range want {
		request = append(request, h[:]...)
	}
	if _, err := stream.Write(request); err != nil {
		return fmt.Errorf("ask for objects: %w", err)
	}
	r := bufio.NewReader(stream)
	for range want {
		object, err := readObject(r)
		if err != nil {
			return fmt.Errorf("read object from peer: %w", err)
		}
		if object == nil {
			continue
		}
		if err := got(object); err != nil {
			return err
		}
	}
	return nil
}

func readObject(r io.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n == 0 {
		return nil, nil
	}
	if n > TreeBytes {
		return nil, fmt.Errorf("%d bytes, more than %d", n, TreeBytes)
	}
	// A peer that only says that it sends much does not get the room for it at once.
	object, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err == nil && len(object) < int(n) {
		err = io.ErrUnexpectedEOF
	}
	return object, err
}

// Answer serves one request from a stream.
func (s *Store) Answer(stream io.ReadWriter) error {
	var n [1]byte
	if _, err := io.ReadFull(stream, n[:]); err != nil {
		return fmt.Errorf("read request for objects: %w", err)
	}
	if n[0] == askName {
		return s.answerName(stream)
	}
	if n[0] > askMax {
		return fmt.Errorf("read request for objects: %d, more than %d", n[0], askMax)
	}
	hashes := make([]byte, int(n[0])*len(Hash{}))
	if _, err := io.ReadFull(stream, hashes); err != nil {
		return fmt.Errorf("read request for objects: %w", err)
	}
	asked := Entry{Pieces: hashes}
	for h := range asked.pieces {
		object, err := s.Get(h)
		if err != nil && !errors.Is(err, ErrMissing) {
			return err
		}
		length := binary.BigEndian.AppendUint32(nil, uint32(len(object)))
		if _, err := stream.Write(append(length, object...)); err != nil {
			return fmt.Errorf("send object: %w", err)
		}
	}
	return nil
}
