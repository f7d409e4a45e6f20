package files

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"mn/mesh"
	"mn/runner/disk"
	"mn/runner/frames"
)

// Progress hears what has come so far: how many files, bytes of all of them, and the file
// that comes now.
type Progress func(files int, bytes int64, now mesh.File)

// errNonsense is what a sender says that does not send files.
var errNonsense = errors.New("read files: what came makes no sense")

// receiver takes files.
type receiver struct {
	from *frames.Reader
	into *os.Root
	told Progress

	spare uint64 // bytes of the disk that must stay free
	room  uint64 // bytes that may come until it is looked again what is free

	files int
	bytes int64
	size  int64 // of all files so far, as the sender says
	text  int   // bytes of the names in links and dirs, and of where links lead
	left  mesh.LeftOut
	links []mesh.File
	dirs  []mesh.File // with their permissions, which they get at the end

	file *os.File // that comes now; nil for none
	now  mesh.File
	got  int64 // of it
}

// Print writes what a file has that is sent.
func Print(from io.Reader, to io.Writer) error {
	r := frames.NewReader(from)
	kind, payload, err := r.Next()
	if err != nil {
		return fmt.Errorf("read file: %w", early(err))
	}
	var f mesh.File
	if err := decode(kind, frames.Entry, payload, &f); err != nil {
		return err
	}
	if f.Kind != mesh.RegularFile {
		return mesh.Faultf(mesh.Invalid, "it is a %s, not a file", Shown(string(f.Kind)))
	}
	for {
		kind, payload, err := r.Next()
		switch {
		case err != nil:
			return fmt.Errorf("read file: %w", early(err))
		case kind == frames.End:
			return nil
		case kind != frames.Bytes:
			return decode(kind, frames.Bytes, payload, nil)
		}
		if _, err := to.Write(payload); err != nil {
			return err
		}
	}
}

// early is the error of a stream that ended before its end.
func early(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// decode reads a frame of one kind; the error is that of the sender if it has sent one.
func decode(kind, want frames.Kind, payload []byte, into any) error {
	switch {
	case kind == frames.Fault:
		f := &mesh.Fault{}
		if json.Unmarshal(payload, f) != nil || f.Text == "" || f.ExitCode() == 0 {
			return errNonsense
		}
		f.Text = Said(f.Text)
		for i, h := range f.Hints {
			f.Hints[i] = Said(h)
		}
		return f
	case kind != want || into == nil || json.Unmarshal(payload, into) != nil:
		return errNonsense
	}
	return nil
}

// Receive writes what is sent into a folder that is empty, under a name, and says what the
// sender, or this side, has left out. What is there after an error is to be removed.
func Receive(from io.Reader, into *os.Root, name string, told Progress) (mesh.LeftOut, error) {
	return receive(from, into, name, 0, told)
}

// receive is Receive where so much of the disk must stay free.
func receive(from io.Reader, into *os.Root, name string, spare int64, told Progress) (mesh.LeftOut, error) {
	r := &receiver{from: frames.NewReader(from), into: into, spare: uint64(max(spare, 0)), told: told}
	defer func() { r.close() }()
	for first := true; ; first = false {
		kind, payload, err := r.from.Next()
		if err != nil {
			return r.left, fmt.Errorf("read files: %w", early(err))
		}
		switch kind {
		case frames.Bytes:
			err = r.write(payload)
		case frames.End:
			var left mesh.LeftOut
			if err = decode(kind, frames.End, payload, &left); err == nil && !first {
				return r.finish(believed(left))
			}
			err = errors.Join(err, errNonsense)
		default:
			var f mesh.File
			if err = decode(kind, frames.Entry, payload, &f); err == nil {
				err = r.entry(f, name, first)
			}
		}
		if err != nil {
			return r.left, err
		}
	}
}

// believed is what a sender has left out, as far as it may say.
func believed(l mesh.LeftOut) mesh.LeftOut {
	l.Names = l.Names[:min(len(l.Names), namedMax)]
	for i, n := range l.Names {
		l.Names[i] = Said(n)
	}
	l.Count = max(l.Count, len(l.Names))
	return l
}

// nonsense says whether nobody would send an entry.
func (r *receiver) nonsense(f mesh.File, first bool) bool {
	switch {
	case !filepath.IsLocal(f.Name), path.Clean(f.Name) != f.Name, strings.Count(f.Name, "/") >= depthMax,
		len(f.Link) > linkMax, f.Size < 0:
		return true
	case first:
		return (f.Name == ".") != (f.Kind == mesh.FileFolder)
	}
	// Only a folder is followed by anything.
	return f.Name == "." || len(r.dirs) == 0
}

// fits says that there is no room for a file, if so.
func (r *receiver) fits(f mesh.File) error {
	if r.size += min(f.Size, bytesMax+1); r.size > bytesMax {
		return tooMuch(f.Name)
	}
	return r.free(f, uint64(f.Size))
}

// lookAgain is after how many bytes it is looked again what is free: others fill the disk, too.
const lookAgain = 16 << 20

// free says that there is no room for some bytes of a file, if so.
func (r *receiver) free(f mesh.File, bytes uint64) error {
	room, err := disk.RoomIn(r.into)
	if err != nil {
		return fmt.Errorf("make file %q: %w", f.Name, err)
	}
	free := uint64(room)
	free -= min(free, r.spare)
	r.room = lookAgain
	if bytes > free {
		return mesh.Faultf(mesh.Unavailable, "file %s has %v, and only %v are free",
			Shown(f.Name), mesh.Bytes(f.Size), mesh.Bytes(free)).
			Hint("copy it to another disk, or make room")
	}
	return nil
}

// entry begins with what comes next.
func (r *receiver) entry(f mesh.File, name string, first bool) error {
	if err := r.close(); err != nil {
		return err
	}
	if r.files++; r.files > copyMax || r.nonsense(f, first) {
		return errNonsense
	}
	if f.Kind != mesh.RegularFile {
		r.text += len(f.Name) + len(f.Link)
	}
	if r.text > textMax {
		return mesh.Faultf(mesh.Invalid, "the names of its folders and links are longer than %v", mesh.Bytes(textMax)).
			Hint("copy a folder of it at a time")
	}
	if first {
		f.Name = name
	} else {
		f.Name = path.Join(name, f.Name)
	}
	if r.told != nil {
		r.told(r.files, r.bytes, f)
	}
	switch f.Kind {
	case mesh.RegularFile:
		if err := r.fits(f); err != nil {
			return err
		}
		file, err := r.into.OpenFile(f.Name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("make file %q: %w", f.Name, err)
		}
		r.file, r.now, r.got = file, f, 0
		return nil
	case mesh.FileFolder:
		if err := r.into.Mkdir(f.Name, 0o700); err != nil {
			return fmt.Errorf("make folder %q: %w", f.Name, err)
		}
		r.dirs = append(r.dirs, f)
		return nil
	case mesh.FileLink:
		if first {
			return errNonsense
		}
		r.links = append(r.links, f)
		return nil
	}
	return errNonsense
}

// write adds to the file that comes now.
func (r *receiver) write(p []byte) error {
	if r.file == nil || r.got+int64(len(p)) > r.now.Size {
		return errNonsense
	}
	if r.room < uint64(len(p)) {
		if err := r.free(r.now, uint64(len(p))); err != nil {
			return err
		}
	}
	n, err := r.file.Write(p)
	r.room -= uint64(n)
	r.got += int64(n)
	r.bytes += int64(n)
	if err != nil {
		return fmt.Errorf("write file %q: %w", r.now.Name, err)
	}
	if r.told != nil {
		r.told(r.files, r.bytes, r.now)
	}
	return nil
}

// close closes the file that has come.
func (r *receiver) close() error {
	if r.file == nil {
		return nil
	}
	err := errors.Join(r.file.Chmod(permissions(r.now, 0o600)), r.file.Close())
	r.file = nil
	if err == nil && !r.now.Time.IsZero() {
		err = r.into.Chtimes(r.now.Name, r.now.Time, r.now.Time)
	}
	if err != nil {
		return fmt.Errorf("write file %q: %w", r.now.Name, err)
	}
	return nil
}

// permissions are those of a file, with what its new owner needs. Who else could write to
// it there are others here.
func permissions(f mesh.File, least fs.FileMode) fs.FileMode {
	n, err := strconv.ParseUint(f.Mode, 8, 16)
	if err != nil {
		return least
	}
	return fs.FileMode(n)&fs.ModePerm&^0o022 | least
}

// finish makes the links, which nothing was written through, and gives folders their
// permissions.
func (r *receiver) finish(left mesh.LeftOut) (mesh.LeftOut, error) {
	r.left = left
	if err := r.close(); err != nil {
		return r.left, err
	}
	var made []mesh.File
	for _, l := range r.links {
		if filepath.IsAbs(l.Link) {
			r.leaveLink(l)
			continue
		}
		if err := r.into.Symlink(l.Link, l.Name); err != nil {
			return r.left, fmt.Errorf("make link %q: %w", l.Name, err)
		}
		made = append(made, l)
	}
	// Where a link leads depends on all others, so it is asked when all are there. The
	// folder that was copied lies in one that is empty but for it: what leads there leads
	// out as well.
	for _, l := range made {
		if r.inside(l) {
			continue
		}
		r.leaveLink(l)
		if err := r.into.Remove(l.Name); err != nil {
			return r.left, fmt.Errorf("remove link %q: %w", l.Name, err)
		}
	}
	for i := len(r.dirs) - 1; i >= 0; i-- {
		d := r.dirs[i]
		err := r.into.Chmod(d.Name, permissions(d, 0o700))
		if err == nil && !d.Time.IsZero() {
			err = r.into.Chtimes(d.Name, d.Time, d.Time)
		}
		if err != nil {
			return r.left, fmt.Errorf("finish folder %q: %w", d.Name, err)
		}
	}
	return r.left, r.sync()
}

// sync returns when all that has come stays, before it is given its name: after a power cut there
// is no file in its place that is empty or torn.
func (r *receiver) sync() error {
	dir, err := r.into.Open(".")
	if err == nil {
		err = errors.Join(disk.Sync(dir), dir.Close())
	}
	if err != nil {
		return fmt.Errorf("have what has come stay: %w", err)
	}
	return nil
}

func (r *receiver) leaveLink(l mesh.File) {
	name := strings.TrimPrefix(l.Name, r.dirs[0].Name+"/")
	leave(&r.left, name, "it is a link that leads out, to "+Shown(l.Link))
}

// inside says whether a link leads nowhere but into the folder that was copied, whether
// something is there or not.
func (r *receiver) inside(l mesh.File) bool {
	base, err := r.into.OpenRoot(r.dirs[0].Name)
	if err != nil {
		return false
	}
	defer base.Close()
	rel, err := filepath.Rel(r.dirs[0].Name, l.Name)
	if err != nil {
		return false
	}
	_, err = base.Stat(rel)
	if errors.Is(err, fs.ErrNotExist) { // who makes what is missing must not lead it out
		return filepath.IsLocal(path.Join(path.Dir(rel), l.Link))
	}
	return err == nil
}
