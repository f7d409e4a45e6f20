// Package frames is for sending pieces of several kinds over one stream of bytes: what a
// command that has joined a task says and hears, and the files of a copy. What the kinds
// mean is between the two ends; who stands between them only passes pieces on.
//
// A frame is a byte for its kind, four for the length of its payload, the highest first,
// and the payload. Supervisors use the package, so it imports as little as they do: see
// package runner/supervise/early.
package frames

import (
	"errors"
	"io"
)

// Kind says what a frame is.
type Kind byte

// The kinds of frames from a terminal to a command in a task. Of those with input there are
// at most [InputsMax] on their way: each is answered with Taken.
const (
	Input  Kind = 'i' // bytes for stdin
	Closed Kind = 'c' // stdin has come to its end; without a payload
	Size   Kind = 's' // of the terminal: rows and columns, two bytes each, the higher first
)

// The kinds of frames from a command in a task to a terminal.
const (
	Hello  Kind = 'h' // it is asked for what to run; without a payload
	Start  Kind = 'b' // what to run; from the node's agent only
	Taken  Kind = 't' // a frame with input is with the command; without a payload
	Stdout Kind = 'o'
	Stderr Kind = 'e'
	Exit   Kind = 'x' // the last: the exit code, in digits
	Failed Kind = 'f' // the last: why there is no exit code, in words
)

// The kinds of frames of files.
const (
	Entry Kind = 'n' // a file, folder or link, as JSON
	Bytes Kind = 'd' // of the file before; a file ends with the next entry
	End   Kind = 'z' // the last: all is there. What was left out, as JSON
	Fault Kind = 'g' // the last: why something is missing, as JSON
)

// Bounds of frames.
const (
	PayloadMax = 32 << 10
	InputsMax  = 16 // frames with input that were not taken yet
	headerSize = 5
)

// ErrTooLong is the error of a frame that is longer than there are any.
var ErrTooLong = errors.New("read frame: longer than 32 KiB")

// Append adds a frame to b. A payload that is too long is a mistake of the caller.
func Append(b []byte, kind Kind, payload []byte) []byte {
	n := len(payload)
	if n > PayloadMax {
		panic("a frame has at most 32 KiB")
	}
	return append(append(b, byte(kind), byte(n>>24), byte(n>>16), byte(n>>8), byte(n)), payload...)
}

// Write writes a frame, at once.
func Write(w io.Writer, kind Kind, payload []byte) error {
	_, err := w.Write(Append(make([]byte, 0, headerSize+len(payload)), kind, payload))
	return err
}

// Reader reads frames, and nothing behind them.
type Reader struct {
	from io.Reader
	buf  []byte
}

// NewReader makes a reader of frames.
func NewReader(from io.Reader) *Reader { return &Reader{from: from} }

// Next reads a frame. Its payload is good until the next call. The error is [io.EOF] only
// between two frames.
func (r *Reader) Next() (Kind, []byte, error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(r.from, head[:]); err != nil {
		return 0, nil, err
	}
	n := uint32(head[1])<<24 | uint32(head[2])<<16 | uint32(head[3])<<8 | uint32(head[4])
	if n > PayloadMax {
		return 0, nil, ErrTooLong
	}
	if int(n) > cap(r.buf) {
		r.buf = make([]byte, n)
	}
	r.buf = r.buf[:n]
	if _, err := io.ReadFull(r.from, r.buf); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	return Kind(head[0]), r.buf, nil
}
