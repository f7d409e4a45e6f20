package supervise

import (
	"os"
	"syscall"
	"time"
	"unsafe"
)

// What package syscall does not have.
const (
	clockBoottime = 7 // CLOCK_BOOTTIME
	timerAbsolute = 1 // TFD_TIMER_ABSTIME
)

// timerSpec is struct itimerspec.
type timerSpec struct{ interval, value syscall.Timespec }

// lease is the dead-man's switch: over yields once at its end. It counts on the
// boot-time clock, which does not stand still while the machine is suspended:
// a machine that wakes up after the end finds the end passed.
type lease struct {
	over  chan struct{} // nil without a lease
	timer *os.File
	fd    uintptr // of timer, which lives as long as the process
	until time.Duration
}

// newLease makes a lease that ends at until since boot, or never if that is 0.
// Should the kernel have no timer to give, the lease is over at once: a task
// that might run too long does not run.
func newLease(until time.Duration) *lease {
	l := &lease{}
	if until == 0 {
		return l
	}
	l.over = make(chan struct{}, 1)
	const flags = syscall.O_CLOEXEC | syscall.O_NONBLOCK // TFD_CLOEXEC, TFD_NONBLOCK
	fd, _, err := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, clockBoottime, flags, 0)
	if err != 0 {
		say("make lease timer: " + err.Error())
		l.over <- struct{}{}
		return l
	}
	l.fd, l.timer = fd, os.NewFile(fd, "lease")
	l.renew(until)
	go l.wait()
	return l
}

// renew moves the end, never back.
func (l *lease) renew(until time.Duration) {
	if l.timer == nil || until <= l.until {
		return
	}
	at := timerSpec{value: syscall.NsecToTimespec(int64(until))}
	if _, _, err := syscall.Syscall6(syscall.SYS_TIMERFD_SETTIME,
		l.fd, timerAbsolute, uintptr(unsafe.Pointer(&at)), 0, 0, 0); err != 0 {
		say("set lease timer: " + err.Error())
		return // the old end stands
	}
	l.until = until
}

func (l *lease) wait() {
	var count [8]byte
	if _, err := l.timer.Read(count[:]); err != nil {
		say("read lease timer: " + err.Error())
	}
	l.over <- struct{}{}
}
