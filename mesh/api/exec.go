package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"mn/mesh"
)

// pathExec begins a conversation with a command in a task.
const pathExec = "/v1/jobs/{job}/exec"

// execProtocol is what the connection speaks then: the frames of package runner/frames.
const execProtocol = "mn-frames"

// talkWait is how long a client may take nothing of what a command says: somebody may read
// what they see, and think about it.
const talkWait = time.Hour

// ExecRequest is a command to run within a task that runs. Who leaves out the copy means
// the first that runs; who leaves out the task means the only one that does.
type ExecRequest struct {
	Job      mesh.JobID   `json:"job"`
	Task     string       `json:"task,omitempty"`
	Alloc    mesh.AllocID `json:"alloc,omitempty"`
	Index    string       `json:"index,omitempty"` // of the copy in its group
	Command  []string     `json:"command"`
	Terminal bool         `json:"terminal,omitempty"` // it is to have one
	Term     string       `json:"term,omitempty"`     // of which kind
	Rows     int          `json:"rows,omitempty"`     // of which size
	Columns  int          `json:"columns,omitempty"`
	Local    bool         `json:"local,omitempty"` // only if the copy is on the node that is asked
}

func (s *Server) routeExec(b Backend) {
	s.table = append(s.table, Endpoint{
		Method: "POST", Path: pathExec, Doc: "run a command within a task (Upgrade: " + execProtocol + ")",
	})
	s.mux.HandleFunc("POST "+pathExec, func(w http.ResponseWriter, r *http.Request) {
		var req ExecRequest
		if !strings.EqualFold(r.Header.Get("Upgrade"), execProtocol) {
			fail(w, mesh.Faultf(mesh.Invalid, "a conversation with a command needs Upgrade: %s", execProtocol))
			return
		}
		if err := readRequest(w, r, &req); err != nil {
			fail(w, err)
			return
		}
		command, err := b.Exec(r.Context(), req)
		if err != nil {
			fail(w, err)
			return
		}
		s.converse(w, command)
	})
}

// converse makes a request's connection one with a command, until either ends or the
// server closes.
func (s *Server) converse(w http.ResponseWriter, command io.ReadWriteCloser) {
	defer command.Close()
	if !s.converses() {
		fail(w, mesh.Faultf(mesh.Unavailable, "the agent is stopping"))
		return
	}
	defer s.talks.Done()
	client, ahead, err := http.NewResponseController(w).Hijack()
	if err != nil {
		fail(w, fmt.Errorf("take over the connection: %w", err))
		return
	}
	defer client.Close()
	_ = client.SetDeadline(time.Time{}) // the first write says what is wrong with it
	h := &hearer{Conn: client, wait: talkWait}
	defer context.AfterFunc(s.ctx, func() { h.hurry(); command.Close() })()
	if e, ok := command.(Ender); ok {
		done := make(chan struct{})
		defer close(done)
		go func() {
			select {
			case <-e.Over():
				h.hurry()
			case <-done:
			}
		}()
	}
	if _, err := fmt.Fprintf(h, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n",
		execProtocol); err != nil {
		return
	}
	relay(h, ahead, command)
}

// Ender is a conversation with a command that says when the command's task has ended: what
// is left to hear is little then, and nobody waits long for a client to hear it.
type Ender interface{ Over() <-chan struct{} }

// hearer is a client that hears what a command says, if it takes it in time.
type hearer struct {
	net.Conn
	mu   sync.Mutex
	wait time.Duration // for what is written next
}

// Write implements [io.Writer].
func (h *hearer) Write(p []byte) (int, error) {
	h.mu.Lock()
	err := h.SetWriteDeadline(time.Now().Add(h.wait))
	h.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return h.Conn.Write(p)
}

// hurry makes the wait a short one, also of a write that is waiting.
func (h *hearer) hurry() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wait = closeWait
	_ = h.SetWriteDeadline(time.Now().Add(closeWait)) // the next write says what is wrong with it
}

// converses notes a conversation, for which Close waits, if the server is open.
func (s *Server) converses() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.talks.Add(1)
	return true
}

// relay passes on what a client, of which something has been read ahead, and a command say
// to each other. It ends when either has gone; the client has a moment to hear the last.
func relay(client *hearer, ahead io.Reader, command io.ReadWriteCloser) {
	left := make(chan struct{})
	var both sync.WaitGroup
	both.Go(func() {
		defer close(left)
		_, _ = io.Copy(command, ahead) // either end is the end
		command.Close()
	})
	_, _ = io.Copy(client, command)
	if half, ok := client.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // the client hears that there is no more, whatever was the last
	}
	late := time.NewTimer(closeWait)
	defer late.Stop()
	select {
	case <-left:
	case <-late.C:
	}
	client.Close()
	command.Close()
	both.Wait()
}

// Exec runs a command within a task, and returns the conversation with it: frames of
// package runner/frames. It ends when ctx does; who has it closes it.
func (c *Client) Exec(ctx context.Context, r ExecRequest) (io.ReadWriteCloser, error) {
	path, _ := fillPath(pathExec, struct {
		Job mesh.JobID `json:"job"`
	}{r.Job})
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	late := time.AfterFunc(callWait, func() {
		cancel(mesh.Faultf(mesh.Unavailable, "%s did not begin the command in %v", c.to, callWait))
	})
	defer late.Stop()
	conn, err := c.begin(ctx, path, b)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	context.AfterFunc(ctx, func() { conn.Close() })
	return &conversation{conn, func() { cancel(nil) }}, nil
}

// begin asks for a command, and has its connection.
func (c *Client) begin(ctx context.Context, path string, body []byte) (io.ReadWriteCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost"+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", execProtocol)
	resp, err := c.perform(ctx, req)
	if err != nil {
		return nil, err
	}
	conn, ok := resp.Body.(io.ReadWriteCloser)
	if !ok || resp.StatusCode != http.StatusSwitchingProtocols {
		resp.Body.Close()
		return nil, mesh.Faultf(mesh.Internal, "%s answered %q, which begins no conversation", c.to, resp.Status)
	}
	return conn, nil
}

// conversation is a connection that ends with a context.
type conversation struct {
	io.ReadWriteCloser
	end func()
}

func (c *conversation) Close() error {
	c.end()
	return c.ReadWriteCloser.Close()
}
