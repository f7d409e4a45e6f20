package container

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/moby/moby/client"
)

// What an engine has of a container's output is a sequence of frames: which stream, how much,
// and then a time and what was said.
const (
	frameHead  = 8
	frameError = 3  // a stream: the engine has something to say
	stampMax   = 64 // bytes of a time
	bufferSize = 64 << 10
)

// output writes what a container says, each frame once, however often the connection to the
// engine is lost.
type output struct {
	streams [3]stream // the first is nobody's
}

// stream is one stream, and how far it was written.
type stream struct {
	to   io.Writer
	last time.Time // of the last frame that was written
	same int       // how many had that time: several may
	skip int       // of frames with that time that come again
	old  bool      // what comes now may have come before
}

func newOutput(stdout, stderr io.Writer) *output {
	return &output{[3]stream{{}, {to: stdout}, {to: stderr}}}
}

// follow writes what comes; all that has not been written yet, and if wait is set, what will.
func (o *output) follow(ctx context.Context, c *client.Client, id string, wait bool) error {
	options := client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Timestamps: true, Follow: wait}
	since := o.streams[1].last
	for i := range o.streams[1:] {
		s := &o.streams[1+i]
		s.begin()
		if s.last.Before(since) {
			since = s.last
		}
	}
	if !since.IsZero() {
		options.Since = strconv.FormatInt(since.Unix(), 10) // some engines know no parts of seconds
	}
	r, err := c.ContainerLogs(ctx, id, options)
	if err != nil {
		return fmt.Errorf("follow its output: %w", err)
	}
	defer r.Close()
	in := bufio.NewReaderSize(r, bufferSize)
	for {
		if err := o.frame(in); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("follow its output: %w", err)
		}
	}
}

// begin is before what may have come before comes again.
func (s *stream) begin() { s.old, s.skip = !s.last.IsZero(), s.same }

// frame takes one frame.
func (o *output) frame(in *bufio.Reader) error {
	var head [frameHead]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return err
	}
	size := int64(binary.BigEndian.Uint32(head[4:]))
	body := io.LimitReader(in, size)
	switch kind := int(head[0]); {
	case kind == frameError:
		text, _ := io.ReadAll(io.LimitReader(body, stampMax))
		return errors.New(string(text))
	case kind == 0 || kind >= len(o.streams):
		return fmt.Errorf("a frame of stream %d", kind)
	default:
		return o.streams[kind].take(in, size)
	}
}

// take writes a frame's text, unless that was written before.
func (s *stream) take(in *bufio.Reader, size int64) error {
	word, err := in.Peek(int(min(size, stampMax)))
	if err != nil {
		return err
	}
	at, length := stamp(word)
	if _, err := in.Discard(length); err != nil {
		return err
	}
	to := s.to
	if s.known(at) {
		to = io.Discard
	}
	_, err = io.CopyN(to, in, size-int64(length))
	return err
}

// known says whether the frame of that time was written before, and takes note of it if not.
func (s *stream) known(at time.Time) bool {
	if s.old {
		switch {
		case at.Before(s.last):
			return true
		case at.Equal(s.last) && s.skip > 0:
			s.skip--
			return true
		}
		s.old = at.Equal(s.last)
	}
	if at.Equal(s.last) {
		s.same++
	} else {
		s.last, s.same = at, 1
	}
	return false
}

// stamp reads the time that a frame begins with; length is how much of it that is.
func stamp(text []byte) (at time.Time, length int) {
	for i, c := range text {
		if c != ' ' {
			continue
		}
		if at, err := time.Parse(time.RFC3339Nano, string(text[:i])); err == nil {
			return at, i + 1
		}
		break
	}
	return time.Time{}, 0
}
