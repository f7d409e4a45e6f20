package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mn/mesh"
)

func TestConversationGoesBothWaysUntilItIsClosed(t *testing.T) {
	f := newFake()
	_, c := serving(t, f, Socket)
	want := ExecRequest{Job: "web", Task: "a", Command: []string{"sh", strings.Repeat("x", headerMax)}, Terminal: true, Rows: 3}
	conn, err := c.Exec(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	for _, say := range []string{"hello", strings.Repeat("much", 1<<16)} {
		sent := make(chan error, 1)
		go func() { _, err := io.WriteString(conn, say); sent <- err }()
		got := make([]byte, len(say))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != say || <-sent != nil {
			t.Errorf("got %d bytes, %v, want what was said", len(got), err)
		}
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if got := f.lastAsked(); !equalExec(got, want) {
		t.Errorf("asked for %+v, want %+v", got, want)
	}
}

// lastAsked is the last request.
func (f *fake) lastAsked() any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[len(f.asked)-1]
}

func equalExec(got any, want ExecRequest) bool {
	r, ok := got.(ExecRequest)
	return ok && r.Job == want.Job && r.Task == want.Task && slices.Equal(r.Command, want.Command) && r.Rows == want.Rows
}

func TestConversationEndsWithItsContextAndWithTheServer(t *testing.T) {
	f := newFake()
	_, c := serving(t, f, Socket)
	ctx, cancel := context.WithCancel(t.Context())
	conn, err := c.Exec(ctx, ExecRequest{Job: "web", Command: []string{"sh"}})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("it goes on without its context")
	}
	conn.Close()
	s, other := serving(t, f, Loopback)
	if conn, err = other.Exec(t.Context(), ExecRequest{Job: "web", Command: []string{"sh"}}); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	began := time.Now()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || time.Since(began) > 2*closeWait {
		t.Errorf("it goes on without its server: %v, after %v", err, time.Since(began))
	}
}

// A client that takes nothing keeps neither the server from closing nor a place.
func TestConversationDoesNotWaitForAClientThatTakesNothing(t *testing.T) {
	talk := func(t *testing.T, b Backend) (*Server, func() error) {
		s, c := serving(t, b, Socket)
		conn, err := c.Exec(t.Context(), ExecRequest{Job: "web", Command: []string{"sh"}})
		if err != nil {
			t.Fatal(err)
		}
		said := make(chan error, 1)
		go func() { _, err := conn.Write(make([]byte, 1<<20)); said <- err }() // which comes back, and is not read
		synctest.Wait()
		return s, func() error { defer conn.Close(); return <-said }
	}
	synctest.Test(t, func(t *testing.T) {
		s, said := talk(t, newFake())
		began := time.Now()
		if err := s.Close(); err != nil || time.Since(began) > 2*closeWait || said() == nil {
			t.Errorf("with the server: %v, after %v", err, time.Since(began))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, said := talk(t, newFake())
		if err := said(); err == nil || time.Since(began) > talkWait+closeWait {
			t.Errorf("without end: %v, after %v", err, time.Since(began))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		f := &ending{newFake(), make(chan struct{})}
		_, said := talk(t, f)
		began := time.Now()
		close(f.over)
		if err := said(); err == nil || time.Since(began) > 2*closeWait {
			t.Errorf("with the task: %v, after %v", err, time.Since(began))
		}
	})
}

// ending is a backend with a task that ends.
type ending struct {
	*fake
	over chan struct{}
}

type endingTalk struct {
	io.ReadWriteCloser
	over chan struct{}
}

func (e *endingTalk) Over() <-chan struct{} { return e.over }

func (e *ending) Exec(ctx context.Context, r ExecRequest) (io.ReadWriteCloser, error) {
	conn, err := e.fake.Exec(ctx, r)
	return &endingTalk{conn, e.over}, err
}

func TestFaultsOfConversationsAndFilesReachTheCaller(t *testing.T) {
	f := newFake()
	f.fault = mesh.Faultf(mesh.Conflict, "it does not run").Hint("mn job status web")
	_, c := serving(t, f, Socket)
	_, err := c.Exec(t.Context(), ExecRequest{Job: "web", Command: []string{"sh"}})
	var fault *mesh.Fault
	if !errors.As(err, &fault) || fault.Kind != mesh.Conflict || len(fault.Hints) != 1 {
		t.Errorf("of a command: got %v, want the fault", err)
	}
	if _, err := c.ReadFiles(t.Context(), FilesRequest{Job: "web"}); !errors.As(err, &fault) || fault.Kind != mesh.Conflict {
		t.Errorf("of files: got %v, want the fault", err)
	}
	if _, err := c.Files(t.Context(), FilesRequest{Job: "web"}); !errors.As(err, &fault) || fault.Kind != mesh.Conflict {
		t.Errorf("of a list: got %v, want the fault", err)
	}
}

func TestConversationNeedsAnUpgrade(t *testing.T) {
	_, c := serving(t, newFake(), Socket)
	for upgrade, body := range map[string]string{"": `{"command":["sh"]}`, "websocket": `{"command":["sh"]}`, execProtocol: `{"no":1}`} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/v1/jobs/web/exec", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if upgrade != "" {
			req.Header.Set("Connection", "Upgrade")
			req.Header.Set("Upgrade", upgrade)
		}
		_, err = c.perform(t.Context(), req)
		var fault *mesh.Fault
		if !errors.As(err, &fault) || fault.Kind != mesh.Invalid {
			t.Errorf("with %q: got %v, want it refused", upgrade, err)
		}
	}
}

func TestFilesThatBreakOffAreNotTakenForAll(t *testing.T) {
	f := newFake()
	_, c := serving(t, f, Socket)
	want := FilesRequest{Job: "web", Task: "a", Index: "0", Path: "a b/&?", Shared: true}
	from, err := c.ReadFiles(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	if got, err := io.ReadAll(from); err != nil || !bytes.HasPrefix(got, []byte("z")) || f.lastAsked() != any(want) {
		t.Errorf("got %q, %v, want what was sent for %+v", got, err, want)
	}
	// What was sent is in a buffer still when it breaks off: that there is an answer at all
	// is not heard.
	var fault *mesh.Fault
	if from, err = c.ReadFiles(t.Context(), FilesRequest{Job: "web", Path: "broken"}); err != nil {
		if !errors.As(err, &fault) || fault.Kind != mesh.Unavailable || !strings.Contains(fault.Text, "EOF") {
			t.Errorf("got %v, want that the connection broke", err)
		}
		return
	}
	defer from.Close()
	if got, err := io.ReadAll(from); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %q and %v, want that it broke off", got, err)
	}
}
