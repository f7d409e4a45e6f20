package logs

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"
)

// readOld sends the lines that are there, of all streams by time. What is begun and not ended is
// left to whoever reads on.
func readOld(ctx context.Context, cursors []*cursor, q *Query, send func(Line) error) error {
	var old []*oldLines
	for _, c := range cursors {
		old = append(old, newOldLines(c))
	}
	defer func() {
		for _, o := range old {
			o.c.send, o.c.untold = send, !q.Times
		}
	}()
	skip := 0
	if q.Tail > 0 && len(q.From) == 0 {
		// Each stream has begun with as many lines as both are to have. Which of them are the
		// last is known when all were seen; they may be many, and are not kept but read twice.
		lines, err := count(ctx, old)
		if err != nil {
			return err
		}
		skip = max(0, lines-q.Tail)
	}
	return mergeOld(ctx, old, func(l Line) error {
		if l.Stream != Notice && skip > 0 {
			skip--
			return nil
		}
		if !q.Times {
			l.At = time.Time{}
		}
		return send(l)
	})
}

// count counts lines, and goes back to where it began.
func count(ctx context.Context, old []*oldLines) (lines int, err error) {
	type start struct {
		at   Place
		rest bool
		open bool
	}
	var starts []start
	for _, o := range old {
		starts = append(starts, start{o.c.place(0), o.c.rest, o.c.file != nil})
	}
	err = mergeOld(ctx, old, func(l Line) error {
		if l.Stream != Notice {
			lines++
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for i, o := range old {
		if len(o.c.part) > 0 {
			lines++
		}
		end := o.end
		o.c.Close()
		o.c.part, o.c.began = nil, time.Time{}
		*o = oldLines{c: o.c, end: end}
		o.c.send = o.take
		if !starts[i].open {
			continue
		}
		if err := o.c.resume(starts[i].at); err != nil {
			return 0, err
		}
		o.c.rest = starts[i].rest
	}
	return lines, nil
}

// oldLines are those of a stream that are there when it begins to be read, some at a time.
type oldLines struct {
	c     *cursor
	end   Place // where they end
	lines []Line
	next  int       // of lines
	key   time.Time // of the next: when it was begun, or the last before it of which that is known
	over  bool
}

func newOldLines(c *cursor) *oldLines {
	o := &oldLines{c: c}
	found, err := fileNumbers(c.dir, c.stream)
	if err == nil && len(found) > 0 {
		o.end.File = found[len(found)-1]
		o.end.Offset = sizeNamed(c.dir, c.stream, o.end.File)
	}
	c.send, c.untold = o.take, false
	return o
}

func (o *oldLines) take(l Line) error {
	o.lines = append(o.lines, l)
	return nil
}

// more says whether there is a next line, and reads on for it.
func (o *oldLines) more() (bool, error) {
	for o.next == len(o.lines) {
		o.lines, o.next = o.lines[:0], 0
		at := o.c.place(0)
		if o.over || o.c.file != nil && (at.File > o.end.File || at.File == o.end.File && at.Offset >= o.end.Offset) {
			return false, nil
		}
		if o.c.block == nil {
			o.c.block = make([]byte, blockMax)
		}
		n, err := o.c.read()
		if errors.Is(err, io.EOF) {
			o.over = true
		} else if err != nil {
			return false, err
		}
		if err := o.c.lines(o.c.block[:n]); err != nil {
			return false, err
		}
	}
	if l := &o.lines[o.next]; l.At.After(o.key) {
		o.key = l.At
	}
	return true, nil
}

// mergeOld sends the lines of streams by time, the first of them where it is the same.
func mergeOld(ctx context.Context, old []*oldLines, send func(Line) error) error {
	for {
		var first *oldLines
		for _, o := range old {
			more, err := o.more()
			if err != nil {
				return err
			}
			if more && (first == nil || o.key.Before(first.key)) {
				first = o
			}
		}
		switch {
		case first == nil:
			return nil
		case ctx.Err() != nil:
			return &fault{"read log " + strconv.Quote(first.c.dir), ctx.Err()}
		}
		first.next++
		if err := send(first.lines[first.next-1]); err != nil {
			return err
		}
	}
}
