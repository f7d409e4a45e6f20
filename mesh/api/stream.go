package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"sync"
	"time"

	"mn/mesh"
)

// frame is one line of a stream: an item, the error that ended it, or its
// regular end, by which the client knows that nothing was cut off. A line
// without any of them is a sign of life.
type frame struct {
	Item  json.RawMessage `json:"item,omitempty"`
	Error *mesh.Fault     `json:"error,omitempty"`
	End   bool            `json:"end,omitempty"`
}

// serveStream registers the handler of a stream.
func serveStream[Req, Item any](
	s *Server, e stream[Req, Item], h func(context.Context, Req, func(Item) error) error,
) {
	s.table = append(s.table, Endpoint{Method: "GET", Path: e.path, Doc: e.doc, Stream: true})
	s.mux.HandleFunc("GET "+e.path, func(w http.ResponseWriter, r *http.Request) {
		var req Req
		if err := readRequest(w, r, &req); err != nil {
			fail(w, err)
			return
		}
		s.stream(w, r, func(ctx context.Context, send func(any) error) error {
			return h(ctx, req, func(item Item) error { return send(item) })
		})
	})
}

// stream runs produce, and writes what it sends as lines of JSON.
func (s *Server) stream(
	w http.ResponseWriter, r *http.Request,
	produce func(ctx context.Context, send func(any) error) error,
) {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		fail(w, mesh.Faultf(mesh.Unavailable, "%d streams are running, no more are served", streamsMax))
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	out := &lineWriter{w: w, control: http.NewResponseController(w), cancel: cancel}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	var beats sync.WaitGroup
	beats.Go(func() { out.beat(ctx) })
	err := produce(ctx, out.send)
	cancel()
	beats.Wait()
	last := frame{End: true}
	switch {
	case s.ctx.Err() != nil:
		last = frame{Error: mesh.Faultf(mesh.Unavailable, "the agent is stopping")}
	case err != nil:
		last = frame{Error: mesh.FaultOf(err)}
	}
	_ = out.write(last)
}

// lineWriter writes frames, one at a time, and each at once.
type lineWriter struct {
	mu      sync.Mutex
	w       io.Writer
	control *http.ResponseController
	cancel  context.CancelFunc
}

func (l *lineWriter) send(item any) error {
	b, err := json.Marshal(item)
	if err != nil {
		return err
	}
	return l.write(frame{Item: b})
}

func (l *lineWriter) write(f frame) error {
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.control.SetWriteDeadline(time.Now().Add(writeWait))
	if _, err := l.w.Write(append(b, '\n')); err != nil {
		l.cancel()
		return err
	}
	return l.control.Flush()
}

// beat writes a sign of life regularly, and the first at once: a client knows
// by it that it was heard, and the server that the client is still there.
func (l *lineWriter) beat(ctx context.Context) {
	tick := time.NewTicker(HeartbeatMax)
	defer tick.Stop()
	for {
		if l.write(frame{}) != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// watch sends what read returns now, and again whenever it has changed.
func watch[Req, Reply any](
	ctx context.Context, b Backend, req Req,
	read func(context.Context, Req) (Reply, error), send func(any) error,
) error {
	var last []byte
	gap := time.NewTimer(0)
	defer gap.Stop()
	for {
		changed, began := b.Changed(), time.Now()
		reply, err := read(ctx, req)
		if err != nil {
			return err
		}
		now, err := json.Marshal(reply)
		if err != nil {
			return err
		}
		if !bytes.Equal(now, last) {
			last = now
			if err := send(json.RawMessage(now)); err != nil {
				return err
			}
		}
		// A burst of changes costs one answer a gap, not one a change; and a long list, over
		// and over, no more than its share of the node's time.
		gap.Reset(min(max(watchGap, watchShare*time.Since(began)), watchGapMax))
		if !wait(ctx, changed) || !wait(ctx, gap.C) {
			return nil
		}
	}
}

// wait returns when c delivers or is closed, and false if ctx ended first.
func wait[T any](ctx context.Context, c <-chan T) bool {
	select {
	case <-c:
		return true
	case <-ctx.Done():
		return false
	}
}

// quiet is a log for what clients do wrong on their connections: it is theirs
// to see, and a port scan must not fill our log.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
