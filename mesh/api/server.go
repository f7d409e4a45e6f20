package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"mn/mesh"
)

// Bounds of the server.
const (
	BodyMax      = 1 << 20 // bytes of a request's body
	headerMax    = 64 << 10
	headerWait   = 5 * time.Second       // for a request's header
	bodyWait     = 10 * time.Second      // for its body
	writeWait    = 20 * time.Second      // for a client to take an answer, or a line of a stream
	idleWait     = 2 * time.Minute       // of a connection without a request
	closeWait    = 3 * time.Second       // for running requests when the server closes
	streamsMax   = 512                   // streams and watches at a time
	HeartbeatMax = 10 * time.Second      // between two lines of a stream
	watchGap     = 20 * time.Millisecond // at least, between two answers of a watch
	watchGapMax  = 2 * time.Second
	watchShare   = 5 // an answer that took long is followed by a gap so many times longer
)

// Door is the way in which a request came, and so what is checked of it.
type Door int

// The doors.
const (
	Socket   Door = iota // a unix socket: its permissions are the check
	Loopback             // HTTP on a loopback address: browsers are kept out
)

// Server serves the API. It opens nothing: give it listeners.
type Server struct {
	backend Backend
	mux     *http.ServeMux
	streams chan struct{} // a place for each running stream
	table   []Endpoint

	ctx    context.Context // of all requests; done when the server closes
	cancel context.CancelFunc

	mu      sync.Mutex
	closed  bool
	running []*http.Server
	talks   sync.WaitGroup // conversations with commands, of which an http.Server knows nothing
}

// NewServer makes the server of a backend.
func NewServer(b Backend) *Server {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{
		backend: b,
		mux:     http.NewServeMux(),
		streams: make(chan struct{}, streamsMax),
		ctx:     ctx,
		cancel:  cancel,
	}
	s.routes()
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, mesh.Faultf(mesh.NotFound, "no endpoint %s %s", r.Method, r.URL.Path).
			Hint("GET /v1 lists the endpoints"))
	})
	return s
}

// Serve answers requests that come through l until Close. The server closes l.
func (s *Server) Serve(l net.Listener, door Door) error {
	if door == Loopback && !isLoopback(l.Addr().String()) {
		l.Close()
		return fmt.Errorf("serve HTTP on %q: it is not a loopback address", l.Addr())
	}
	h := s.handler()
	if door == Loopback {
		h = keepBrowsersOut(h)
	}
	return s.serve(l, h)
}

// connKey is where a peer's request finds its connection.
type connKey struct{}

// ConnOf is the connection on which a request has come, of which ctx is; nil if there is none.
func ConnOf(ctx context.Context) net.Conn {
	conn, _ := ctx.Value(connKey{}).(net.Conn)
	return conn
}

// ServePeers is Serve for connections that another node's certificate vouches
// for. That was once, so refuse is asked at each request: an error that it
// returns is the answer.
func (s *Server) ServePeers(l net.Listener, refuse func(context.Context, net.Conn) error) error {
	h := s.handler()
	return s.serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := refuse(r.Context(), ConnOf(r.Context())); err != nil {
			fail(w, err)
			return
		}
		h.ServeHTTP(w, r)
	}))
}

// serve answers by h what comes through l.
func (s *Server) serve(l net.Listener, h http.Handler) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerWait,
		IdleTimeout:       idleWait,
		MaxHeaderBytes:    headerMax,
		BaseContext:       func(net.Listener) context.Context { return s.ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
		ErrorLog: quiet(),
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return l.Close()
	}
	s.running = append(s.running, server)
	s.mu.Unlock()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the API on %q: %w", l.Addr(), err)
	}
	return nil
}

// Close ends all streams, lets running requests finish for a moment, and
// returns when none is left.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	running := s.running
	s.mu.Unlock()
	s.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	var errs []error
	for _, h := range running {
		if err := h.Shutdown(ctx); err != nil {
			errs = append(errs, h.Close())
		}
	}
	s.talks.Wait()
	return errors.Join(errs...)
}

func (s *Server) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		most, wait := int64(BodyMax), bodyWait
		if r.URL.Path == pathContent {
			most, wait = contentMax, contentWait
		}
		if r.Method != http.MethodPut || !strings.HasSuffix(r.URL.Path, filesSuffix) { // see takeFiles
			r.Body = http.MaxBytesReader(w, r.Body, most)
		}
		if r.ContentLength != 0 {
			// It ends with the body. It holds for what is left of one that is
			// refused, too: that is read to its end before the connection closes.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(wait))
		}
		s.mux.ServeHTTP(w, r)
	})
}

// keepBrowsersOut refuses what a web page of another site makes a browser on
// this machine send: by the Host it had to name, its origin, or by the plain
// content types that need no permission to be sent elsewhere.
func keepBrowsersOut(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fail(w, mesh.Faultf(mesh.Denied, "a request from origin %q is refused", r.Header.Get("Origin")))
	}))
	guarded := cross.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLoopback(r.Host) {
			fail(w, mesh.Faultf(mesh.Denied, "a request to host %q is refused", r.Host).
				Hint("use localhost or 127.0.0.1"))
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

// isLoopback says whether a host, with or without a port, is this machine for
// sure. Any other name could resolve to anything.
func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// serve registers the handler of a call.
func serve[Req, Reply any](
	s *Server, e call[Req, Reply], h func(context.Context, Req) (Reply, error),
) {
	s.table = append(s.table, Endpoint{Method: e.method, Path: e.path, Doc: e.doc, Watch: e.watch})
	s.mux.HandleFunc(e.method+" "+e.path, func(w http.ResponseWriter, r *http.Request) {
		var req Req
		if err := readRequest(w, r, &req); err != nil {
			fail(w, err)
			return
		}
		if e.watch && r.URL.Query().Get("watch") == "1" {
			s.stream(w, r, func(ctx context.Context, send func(any) error) error {
				return watch(ctx, s.backend, req, h, send)
			})
			return
		}
		reply, err := h(r.Context(), req)
		if err != nil {
			fail(w, err)
			return
		}
		writeJSON(w, http.StatusOK, reply)
	})
}

// readRequest reads a request's body, if it has one by its method, and its
// parameters.
func readRequest(w http.ResponseWriter, r *http.Request, req any) error {
	if r.Method != http.MethodPost {
		if r.ContentLength != 0 {
			return mesh.Faultf(mesh.Invalid, "a %s has no body", r.Method)
		}
		return readQuery(r, req)
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return mesh.Faultf(mesh.Invalid, "content type %q is not application/json",
			r.Header.Get("Content-Type"))
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(req); err != nil {
		return invalid(fmt.Errorf("read the request: %w", err))
	}
	if d.More() {
		return mesh.Faultf(mesh.Invalid, "read the request: more than one JSON value")
	}
	return invalid(readParams(req, r.PathValue))
}

// readQuery reads a request that is in the address.
func readQuery(r *http.Request, req any) error {
	return invalid(readParams(req, func(name string) string {
		if v := r.PathValue(name); v != "" {
			return v
		}
		return r.URL.Query().Get(name)
	}))
}

// invalid makes an error the caller's, not ours.
func invalid(err error) error {
	if err == nil {
		return nil
	}
	return mesh.Faultf(mesh.Invalid, "%v", err)
}

func fail(w http.ResponseWriter, err error) {
	f := mesh.FaultOf(err)
	writeJSON(w, f.HTTPStatus(), f)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"kind":"internal","error":"encode the reply"}`)
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeWait))
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// A client that has gone away gets no answer; there is nobody to tell.
	_, _ = w.Write(append(b, '\n'))
}
