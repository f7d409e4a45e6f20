package logs

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path"
)

// Limits bound what is kept of a stream.
type Limits struct {
	FileBytes int64 // of one file
	Files     int   // the newest that are kept
}

// DefaultLimits keep 10 files of 10 MB.
func DefaultLimits() Limits { return Limits{FileBytes: 10e6, Files: 10} }

// Writer writes one stream. It is not safe for concurrent use.
type Writer struct {
	dir     string
	stream  string
	limits  Limits
	file    *os.File // nil until the first write, and after one that failed
	times   timer
	number  int
	size    int64
	dropped int64
}

var _ io.WriteCloser = (*Writer)(nil)

// NewWriter makes the writer of a stream of the log in dir. It goes on behind
// what is already there; the folder is made when there is something to write.
func NewWriter(dir, stream string, l Limits) *Writer {
	return &Writer{dir: dir, stream: stream, limits: l}
}

// Write writes p, rotating where needed, after a whole line if there is one.
// It always says that all is written: see [Writer.Dropped]. What needs a next
// file is dropped while there can be none.
func (w *Writer) Write(p []byte) (int, error) {
	all := len(p)
	for len(p) > 0 {
		if !w.ready() {
			w.dropped += int64(len(p))
			break
		}
		w.times.note(w.size)
		piece := w.cut(p)
		n, err := w.file.Write(piece)
		w.size += int64(n)
		if err != nil {
			w.dropped += int64(len(piece) - n)
		}
		p = p[len(piece):]
		if len(p) == 0 {
			break
		}
		if w.rotate(); w.file == nil {
			// Not again: open would go on with the file that is full.
			w.dropped += int64(len(p))
			break
		}
	}
	return all, nil
}

// Dropped is how many bytes could not be written.
func (w *Writer) Dropped() int64 { return w.dropped }

// Close closes the current file.
func (w *Writer) Close() error {
	if w.file == nil {
		return nil
	}
	err := w.file.Close()
	w.file = nil
	w.times.close()
	return err
}

// cut is the part of p that goes into the current file: whole lines, if a line
// fits into a file at all.
func (w *Writer) cut(p []byte) []byte {
	room := w.limits.FileBytes - w.size
	if int64(len(p)) <= room {
		return p
	}
	line := bytes.LastIndexByte(p[:room], '\n')
	if line < 0 && w.size == 0 {
		return p[:room]
	}
	return p[:line+1]
}

// ready says whether there is an open file with room.
func (w *Writer) ready() bool {
	if w.file == nil {
		return w.open()
	}
	if w.size >= w.limits.FileBytes {
		w.rotate()
	}
	return w.file != nil
}

// open goes on with the newest file, or begins the first one.
func (w *Writer) open() bool {
	if found, err := fileNumbers(w.dir, w.stream); err == nil && len(found) > 0 {
		w.number = max(w.number, found[len(found)-1])
	}
	w.use(w.number)
	if w.file != nil && w.size >= w.limits.FileBytes {
		w.rotate()
	}
	return w.file != nil
}

// rotate begins the next file and removes what is now too old.
func (w *Writer) rotate() {
	w.Close()
	w.use(w.number + 1)
	found, err := fileNumbers(w.dir, w.stream)
	if err != nil {
		return
	}
	for _, n := range found {
		if n <= w.number-w.limits.Files {
			os.Remove(path.Join(w.dir, fileName(w.stream, n)))
			os.Remove(path.Join(w.dir, fileName(w.stream, n)+timesEnd))
		}
	}
}

// use makes n the current file, and leaves none if it cannot be opened.
func (w *Writer) use(n int) {
	name := path.Join(w.dir, fileName(w.stream, n))
	const flags = os.O_CREATE | os.O_WRONLY | os.O_APPEND
	f, err := os.OpenFile(name, flags, 0o640)
	if errors.Is(err, os.ErrNotExist) {
		// The other stream may make it at the same time.
		if err = os.Mkdir(w.dir, 0o750); err == nil || errors.Is(err, os.ErrExist) {
			f, err = os.OpenFile(name, flags, 0o640)
		}
	}
	if err != nil {
		w.file = nil
		return
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return
	}
	w.file, w.number, w.size = f, n, info.Size()
	w.times = timer{name: name + timesEnd}
}
