package sandbox

import "syscall"

// machine is what differs between machines, for filters of system calls.
type machine struct {
	audit   uint32  // AUDIT_ARCH_...
	seccomp uintptr // the number of seccomp itself
	clone   uint32
	foreign uint32 // numbers from here on are of another ABI; 0: there is none
	refused []uint32
}

// clone3 has its flags where a filter cannot look: programs fall back to clone.
const clone3 = 435

// cloneNew are the flags of clone that make namespaces.
const cloneNew = 0x7e020080

// everywhere are refused system calls that have the same number on all machines.
var everywhere = []uint32{
	425, 426, 427, // io_uring_setup, io_uring_enter, io_uring_register: they do others' work past a filter
	428, 429, 430, 431, 432, 433, // open_tree, move_mount, fsopen, fsconfig, fsmount, fspick
	438, 442, 467, // pidfd_getfd, mount_setattr, open_tree_attr
}

// machines are those of which the numbers are known, by their names in Go.
var machines = map[string]machine{
	"amd64": {audit: 0xc000003e, seccomp: 317, clone: 56, foreign: 0x40000000, refused: []uint32{
		101,           // ptrace
		310, 311, 312, // process_vm_readv, process_vm_writev, kcmp
		165, 166, 155, 161, // mount, umount2, pivot_root, chroot
		272, 308, // unshare, setns
		246, 320, 169, // kexec_load, kexec_file_load, reboot
		175, 313, 176, // init_module, finit_module, delete_module
		248, 249, 250, // add_key, request_key, keyctl
		321, 298, 323, // bpf, perf_event_open, userfaultfd
		303, 304, // name_to_handle_at, open_by_handle_at
		167, 168, 179, // swapon, swapoff, quotactl
		164, 227, // settimeofday, clock_settime
		170, 171, 163, 103, // sethostname, setdomainname, acct, syslog
		172, 173, 134, 300, // iopl, ioperm, uselib, fanotify_init
	}},
	"arm64": {audit: 0xc00000b7, seccomp: 277, clone: 220, refused: []uint32{ // the same, as far as there are
		117,
		270, 271, 272,
		40, 39, 41, 51,
		97, 268,
		104, 294, 142,
		105, 273, 106,
		217, 218, 219,
		280, 241, 282,
		264, 265,
		224, 225, 60,
		170, 112,
		161, 162, 89, 116,
		262,
	}},
}

// instruction is one of the kernel's small machine.
type instruction struct {
	code     uint16
	yes, no  uint8
	constant uint32
}

// The parts of that machine that are used here, and what a filter answers.
const (
	load    = 0x20 // a word of what is called
	equal   = 0x15
	greater = 0x25
	anyBit  = 0x45
	answer  = 0x06

	atNumber = 0
	atArch   = 4
	atFirst  = 16 // the lower half of the first argument, on machines that begin with it

	allowed = 0x7fff0000
	refusal = 0x00050000 // with an error number
	killing = 0x80000000
)

// program is the filter: refused calls fail as if one had no right to them.
func (m machine) program() []instruction {
	p := []instruction{
		{load, 0, 0, atArch},
		{equal, 1, 0, m.audit},
		{answer, 0, 0, killing}, // a program for another machine
		{load, 0, 0, atNumber},
	}
	no := instruction{answer, 0, 0, refusal | uint32(syscall.EPERM)}
	none := instruction{answer, 0, 0, refusal | uint32(syscall.ENOSYS)}
	if m.foreign > 0 {
		p = append(p, instruction{greater, 0, 1, m.foreign - 1}, none)
	}
	for _, list := range [][]uint32{everywhere, m.refused} {
		for _, number := range list {
			p = append(p, instruction{equal, 0, 1, number}, no)
		}
	}
	return append(p,
		instruction{equal, 0, 1, clone3}, none,
		instruction{equal, 0, 3, m.clone},
		instruction{load, 0, 0, atFirst}, instruction{anyBit, 0, 1, cloneNew}, no,
		instruction{answer, 0, 0, allowed},
	)
}
