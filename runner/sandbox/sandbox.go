// Package sandbox is for showing a task a machine of its own: the programs and
// the settings of the real one to read, its own folders to write, and nothing
// else. [Build] is what its first process does, [Confine] what each process does
// that becomes a task; who starts them, with which namespaces, is not its
// business.
//
// What a task is kept from is decided more than once, so that one mistake, of
// ours or of the kernel's, is not enough: what it has no business with is not
// mounted; what is mounted cannot be written; it has no capability over the
// namespace in which the mounts are; Landlock refuses what the mounts would
// allow; and system calls that only somebody needs who wants out are refused.
//
// The network is the machine's: a sandbox does not keep a task from other hosts,
// nor from what listens on this one. Neither does it hide how long a kernel has
// run, or how much memory there is.
//
// Supervisors use it, so it imports as little as they do: see package
// runner/supervise/early.
package sandbox

import (
	"os"
	"path"
	"strconv"
	"syscall"
)

// Plan is what a sandbox shows besides what all of them do.
type Plan struct {
	Root     string   // an empty folder to build it in
	Writable []string // folders at their own places
	// Hidden are folders of which nothing is shown but what is writable in them, even
	// where what they are in is shown. None is in another.
	Hidden  []string
	Devices []string // in /dev, besides those that every sandbox has
	Volumes []Volume
}

// shown are the folders of the machine that every sandbox shows, those that are there.
var shown = []string{
	"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix/store", "/gnu/store",
}

// devices are those that every sandbox has.
var devices = []string{"null", "zero", "full", "random", "urandom", "tty"}

// links are the symbolic links that every sandbox has.
var links = [][2]string{
	{"/proc/self/fd", "/dev/fd"},
	{"/proc/self/fd/0", "/dev/stdin"},
	{"/proc/self/fd/1", "/dev/stdout"},
	{"/proc/self/fd/2", "/dev/stderr"},
	{"pts/ptmx", "/dev/ptmx"},
	{"../tmp", "/var/tmp"},
}

// mount is one that every sandbox has.
type mount struct {
	at, kind, data string
	flags          uintptr
}

var mounts = []mount{
	{"/proc", "proc", "", syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC},
	{"/tmp", "tmpfs", "mode=1777", syscall.MS_NOSUID | syscall.MS_NODEV},
	{"/dev", "tmpfs", "mode=0755", syscall.MS_NOSUID | syscall.MS_NOEXEC},
	{"/dev/shm", "tmpfs", "mode=1777", syscall.MS_NOSUID | syscall.MS_NODEV},
	{"/dev/pts", "devpts", "newinstance,ptmxmode=0666,mode=0620", syscall.MS_NOSUID | syscall.MS_NOEXEC},
}

// private are the folders of a sandbox that are its own, and can be written.
var private = []string{"/tmp", "/dev/shm", "/dev/pts"}

// Build makes this process see what a plan shows. The process must have mount
// and pid namespaces of its own, and may not be able to go on after an error.
func Build(p Plan) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return because(err, "keep its mounts to itself")
	}
	b := &builder{root: p.Root, hidden: p.Hidden}
	b.mount(mount{"/", "tmpfs", "mode=0755", syscall.MS_NOSUID | syscall.MS_NODEV})
	for _, dir := range shown {
		b.show(dir)
	}
	for _, m := range mounts {
		b.mount(m)
	}
	for _, name := range devices {
		b.device("/dev/" + name)
	}
	for _, name := range p.Devices {
		b.device(name)
	}
	b.folder("/var")
	for _, l := range links {
		b.link(l[0], l[1])
	}
	b.resolver()
	closed := []string{"/", "/dev"}
	for _, dir := range p.Hidden {
		if b.hide(dir) {
			closed = append(closed, dir)
		}
	}
	for _, dir := range p.Writable {
		b.folder(dir)
		b.bind(dir, dir)
		b.restrict(dir, attrNoSUID|attrNoDev, recursive)
	}
	for _, v := range p.Volumes {
		b.volume(v)
	}
	for _, dir := range closed {
		b.restrict(dir, attrReadOnly, 0)
	}
	if b.err != nil {
		return b.err
	}
	return enter(p.Root)
}

// enter makes a folder the root, and forgets the old one.
func enter(root string) error {
	if err := os.Chdir(root); err != nil {
		return because(err, "enter its root")
	}
	// The old root comes to lie on the new one, and is taken from there.
	if err := syscall.PivotRoot(".", "."); err != nil {
		return because(err, "change its root")
	}
	if err := syscall.Unmount(".", syscall.MNT_DETACH); err != nil {
		return because(err, "let go of the machine's root")
	}
	return os.Chdir("/")
}

// builder puts things below a root until one goes wrong.
type builder struct {
	root   string
	hidden []string
	err    error
}

func (b *builder) failed(err error, what string) {
	if err != nil && b.err == nil {
		b.err = because(err, what)
	}
}

func (b *builder) at(name string) string { return path.Join(b.root, name) }

func (b *builder) folder(name string) {
	if b.err == nil {
		b.failed(os.MkdirAll(b.at(name), 0o755), "make folder "+name)
	}
}

func (b *builder) link(to, name string) {
	if b.err == nil {
		b.failed(os.Symlink(to, b.at(name)), "make link "+name)
	}
}

func (b *builder) mount(m mount) {
	b.folder(m.at)
	if b.err == nil {
		b.failed(syscall.Mount(m.kind, b.at(m.at), m.kind, m.flags, m.data), "mount "+m.kind+" at "+m.at)
	}
}

func (b *builder) bind(from, to string) {
	if b.err == nil {
		b.failed(syscall.Mount(from, b.at(to), "", syscall.MS_BIND|syscall.MS_REC, ""), "show "+from)
	}
}

// show shows a folder of the machine, if it is there, to read.
func (b *builder) show(dir string) {
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
	case info.Mode()&os.ModeSymlink != 0: // as /bin is of /usr/bin
		if to, err := os.Readlink(dir); err == nil {
			b.link(to, dir)
		}
	case info.IsDir():
		b.folder(dir)
		b.bind(dir, dir)
		b.restrict(dir, attrReadOnly|attrNoSUID|attrNoDev, recursive)
	}
}

// file shows a file of the machine.
func (b *builder) file(name string) {
	b.folder(path.Dir(name))
	if b.err == nil {
		f, err := os.OpenFile(b.at(name), os.O_CREATE|os.O_RDONLY, 0o644)
		b.failed(err, "make file "+name)
		f.Close()
	}
	b.bind(name, name)
}

func (b *builder) device(name string) {
	if _, err := os.Stat(name); err == nil {
		b.file(name)
	}
}

// resolver shows what says how names of hosts are found, where it is not in /etc.
func (b *builder) resolver() {
	const file = "/etc/resolv.conf"
	to, err := os.Readlink(file)
	if err != nil {
		return // it is itself a file, or there is none
	}
	if !path.IsAbs(to) {
		to = path.Join(path.Dir(file), to)
	}
	if _, err := os.Stat(to); err != nil {
		return
	}
	if _, err := os.Lstat(b.at(to)); err != nil {
		b.file(to)
		b.restrict(to, attrReadOnly|attrNoSUID|attrNoDev, 0)
	}
}

// hide covers a folder that is shown, and says whether it was.
func (b *builder) hide(dir string) bool {
	if _, err := os.Lstat(b.at(dir)); err != nil || b.err != nil {
		return false
	}
	b.mount(mount{dir, "tmpfs", "mode=0755", syscall.MS_NOSUID | syscall.MS_NODEV})
	return true
}

// What package syscall does not have; the numbers are the same on all machines.
const (
	sysMountSetattr = 442

	atCurrentFolder = -100   // AT_FDCWD
	recursive       = 0x8000 // AT_RECURSIVE

	attrReadOnly = 0x1 // MOUNT_ATTR_RDONLY
	attrNoSUID   = 0x2
	attrNoDev    = 0x4
)

// restrict takes something away from a mount, and from those in it if it is recursive.
func (b *builder) restrict(name string, attributes uint64, flags uintptr) {
	if b.err != nil {
		return
	}
	here := atCurrentFolder
	b.failed(setAttributes(uintptr(here), b.at(name), attributes, flags), "restrict "+name)
}

// fault is what could not be done, and why; package fmt costs too much here.
type fault struct {
	what  string
	cause error
}

func (f *fault) Error() string { return f.what + ": " + f.cause.Error() }

func (f *fault) Unwrap() error { return f.cause }

func because(cause error, what string) error { return &fault{what, cause} }

// call is a system call that has no function.
func call(what string, number uintptr, args ...uintptr) (uintptr, error) {
	var a [6]uintptr
	copy(a[:], args)
	r, _, errno := syscall.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
	if errno != 0 {
		return 0, because(errno, what+" (system call "+strconv.Itoa(int(number))+")")
	}
	return r, nil
}
