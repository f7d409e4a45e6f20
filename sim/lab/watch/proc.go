package watch

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// proc is the kernel's process table.
type proc struct{}

var _ table = proc{}

// ticks is how many of its ticks the kernel counts a second in what it shows.
const ticks = 100

func (proc) pids() ([]int, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func (proc) hold(pid int) (int, error) { return unix.PidfdOpen(pid, 0) }

func (proc) release(file int) { unix.Close(file) }

// ended asks the kernel about all at once: the file of a process can be read
// when it has ended, whether or not its parent has noticed.
func (proc) ended(files []int) ([]bool, error) {
	ask := make([]unix.PollFd, len(files))
	for i, f := range files {
		ask[i] = unix.PollFd{Fd: int32(f), Events: unix.POLLIN}
	}
	for {
		_, err := unix.Poll(ask, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("ask which tasks have ended: %w", err)
		}
		break
	}
	gone := make([]bool, len(files))
	for i, a := range ask {
		gone[i] = a.Revents != 0
	}
	return gone, nil
}

func (proc) look(pid int, youth time.Duration) (Life, kind) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return Life{}, stranger
	}
	// The name in parentheses may hold anything, also parentheses.
	f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(f) < 20 || f[0][0] == 'Z' || f[0][0] == 'X' {
		return Life{}, stranger
	}
	group, _ := strconv.Atoi(string(f[2]))
	start, _ := strconv.ParseInt(string(f[19]), 10, 64)
	other := stranger
	if Now()-time.Duration(start)*time.Second/ticks < youth {
		other = young
	}
	if group != pid {
		return Life{}, other
	}
	environ, err := os.ReadFile(filepath.Join(dir, "environ"))
	if err != nil {
		return Life{}, other
	}
	l, ok := lifeOf(environ)
	if !ok {
		return Life{}, other
	}
	l.PID = pid
	return l, task
}

// lifeOf reads what a task's environment says about it. Whatever starts a task
// has no such environment.
func lifeOf(environ []byte) (l Life, ok bool) {
	number := map[string]uint64{}
	text := map[string]*string{
		"MN_TASK_DIR": &l.Dir, "MN_NODE": &l.Node, "MN_JOB": &l.Job, "MN_TASK": &l.Task, "MN_ALLOC_ID": &l.Alloc,
	}
	for v := range bytes.SplitSeq(environ, []byte{0}) {
		name, value, _ := bytes.Cut(v, []byte("="))
		switch name := string(name); name {
		case "MN_ALLOC_INDEX", "MN_FENCE":
			n, err := strconv.ParseUint(string(value), 10, 64)
			if err != nil {
				return l, false
			}
			number[name] = n
		default:
			if to := text[name]; to != nil {
				*to = string(value)
			}
		}
	}
	for _, v := range text {
		if *v == "" {
			return l, false
		}
	}
	l.Index, l.Fence = int(number["MN_ALLOC_INDEX"]), number["MN_FENCE"]
	return l, len(number) == 2
}
