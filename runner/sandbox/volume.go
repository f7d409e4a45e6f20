package sandbox

import (
	"errors"
	"os"
	"strconv"
	"syscall"
	"unsafe"
)

// Volume is a folder of the machine that a sandbox shows. Tasks write to what is
// shared, and so may make links there: neither where it comes from nor where it goes
// is looked up by name, but within a root that no link leads out of.
type Volume struct {
	Shared string // the folder in which it is, and must be
	Path   string // in that
	Target string // absolute
	Write  bool
}

// volume shows a volume.
func (b *builder) volume(v Volume) {
	if b.err != nil {
		return
	}
	what := "show volume " + strconv.Quote(v.Target)
	from, err := folderIn(v.Shared, v.Path, false)
	if err != nil {
		b.failed(err, what)
		return
	}
	defer from.Close()
	if err := b.apart(from); err != nil {
		b.failed(err, what)
		return
	}
	to, err := folderIn(b.root, v.Target[1:], true)
	if err != nil {
		b.failed(err, what)
		return
	}
	defer to.Close()
	b.failed(syscall.Mount(byNumber(from), byNumber(to), "", syscall.MS_BIND|syscall.MS_REC, ""), what)
	if b.err != nil {
		return
	}
	mounted, err := folderIn(b.root, v.Target[1:], false) // the other lies below it now
	if err != nil {
		b.failed(err, what)
		return
	}
	defer mounted.Close()
	attributes := uint64(attrNoSUID | attrNoDev)
	if !v.Write {
		attributes |= attrReadOnly
	}
	const itself = 0x1000 // AT_EMPTY_PATH
	b.failed(setAttributes(mounted.Fd(), "", attributes, itself|recursive), what)
}

// folderIn opens a folder below a root, and makes it if it is to.
func folderIn(root, name string, make bool) (*os.File, error) {
	r, err := os.OpenRoot(root + "/.") // which no pipe has, at which it would wait
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if make {
		if err := r.MkdirAll(name, 0o755); err != nil {
			return nil, err
		}
	}
	const folder = syscall.O_DIRECTORY
	return r.OpenFile(name, os.O_RDONLY|folder, 0)
}

// apart says whether an open folder has nothing of what is hidden: tasks may have moved what
// has its name since somebody last looked.
func (b *builder) apart(from *os.File) error {
	at, err := os.Readlink(byNumber(from))
	if err != nil {
		return err
	}
	for _, dir := range b.hidden {
		if within(at, dir) || within(dir, at) {
			return errors.New("it is at " + strconv.Quote(at) + ", which has the agent's own data in it")
		}
	}
	return nil
}

// within says whether a path is a folder, or in it.
func within(name, dir string) bool {
	n := len(dir)
	return dir == "/" || name == dir || len(name) > n && name[:n] == dir && name[n] == '/'
}

// byNumber is a path of an open file, whatever its name means by now.
func byNumber(f *os.File) string { return "/proc/self/fd/" + strconv.Itoa(int(f.Fd())) }

// setAttributes takes something away from a mount.
func setAttributes(dir uintptr, name string, attributes uint64, flags uintptr) error {
	at, err := syscall.BytePtrFromString(name)
	if err != nil {
		return err
	}
	attr := struct{ set, clear, propagation, userns uint64 }{set: attributes}
	_, err = call("restrict mount", sysMountSetattr, dir, uintptr(unsafe.Pointer(at)), flags,
		uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	return err
}
