package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"mn/runner/disk"
)

// Writer makes what an archive lists.
type Writer struct {
	ctx     context.Context
	into    *os.Root
	bounds  Bounds
	most    int64 // bytes that it may unpack to
	read    int64 // of what was packed
	wrote   int64 // to files: a hole in one takes no bytes of an archive
	looked  int64 // how much was written when there was room on the disk
	entries int
	names   int               // bytes of all names, and of where links point to
	modes   []moded           // of folders, in the order in which they were made
	kinds   map[string]kind   // of all that was made
	links   map[string]string // where to; made at the end
	order   []string          // of links
}

type kind int

const (
	isFolder kind = iota + 1
	isFile
	isLink
)

// moded is a folder and the mode that it gets when all is in it.
type moded struct {
	path string
	mode fs.FileMode
}

// NewWriter makes what is listed by an archive of some size in an empty folder.
func NewWriter(ctx context.Context, into *os.Root, b Bounds, size int64) *Writer {
	return &Writer{
		ctx: ctx, into: into, bounds: b, most: min(b.Bytes, ratioFree+size*b.Ratio),
		kinds: map[string]kind{".": isFolder}, links: map[string]string{},
	}
}

// metered counts what is unpacked, whatever becomes of it.
type metered struct {
	w     *Writer
	r     io.Reader
	count *int64
}

func (m *metered) Read(p []byte) (int, error) {
	if err := m.w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.r.Read(p)
	if *m.count += int64(n); *m.count > m.w.most {
		return n, fmt.Errorf("it unpacks to more than %d bytes", m.w.most)
	}
	if full := m.w.room(); full != nil {
		return n, full
	}
	return n, err
}

// room says now and then whether the disk has room for more.
func (w *Writer) room() error {
	if w.looked > 0 && w.wrote-w.looked < lookEvery {
		return nil
	}
	free, err := disk.RoomIn(w.into)
	if err != nil {
		return err
	}
	if free < reserve {
		return fmt.Errorf("the disk is nearly full: %d MiB are free, and %d must stay", free>>20, reserve>>20)
	}
	w.looked = max(w.wrote, 1)
	return nil
}

// count counts one more of what an archive lists.
func (w *Writer) count() error {
	if w.entries++; w.entries > w.bounds.Entries {
		return fmt.Errorf("more than %d files", w.bounds.Entries)
	}
	return w.ctx.Err()
}

// remember counts a text that is kept in memory to the end.
func (w *Writer) remember(text string) error {
	if w.names += len(text); w.names > namesMax {
		return fmt.Errorf("its names have more than %d MiB", namesMax>>20)
	}
	return nil
}

// place is the clean path of a name; folders that lead to it are made where they are not listed.
func (w *Writer) place(name string) (string, error) {
	if err := w.count(); err != nil {
		return "", err
	}
	at := path.Clean(name)
	switch {
	case name == "", len(name) > pathMax, strings.ContainsAny(name, "\\\x00"), path.IsAbs(name), !fs.ValidPath(at),
		escapes(name):
		return "", fmt.Errorf("%q is not a path beneath the folder", clip(name))
	case strings.Count(at, "/") >= depthMax:
		return "", fmt.Errorf("%q is in more than %d folders", clip(name), depthMax)
	}
	if err := w.remember(at); err != nil {
		return "", err
	}
	return at, w.parents(path.Dir(at))
}

// escapes says whether a path goes up anywhere: what it then means depends on links.
func escapes(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return true
		}
	}
	return false
}

func (w *Writer) parents(dir string) error {
	switch w.kinds[dir] {
	case isFolder:
		return nil
	case isFile, isLink:
		return fmt.Errorf("%q is no folder, and something is to be in it", clip(dir))
	}
	if err := w.parents(path.Dir(dir)); err != nil {
		return err
	}
	if err := errors.Join(w.count(), w.remember(dir)); err != nil {
		return err
	}
	return w.mkdir(dir, 0o755)
}

func (w *Writer) mkdir(at string, mode fs.FileMode) error {
	if err := w.into.Mkdir(at, 0o700); err != nil {
		return err
	}
	w.kinds[at] = isFolder
	w.modes = append(w.modes, moded{at, mode | 0o700})
	return nil
}

// folder makes a folder, which may have been made for what is in it.
func (w *Writer) folder(name string, mode fs.FileMode) error {
	at, err := w.place(name)
	if err != nil {
		return err
	}
	switch w.kinds[at] {
	case isFolder:
		return nil
	case isFile, isLink:
		return fmt.Errorf("%q is there twice", clip(name))
	}
	return w.mkdir(at, mode)
}

// fresh is the place of a name that is not there yet.
func (w *Writer) fresh(name string, k kind) (string, error) {
	at, err := w.place(name)
	if err != nil {
		return "", err
	}
	if w.kinds[at] != 0 {
		return "", fmt.Errorf("%q is there twice", clip(name))
	}
	w.kinds[at] = k
	return at, nil
}

// File makes a file, and the folders that lead to it.
func (w *Writer) File(name string, mode fs.FileMode, r io.Reader) error {
	if strings.HasSuffix(name, "/") {
		return fmt.Errorf("%q is a file with the name of a folder", clip(name))
	}
	at, err := w.fresh(name, isFile)
	if err != nil {
		return err
	}
	f, err := w.into.OpenFile(at, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, &metered{w, r, &w.wrote})
	if err != nil {
		err = fmt.Errorf("read %q: %w", clip(name), err)
	}
	return errors.Join(err, f.Chmod(mode|0o400), f.Close())
}

// Link notes a symbolic link. Nothing is made through it, so it may wait.
func (w *Writer) Link(name, to string) error {
	at, err := w.fresh(name, isLink)
	if err != nil {
		return err
	}
	target := path.Join(path.Dir(at), to)
	if to == "" || len(to) > pathMax || path.IsAbs(to) || strings.ContainsAny(to, "\\\x00") || !fs.ValidPath(target) {
		return fmt.Errorf("the link %q points to %q, which is not beneath the folder", clip(name), clip(to))
	}
	if err := w.remember(to); err != nil {
		return err
	}
	w.links[at], w.order = to, append(w.order, at)
	return nil
}

// hardLink makes another name of a file.
func (w *Writer) hardLink(name, to string) error {
	from := path.Clean(to)
	if escapes(to) || w.kinds[from] != isFile {
		return fmt.Errorf("the link %q is to %q, which is no file before it", clip(name), clip(to))
	}
	at, err := w.fresh(name, isFile)
	if err != nil {
		return err
	}
	return w.into.Link(from, at)
}

// Finish makes the links, and gives the folders their modes.
func (w *Writer) Finish() error {
	for _, at := range w.order {
		if err := errors.Join(w.ctx.Err(), w.climbs(at)); err != nil {
			return err
		}
		if err := w.into.Symlink(w.links[at], at); err != nil {
			return err
		}
	}
	for i := len(w.modes) - 1; i >= 0; i-- {
		if err := w.into.Chmod(w.modes[i].path, w.modes[i].mode); err != nil {
			return err
		}
	}
	return nil
}

// climbs refuses a link that goes up after it has gone through another: where that leads is not
// what its text says.
func (w *Writer) climbs(at string) error {
	dir := path.Dir(at)
	for part := range strings.SplitSeq(w.links[at], "/") {
		if part == ".." && w.kinds[dir] == isLink {
			return fmt.Errorf("the link %q points to %q, which goes up from another link", clip(at), clip(w.links[at]))
		}
		dir = path.Join(dir, part)
	}
	return nil
}
