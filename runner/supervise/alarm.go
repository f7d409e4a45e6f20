//go:build !mntestclock

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

// alarm goes off at an instant since boot. It lives as long as the process.
type alarm struct {
	timer *os.File
	fd    uintptr // of timer
}

func newAlarm() (*alarm, error) {
	const flags = syscall.O_CLOEXEC | syscall.O_NONBLOCK // TFD_CLOEXEC, TFD_NONBLOCK
	fd, _, err := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, clockBoottime, flags, 0)
	if err != 0 {
		return nil, because(err, "make lease timer")
	}
	return &alarm{os.NewFile(fd, "lease"), fd}, nil
}

// set says when it goes off, instead of when it was said before.
func (a *alarm) set(at time.Duration) error {
	spec := timerSpec{value: syscall.NsecToTimespec(int64(at))}
	if _, _, err := syscall.Syscall6(syscall.SYS_TIMERFD_SETTIME,
		a.fd, timerAbsolute, uintptr(unsafe.Pointer(&spec)), 0, 0, 0); err != 0 {
		return because(err, "set lease timer")
	}
	return nil
}

// wait returns when it goes off.
func (a *alarm) wait() error {
	var count [8]byte
	if _, err := a.timer.Read(count[:]); err != nil {
		return because(err, "read lease timer")
	}
	return nil
}
