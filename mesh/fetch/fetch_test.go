package fetch

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mn/mesh"
)

// read fetches a source.
func read(t *testing.T, f *Fetcher, source string) (string, error) {
	t.Helper()
	r, _, err := f.Open(t.Context(), &mesh.Artifact{Source: source})
	if err != nil {
		return "", err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	return string(text), err
}

// site answers for a server, at whose addresses errors may not say what is secret.
func site(t *testing.T, handle http.HandlerFunc) (secret string) {
	t.Helper()
	s := httptest.NewServer(handle)
	t.Cleanup(s.Close)
	return strings.Replace(s.URL, "http://", "http://me:hunter2@", 1)
}

func TestRedirectsAreBounded(t *testing.T) {
	var referers []string
	home := ""
	home = site(t, func(w http.ResponseWriter, r *http.Request) {
		referers = append(referers, r.Referer())
		switch r.URL.Path {
		case "/once":
			http.Redirect(w, r, "/file", http.StatusFound)
		case "/ever":
			http.Redirect(w, r, "/ever?token=hunter2", http.StatusFound)
		case "/other":
			http.Redirect(w, r, "https://127.0.0.1:1/x?token=hunter2", http.StatusFound)
		case "/local":
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		default:
			io.WriteString(w, "text")
		}
	})
	f := New(nil, nil, t.TempDir(), "")
	if got, err := read(t, f, home+"/once?token=hunter2"); err != nil || got != "text" {
		t.Errorf("got %q, %v", got, err)
	}
	if len(referers) != 2 || referers[1] != "" {
		t.Errorf("the next server is told of %q", referers)
	}
	for path, want := range map[string]string{
		"/ever":  "it redirects more than 5 times",
		"/other": "it redirects from http:// to https://, which is not followed: make that the source",
		"/local": "it redirects from http:// to file://, which is not followed: make that the source",
	} {
		_, err := read(t, f, home+path+"?token=hunter2")
		if err == nil || !strings.Contains(err.Error(), want) || !IsFinal(err) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v", path, err)
		}
	}
}

func TestAnswersThatAreNoFile(t *testing.T) {
	home := site(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/gone":
			w.WriteHeader(http.StatusNotFound)
		case "/shut":
			w.WriteHeader(http.StatusForbidden)
		case "/busy":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/often":
			w.WriteHeader(http.StatusTooManyRequests)
		case "/half":
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "half")
		}
	})
	f := New(nil, nil, t.TempDir(), "")
	for path, final := range map[string]bool{"/gone": true, "/shut": true, "/busy": false, "/often": false, "/half": false} {
		_, err := read(t, f, home+path+"?token=hunter2")
		if err == nil || IsFinal(err) != final || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, final %v", path, err, IsFinal(err))
		}
	}
	nobody, _ := url.Parse(home)
	nobody.Host = "127.0.0.1:1"
	nobody.RawQuery = "token=hunter2"
	if _, err := read(t, f, nobody.String()); err == nil || IsFinal(err) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("of nobody: got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := f.Open(ctx, &mesh.Artifact{Source: home + "/"}); err == nil {
		t.Error("it is fetched though it is given up")
	}
}

// The agent may read what the one who wrote the job may not.
func TestFilesOfTheMachineAreThoseThatItGives(t *testing.T) {
	dir := t.TempDir()
	given, own := filepath.Join(dir, "given"), filepath.Join(dir, "given", "agent")
	secret := filepath.Join(dir, "secret")
	for _, d := range []string{given, own} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{secret, filepath.Join(given, "file"), filepath.Join(own, "key")} {
		if err := os.WriteFile(name, []byte("text"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"out": "../secret", "abs": secret, "in": "file", "back": "agent/key"} {
		if err := os.Symlink(to, filepath.Join(given, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(given, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := New([]string{given}, []string{own}, t.TempDir(), "")
	for name, want := range map[string]string{
		filepath.Join(given, "file"): "", filepath.Join(given, "in"): "",
		secret: "is in no folder of which this node gives files", "/etc/passwd": "is in no folder",
		given: "is in no folder", filepath.Join(given, "out"): "escapes", filepath.Join(given, "abs"): "escapes",
		own: "is no regular file", filepath.Join(own, "key"): "is the agent's own",
		filepath.Join(given, "back"): "is the agent's own", filepath.Join(given, "pipe"): "is no regular file",
		filepath.Join(given, "nothing"): "no such file", filepath.Join(dir, "givenness"): "is in no folder",
	} {
		got, err := read(t, f, "file://"+name)
		if want == "" && (err != nil || got != "text") || want != "" && (err == nil || !strings.Contains(err.Error(), want) || !IsFinal(err)) {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
		}
	}
}

// Others wait for the same file: a server that says a byte now and then must not keep them.
func TestATrickleIsGivenUp(t *testing.T) {
	for every, slow := range map[int]bool{paceBytes / 4: true, paceBytes: false} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			come := 0
			l := listen(io.NopCloser(readerFunc(func(p []byte) (int, error) {
				wait := time.NewTimer(paceTimeout / 2)
				select {
				case <-wait.C:
				case <-ctx.Done():
					return 0, context.Cause(ctx)
				}
				if come++; come > 100 {
					return 0, io.EOF
				}
				return every, nil
			})), cancel)
			defer l.Close()
			if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, l, make([]byte, paceBytes)); errors.Is(err, errSlow) != slow {
				t.Errorf("%d bytes at a time: got %v", every, err)
			}
		})
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// What a job's author may not ask himself the agent does not tell him.
func TestErrorsSayNothingOfOtherServers(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	t.Cleanup(func() { other.Close(); <-served })
	go func() {
		defer close(served)
		for {
			c, err := other.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "SSH-2.0-hunter2\r\n")
			c.Close()
		}
	}()
	moved := site(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "http://[hunter2")
		w.WriteHeader(http.StatusFound)
	})
	f := New(nil, nil, t.TempDir(), "")
	const no = "it does not answer as a web server does"
	for source, want := range map[string]string{
		"http://" + other.Addr().String() + "/x":  no,
		"https://" + other.Addr().String() + "/x": "TLS",
		moved + "/x":                        no,
		"http://169.254.169.254/latest":     errLink.Error(),
		"http://[fe80::1%25lo]/x":           errLink.Error(),
		"http://[::ffff:169.254.169.254]/x": errLink.Error(),
		"http://127.0.0.1:1/x":              "connection refused",
	} {
		_, err := read(t, f, source)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want %q", source, err, want)
		}
	}
}
