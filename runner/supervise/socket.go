package supervise

import (
	"errors"
	"os"
	"strconv"
	"syscall"
)

// A file that does not block is read and written through the runtime's poller
// as a [net.Conn] is. Package net itself would cost every supervisor: see
// package early.

// backlogMax bounds the agents that wait at the door.
const backlogMax = 16

// socketKind is a connection that the task does not inherit.
const socketKind = syscall.SOCK_CLOEXEC | syscall.SOCK_NONBLOCK

// listenUnix makes a socket that only our own user can open. Its path should
// be relative: a full one may be longer than the kernel allows.
func listenUnix(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, because(err, "remove old socket")
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|socketKind, 0)
	if err != nil {
		return nil, because(err, "open socket")
	}
	l := os.NewFile(uintptr(fd), path)
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		l.Close()
		return nil, because(err, "open socket "+strconv.Quote(path))
	}
	// Nobody can connect before it listens.
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, because(err, "guard socket")
	}
	if err := syscall.Listen(fd, backlogMax); err != nil {
		l.Close()
		return nil, because(err, "open socket "+strconv.Quote(path))
	}
	return l, nil
}

// accept waits for the next connection.
func accept(l *os.File) (*os.File, error) {
	raw, err := l.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	var failed error
	err = raw.Read(func(door uintptr) (done bool) {
		for {
			fd, _, failed = syscall.Accept4(int(door), socketKind)
			switch failed {
			case syscall.EINTR, syscall.ECONNABORTED: // gone again: the next one
			default:
				return failed != syscall.EAGAIN
			}
		}
	})
	if err := errors.Join(err, failed); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), l.Name()), nil
}
