package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"mn/mesh"
)

// filesWait is how long a client may take nothing of files that it is sent: somebody may
// read what they see.
const filesWait = 10 * time.Minute

// filesType is the content type of files, as package runner/files sends them.
const filesType = "application/vnd.mn.files"

// pathFiles sends a file or a folder, or takes one.
const (
	pathFiles   = "/v1/jobs/{job}" + filesSuffix
	filesSuffix = "/files/content"
)

// FilesRequest names a file or a folder of a copy. Who leaves out the copy means the first
// that runs, or else the last that has run; who leaves out the task means the only one.
type FilesRequest struct {
	Job    mesh.JobID   `json:"job"`
	Task   string       `json:"task,omitempty"`
	Alloc  mesh.AllocID `json:"alloc,omitempty"`
	Index  string       `json:"index,omitempty"`  // of the copy in its group
	Path   string       `json:"path,omitempty"`   // below the task's folder
	Shared bool         `json:"shared,omitempty"` // below the folder that the copy's tasks share instead
	Local  bool         `json:"local,omitempty"`  // only if the copy is on the node that is asked
	// Base is the name that files have in a folder to which they are sent.
	Base string `json:"base,omitempty"`
}

// Listing is what is in a folder of a copy.
type Listing struct {
	Alloc  mesh.AllocID `json:"alloc"`
	Task   string       `json:"task"`
	Index  int          `json:"index"`
	Node   string       `json:"node"`
	NodeID mesh.NodeID  `json:"node_id"`
	Path   string       `json:"path"`
	Files  []mesh.File  `json:"files"`
	More   bool         `json:"more"` // there are more, which are not listed: above 10000, or 4 MiB of names
}

func (s *Server) routeFiles(b Backend) {
	s.takeFiles(b)
	serve(s, callFiles, func(ctx context.Context, r FilesRequest) (Listing, error) {
		l, err := b.Files(ctx, r)
		l.Files = listed(l.Files)
		return l, err
	})
	s.table = append(s.table, Endpoint{
		Method: "GET", Path: pathFiles, Doc: "read a file or a folder of a copy", Stream: true,
	})
	s.mux.HandleFunc("GET "+pathFiles, func(w http.ResponseWriter, r *http.Request) {
		var req FilesRequest
		if err := readRequest(w, r, &req); err != nil {
			fail(w, err)
			return
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		out := &patient{w: w, control: http.NewResponseController(w)}
		err := b.SendFiles(ctx, req, out)
		switch {
		case err == nil:
		case out.begun:
			panic(http.ErrAbortHandler) // so that nobody takes it for all
		default:
			fail(w, err)
		}
	})
}

// takeFiles is the endpoint that files are sent to.
func (s *Server) takeFiles(b Backend) {
	s.table = append(s.table, Endpoint{Method: "PUT", Path: pathFiles, Doc: "send a file or a folder to a copy"})
	s.mux.HandleFunc("PUT "+pathFiles, func(w http.ResponseWriter, r *http.Request) {
		var req FilesRequest
		if kind := r.Header.Get("Content-Type"); kind != filesType {
			fail(w, mesh.Faultf(mesh.Invalid, "content type %q is not %s", kind, filesType))
			return
		}
		if err := readQuery(r, &req); err != nil {
			fail(w, err)
			return
		}
		from := &unhurried{r: r.Body, control: http.NewResponseController(w)}
		done, err := b.TakeFiles(r.Context(), req, from)
		from.end()
		if err != nil {
			fail(w, err)
			return
		}
		writeJSON(w, http.StatusOK, done)
	})
}

// unhurried reads from a client that takes its time. Whoever passes on what it reads may still
// do so when the answer has come; when that goes out, the connection is not theirs any more.
type unhurried struct {
	r       io.Reader
	control *http.ResponseController

	mu    sync.Mutex // also while it reads
	ended atomic.Bool
}

func (u *unhurried) Read(b []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ended.Load() {
		return 0, io.ErrClosedPipe
	}
	if err := u.control.SetReadDeadline(time.Now().Add(filesWait)); err != nil {
		return 0, err
	}
	if u.ended.Load() { // end may have come between: it has not cut short what begins now
		return 0, io.ErrClosedPipe
	}
	return u.r.Read(b)
}

// end waits until nothing is read any more, which it cuts short. What is left of the body has
// as long as that of any request.
func (u *unhurried) end() {
	u.ended.Store(true)
	_ = u.control.SetReadDeadline(time.Now())
	u.mu.Lock()
	defer u.mu.Unlock()
	_ = u.control.SetReadDeadline(time.Now().Add(bodyWait))
}

// watched ends a request if nothing of its body is wanted for too long.
type watched struct {
	io.Reader
	timer *time.Timer
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Reader.Read(b)
	w.timer.Reset(filesWait)
	return n, err
}

// patient writes to a client that takes its time.
type patient struct {
	w       http.ResponseWriter
	control *http.ResponseController
	begun   bool
}

func (p *patient) Write(b []byte) (int, error) {
	if !p.begun {
		p.begun = true
		p.w.Header().Set("Content-Type", filesType)
		p.w.Header().Set("X-Content-Type-Options", "nosniff")
	}
	if err := p.control.SetWriteDeadline(time.Now().Add(filesWait)); err != nil {
		return 0, err
	}
	return p.w.Write(b)
}

// Files lists a folder of a copy, or says what a file of it is.
func (c *Client) Files(ctx context.Context, r FilesRequest) (Listing, error) {
	return do(ctx, c, callFiles, r)
}

// SendFiles sends a file or a folder to a copy, as package runner/files does. Nothing is read
// before the node of the copy is ready for it.
func (c *Client) SendFiles(ctx context.Context, r FilesRequest, files io.Reader) (done mesh.Arrived, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(filesWait, func() {
		cancel(mesh.Faultf(mesh.Unavailable, "%s has taken nothing, and said nothing, for %v", c.to, filesWait))
	})
	defer timer.Stop()
	path, query := fillPath(pathFiles, r)
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://localhost"+path+"?"+query.Encode(),
		&watched{files, timer})
	if err != nil {
		return done, fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("Content-Type", filesType)
	req.Header.Set("Expect", "100-continue")
	resp, err := c.perform(ctx, req)
	if err != nil {
		return done, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, replyMax)).Decode(&done); err != nil {
		return done, c.garbled(err)
	}
	return done, nil
}

// ReadFiles reads a file or a folder of a copy, as package runner/files sends it. Who has
// it closes it.
func (c *Client) ReadFiles(ctx context.Context, r FilesRequest) (io.ReadCloser, error) {
	path, query := fillPath(pathFiles, r)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	resp, err := c.perform(ctx, req)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}
