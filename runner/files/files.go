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
)

// Bounds of what is shown.
const (
	ListMax    = 10_000   // entries of a folder that are listed
	listedMax  = 4 << 20  // bytes of their names, and of where links lead
	copyMax    = 200_000  // files and folders that are sent at once
	bytesMax   = 1 << 40  // of all files that are sent at once, as long as they say they are
	depthMax   = 64       // of folders in folders
	linkMax    = 4096     // bytes of where a link leads, which is as long as a path may be
	textMax    = 64 << 20 // bytes of names, and of where links lead, that a receiver holds
	readAtOnce = 512      // entries
	namedMax   = 16       // of those that were left out
	shownMax   = 256      // bytes of a name in a sentence
	saidMax    = 2048     // bytes of a sentence of somebody else's
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
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
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

// List is what is in a folder, by name, or the file itself; and whether there is more than
// is listed.
func (f *Folder) List(ctx context.Context, name string) (list []mesh.File, more bool, err error) {
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
	infos, more, err := entries(ctx, dir, ListMax)
	if err != nil {
		return nil, false, because(name, err)
	}
	text := 0
	for _, info := range infos {
		file := describe(dir, info.Name(), info)
		if text += len(file.Name) + len(file.Link); text > listedMax {
			return list, true, nil
		}
		list = append(list, file)
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
func entries(ctx context.Context, dir *os.Root, most int) (list []fs.FileInfo, more bool, err error) {
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
		err = cmp.Or(err, ctx.Err()) // a task may make files faster than we read
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

// Shown is a name as people should see it: as it is, or quoted if it has what a terminal
// would obey, and not longer than 256 bytes.
func Shown(name string) string { return shown(name, shownMax) }

// Said is a sentence that came from elsewhere, in the same way, and not longer than 2 KiB.
func Said(text string) string { return shown(text, saidMax) }

func shown(text string, most int) string {
	for _, c := range text {
		if !strconv.IsPrint(c) || c == utf8.RuneError {
			text = strconv.Quote(text)
			break
		}
	}
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}
