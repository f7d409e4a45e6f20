package exec

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"mn/mesh"
	"mn/runner"
	"mn/runner/supervise"
)

// Bounds of adoption.
const (
	greetTimeout = 2 * time.Second
	connectEvery = 10 * time.Millisecond // while a supervisor has yet to open its door
	killRounds   = 20                    // over the process table, until nothing is left
)

// adopt looks into every task's folder, takes in hand what runs, and notes how
// the others ended.
func (d *Driver) adopt() error {
	keys, err := d.keys()
	if err != nil {
		return fmt.Errorf("list allocations: %w", err)
	}
	for _, k := range keys {
		found, err := d.inspect(k)
		switch {
		case err != nil:
			// One broken folder must not keep the node from starting.
			d.cfg.Log.Error("inspect task", "task", k.String(), "error", err)
			d.unread = append(d.unread, k.group())
		case found.live:
			d.takeInHand(k, found.start)
		case found.exit != nil:
			o := d.ended(k, *found.exit)
			if _, err := d.root.Lstat(retiredFile(k.alloc)); err != nil { // else its end is on record
				if d.keepLater(k, o) {
					continue
				}
				d.keep(k, &o)
			}
			d.found = append(d.found, o)
		}
	}
	return nil
}

// takeInHand adopts a task that runs.
func (d *Driver) takeInHand(k key, start supervise.Start) {
	t := &task{d: d, key: k, over: make(chan struct{}), contained: d.contained(k)}
	r := t.connect(&start)
	t.attempt = start.Attempt
	d.found = append(d.found, running(k, runner.Adopted, start))
	d.mu.Lock()
	d.tasks[k] = t
	d.mu.Unlock()
	d.work.Go(func() { t.follow(r, d.savingOf(k)) })
}

// keys are the tasks that have folders, sorted. What does not belong here is
// passed over: it must not keep the node from starting.
func (d *Driver) keys() ([]key, error) {
	var keys []key
	allocs, err := fs.ReadDir(d.root.FS(), ".")
	if err != nil {
		return nil, err
	}
	for _, a := range allocs {
		if !a.IsDir() || !mesh.ValidName(a.Name()) {
			continue
		}
		// The parent of a task's folder is that of all of them.
		tasks, err := fs.ReadDir(d.root.FS(), filepath.Dir(key{mesh.AllocID(a.Name()), "x"}.folder()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			d.cfg.Log.Error("list tasks of allocation", "alloc", a.Name(), "error", err)
			d.unread = append(d.unread, a.Name()+".")
		}
		for _, t := range tasks {
			if k := (key{mesh.AllocID(a.Name()), t.Name()}); k.valid() && t.IsDir() {
				keys = append(keys, k)
			}
		}
	}
	return keys, nil
}

// found is what a task's folder says: a supervisor lives, or the last attempt
// has ended, or neither, and nothing was started.
type found struct {
	live  bool
	start supervise.Start
	exit  *supervise.Exit
}

// inspect finds out about a task. If a supervisor died and left no record, what
// it has left running is killed, and the record is written for it.
func (d *Driver) inspect(k key) (found, error) {
	var f found
	file, err := d.root.OpenFile(k.file(supervise.StateFile), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil // no supervisor has ever got that far
	}
	if err != nil {
		return f, fmt.Errorf("open state of task %s: %w", k, err)
	}
	defer file.Close()
	if f.live, err = supervise.Lock(file); err != nil {
		return f, err
	}
	state, err := supervise.ReadState(file)
	if err != nil && !f.live {
		return f, fmt.Errorf("task %s: %w", k, err)
	}
	f.start, f.exit = state.Start, state.Exit
	if !f.live && f.exit == nil && f.start.Attempt > 0 {
		f.exit = d.bury(k, file, f.start)
	}
	return f, nil
}

// bury ends an attempt whose supervisor died.
func (d *Driver) bury(k key, file *os.File, start supervise.Start) *supervise.Exit {
	exit := &supervise.Exit{
		Attempt: start.Attempt, Started: true, PID: start.PID, StartedAt: start.At,
		Code: -1, At: time.Now(), Err: "lost with the previous boot of the machine",
	}
	if start.Boot == d.boot {
		exit.Err = "its supervisor died"
		d.killLeft(k, start)
		remove := d.uncontain
		if d.adopting.Load() {
			remove = d.uncontainSoon // the next attempt waits for that anyway
		}
		remove(k, start.Attempt)
		d.ungroup(k, start.Attempt)
	}
	if err := supervise.WriteState(file, supervise.State{Start: start, Exit: exit}); err != nil {
		d.cfg.Log.Error("record end of task", "task", k.String(), "error", err)
	}
	return exit
}

// killLeft kills what a dead supervisor's task has left: its process group, and
// whatever has its mark in the environment.
func (d *Driver) killLeft(k key, start supervise.Start) {
	if start.PID > 0 {
		ticks, err := supervise.StartTicks(start.PID)
		// A group keeps its number from being given to another process. So if
		// no process has it as its pid, the group is still that of the task.
		if errors.Is(err, fs.ErrNotExist) || err == nil && ticks == start.PIDStart {
			syscall.Kill(-start.PID, syscall.SIGKILL)
		}
	}
	mark := []byte(mark(filepath.Join(d.cfg.Root, runner.WorkDir(k.alloc, k.task))))
	for range killRounds {
		pids := marked(mark)
		if len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// marked are the processes, zombies aside, with that entry in their environment.
func marked(mark []byte) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		environ, err := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if err != nil {
			continue // gone meanwhile, or not ours
		}
		isMark := func(v []byte) bool { return bytes.Equal(v, mark) }
		if slices.ContainsFunc(bytes.Split(environ, []byte{0}), isMark) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// connect connects to a supervisor that lives, and completes start from its
// greeting: the record may have been read before the task was forked. It
// returns nil if the supervisor takes no connection: then it is stopped by a
// signal, and tried again as long as it lives.
func (t *task) connect(start *supervise.Start) *bufio.Reader {
	r, err := t.greet(start)
	if r != nil {
		return r
	}
	if !t.d.isClosing() {
		t.d.cfg.Log.Warn("supervisor takes no connection", "task", t.key.String(), "error", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conn, t.deaf = nil, start.Supervisor
	if t.stopped != "" {
		syscall.Kill(t.deaf, syscall.SIGTERM)
	}
	return nil
}

// greet tries once to connect; nil if it cannot.
func (t *task) greet(start *supervise.Start) (*bufio.Reader, error) {
	c, err := t.d.dial(t.key)
	if err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(c, lineMax)
	c.SetReadDeadline(time.Now().Add(greetTimeout))
	var greeting supervise.Start
	err = readLine(r, &greeting)
	c.SetReadDeadline(time.Time{})
	if err != nil {
		c.Close()
		return nil, err
	}
	if !t.attach(c) {
		return nil, os.ErrClosed
	}
	*start = greeting
	return r, nil
}

// dial connects to the door of a supervisor. The way to it goes through the
// file number of the folder: a full path may be longer than a socket's address.
func (d *Driver) dial(k key) (conn, error) {
	dir, err := d.root.Open(k.folder())
	if err != nil {
		return nil, fmt.Errorf("connect to supervisor: %w", err)
	}
	defer dir.Close()
	raw, err := dir.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("connect to supervisor: %w", err)
	}
	var c net.Conn
	var refused error
	err = raw.Control(func(fd uintptr) {
		c, refused = d.dialUntil(k, fmt.Sprintf("/proc/self/fd/%d/%s", fd, supervise.SocketFile))
	})
	if err = errors.Join(err, refused); err != nil {
		return nil, fmt.Errorf("connect to supervisor: %w", err)
	}
	return c.(conn), nil
}

// dialUntil tries until the supervisor has opened its door, which it does a
// moment after it has taken the lock, or is gone.
func (d *Driver) dialUntil(k key, path string) (c net.Conn, err error) {
	ticks := time.NewTicker(connectEvery)
	defer ticks.Stop()
	for range greetTimeout / connectEvery {
		if c, err = net.Dial("unix", path); err == nil {
			return c, nil
		}
		if held, lockErr := d.held(k); lockErr == nil && !held {
			return nil, err
		}
		select {
		case <-d.closing:
			return nil, err
		case <-ticks.C:
		}
	}
	return nil, err
}
