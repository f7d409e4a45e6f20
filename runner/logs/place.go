package logs

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strconv"
)

// Place is a place in a stream: an offset in the file with a number. The zero place is its
// beginning.
type Place struct {
	File   int
	Offset int64
}

// String is FILE.OFFSET.
func (p Place) String() string { return strconv.Itoa(p.File) + "." + strconv.FormatInt(p.Offset, 10) }

// ParsePlace reads what String writes.
func ParsePlace(s string) (Place, bool) {
	file, offset, _ := bytes.Cut([]byte(s), []byte("."))
	f, err1 := strconv.Atoi(string(file))
	o, err2 := strconv.ParseInt(string(offset), 10, 64)
	p := Place{f, o}
	return p, err1 == nil && err2 == nil && f >= 0 && o >= 0 && p.String() == s
}

// begin goes to where the query has the stream begin, and tells of it.
func (c *cursor) begin(q *Query) error {
	var err error
	if p, ok := q.From[c.stream]; ok {
		err = c.resume(p)
	} else if err = c.seek(q.Tail); err == nil && !q.Since.IsZero() {
		err = c.seekSince(q.Since)
	}
	if err != nil || q.Begins == nil {
		return err
	}
	return q.Begins(c.stream, c.place(0))
}

// place is where the cursor is, when so many bytes of what it has read are still to come.
func (c *cursor) place(left int) Place {
	if c.file == nil {
		return Place{}
	}
	return Place{c.number, c.at - int64(left)}
}

// resume goes to a place where a reader was before, or as near behind it as there is still
// something. A stream that has no such file any more, nor a later one, has begun anew.
func (c *cursor) resume(p Place) error {
	found, err := fileNumbers(c.dir, c.stream)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	i, there := slices.BinarySearch(found, p.File)
	if i == len(found) {
		return nil
	}
	if err := c.open(found[i]); err != nil || c.file == nil {
		return err
	}
	if !there {
		return c.missed(found[i] - p.File)
	}
	size, err := sizeOf(c.file)
	if err != nil {
		return &fault{"read log", err}
	}
	return c.moveTo(min(p.Offset, size)) // what a crash of the machine has taken is less
}

// missed tells of files that are gone.
func (c *cursor) missed(files int) error {
	return c.send(Line{Stream: Notice, Text: strconv.Itoa(files) + " files of " + c.stream +
		" were rotated away before they were read"})
}
