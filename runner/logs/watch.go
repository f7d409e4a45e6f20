package logs

import (
	"os"
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
	notify  *os.File // nil while polling
}

// watchDir begins to watch a folder.
func watchDir(dir string) *watcher {
	w := &watcher{
		dir:     dir,
		changed: make(chan struct{}, 1),
		closed:  make(chan struct{}),
		ended:   make(chan struct{}),
	}
	w.notify = inotify(dir)
	go w.run()
	return w
}

// Changed yields when the folder has changed.
func (w *watcher) Changed() <-chan struct{} { return w.changed }

// Close ends the watch and waits for its goroutine.
func (w *watcher) Close() {
	close(w.closed)
	if w.notify != nil {
		w.notify.Close() // ends a read in progress
	}
	<-w.ended
}

func (w *watcher) run() {
	defer close(w.ended)
	if w.notify == nil {
		w.poll()
		return
	}
	// What the events say does not matter, only that there are some.
	events := make([]byte, 16<<10)
	for {
		if _, err := w.notify.Read(events); err != nil {
			return
		}
		w.wake()
	}
}

func (w *watcher) poll() {
	ticks := time.NewTicker(pollEvery)
	defer ticks.Stop()
	for {
		select {
		case <-w.closed:
			return
		case <-ticks.C:
			w.wake()
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
