package host

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// thread is a thread in namespaces of its own. What is started from it is in
// them too, and they live for as long as it or a process in them does.
type thread struct {
	work  chan func()
	ended chan struct{}
}

// newThread makes a thread with the namespaces that flags name.
func newThread(flags int) (*thread, error) {
	t := &thread{work: make(chan func()), ended: make(chan struct{})}
	made := make(chan error)
	go func() {
		defer close(t.ended)
		// Never unlocked: the thread ends with the goroutine, for nobody else
		// may run in these namespaces.
		runtime.LockOSThread()
		err := unix.Unshare(flags)
		made <- err
		if err != nil {
			return
		}
		for f := range t.work {
			f()
		}
	}()
	if err := <-made; err != nil {
		return nil, fmt.Errorf("make namespaces: %w", err)
	}
	return t, nil
}

// do runs f on the thread.
func (t *thread) do(f func() error) error {
	done := make(chan error, 1)
	t.work <- func() { done <- f() }
	return <-done
}

func (t *thread) close() {
	close(t.work)
	<-t.ended
}
