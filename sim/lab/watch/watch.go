// Package watch is for knowing what really ran: it looks at the process table
// from outside of any agent, many times a second, and keeps a [Life] of each
// task that it has seen. What was seen twice at once is an [Overlap]; what tasks
// themselves have written to a [Sink] says in which order they acted.
//
// It believes the kernel alone. An agent's word about its tasks is worth nothing
// here, nor is a number that may have another bearer by now: each task is held
// by a file that stands for the process.
//
// It sees tasks by their first process, the leader of their group, and may miss
// one that lived for less than a period; [Watcher.Gap] says how long it has not
// looked at most. A Watcher owns one goroutine.
package watch

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of a watcher.
const (
	Period   = 15 * time.Millisecond
	livesMax = 100_000
	// youth is how long a process may take to become what it was forked for.
	youth = time.Second
)

// Life is one run of a task: the group of processes that a supervisor started.
// Times are since boot. It lived from Seen to Last for sure.
type Life struct {
	Dir   string // the task's own folder
	Node  string
	Job   string
	Task  string
	Alloc string
	Index int
	Fence uint64
	PID   int
	Seen  time.Duration // when it was first seen alive
	Last  time.Duration // when it was last seen alive
	Ended bool          // and was not, when somebody looked next
}

// String is the life for people.
func (l Life) String() string {
	state := "lives"
	if l.Ended {
		state = "ended"
	}
	return fmt.Sprintf("%s[%d] %s on %s, pid %d, fence %d, seen %.3f s to %.3f s, %s",
		l.Job, l.Index, short(l.Alloc), l.Node, l.PID, l.Fence, l.Seen.Seconds(), l.Last.Seconds(), state)
}

// short is enough of an id.
func short(id string) string { return id[:min(len(id), 8)] }

// Now is the time since boot, which all times here are.
func Now() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("watch: this kernel has no boot-time clock: " + err.Error())
	}
	return time.Duration(ts.Nano())
}

// table is the process table.
type table interface {
	// pids are the processes there are.
	pids() ([]int, error)
	// hold takes a file that stands for a process.
	hold(pid int) (file int, err error)
	// ended says of each file whether its process has ended.
	ended(files []int) ([]bool, error)
	release(file int)
	// look says what a process is: a task, or one that may become one, being
	// younger than that.
	look(pid int, youth time.Duration) (l Life, is kind)
}

// kind is what a process is to us.
type kind int

const (
	stranger kind = iota // and stays one
	young                // it may become a task
	task
)

// Watcher keeps the lives of tasks.
type Watcher struct {
	table  table
	closed chan struct{}
	ended  chan struct{}

	mu      sync.Mutex
	lives   []*Life
	living  map[int]*Life // by the file that holds its process
	known   map[int]kind  // by pid
	changed chan struct{}
	gap     time.Duration
	last    time.Duration // when the last look began
	err     error         // of the first look that went wrong
}

// Start begins to watch.
func Start() *Watcher {
	w := newWatcher(proc{})
	go w.run()
	return w
}

func newWatcher(t table) *Watcher {
	return &Watcher{
		table:   t,
		closed:  make(chan struct{}),
		ended:   make(chan struct{}),
		living:  map[int]*Life{},
		known:   map[int]kind{},
		changed: make(chan struct{}),
	}
}

func (w *Watcher) run() {
	defer close(w.ended)
	tick := time.NewTicker(Period)
	defer tick.Stop()
	for {
		w.sample(Now())
		select {
		case <-tick.C:
		case <-w.closed:
			return
		}
	}
}

// Close ends the watch; what was seen stays.
func (w *Watcher) Close() {
	close(w.closed)
	<-w.ended
	for file := range w.living {
		w.table.release(file)
	}
}

// Lives are the tasks seen so far whose folders are below dir, in the order in
// which they were seen.
func (w *Watcher) Lives(dir string) []Life {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []Life
	for _, l := range w.lives {
		if strings.HasPrefix(l.Dir, dir+"/") {
			all = append(all, *l)
		}
	}
	return all
}

// Changed is closed when a task is seen next that was not, or not any more.
func (w *Watcher) Changed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed
}

// Gap is the longest time between two looks so far, and what was wrong with the
// first one that went wrong.
func (w *Watcher) Gap() (time.Duration, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gap, w.err
}

// sample looks once.
func (w *Watcher) sample(now time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last > 0 {
		w.gap = max(w.gap, now-w.last)
	}
	w.last = now
	before := len(w.lives)
	ended, err := w.bury(now)
	if err == nil {
		err = w.discover()
	}
	if w.err == nil {
		w.err = err
	}
	if ended || len(w.lives) > before {
		close(w.changed)
		w.changed = make(chan struct{})
	}
}

// bury notes who lives still, and says whether somebody does not.
func (w *Watcher) bury(now time.Duration) (some bool, err error) {
	files := make([]int, 0, len(w.living))
	for file := range w.living {
		files = append(files, file)
	}
	gone, err := w.table.ended(files)
	if err != nil {
		return false, err
	}
	for i, file := range files {
		l := w.living[file]
		if !gone[i] {
			l.Last = now // and later, for we have looked since
			continue
		}
		some, l.Ended = true, true
		delete(w.living, file)
		w.table.release(file)
	}
	return some, nil
}

// discover looks at the processes that it does not know.
func (w *Watcher) discover() error {
	pids, err := w.table.pids()
	if err != nil {
		return err
	}
	slices.Sort(pids)
	for pid := range w.known {
		if _, there := slices.BinarySearch(pids, pid); !there {
			delete(w.known, pid)
		}
	}
	for _, pid := range pids {
		if is, seen := w.known[pid]; !seen || is == young {
			w.known[pid] = w.meet(pid)
		}
	}
	return nil
}

// meet looks at a process, and holds it if it is a task.
func (w *Watcher) meet(pid int) kind {
	l, is := w.table.look(pid, youth)
	if is != task || len(w.lives) >= livesMax {
		return is
	}
	file, err := w.table.hold(pid)
	if err != nil {
		return stranger // it has ended meanwhile
	}
	// What we hold may not be what we have looked at; and it may have ended.
	again, is := w.table.look(pid, youth)
	now := Now()
	if gone, err := w.table.ended([]int{file}); is != task || again != l || err != nil || gone[0] {
		w.table.release(file)
		return stranger
	}
	l.Seen, l.Last = now, now
	w.living[file] = &l
	w.lives = append(w.lives, &l)
	return task
}
