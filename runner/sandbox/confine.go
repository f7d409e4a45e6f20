package sandbox

import (
	"errors"
	"os"
	"runtime"
	"syscall"
	"unsafe"
)

// The numbers of Landlock, the same on all machines.
const (
	sysLandlockCreate   = 444
	sysLandlockAddRule  = 445
	sysLandlockRestrict = 446

	landlockVersion   = 1 // LANDLOCK_CREATE_RULESET_VERSION
	landlockPathRule  = 1 // LANDLOCK_RULE_PATH_BENEATH
	landlockScopeBoth = 3 // abstract sockets, and signals
)

// Rights of Landlock, as many as a version of it knows.
const (
	rightExecute  = 1 << 0
	rightWrite    = 1 << 1
	rightRead     = 1 << 2
	rightList     = 1 << 3
	rightTruncate = 1 << 14
	rightIoctl    = 1 << 15

	rightsFirst = 1<<13 - 1 // of its first version
	rightRefer  = 1 << 13
)

// prSetNoNewPrivs is PR_SET_NO_NEW_PRIVS.
const prSetNoNewPrivs = 38

// Confine keeps this thread, and so the program that it becomes, from gaining
// privileges, from writing to other folders and devices than the given ones and those
// that every sandbox has, and from system calls that no task needs. What the kernel does
// not have is left out, but for the first.
func Confine(writable, given []string) error {
	if _, err := call("give up new privileges", syscall.SYS_PRCTL, prSetNoNewPrivs, 1); err != nil {
		return err
	}
	if err := landlock(writable, given); err != nil {
		return err
	}
	return filter()
}

// landlock restricts what this thread can reach in the file system.
func landlock(writable, given []string) error {
	version, _, errno := syscall.Syscall(sysLandlockCreate, 0, 0, landlockVersion)
	rights := rightsOf(int(version))
	if errno != 0 || rights == 0 {
		return nil // the kernel has none, or it is off
	}
	attr := struct{ files, network, scoped uint64 }{files: rights}
	size := unsafe.Sizeof(attr.files)
	if version >= 6 {
		attr.scoped, size = landlockScopeBoth, unsafe.Sizeof(attr)
	}
	set, err := call("make Landlock rules", sysLandlockCreate, uintptr(unsafe.Pointer(&attr)), size, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(int(set))
	allow := func(name string, right uint64) {
		if err == nil {
			err = beneath(set, name, right&rights)
		}
	}
	allow("/", rightExecute|rightRead|rightList)
	for _, dir := range append(private, writable...) {
		allow(dir, rights)
	}
	for _, name := range devices {
		given = append(given, "/dev/"+name)
	}
	for _, name := range given {
		allow(name, rightRead|rightWrite|rightTruncate|rightIoctl)
	}
	if err != nil {
		return err
	}
	_, err = call("apply Landlock rules", sysLandlockRestrict, set, 0)
	return err
}

// rightsOf are all rights that a version of Landlock knows; none if it is not of use: the
// first one refuses to move any file from one folder to another.
func rightsOf(version int) uint64 {
	if version < 2 {
		return 0
	}
	rights := uint64(rightsFirst)
	for _, r := range []struct {
		since int
		right uint64
	}{{2, rightRefer}, {3, rightTruncate}, {5, rightIoctl}} {
		if version >= r.since {
			rights |= r.right
		}
	}
	return rights
}

// beneath allows something in what is below a path, if that is there.
func beneath(set uintptr, name string, right uint64) error {
	const openPath = 0x200000 // O_PATH
	fd, err := syscall.Open(name, openPath|syscall.O_CLOEXEC, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return because(err, "open "+name)
	}
	defer syscall.Close(fd)
	rule := packedRule(right, int32(fd))
	_, err = call("add a Landlock rule for "+name, sysLandlockAddRule, set, landlockPathRule,
		uintptr(unsafe.Pointer(&rule)), 0)
	return err
}

// packedRule is struct landlock_path_beneath_attr, which has no padding.
func packedRule(right uint64, fd int32) (rule [12]byte) {
	*(*uint64)(unsafe.Pointer(&rule[0])) = right
	*(*int32)(unsafe.Pointer(&rule[8])) = fd
	return rule
}

// filter refuses system calls.
func filter() error {
	machine, known := machines[runtime.GOARCH]
	if !known {
		return nil
	}
	program := machine.program()
	prog := struct {
		length uint16
		filter *instruction
	}{uint16(len(program)), &program[0]}
	const filterMode = 1 // SECCOMP_SET_MODE_FILTER
	_, _, errno := syscall.Syscall(machine.seccomp, filterMode, 0, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(program)
	if errno == syscall.ENOSYS || errno == syscall.EINVAL {
		return nil // the kernel has none
	}
	if errno != 0 {
		return because(errno, "filter system calls")
	}
	return nil
}
