package exec

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"mn/mesh"
	"mn/runner"
	"mn/runner/frames"
	"mn/runner/supervise"
)

// endTimeout is how long after the end of a conversation it is waited for that of its task.
const endTimeout = 2 * time.Second

// joinTimeout is for a supervisor to let somebody into its task: it starts a process for
// them, which takes its time on a busy node.
const joinTimeout = 15 * time.Second

var _ runner.Joiner = (*Driver)(nil)

// Join implements [runner.Joiner].
func (d *Driver) Join(alloc mesh.AllocID, name string, c runner.Command) (io.ReadWriteCloser, error) {
	k := key{alloc, name}
	t := d.task(k)
	switch {
	case t == nil || !k.valid():
		return nil, runner.ErrNotRunning
	case t.contained && d.cfg.Containers != nil:
		return d.joinContainer(t, c)
	case t.contained:
		return nil, mesh.Faultf(mesh.Unavailable, "the task is in a container, and this agent runs none any more")
	}
	text, err := json.Marshal(supervise.Guest(c))
	if err != nil {
		return nil, fmt.Errorf("encode command: %w", err)
	}
	if len(text) > frames.PayloadMax {
		return nil, mesh.Faultf(mesh.Invalid, "the command is longer than %d bytes", frames.PayloadMax)
	}
	conn, err := d.dial(k)
	if err != nil {
		if held, lockErr := d.held(k); lockErr == nil && !held {
			return nil, runner.ErrNotRunning
		}
		return nil, err
	}
	r := bufio.NewReaderSize(conn, lineMax)
	if err := introduce(conn, r, text); err != nil {
		conn.Close()
		return nil, err
	}
	return &joined{conn: conn, from: frames.NewReader(r), task: t, closed: make(chan struct{})}, nil
}

// joinContainer has the engine run a command where a task in a container is.
func (d *Driver) joinContainer(t *task, c runner.Command) (io.ReadWriteCloser, error) {
	ours, theirs := net.Pipe()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, runner.ErrNotRunning
	}
	d.work.Go(func() { d.cfg.Containers.Join(d.ctx, t.key.alloc, t.key.task, t.attempt, c, theirs) })
	return &joined{conn: ours, from: frames.NewReader(ours), task: t, closed: make(chan struct{})}, nil
}

// introduce has a supervisor let a guest in, and tells that what to run.
func introduce(c conn, r *bufio.Reader, command []byte) error {
	if err := c.(net.Conn).SetDeadline(time.Now().Add(joinTimeout)); err != nil {
		return fmt.Errorf("join the task: %w", err)
	}
	var greeting supervise.Start
	if err := readLine(r, &greeting); err != nil {
		return mesh.Faultf(mesh.Unavailable, "the task's supervisor does not answer: %v", err).
			Hint("one of an earlier release lets nobody in: restart the task")
	}
	if _, err := io.WriteString(c, supervise.GuestCommand()); err != nil {
		return fmt.Errorf("join the task: %w", err)
	}
	switch kind, payload, err := frames.NewReader(r).Next(); {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return mesh.Faultf(mesh.Unavailable, "join the task: its supervisor lets nobody in within %v", joinTimeout).
			Hint("the node may be busy, or the task paused: try again")
	case err != nil:
		return fmt.Errorf("join the task: %w", err)
	case kind == frames.Failed:
		return mesh.Faultf(mesh.Unavailable, "join the task: %s", payload)
	case kind != frames.Hello:
		return errors.New("join the task: its supervisor said something else")
	}
	if err := frames.Write(c, frames.Start, command); err != nil {
		return fmt.Errorf("join the task: %w", err)
	}
	return c.(net.Conn).SetDeadline(time.Time{})
}

// joined is a conversation with a command in a task. It reads whole frames, and ends with
// one that says why, even if who should have said so was killed with the task.
type joined struct {
	conn conn
	from *frames.Reader
	task *task
	rest []byte
	last bool

	once   sync.Once
	closed chan struct{}
}

// Read implements [io.Reader].
func (j *joined) Read(p []byte) (int, error) {
	if len(j.rest) == 0 {
		if j.last {
			return 0, io.EOF
		}
		kind, payload, err := j.from.Next()
		if err != nil {
			kind, payload = frames.Failed, []byte(j.lost())
		}
		j.last = kind == frames.Exit || kind == frames.Failed
		j.rest = frames.Append(j.rest[:0], kind, payload)
	}
	n := copy(p, j.rest)
	j.rest = j.rest[n:]
	return n, nil
}

// lost says why a conversation has broken off.
func (j *joined) lost() string {
	late := time.NewTimer(endTimeout)
	defer late.Stop()
	select {
	case <-j.task.over:
		return "its task has ended, and the command with it"
	case <-j.closed:
		return "nobody waits for it"
	case <-j.task.d.closing:
		return "the agent stops, and the command with it"
	case <-late.C:
		return "the command was lost: what has run it was killed"
	}
}

// Over says when the task has ended.
func (j *joined) Over() <-chan struct{} { return j.task.over }

// Write implements [io.Writer].
func (j *joined) Write(p []byte) (int, error) { return j.conn.Write(p) }

// Close implements [io.Closer].
func (j *joined) Close() error {
	j.once.Do(func() { close(j.closed) })
	return j.conn.Close()
}
