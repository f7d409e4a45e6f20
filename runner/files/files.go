// Package files is for showing people the files of a copy, and for taking them home.
//
// What is in a task's folder was put there by the task, which may mean ill and changes it
// meanwhile; who reads it may be root. So everything is opened beneath the folder, with
// [os.Root]; a link that leads out leads nowhere; what is neither a regular file nor a
// folder is listed and never opened; a file is as long as it was when it was opened; and
// how much is listed, how deep, and how much is sent is bounded. Whoever receives files
// believes the sender as little: what it writes is beneath a folder too.
//
// Which folders there are is for the caller to know.
package files

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"

	"mn/mesh"
	"mn/runner/frames"
)

// Bounds of what is shown.
const (
	ListMax    = 10_000  // entries of a folder that are listed
	copyMax    = 200_000 // files and folders that are sent at once
	depthMax   = 64      // of folders in folders
	readAtOnce = 512     // entries
	namedMax   = 16      // of those that were left out
	shownMax   = 256     // bytes of a name in a sentence
)

// Folder is a folder whose files are shown.
type Folder struct{ root *os.Root }

// Open opens a folder below another. None of the folders on the way is a link.
func Open(below, name string) (*Folder, error) {
	root, err := os.OpenRoot(below)
	if err != nil {
		return nil, fmt.Errorf("open folder %q: %w", below, err)
	}
	for part := range strings.SplitSeq(name, "/") {
		next, err := step(root, part)
		root.Close()
		if err != nil {
			return nil, fmt.Errorf("open folder %q: %w", name, err)
		}
		root = next
	}
	return &Folder{root}, nil
}

// step opens a folder that is no link.
func step(in *os.Root, name string) (*os.Root, error) {
	before, err := in.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !before.IsDir() {
		return nil, syscall.ENOTDIR
	}
	next, err := openFolder(in, name)
	if err != nil {
		return nil, err
	}
	after, err := next.Stat(".")
	if err != nil || !os.SameFile(before, after) {
		next.Close()
		return nil, cmp.Or(err, error(syscall.ENOTDIR)) // it was put in its place meanwhile
	}
	return next, nil
}

// openFolder opens a folder. What has taken its place since it was looked at is refused:
// the last part of a path is opened whatever it is, even a pipe that nobody ever writes
// to, so that is "." and what comes before it must be a folder.
func openFolder(in *os.Root, name string) (*os.Root, error) { return in.OpenRoot(name + "/.") }

// Close lets go of the folder.
func (f *Folder) Close() error { return f.root.Close() }

// clean is the path of a request, in a folder; "." is the folder.
func clean(name string) (string, error) {
	rel := strings.TrimLeft(name, "/")
	if strings.ContainsRune(rel, 0) {
		return "", mesh.Faultf(mesh.Invalid, "path %q has a zero byte", name)
	}
	rel = path.Clean(cmp.Or(rel, "."))
	if rel == ".." || strings.HasPrefix(rel, "../") {
		return "", mesh.Faultf(mesh.Denied, "path %q leads out of the folder", name)
	}
	return rel, nil
}

// because is what to say of a file that could not be read.
func because(name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return mesh.Faultf(mesh.NotFound, "no file %q", name)
	case errors.Is(err, syscall.ENOTDIR):
		return mesh.Faultf(mesh.NotFound, "no file %q: what it should be in is no folder", name)
	case errors.Is(err, syscall.ENAMETOOLONG):
		return mesh.Faultf(mesh.Invalid, "path %.64q... is too long", name)
	case errors.Is(err, fs.ErrPermission):
		return mesh.Faultf(mesh.Denied, "the agent may not read %q", name)
	}
	var bad *fs.PathError
	if errors.As(err, &bad) {
		err = bad.Err
	}
	if strings.Contains(err.Error(), "escapes") { // the error of package os has no name
		return mesh.Faultf(mesh.Denied, "path %q leads out of the folder, by a link", name)
	}
	return mesh.Faultf(mesh.Denied, "read %q: %v", name, err)
}

// List is what is in a folder, by name, or the file itself; and whether there is more.
func (f *Folder) List(name string) (list []mesh.File, more bool, err error) {
	rel, err := clean(name)
	if err != nil {
		return nil, false, err
	}
	info, err := f.root.Stat(rel)
	if err != nil {
		return f.listLink(rel, name, err)
	}
	if !info.IsDir() {
		file := describe(f.root, rel, info)
		file.Name = path.Base(rel)
		return []mesh.File{file}, false, nil
	}
	dir, err := openFolder(f.root, rel)
	if err != nil {
		return nil, false, because(name, err)
	}
	defer dir.Close()
	infos, more, err := entries(dir, ListMax)
	if err != nil {
		return nil, false, because(name, err)
	}
	for _, info := range infos {
		list = append(list, describe(dir, info.Name(), info))
	}
	return list, more, nil
}

// listLink is a link that leads nowhere in here; any other error is one.
func (f *Folder) listLink(rel, name string, why error) ([]mesh.File, bool, error) {
	info, err := f.root.Lstat(rel)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return nil, false, because(name, why)
	}
	return []mesh.File{describe(f.root, rel, info)}, false, nil
}

// entries are the first entries of a folder, sorted, and whether there are more.
func entries(dir *os.Root, most int) (list []fs.FileInfo, more bool, err error) {
	d, err := dir.Open(".")
	if err != nil {
		return nil, false, err
	}
	defer d.Close()
	for {
		some, err := d.ReadDir(readAtOnce)
		for _, e := range some {
			if len(list) == most {
				more = true
				break
			}
			if info, err := dir.Lstat(e.Name()); err == nil { // else it is gone
				list = append(list, info)
			}
		}
		if err == io.EOF || more {
			break
		}
		if err != nil {
			return nil, false, err
		}
	}
	slices.SortFunc(list, func(a, b fs.FileInfo) int { return strings.Compare(a.Name(), b.Name()) })
	return list, more, nil
}

// describe says what something in a folder is.
func describe(dir *os.Root, name string, info fs.FileInfo) mesh.File {
	f := mesh.File{
		Name: info.Name(), Kind: kindOf(info.Mode()), Mode: fmt.Sprintf("%04o", info.Mode().Perm()),
		Time: info.ModTime().UTC(),
	}
	switch f.Kind {
	case mesh.RegularFile:
		f.Size = info.Size()
	case mesh.FileLink:
		f.Link, _ = dir.Readlink(name) // "" if it is none any more
	}
	return f
}

func kindOf(m fs.FileMode) mesh.FileKind {
	switch {
	case m.IsRegular():
		return mesh.RegularFile
	case m.IsDir():
		return mesh.FileFolder
	case m&fs.ModeSymlink != 0:
		return mesh.FileLink
	case m&fs.ModeNamedPipe != 0:
		return mesh.FilePipe
	case m&fs.ModeSocket != 0:
		return mesh.FileSocket
	}
	return mesh.FileDevice
}

// openFile opens a regular file. What has taken its place since it was looked at neither
// blocks us nor is read.
func openFile(dir *os.Root, name string) (*os.File, fs.FileInfo, error) {
	f, err := dir.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

var errNotRegular = errors.New("it is neither a file nor a folder")

// Send writes a file, or a folder with all that is in it, as frames. An error means that
// nothing was written; one that comes later is the last frame.
func (f *Folder) Send(ctx context.Context, name string, w io.Writer) error {
	rel, err := clean(name)
	if err != nil {
		return err
	}
	info, err := f.root.Stat(rel)
	if err != nil {
		return because(name, err)
	}
	s := &sender{ctx: ctx, w: w, buf: make([]byte, frames.PayloadMax)}
	switch {
	case info.Mode().IsRegular():
		file, now, err := openFile(f.root, rel)
		if err != nil {
			return because(name, err)
		}
		err = s.file(file, now, path.Base(rel))
		return s.end(err)
	case !info.IsDir():
		return mesh.Faultf(mesh.Denied, "%q is a %s: only files and folders are read", name, kindOf(info.Mode()))
	}
	dir, err := openFolder(f.root, rel)
	if err != nil {
		return because(name, err)
	}
	defer dir.Close()
	base := describe(dir, ".", info)
	base.Name = "."
	err = s.entry(base)
	if err == nil {
		err = s.folder(dir, "", 1)
	}
	return s.end(err)
}

// sender sends files.
type sender struct {
	ctx   context.Context
	w     io.Writer
	buf   []byte
	count int
	left  mesh.LeftOut
}

// end says that this was all, or why not. An error is that of the writer.
func (s *sender) end(err error) error {
	kind, last := frames.End, any(s.left)
	if err != nil {
		kind, last = frames.Fault, mesh.FaultOf(err)
	}
	text, err := json.Marshal(last)
	if err != nil {
		return err
	}
	if len(text) > frames.PayloadMax { // its name is that long
		kind, text = frames.Fault, []byte(`{"kind":"internal","error":"read files: what is to be said is too long"}`)
	}
	return frames.Write(s.w, kind, text)
}

func (s *sender) entry(f mesh.File) error {
	if s.count++; s.count > copyMax {
		return mesh.Faultf(mesh.Invalid, "there are more than %d files", copyMax).Hint("copy a folder of it at a time")
	}
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if len(text) > frames.PayloadMax {
		return mesh.Faultf(mesh.Invalid, "the path of a file is too long: %.64q...", f.Name).
			Hint("copy a folder of it at a time")
	}
	return frames.Write(s.w, frames.Entry, text)
}

// file sends what a file had when it was opened, or less if it has become shorter.
func (s *sender) file(f *os.File, info fs.FileInfo, name string) error {
	defer f.Close()
	sent := mesh.File{
		Name: name, Kind: mesh.RegularFile, Size: info.Size(),
		Mode: fmt.Sprintf("%04o", info.Mode().Perm()), Time: info.ModTime().UTC(),
	}
	if err := s.entry(sent); err != nil {
		return err
	}
	from := io.LimitReader(f, info.Size())
	for {
		n, err := from.Read(s.buf)
		if n > 0 {
			if err := cmp.Or(s.ctx.Err(), frames.Write(s.w, frames.Bytes, s.buf[:n])); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return because(name, err)
		}
	}
}

// folder sends what is in a folder.
func (s *sender) folder(dir *os.Root, prefix string, depth int) error {
	list, more, err := entries(dir, copyMax)
	if err != nil {
		return because(cmp.Or(prefix, "."), err)
	}
	if more {
		return mesh.Faultf(mesh.Invalid, "%q has more than %d entries", cmp.Or(prefix, "."), copyMax)
	}
	for _, info := range list {
		if err := s.one(dir, info, prefix, depth); err != nil {
			return err
		}
	}
	return nil
}

// one sends an entry of a folder. What cannot be read is left out.
func (s *sender) one(dir *os.Root, info fs.FileInfo, prefix string, depth int) error {
	name := path.Join(prefix, info.Name())
	switch kind := kindOf(info.Mode()); {
	case !utf8.ValidString(info.Name()):
		s.leave(name, "its name is not UTF-8")
	case kind == mesh.RegularFile:
		f, now, err := openFile(dir, info.Name())
		if err != nil {
			s.leave(name, reason(err))
			return nil
		}
		return s.file(f, now, name)
	case kind == mesh.FileFolder && depth == depthMax:
		s.leave(name, fmt.Sprintf("it is more than %d folders deep", depthMax))
	case kind == mesh.FileFolder:
		below, err := step(dir, info.Name())
		if err != nil {
			s.leave(name, reason(err))
			return nil
		}
		defer below.Close()
		f := describe(dir, info.Name(), info)
		f.Name = name
		if err := s.entry(f); err != nil {
			return err
		}
		return s.folder(below, name, depth+1)
	case kind == mesh.FileLink:
		f := describe(dir, info.Name(), info)
		if f.Name = name; f.Link == "" || !utf8.ValidString(f.Link) {
			s.leave(name, "where it leads is not known")
			return nil
		}
		return s.entry(f)
	default:
		s.leave(name, "it is a "+string(kind))
	}
	return nil
}

func reason(err error) string {
	var bad *fs.PathError
	if errors.As(err, &bad) {
		err = bad.Err
	}
	return err.Error()
}

// Shown is a name as people should see it: as it is, or quoted if it has what a terminal
// would obey, and not longer than 256 bytes.
func Shown(name string) string {
	for _, c := range name {
		if !strconv.IsPrint(c) || c == utf8.RuneError {
			name = strconv.Quote(name)
			break
		}
	}
	if len(name) > shownMax {
		name = strings.ToValidUTF8(name[:shownMax], "") + "..."
	}
	return name
}

// leave takes note of what is left out.
func (s *sender) leave(name, why string) { leave(&s.left, name, why) }

func leave(l *mesh.LeftOut, name, why string) {
	if l.Count++; len(l.Names) < namedMax {
		l.Names = append(l.Names, Shown(name)+": "+why)
	}
}
