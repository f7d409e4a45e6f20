package container

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/moby/moby/client"

	"mn/mesh"
	"mn/runner"
	"mn/runner/frames"
)

// Bounds of a command that has joined a task.
const (
	endTries   = 50 // looks for the exit code of one whose output has ended
	endEvery   = 100 * time.Millisecond
	endOfInput = 4 // what a terminal takes for that: control-D
)

// Join runs a command in the container of an attempt, and returns when it has ended. The
// conversation on conn is that of package frames; when its other end goes, or the context
// ends, the command is killed.
func (e *Engine) Join(
	ctx context.Context, alloc mesh.AllocID, task string, attempt int, c runner.Command, conn net.Conn,
) {
	defer conn.Close()
	code, err := e.join(ctx, alloc, task, attempt, c, conn)
	kind, text := frames.Exit, strconv.Itoa(code)
	if err != nil {
		kind, text = frames.Failed, brief(err.Error())
	}
	_ = frames.Write(conn, kind, []byte(text)) // if nobody hears it, nobody waits for it
}

func (e *Engine) join(
	ctx context.Context, alloc mesh.AllocID, task string, attempt int, command runner.Command, conn net.Conn,
) (code int, err error) {
	c, err := e.connect()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	g := &guest{c: c, conn: conn, terminal: command.Terminal}
	if g.box, err = running(ctx, c, e.cfg.Node, alloc, task, attempt); err != nil {
		return 0, err
	}
	if err := g.start(ctx, command); err != nil {
		return 0, fmt.Errorf("join the container: %w", err)
	}
	defer g.with.Close()
	left, said, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
	defer close(over)
	inputs := make(chan []byte, frames.InputsMax)
	go g.feed(inputs, over)
	go func() {
		defer close(left)
		frames.NewReader(conn).Hear(inputs, func(rows, columns int) { g.resize(ctx, rows, columns) })
	}()
	go func() {
		defer close(said)
		g.tell()
	}()
	select {
	case <-said:
		return g.code(ctx)
	case <-left:
		err = errors.New("nobody waits for it")
	case <-ctx.Done():
		err = errors.New("the agent stops, and the command with it")
	}
	g.kill()
	return 0, err
}

// running is the id of the container of an attempt.
func running(
	ctx context.Context, c *client.Client, node mesh.NodeID, alloc mesh.AllocID, task string, attempt int,
) (string, error) {
	all, err := list(ctx, c, node, labelAlloc+"="+string(alloc), labelTask+"="+task)
	if err != nil {
		return "", err
	}
	for i := range all {
		l := all[i].Labels
		if l[labelAlloc] == string(alloc) && l[labelTask] == task && l[labelAttempt] == strconv.Itoa(attempt) {
			return all[i].ID, nil
		}
	}
	return "", errors.New("its engine knows no container of the task")
}

// guest is a command in a container.
type guest struct {
	c        *client.Client
	conn     net.Conn
	box, id  string // of the container, and of the command
	terminal bool
	with     client.HijackedResponse
}

func (g *guest) start(ctx context.Context, command runner.Command) error {
	ctx, done := context.WithTimeout(ctx, callTimeout)
	defer done()
	options := client.ExecCreateOptions{
		TTY: g.terminal, AttachStdin: true, AttachStdout: true, AttachStderr: true, Cmd: command.Command,
	}
	options.Env = slices.Clone(command.Env)
	if command.Term != "" {
		options.Env = append(options.Env, "TERM="+command.Term)
	}
	made, err := g.c.ExecCreate(ctx, g.box, options)
	if err != nil {
		return err
	}
	g.id = made.ID
	attached, err := g.c.ExecAttach(ctx, g.id, client.ExecAttachOptions{TTY: g.terminal})
	if err != nil {
		return err
	}
	g.with = attached.HijackedResponse
	g.resize(ctx, command.Rows, command.Columns)
	return nil
}

// resize tells a terminal how large it is. One that is not there yet, or any more, needs none.
func (g *guest) resize(ctx context.Context, rows, columns int) {
	if !g.terminal || rows <= 0 || columns <= 0 {
		return
	}
	ctx, done := context.WithTimeout(ctx, callTimeout)
	defer done()
	_, _ = g.c.ExecResize(ctx, g.id, client.ExecResizeOptions{Height: uint(rows), Width: uint(columns)})
}

// feed gives what is sent to the command, until there is no more or the conversation is over.
// What the command does not take is dropped.
func (g *guest) feed(inputs <-chan []byte, over <-chan struct{}) {
	for {
		select {
		case <-over:
			return // it has not heard all, and must not think so
		case p, more := <-inputs:
			if !more {
				g.endInput()
				return
			}
			_, _ = g.with.Conn.Write(p)
			if frames.Write(g.conn, frames.Taken, nil) != nil {
				return
			}
		}
	}
}

// endInput tells the command that it has heard all.
func (g *guest) endInput() {
	if g.terminal {
		_, _ = g.with.Conn.Write([]byte{endOfInput})
		return
	}
	_ = g.with.CloseWrite()
}

// tell passes on what the command says, until it has said everything.
func (g *guest) tell() {
	buf := make([]byte, frames.PayloadMax)
	for {
		kind, size := frames.Stdout, int64(len(buf))
		var in io.Reader = g.with.Reader
		if !g.terminal {
			var head [frameHead]byte
			if _, err := io.ReadFull(in, head[:]); err != nil {
				return
			}
			if size = int64(binary.BigEndian.Uint32(head[4:])); head[0] == 2 {
				kind = frames.Stderr
			}
			in = io.LimitReader(in, size)
		}
		for size > 0 {
			n, err := in.Read(buf)
			if n > 0 && frames.Write(g.conn, kind, buf[:n]) != nil || err != nil {
				return
			}
			if !g.terminal {
				size -= int64(n)
			}
		}
	}
}

// code is the exit code of a command that has said everything.
func (g *guest) code(ctx context.Context) (int, error) {
	for range endTries {
		is, err := g.look(ctx)
		if err != nil {
			return 0, fmt.Errorf("the command was lost, or its task has ended: %w", err)
		}
		if !is.Running {
			return is.ExitCode, nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(endEvery):
		}
	}
	g.kill()
	return 0, errors.New("it has closed its output and runs on: it is killed")
}

func (g *guest) look(ctx context.Context) (client.ExecInspectResult, error) {
	ctx, done := context.WithTimeout(ctx, callTimeout)
	defer done()
	return g.c.ExecInspect(ctx, g.id, client.ExecInspectOptions{})
}

// kill kills the command: engines have no call for that.
func (g *guest) kill() {
	is, err := g.look(context.Background())
	if err != nil || !is.Running {
		return
	}
	f := &first{}
	if f.accept(g.box, is.PID) {
		_ = f.signal(syscall.SIGKILL) // it may have ended just then
	}
}
