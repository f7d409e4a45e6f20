package logs

import (
	"os"
	"sync"
	"syscall"
	"time"
)

// pollEvery is how often a reader looks where the kernel does not tell: before
// the folder exists, and when there are no more inotify instances to be had.
const pollEvery = 250 * time.Millisecond

// watcher wakes a reader when something in a folder has changed. Changes that
// come faster than the reader reads are one change.
type watcher struct {
	dir     string
	changed chan struct{} // holds 1: something has changed since it was taken
	closed  chan struct{}
	ended   chan struct{}

	mu     sync.Mutex
	notify *os.File // nil while polling
}

// watchDir begins to watch a folder.
func watchDir(dir string) *watcher {
	w := &watcher{
		dir:     dir,
		changed: make(chan struct{}, 1),
		closed:  make(chan struct{}),
		ended:   make(chan struct{}),
	}
	notify := w.open()
	go w.run(notify)
	return w
}

// Changed yields when the folder has changed.
func (w *watcher) Changed() <-chan struct{} { return w.changed }

// Close ends the watch and waits for its goroutine.
func (w *watcher) Close() {
	close(w.closed)
	w.mu.Lock()
	if w.notify != nil {
		w.notify.Close() // ends a read in progress
	}
	w.mu.Unlock()
	<-w.ended
}

// open asks the kernel for events, or returns nil if it has none to give.
func (w *watcher) open() *os.File {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.closed:
		return nil
	default:
		w.notify = inotify(w.dir)
		return w.notify
	}
}

func (w *watcher) run(notify *os.File) {
	defer close(w.ended)
	if notify == nil {
		notify = w.poll()
	}
	if notify == nil {
		return
	}
	// What the events say does not matter, only that there are some.
	events := make([]byte, 16<<10)
	for {
		if _, err := notify.Read(events); err != nil {
			return
		}
		w.wake()
	}
}

// poll wakes the reader now and then until there are events to be had; nil if
// the watch was closed before.
func (w *watcher) poll() *os.File {
	ticks := time.NewTicker(pollEvery)
	defer ticks.Stop()
	for {
		select {
		case <-w.closed:
			return nil
		case <-ticks.C:
			notify := w.open()
			w.wake()
			if notify != nil {
				return notify
			}
		}
	}
}

func (w *watcher) wake() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// inotify is a file that yields events of dir, or nil if there is none.
func inotify(dir string) *os.File {
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		return nil
	}
	const mask = syscall.IN_MODIFY | syscall.IN_CREATE | syscall.IN_DELETE_SELF
	if _, err := syscall.InotifyAddWatch(fd, dir, mask); err != nil {
		syscall.Close(fd)
		return nil
	}
	return os.NewFile(uintptr(fd), "inotify")
}
