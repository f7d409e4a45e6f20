package supervise

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"mn/runner/frames"
)

// What package syscall does not have, the same on all machines.
const (
	ioctlUnlock = 0x40045431 // TIOCSPTLCK
	ioctlPeer   = 0x5441     // TIOCGPTPEER
)

// sizeMax bounds the rows and columns of a terminal.
const sizeMax = 1<<16 - 1

// stdio is what a guest's command reads from and writes to: a terminal, or three pipes.
type stdio struct {
	ways   []*os.File // of the process that is to become the command
	theirs []*os.File // stdin, stdout, stderr
	in     *os.File
	outs   []out
	tty    *os.File // nil without a terminal
	over   atomic.Bool
}

// out is what comes out.
type out struct {
	from *os.File
	kind frames.Kind
}

func (s *stdio) theirFDs() (fds []uintptr) {
	for _, f := range s.theirs {
		fds = append(fds, f.Fd())
	}
	return fds
}

// open makes what a guest reads from and writes to. It is the user's, so that it can be
// opened again by its name.
func (s *stdio) open(g Guest, u *User) error {
	if u != nil && mapped() {
		u = nil // who is known here is only that user
	}
	if g.Terminal {
		return s.openTerminal(g, u)
	}
	stdin, in, err := pipe()
	if err != nil {
		return err
	}
	stdout, write1, err := pipe()
	if err != nil {
		return err
	}
	stderr, write2, err := pipe()
	if err != nil {
		return err
	}
	s.in, s.outs = in.poll(), []out{{stdout.poll(), frames.Stdout}, {stderr.poll(), frames.Stderr}}
	for _, end := range []pipeEnd{stdin, write1, write2} {
		if u != nil {
			if err := syscall.Fchown(int(end), int(u.UID), int(u.GID)); err != nil {
				return because(err, "start command")
			}
		}
		s.theirs = append(s.theirs, os.NewFile(uintptr(end), "pipe"))
	}
	return nil
}

// pipeEnd is one end of a pipe, which blocks.
type pipeEnd int

// pipe makes one.
func pipe() (read, write pipeEnd, err error) {
	var fds [2]int
	if err := syscall.Pipe2(fds[:], syscall.O_CLOEXEC); err != nil {
		return 0, 0, because(err, "make pipe")
	}
	return pipeEnd(fds[0]), pipeEnd(fds[1]), nil
}

// poll is an end that is ours: only that may be non-blocking.
func (p pipeEnd) poll() *os.File {
	_ = syscall.SetNonblock(int(p), true) // it blocks a thread then, and does the same
	return os.NewFile(uintptr(p), "pipe")
}

// openTerminal makes a terminal.
func (s *stdio) openTerminal(g Guest, u *User) error {
	const name = "/dev/ptmx"
	fd, err := syscall.Open(name, syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if err != nil {
		return because(err, "open terminal "+name)
	}
	s.tty = os.NewFile(uintptr(fd), name)
	locked := int32(0)
	if _, err := ioctl(fd, ioctlUnlock, uintptr(unsafe.Pointer(&locked))); err != nil {
		return because(err, "open terminal")
	}
	other, err := ioctl(fd, ioctlPeer, syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC)
	if err != nil {
		return because(err, "open terminal")
	}
	if u != nil {
		if err := syscall.Fchown(int(other), int(u.UID), -1); err != nil {
			return because(err, "give the terminal to its user")
		}
	}
	peer := os.NewFile(other, "terminal")
	s.in, s.outs, s.theirs = s.tty, []out{{s.tty, frames.Stdout}}, []*os.File{peer, peer, peer}
	s.resize(g.Rows, g.Columns)
	return nil
}

// ioctl is the system call.
func ioctl(fd int, what, value uintptr) (uintptr, error) {
	r, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), what, value)
	if errno != 0 {
		return 0, errno
	}
	return r, nil
}

// resize says how large the terminal is. What it cannot be is left as it is.
func (s *stdio) resize(rows, columns int) {
	if s.tty == nil || rows <= 0 || columns <= 0 || rows > sizeMax || columns > sizeMax {
		return
	}
	size := [4]uint16{uint16(rows), uint16(columns)}
	_, _ = ioctl(int(s.tty.Fd()), syscall.TIOCSWINSZ, uintptr(unsafe.Pointer(&size)))
}

// tell says what comes out, and closes told when nothing more does.
func (s *stdio) tell(say func(frames.Kind, []byte) error) (told <-chan struct{}) {
	done := make(chan struct{})
	var all sync.WaitGroup
	for _, o := range s.outs {
		all.Add(1)
		go func() {
			defer all.Done()
			buf := make([]byte, frames.PayloadMax)
			for {
				n, err := s.read(o.from, buf)
				if n > 0 && say(o.kind, buf[:n]) != nil || err != nil {
					return
				}
			}
		}()
	}
	go func() { all.Wait(); close(done) }()
	return done
}

// read reads what comes out. When all that could write are gone, it is only what is there:
// somebody else may still have the other end open.
func (s *stdio) read(from *os.File, buf []byte) (int, error) {
	if !s.over.Load() {
		n, err := from.Read(buf)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
	}
	raw, err := from.SyscallConn()
	if err != nil {
		return 0, err
	}
	n := 0
	var failed error
	err = raw.Control(func(fd uintptr) { n, failed = syscall.Read(int(fd), buf) })
	if err = errors.Join(err, failed); err == nil && n <= 0 {
		err = os.ErrClosed
	}
	return max(n, 0), err
}

// last says that nothing more comes out than what is there.
func (s *stdio) last() {
	s.over.Store(true)
	for _, o := range s.outs {
		_ = o.from.SetReadDeadline(time.Unix(1, 0)) // without one it ends when the other end is closed
	}
}
