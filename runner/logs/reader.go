package logs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"time"
)

// Bounds of reading.
const (
	// LineMax bounds a line: a longer one comes in pieces.
	LineMax  = 64 << 10
	turnMax  = 1 << 20 // bytes of one stream before it is the other's turn
	blockMax = 64 << 10
)

// Line is one line of a stream, without its newline.
type Line struct {
	Stream string
	Text   string
	At     time.Time // when it was begun, to a second, if that was asked for and is known
	Next   Place     // where the stream goes on behind it
}

// Query says which lines to read.
type Query struct {
	Tail   int             // the last lines of both streams together; -1 for all that is kept
	Since  time.Time       // only what was written then or later, as far as that is known
	Times  bool            // tell when each line was written
	Follow bool            // go on with what is written
	Done   <-chan struct{} // with Follow: closed when nothing more will be written; may be nil
	// From is where streams go on that were read before, whatever Tail and Since say of others.
	From map[string]Place
	// Begins is told, if it is not nil, where each stream begins, before any line of it.
	Begins func(stream string, at Place) error
}

// Read sends the lines of the log in dir until the end; if it follows, until
// Done is closed and all is sent, ctx is done, or send fails. Within a stream the order is that
// of writing. Of what is there the lines of both come by when they were begun, as far as that is
// known, to a second; of what comes they take turns. A folder that does not exist yet is an
// empty log.
func Read(ctx context.Context, dir string, q Query, send func(Line) error) error {
	var watch *watcher
	if q.Follow {
		// Before the first read: what is written after it must wake us.
		watch = watchDir(dir)
		defer watch.Close()
	}
	var cursors []*cursor
	for _, stream := range []string{Stdout, Stderr} {
		c := &cursor{dir: dir, stream: stream, send: send, timed: true, untold: !q.Times}
		defer c.Close()
		if err := c.begin(&q); err != nil {
			return err
		}
		cursors = append(cursors, c)
	}
	if err := readOld(ctx, cursors, &q, send); err != nil {
		return err
	}
	done := q.Done
	for {
		more, err := advance(cursors)
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return &fault{"read log " + strconv.Quote(dir), ctx.Err()}
		case more:
			continue
		case !q.Follow:
			return flush(cursors)
		}
		select {
		case <-ctx.Done():
		case <-watch.Changed():
		case <-done:
			q.Follow = false // one more pass for what came before Done was closed
		}
	}
}

// advance gives each stream a turn; more says that one is not at its end.
func advance(cursors []*cursor) (more bool, err error) {
	for _, c := range cursors {
		m, err := c.advance()
		if err != nil {
			return false, err
		}
		more = more || m
	}
	return more, nil
}

// flush sends the last lines that have no newline.
func flush(cursors []*cursor) error {
	for _, c := range cursors {
		if len(c.part) == 0 {
			continue
		}
		if err := c.emit(0); err != nil {
			return err
		}
	}
	return nil
}

// cursor is a place in a stream.
type cursor struct {
	dir    string
	stream string
	send   func(Line) error
	file   *os.File // nil before the first file exists
	number int
	at     int64     // in the file: the next byte to be read
	rest   bool      // the cursor is within a line that is not wanted: what is left of it
	part   []byte    // a line as far as it has been read; at most LineMax
	timed  bool      // times are wanted
	untold bool      // though not told
	times  *times    // of the file, if they are wanted
	began  time.Time // when part was begun
	block  []byte
}

// Close closes the file that the cursor is in.
func (c *cursor) Close() {
	if c.file != nil {
		c.file.Close()
		c.times.close()
		c.file, c.times = nil, nil
	}
}

// advance sends what follows, up to turnMax bytes. more is false at the end.
func (c *cursor) advance() (more bool, err error) {
	if c.block == nil {
		c.block = make([]byte, blockMax)
	}
	for total := 0; total < turnMax; {
		n, err := c.read()
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if err := c.lines(c.block[:n]); err != nil {
			return false, err
		}
		total += n
	}
	return true, nil
}

// read reads into the block, stepping from file to file.
func (c *cursor) read() (int, error) {
	if c.file == nil {
		return 0, c.step()
	}
	n, err := c.file.Read(c.block)
	c.at += int64(n)
	if n > 0 {
		return n, nil
	}
	if !errors.Is(err, io.EOF) {
		return 0, &fault{"read log", err}
	}
	if !c.hasNext() {
		return 0, io.EOF
	}
	// The writer left this file before it made the next one, but it may have
	// written to it since our read: look again before going on.
	n, err = c.file.Read(c.block)
	c.at += int64(n)
	if n > 0 {
		return n, nil
	}
	if !errors.Is(err, io.EOF) {
		return 0, &fault{"read log", err}
	}
	return 0, c.step()
}

// hasNext says whether the stream has a later file than the current one.
func (c *cursor) hasNext() bool {
	found, err := fileNumbers(c.dir, c.stream)
	return err == nil && len(found) > 0 && found[len(found)-1] > c.number
}

// step opens the first file, or the one after the current one. Files that are
// gone by rotation before they were read are told of, not passed over.
func (c *cursor) step() error {
	found, err := fileNumbers(c.dir, c.stream)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	at := 0
	if c.file != nil {
		at, _ = slices.BinarySearch(found, c.number+1)
	}
	if at == len(found) {
		return io.EOF
	}
	missed := 0
	if c.file != nil {
		missed = found[at] - c.number - 1
	}
	if err := c.open(found[at]); err != nil {
		return err
	}
	if missed > 0 {
		return c.missed(missed)
	}
	return nil
}

func (c *cursor) open(number int) error {
	f, err := os.Open(path.Join(c.dir, fileName(c.stream, number)))
	if errors.Is(err, os.ErrNotExist) {
		return nil // rotated away since it was listed: the next read steps on
	}
	if err != nil {
		return &fault{"open log", err}
	}
	c.Close()
	c.file, c.number, c.at = f, number, 0
	if c.timed {
		c.times = openTimes(c.dir, c.stream, number)
	}
	return nil
}

// lines cuts a block into lines and sends those that are whole.
func (c *cursor) lines(block []byte) error {
	if c.rest {
		end := bytes.IndexByte(block, '\n')
		if end < 0 {
			return nil
		}
		block, c.rest = block[end+1:], false
	}
	for len(block) > 0 {
		if len(c.part) == 0 && c.times != nil {
			c.began = c.times.of(c.at - int64(len(block)))
		}
		end := bytes.IndexByte(block, '\n')
		whole := end >= 0
		if !whole {
			end = len(block)
		}
		take := min(end, LineMax-len(c.part))
		c.part = append(c.part, block[:take]...)
		switch {
		case take < end: // too long: a piece
			block = block[take:]
		case whole:
			block = block[end+1:]
		default:
			return nil
		}
		if err := c.emit(len(block)); err != nil {
			return err
		}
		c.part = c.part[:0]
	}
	return nil
}

// emit sends the part, behind which so many bytes were read that are still to come.
func (c *cursor) emit(left int) error {
	line := Line{Stream: c.stream, Text: string(c.part), At: c.began, Next: c.place(left)}
	if c.untold {
		line.At = time.Time{}
	}
	return c.send(line)
}

// seek goes to the beginning of the last tail lines.
func (c *cursor) seek(tail int) error {
	found, err := fileNumbers(c.dir, c.stream)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(found) == 0 || tail < 0 {
		return nil
	}
	if err != nil {
		return err
	}
	last := true
	for _, n := range slices.Backward(found) {
		if err := c.open(n); err != nil {
			return err
		}
		if c.file == nil || c.number != n {
			continue
		}
		offset, left, err := back(c.file, tail, last)
		if err != nil {
			return &fault{"read log", err}
		}
		if err := c.moveTo(offset); err != nil {
			return err
		}
		if left == 0 {
			return nil
		}
		tail, last = left, last && c.empty()
	}
	return nil
}

// moveTo goes to an offset in the file.
func (c *cursor) moveTo(offset int64) error {
	if _, err := c.file.Seek(offset, io.SeekStart); err != nil {
		return &fault{"read log", err}
	}
	c.at = offset
	return nil
}

// goTo goes to the first line that begins at an offset or behind it.
func (c *cursor) goTo(offset int64) error {
	var before [1]byte
	if _, err := c.file.ReadAt(before[:], offset-1); err != nil {
		return &fault{"read log", err}
	}
	c.rest = before[0] != '\n'
	return c.moveTo(offset)
}

func (c *cursor) empty() bool {
	info, err := c.file.Stat()
	return err == nil && info.Size() == 0
}

// back finds where the last tail lines of f begin, and how many of them must
// be looked for in the file before. Last says that f ends the stream: its final
// newline ends a line and begins none. Elsewhere the beginning of the next
// file continues the line that f ends with, unless f ends with a newline.
func back(f io.ReaderAt, tail int, last bool) (offset int64, left int, err error) {
	size, err := sizeOf(f)
	if err != nil {
		return 0, 0, err
	}
	if tail == 0 {
		return size, 0, nil
	}
	block := make([]byte, blockMax)
	for end := size; end > 0; {
		n := min(end, blockMax)
		if _, err := f.ReadAt(block[:n], end-n); err != nil {
			return 0, 0, err
		}
		for i := n - 1; i >= 0; i-- {
			if block[i] != '\n' || last && end-n+i == size-1 {
				continue
			}
			if tail--; tail == 0 {
				return end - n + i + 1, 0, nil
			}
		}
		end -= n
	}
	return 0, tail, nil
}

func sizeOf(f io.ReaderAt) (int64, error) {
	s, ok := f.(io.Seeker)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	return s.Seek(0, io.SeekEnd)
}
