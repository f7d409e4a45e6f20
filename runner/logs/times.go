package logs

import (
	"errors"
	"os"
	"path"
	"slices"
	"sort"
	"time"
)

// Beside each file of a stream lie its times: records of markBytes, each of an instant, in
// nanoseconds since 1970, and of how many bytes the file had then, both with the highest byte
// first. What was written between two of them was written from the one instant on, and within
// timesEvery. A file that has none was written by nobody knows when.
const (
	timesEvery = time.Second
	timesEnd   = ".times"
	markBytes  = 16
)

// mark is one such record.
type mark struct {
	at     time.Time
	offset int64
}

func (m mark) encode() (b [markBytes]byte) {
	at, offset := uint64(m.at.UnixNano()), uint64(m.offset)
	for i := range markBytes / 2 {
		shift := 8 * (markBytes/2 - 1 - i)
		b[i], b[markBytes/2+i] = byte(at>>shift), byte(offset>>shift)
	}
	return b
}

func decodeMark(b [markBytes]byte) mark {
	var at, offset uint64
	for i := range markBytes / 2 {
		at, offset = at<<8|uint64(b[i]), offset<<8|uint64(b[markBytes/2+i])
	}
	return mark{time.Unix(0, int64(at)), max(int64(offset), 0)} // never before the file, if spoiled
}

// timer writes the times of one file.
type timer struct {
	name string
	file *os.File // nil before the first mark
	last time.Time
	off  bool // they cannot be written
}

// note takes note that what follows is written now, if it is time for that. A time that cannot
// be written is left out.
func (t *timer) note(offset int64) {
	now := time.Now()
	if t.off || !t.last.IsZero() && now.Sub(t.last) < timesEvery {
		return
	}
	t.last = now
	if t.file == nil {
		f, err := os.OpenFile(t.name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
		if err != nil {
			t.off = true
			return
		}
		t.file = f
		if info, err := f.Stat(); err == nil && info.Size()%markBytes != 0 { // torn by a crash
			f.Truncate(info.Size() - info.Size()%markBytes)
		}
	}
	b := mark{now, offset}.encode()
	if n, err := t.file.Write(b[:]); err != nil && n > 0 {
		t.off = true // until it is opened again
	}
}

func (t *timer) close() {
	if t.file != nil {
		t.file.Close()
		t.file = nil
	}
}

// times reads the times of one file, while it grows.
type times struct {
	file *os.File // nil if there are none
	next int      // the number of the mark after now
	now  mark
	then mark // the one after now, if it was read
	read bool
}

func openTimes(dir, stream string, number int) *times {
	f, err := os.Open(path.Join(dir, fileName(stream, number)+timesEnd))
	if err != nil {
		return &times{}
	}
	return &times{file: f}
}

func (t *times) close() {
	if t != nil && t.file != nil {
		t.file.Close()
	}
}

// mark is the n-th record, if it is there.
func (t *times) mark(n int) (mark, bool) {
	var b [markBytes]byte
	if t.file == nil {
		return mark{}, false
	}
	if _, err := t.file.ReadAt(b[:], int64(n)*markBytes); err != nil {
		return mark{}, false
	}
	return decodeMark(b), true
}

// of is when what is at an offset was written; the zero time if nobody knows. From call to
// call the offset only grows.
func (t *times) of(offset int64) time.Time {
	for {
		if !t.read {
			t.then, t.read = t.mark(t.next)
		}
		if !t.read || t.then.offset > offset {
			return t.now.at
		}
		t.now, t.read = t.then, false
		t.next++
	}
}

// since is where in a file of a size begins what was written at an instant or later, as exactly
// as the times say; earlier says that files before may have some of it.
func (t *times) since(at time.Time, size int64) (offset int64, earlier bool) {
	marks := 0
	if t.file != nil {
		if info, err := t.file.Stat(); err == nil {
			marks = int(info.Size() / markBytes)
		}
	}
	after := sort.Search(marks, func(i int) bool {
		m, ok := t.mark(i)
		return !ok || !m.at.Before(at)
	})
	if after == 0 {
		return 0, true
	}
	before, _ := t.mark(after - 1)
	if at.Sub(before.at) < timesEvery {
		return min(before.offset, size), false
	}
	if next, ok := t.mark(after); ok && after < marks {
		return min(next.offset, size), false
	}
	return size, false
}

// seekSince goes to the first line that was begun at an instant or later, unless the cursor is
// behind that already.
func (c *cursor) seekSince(at time.Time) error {
	found, err := fileNumbers(c.dir, c.stream)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(found) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	number, offset := found[0], int64(0)
	for i := len(found) - 1; i >= 0; i-- {
		info, err := os.Stat(path.Join(c.dir, fileName(c.stream, found[i])))
		if err != nil {
			break // rotated away, and all before it
		}
		t := openTimes(c.dir, c.stream, found[i])
		begins, earlier := t.since(at, info.Size())
		t.close()
		number, offset = found[i], begins
		if !earlier {
			break
		}
	}
	if c.file != nil && (c.number > number || c.number == number && c.at >= offset) {
		return nil
	}
	if err := c.open(number); err != nil || c.file == nil || c.number != number {
		return err
	}
	if i := slices.Index(found, number); offset == 0 && i > 0 {
		c.rest = !endsWithLine(path.Join(c.dir, fileName(c.stream, found[i-1])))
	}
	if offset == 0 {
		return nil
	}
	return c.goTo(offset)
}

// sizeNamed is the size of a file of a stream; 0 if it is gone.
func sizeNamed(dir, stream string, number int) int64 {
	info, err := os.Stat(path.Join(dir, fileName(stream, number)))
	if err != nil {
		return 0
	}
	return info.Size()
}

// endsWithLine says whether a file does not end within a line.
func endsWithLine(name string) bool {
	b, err := lastOf(name, 1)
	return err != nil || len(b) == 0 || b[0] == '\n'
}
