package supervise

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"syscall"
)

// family is the processes of a task. All of them are descendants of this
// process, and those whose parents die become its children: they are gone when
// it has no children left.
//
// A pid means what we think only as long as its bearer has not been reaped. So
// one goroutine does both, reaping and sending signals.
type family struct {
	leader  int
	report  *os.File // by which a leader that is not the task itself says how that ended; else nil
	door    *os.File // by which guests are handed to such a leader; else nil
	guests  guests   // of one that is the task itself
	reaped  bool     // the leader is
	status  syscall.WaitStatus
	killing bool         // everything that becomes ours is killed
	doomed  map[int]bool // children that were sent SIGKILL, and have not been reaped
}

// reapMost is how many may be reaped before what they have left behind is killed:
// one by one the work would grow with the square of how many there are, and all
// at once there may be no end of those that come and go.
const reapMost = 256

// reap reaps what has ended, and says whether nothing is left. What a process
// leaves behind has become ours before it can be reaped: while killing, it is
// next.
func (f *family) reap() (gone bool) {
	reaped := 0
	for {
		if f.killing && reaped == reapMost {
			reaped = 0
			f.killChildren()
		}
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return true
		case pid == 0:
			if f.killing && reaped > 0 {
				f.killChildren()
			}
			return false
		}
		reaped++
		delete(f.doomed, pid)
		f.guests.left(pid)
		if pid == f.leader {
			f.reaped, f.status = true, f.reported(status)
		}
	}
}

// reported is how the task has ended, if its leader has ended thus.
func (f *family) reported(status syscall.WaitStatus) syscall.WaitStatus {
	if f.report == nil {
		return status
	}
	defer f.report.Close()
	defer f.door.Close()
	said, _ := io.ReadAll(io.LimitReader(f.report, statusMax))
	if n, err := strconv.ParseUint(string(said), 10, 32); err == nil {
		return syscall.WaitStatus(n)
	}
	return status // they were killed together
}

// signal sends the task's process group a signal.
func (f *family) signal(s syscall.Signal) {
	if !f.reaped {
		syscall.Kill(-f.leader, s)
	}
}

// kill kills what is there and what will turn up.
func (f *family) kill() {
	f.killing = true
	if !f.reaped {
		syscall.Kill(-f.leader, syscall.SIGKILL)
	}
	f.killChildren()
}

// killChildren kills the group of each of our children: a whole group at once,
// so that it cannot fork faster than it is killed. Who was killed once is left
// alone, as is a group that was killed a moment ago: each is as much work as it
// has members, those among them that are dead already too.
func (f *family) killChildren() {
	own := syscall.Getpgrp()
	killed := map[int]bool{}
	for _, pid := range children("self") {
		if f.doomed[pid] {
			continue
		}
		group, err := syscall.Getpgid(pid)
		if err == nil && group != own && !killed[group] {
			killed[group] = true
			syscall.Kill(-group, syscall.SIGKILL)
		}
		if syscall.Kill(pid, syscall.SIGKILL) == nil {
			f.doom(pid)
		}
	}
}

func (f *family) doom(pid int) {
	if f.doomed == nil {
		f.doomed = map[int]bool{}
	}
	f.doomed[pid] = true
}

// children are the child processes of a process, those that wait to be reaped
// among them.
func children(of string) []int {
	threads, err := os.ReadDir("/proc/" + of + "/task")
	if err != nil {
		return nil
	}
	var pids []int
	for _, t := range threads {
		text, err := os.ReadFile("/proc/" + of + "/task/" + t.Name() + "/children")
		if err != nil {
			continue // the thread has ended; its children went to another one
		}
		for field := range bytes.FieldsSeq(text) {
			if pid, err := strconv.Atoi(string(field)); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// StartTicks is when a process was started, in clock ticks since boot: with its
// pid it names the process for good.
func StartTicks(pid int) (uint64, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, because(err, "read start of process "+strconv.Itoa(pid))
	}
	return parseTicks(text)
}

var errNoStatus = errors.New("no process status")

// parseTicks reads field 22 of /proc/PID/stat. The second field is the
// command in brackets, in which anything can stand.
func parseTicks(text []byte) (uint64, error) {
	_, rest, ok := cutLast(text, ')')
	fields := bytes.Fields(rest)
	if !ok || len(fields) < 20 {
		return 0, because(errNoStatus, "read start of process: "+strconv.Quote(string(text)))
	}
	ticks, err := strconv.ParseUint(string(fields[19]), 10, 64)
	if err != nil {
		return 0, because(err, "read start of process")
	}
	return ticks, nil
}

func cutLast(text []byte, sep byte) (before, after []byte, ok bool) {
	i := bytes.LastIndexByte(text, sep)
	if i < 0 {
		return text, nil, false
	}
	return text[:i], text[i+1:], true
}
