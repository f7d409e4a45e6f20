package sandbox

import (
	"slices"
	"syscall"
	"testing"
)

// call3 is one system call as a filter sees it.
type call3 struct {
	arch, number uint32
	first        uint64
}

// run runs a filter as the kernel does.
func run(program []instruction, c call3) uint32 {
	var word uint32
	for i := 0; ; i++ {
		p := program[i]
		jump := func(yes bool) {
			if yes {
				i += int(p.yes)
			} else {
				i += int(p.no)
			}
		}
		switch p.code {
		case load:
			word = map[uint32]uint32{atNumber: c.number, atArch: c.arch, atFirst: uint32(c.first)}[p.constant]
		case equal:
			jump(word == p.constant)
		case greater:
			jump(word > p.constant)
		case anyBit:
			jump(word&p.constant != 0)
		case answer:
			return p.constant
		}
	}
}

func TestFilter(t *testing.T) {
	const (
		eperm  = refusal | uint32(syscall.EPERM)
		enosys = refusal | uint32(syscall.ENOSYS)
	)
	for name, m := range machines {
		program := m.program()
		if len(program) > 4096 {
			t.Errorf("%s: %d instructions, more than the kernel takes", name, len(program))
		}
		for _, number := range slices.Concat(everywhere, m.refused) {
			if got := run(program, call3{m.audit, number, 0}); got != eperm {
				t.Errorf("%s: call %d is answered %#x", name, number, got)
			}
		}
		for _, test := range []struct {
			what string
			c    call3
			want uint32
		}{
			{"clone of a thread", call3{m.audit, m.clone, 0x3d0f00}, allowed},
			{"clone with a user namespace", call3{m.audit, m.clone, 0x10000011}, eperm},
			{"clone with a time namespace", call3{m.audit, m.clone, 0x80}, eperm},
			{"clone3", call3{m.audit, clone3, 0}, enosys},
			{"seccomp", call3{m.audit, uint32(m.seccomp), 0}, allowed},
			{"flags in the upper half", call3{m.audit, m.clone, 0x10000000 << 32}, allowed},
			{"another machine", call3{0x40000003, m.clone, 0}, killing},
		} {
			if got := run(program, test.c); got != test.want {
				t.Errorf("%s: %s is answered %#x, want %#x", name, test.what, got, test.want)
			}
		}
		if got := run(program, call3{m.audit, 0x40000000 + m.refused[0], 0}); m.foreign > 0 && got != enosys {
			t.Errorf("%s: a call of its other ABI is answered %#x", name, got)
		}
	}
}

func TestRightsGrowWithTheVersion(t *testing.T) {
	for version, want := range map[int]uint64{0: 0, 1: 0, 2: 0x3fff, 3: 0x7fff, 4: 0x7fff, 5: 0xffff, 9: 0xffff} {
		if got := rightsOf(version); got != want {
			t.Errorf("version %d has %#x, want %#x", version, got, want)
		}
	}
}
