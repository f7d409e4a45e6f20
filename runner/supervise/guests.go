package supervise

import (
	"errors"
	"os"
	"strconv"
	"syscall"

	"mn/runner/frames"
)

// guestWord is the argument of a process between a person and a command of theirs that
// runs within a task: see mainGuest. Who starts it is who has started the task, so that
// what it starts is where the task is, and can do no more: the supervisor, or the first
// process of a sandbox, to which the supervisor hands what a guest needs.
const guestWord = "guest"

// doorFD is the open file of a first process by which guests are handed to it.
const doorFD = 4

// Bounds of guests.
const (
	guestsMax = 8  // within a task, at a time
	filesMax  = 16 // handed over with one
)

// guests are the processes of that kind that we have started.
type guests struct{ pids []int }

// welcome starts one. It has conn, what was started, and the ways into its groups.
func (g *guests) welcome(conn *os.File, ways []*os.File, over bool) {
	err := g.start(conn, ways, over)
	if err != nil { // if nobody hears it, nobody waits for it either
		_ = frames.Write(conn, frames.Failed, []byte(err.Error()))
	}
}

func (g *guests) start(conn *os.File, ways []*os.File, over bool) error {
	if over {
		return errors.New("the task is ending")
	}
	if len(g.pids) >= guestsMax {
		return errors.New("already " + strconv.Itoa(guestsMax) + " commands are in the task, no more are let in")
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return because(err, "enter the task")
	}
	defer null.Close()
	files := []uintptr{null.Fd(), null.Fd(), null.Fd(), conn.Fd()}
	for _, w := range ways {
		files = append(files, w.Fd())
	}
	pid, err := forkSelf(files, leading(), guestWord)
	if err == nil {
		g.pids = append(g.pids, pid)
	}
	return err
}

// left takes note of a process that was reaped.
func (g *guests) left(pid int) {
	for i, p := range g.pids {
		if p == pid {
			g.pids = append(g.pids[:i], g.pids[i+1:]...)
			return
		}
	}
}

// end has them end what they have started, and go.
func (g *guests) end() {
	for _, pid := range g.pids {
		syscall.Kill(pid, syscall.SIGTERM)
	}
}

// admit lets a guest in, or has the first process of the task's sandbox do so.
func (f *family) admit(conn *os.File, spec Spec, over bool) {
	defer conn.Close()
	ways, err := openWays(spec)
	if err != nil {
		_ = frames.Write(conn, frames.Failed, []byte(err.Error())) // as in welcome
		return
	}
	defer closeAll(ways)
	if f.door == nil || over {
		f.guests.welcome(conn, ways, over)
		return
	}
	if err := hand(f.door, append([]*os.File{conn}, ways...)); err != nil {
		_ = frames.Write(conn, frames.Failed, []byte(err.Error())) // as in welcome
	}
}

// openDoor makes the two ends of a door.
func openDoor() (ours, theirs *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|socketKind, 0)
	if err != nil {
		return nil, nil, because(err, "make door of sandbox")
	}
	return os.NewFile(uintptr(fds[0]), "door"), os.NewFile(uintptr(fds[1]), "door"), nil
}

// hand hands open files over. A door at which nobody takes anything is a closed one.
func hand(door *os.File, files []*os.File) error {
	var fds []int
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	err := syscall.Sendmsg(int(door.Fd()), []byte{0}, syscall.UnixRights(fds...), nil, syscall.MSG_DONTWAIT)
	if err != nil {
		return because(err, "hand over to the sandbox")
	}
	return nil
}

// visitors are the open files that are handed over.
func visitors(door *os.File) <-chan []*os.File {
	all := make(chan []*os.File)
	raw, err := door.SyscallConn()
	if err != nil {
		return nil
	}
	go func() {
		for {
			files, err := take(raw)
			if errors.Is(err, errNothing) {
				continue // who was meant hears that the connection is closed
			}
			if err != nil {
				return // the supervisor has gone, and we go with it
			}
			all <- files
		}
	}()
	return all
}

// errNothing is the error of what came without open files: there may have been no room for
// them. What comes next is as good as ever.
var errNothing = errors.New("nothing was handed over")

// take takes what is handed over at once.
func take(raw syscall.RawConn) ([]*os.File, error) {
	var word [1]byte
	rights := make([]byte, syscall.CmsgSpace(4*filesMax))
	n := 0
	var failed error
	err := raw.Read(func(door uintptr) (done bool) {
		var got int
		for {
			got, n, _, _, failed = syscall.Recvmsg(int(door), word[:], rights, syscall.MSG_CMSG_CLOEXEC)
			if failed != syscall.EINTR {
				break
			}
		}
		if failed == nil && got == 0 {
			failed = os.ErrClosed
		}
		return failed != syscall.EAGAIN
	})
	if err := errors.Join(err, failed); err != nil {
		return nil, err
	}
	messages, err := syscall.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) != 1 {
		return nil, errors.Join(err, errNothing)
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return nil, errors.Join(err, errNothing)
	}
	var files []*os.File
	for _, fd := range fds {
		files = append(files, os.NewFile(uintptr(fd), "handed over"))
	}
	return files, nil
}
