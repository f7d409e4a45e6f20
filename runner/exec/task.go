package exec

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"mn/mesh"
	"mn/runner"
	"mn/runner/supervise"
)

// lineMax bounds a record that a supervisor sends; lookEvery is how often a
// supervisor that cannot be talked to is looked after.
const (
	lineMax   = 8 << 10
	lookEvery = 250 * time.Millisecond
)

// conn is the connection to a supervisor.
type conn interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// task is one attempt in hand: from the order to start it, or from when it was
// found, until its end is observed.
type task struct {
	d       *Driver
	key     key
	attempt int
	// contained says that it is in a container: its supervisor is another program.
	contained bool
	child     int           // pid of the supervisor if it is our child: to be reaped
	over      chan struct{} // closed when it is out of hand

	mu       sync.Mutex
	conn     conn // nil before there is one
	closed   bool
	stopped  string             // commands that wait for the connection: the last of each
	until    time.Duration      // and when its lease ends, as was said meanwhile
	deaf     int                // pid of a supervisor that takes no connection; it takes a signal
	recorded string             // of what was saved, what is on record
	failed   string             // why it was ended, if that was nobody's wish
	cancel   context.CancelFunc // of what comes before there is a supervisor

	wanted    []runner.File  // to be rendered, instead of those before
	rendering bool           // somebody does that
	ended     bool           // nothing is rendered any more
	renders   sync.WaitGroup // who does
}

// stop tells the supervisor to stop the task.
func (t *task) stop(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.conn != nil:
		t.send(line)
	case t.deaf != 0:
		syscall.Kill(t.deaf, syscall.SIGTERM)
	default:
		t.stopped = line
		if t.cancel != nil {
			t.cancel()
		}
	}
}

// unlessStopped is a context for what comes before there is a supervisor.
func (t *task) unlessStopped() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.d.ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cancel = cancel; t.stopped != "" {
		cancel()
	}
	return ctx, cancel
}

// renew tells the supervisor when the task's lease ends.
func (t *task) renew(until time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn == nil {
		t.until = max(t.until, until)
		return
	}
	t.send(supervise.RenewCommand(until))
}

// renewed is when the lease of a task ends that is yet to start: what comes before may have
// taken longer than the lease that it was ordered with.
func (t *task) renewed(ordered time.Duration) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ordered == 0 {
		return 0
	}
	return max(ordered, t.until)
}

// send writes a command. A supervisor that does not take it is about to end, or
// will be told again: the end of the connection says which.
func (t *task) send(line string) {
	t.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := io.WriteString(t.conn, line); err != nil {
		t.d.cfg.Log.Debug("command not taken", "task", t.key.String(), "error", err)
	}
}

// attach makes c the connection, and sends what has waited for it.
func (t *task) attach(c conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		c.Close()
		return false
	}
	t.conn, t.deaf = c, 0
	if t.until > 0 {
		t.send(supervise.RenewCommand(t.until))
	}
	if t.stopped != "" {
		t.send(t.stopped)
	}
	t.until, t.stopped = 0, ""
	return true
}

// letGo closes the connection; the task runs on.
func (t *task) letGo() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.conn != nil {
		t.conn.Close()
	}
}

// start starts an attempt and stays with it to its end.
func (t *task) start(s runner.Spec) {
	r, o, err := t.begin(s)
	switch {
	case t.d.isClosing():
	case err != nil:
		o = runner.Observation{
			Alloc: s.Alloc, Task: s.Task, Attempt: s.Attempt,
			Kind: runner.StartFailed, Err: err.Error(), Broken: nodeBroken(err), At: time.Now(),
		}
		if gone := (unrestoredError{}); errors.As(err, &gone) {
			o.Kind, o.Err = runner.RestoreFailed, gone.Error()
		}
		if missing := (filesMissingError{}); errors.As(err, &missing) {
			o.Kind, o.Err = runner.FilesMissing, missing.Error()
		}
		if taken := (portTakenError{}); errors.As(err, &taken) {
			o.Kind, o.Err = runner.PortTaken, taken.Error()
		}
		t.d.over(t, o)
	case o.Kind == runner.Started:
		t.d.observe(o)
		t.follow(r, t.d.savingOf(t.key)) // with what it really goes on from
	default:
		t.d.over(t, o)
	}
}

// follow stays with a supervisor that is connected, or deaf if r is nil, and
// observes the end.
func (t *task) follow(r *bufio.Reader, s *runner.Saving) {
	ended, saved := make(chan struct{}), make(chan struct{})
	if v := t.saver(s); v != nil {
		t.d.work.Go(func() { v.run(ended); close(saved) })
	} else {
		close(saved)
	}
	if t.d.cfg.Keeper != nil {
		t.d.work.Go(func() { t.keepLogs(ended) })
	}
	var exit *supervise.Exit
	for exit == nil {
		if r == nil {
			if r = t.watch(); r != nil {
				continue
			}
		} else {
			exit = readExit(r, t.attempt)
		}
		if t.d.isClosing() {
			return
		}
		if exit == nil {
			exit, r = t.silence()
		}
	}
	t.reap()
	t.endRenders()
	close(ended)
	<-saved
	o := t.d.ended(t.key, *exit)
	if o.ExitCode == pythonExit && o.Err == "" {
		o.Err = t.d.pythonFailed(t.key)
	}
	if t.d.keep(t.key, &o); t.d.isClosing() {
		return // the next agent finds the end
	}
	t.mu.Lock()
	if t.failed != "" {
		o.ExitCode, o.Signal, o.Err = -1, 0, t.failed // whatever it made of its end
	}
	t.mu.Unlock()
	t.d.over(t, o)
}

// silence finds out why a connection has ended without a word, or a lock was
// let go: the end of the attempt, or a new connection if there is none.
func (t *task) silence() (*supervise.Exit, *bufio.Reader) {
	found, err := t.d.inspect(t.key)
	if err != nil {
		t.d.cfg.Log.Error("inspect task", "task", t.key.String(), "error", err)
	}
	if found.live {
		return nil, t.connect(&found.start)
	}
	if found.exit != nil && found.exit.Attempt == t.attempt {
		return found.exit, nil
	}
	return &supervise.Exit{
		Attempt: t.attempt, Started: true, Code: -1, At: time.Now(),
		Err: "its supervisor left no record of the end",
	}, nil
}

// reap takes the supervisor's own end from the process table: it has nothing
// left to do.
func (t *task) reap() {
	t.mu.Lock()
	if t.conn != nil {
		t.conn.Close()
	}
	t.mu.Unlock()
	if t.child == 0 {
		return
	}
	var status syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(t.child, &status, 0, nil); err != syscall.EINTR {
			t.child = 0
			return
		}
	}
}

// watch looks after a supervisor that takes no connection: a machine that is short of
// everything may have been too slow. It returns when one is taken, and nil when the
// supervisor has ended, or the driver closes.
func (t *task) watch() *bufio.Reader {
	ticks := time.NewTicker(lookEvery)
	defer ticks.Stop()
	for {
		if held, err := t.d.held(t.key); err == nil && !held {
			return nil
		}
		select {
		case <-t.d.closing:
			return nil
		case <-ticks.C:
		}
		var start supervise.Start
		if r, _ := t.greet(&start); r != nil { // why not was said before
			return r
		}
	}
}

// readExit waits for the Exit record; nil if the connection ends without one.
func readExit(r *bufio.Reader, attempt int) *supervise.Exit {
	var exit supervise.Exit
	if err := readLine(r, &exit); err != nil || exit.Attempt != attempt {
		return nil
	}
	return &exit
}

// readLine reads a record on a line of bounded length.
func readLine(r *bufio.Reader, record any) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("read record: %w", err)
	}
	if err := json.Unmarshal(line, record); err != nil {
		return fmt.Errorf("decode record %T: %w", record, err)
	}
	return nil
}

// running observes that a task runs.
func running(k key, kind runner.Kind, s supervise.Start) runner.Observation {
	return runner.Observation{
		Alloc: k.alloc, Task: k.task, Attempt: s.Attempt,
		Kind: kind, PID: s.PID, StartedAt: s.At, At: s.At,
	}
}

// ended observes an end.
func (d *Driver) ended(k key, e supervise.Exit) runner.Observation {
	o := runner.Observation{
		Alloc: k.alloc, Task: k.task, Attempt: e.Attempt,
		Kind: runner.Exited, PID: e.PID, StartedAt: e.StartedAt, At: e.At,
		ExitCode: e.Code, Signal: e.Signal, OOM: e.OOM, Expired: e.Expired, Err: e.Err,
		Peak: mesh.Bytes(e.Peak), Limit: mesh.Bytes(e.Limit),
	}
	if !e.Started {
		o.Kind = runner.StartFailed
	}
	if e.Dropped > 0 && o.Err == "" {
		o.Err = fmt.Sprintf("%d bytes of its output could not be written", e.Dropped)
	}
	return o
}

// lastWords is what a supervisor said when it could not do its work.
func (d *Driver) lastWords(k key) string {
	f, err := d.root.Open(k.file(supervise.ErrorFile))
	if err != nil {
		return ""
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, lineMax))
	text = bytes.TrimSpace(text)
	return string(text[bytes.LastIndexByte(text, '\n')+1:])
}

// held says whether a supervisor of the task lives.
func (d *Driver) held(k key) (bool, error) {
	f, err := d.root.OpenFile(k.file(supervise.StateFile), os.O_RDWR, 0)
	if err != nil {
		return false, err
	}
	defer f.Close()
	return supervise.Lock(f)
}
