package supervise

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lease is the dead-man's switch: over yields once at its end. It counts on the
// boot-time clock, which does not stand still while the machine is suspended:
// a machine that wakes up after the end finds the end passed.
type lease struct {
	over  chan struct{} // nil without a lease
	timer *os.File
	fd    int // of timer, which lives as long as the process
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
	fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		fmt.Fprintf(os.Stderr, "mn supervise: make lease timer: %v\n", err)
		l.over <- struct{}{}
		return l
	}
	l.fd, l.timer = fd, os.NewFile(uintptr(fd), "lease")
	l.renew(until)
	go l.wait()
	return l
}

// renew moves the end, never back.
func (l *lease) renew(until time.Duration) {
	if l.timer == nil || until <= l.until {
		return
	}
	at := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(until))}
	if err := unix.TimerfdSettime(l.fd, unix.TFD_TIMER_ABSTIME, &at, nil); err != nil {
		fmt.Fprintf(os.Stderr, "mn supervise: set lease timer: %v\n", err)
		return // the old end stands
	}
	l.until = until
}

func (l *lease) wait() {
	var count [8]byte
	if _, err := l.timer.Read(count[:]); err != nil {
		fmt.Fprintf(os.Stderr, "mn supervise: read lease timer: %v\n", err)
	}
	l.over <- struct{}{}
}
