// Package clock is for reading this host's clocks: the time since it booted,
// and the time of day. Nobody else reads them where a decision rests on it, so
// that a test of real processes can give each of them other ones.
//
// Such a test builds mn with the tag mntestclock. Without it there is nothing
// here but the kernel's clocks, and no way to ask for others.
//
// Every supervisor of a task links this package: it imports what costs nothing
// at the start of a process. See package early.
package clock

import (
	"syscall"
	"time"
	"unsafe"
)

// boottime is CLOCK_BOOTTIME, which package syscall does not have.
const boottime = 7

// kernel is the time since boot as the kernel has it.
func kernel() time.Duration {
	var ts syscall.Timespec
	_, _, err := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, boottime, uintptr(unsafe.Pointer(&ts)), 0)
	if err != 0 {
		panic("clock: this kernel has no boot-time clock: " + err.Error())
	}
	return time.Duration(ts.Nano())
}
