package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	grpchealth "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"mn/health"
	"mn/mesh"
)

// probeOf is a check of what listens there.
func probeOf(t *testing.T, address string, c mesh.Check) (*Prober, *health.Probe) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return &Prober{Host: host}, &health.Probe{Service: mesh.ServiceDef{Name: "web", Port: mesh.Value(port)}, Check: c}
}

func TestHTTP(t *testing.T) {
	secret := "hunter2"
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/":
			fmt.Fprint(w, "fine")
		case "/gone":
			http.Error(w, "the password is "+secret, http.StatusGone)
		case "/moved":
			http.Redirect(w, r, "/gone", http.StatusFound)
		case "/echo":
			fmt.Fprintf(w, "%s %s %s %s %s", r.Method, r.Host, r.Header.Get("X-A"), r.URL.RawQuery, body)
		case "/long":
			fmt.Fprint(w, strings.Repeat("x", bodyMax), "end")
		case "/hang":
			<-r.Context().Done()
		case "/cut":
			panic(http.ErrAbortHandler)
		}
	}))
	server.Start()
	defer server.Close()
	address := server.Listener.Addr().String()
	for _, tt := range []struct {
		name  string
		check mesh.Check
		want  string
	}{
		{"fine", mesh.Check{}, ""},
		{"a bad status", mesh.Check{Path: "/gone?token=" + secret}, "status 410"},
		{"a status that is expected", mesh.Check{Path: "/gone", ExpectedStatus: []mesh.Value{"400-499"}}, ""},
		{"a redirect is not followed", mesh.Check{Path: "/moved"}, ""},
		{"the text is there", mesh.Check{Contains: "in"}, ""},
		{"the text is not there", mesh.Check{Contains: secret}, "status 200, and the answer does not have in it what it should"},
		{"the text is far behind", mesh.Check{Path: "/long", Contains: "end"}, "status 200, and the answer does not have in it what it should"},
		{"all that is sent", mesh.Check{
			Path: "/echo?q=1", Method: "POST", Headers: map[string]string{"X-A": "b", "host": "example.org"},
			Body: "hello", Contains: "POST example.org b q=1 hello",
		}, ""},
		{"a header of two lines", mesh.Check{Headers: map[string]string{"X-A": secret + "\n"}}, `header "X-A" cannot be sent: it has a new line in it`},
		{"it hangs", mesh.Check{Path: "/hang", Timeout: mesh.Duration(50 * time.Millisecond)}, "no answer within 50ms"},
		{"it ends", mesh.Check{Path: "/cut?token=" + secret}, "it ended the connection"},
		{"plain, where TLS is wanted", mesh.Check{Scheme: "https"}, "it answers without TLS"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.check.Type = mesh.CheckHTTP
			p, what := probeOf(t, address, tt.check)
			if got := p.Run(t.Context(), what); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// What a server answers that does not speak as it should is nobody else's to read.
func TestNothingOfAnAnswerIsTold(t *testing.T) {
	const secret = "hunter2"
	for _, answer := range []string{
		"the password is " + secret + "\r\n\r\n",
		"HTTP/1.1 abc" + secret + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" + secret + " is no header\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: " + secret + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + secret + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + secret + "\r\n",
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*headersMax) + "\r\n\r\n",
		"SSH-2.0-" + secret + "\x1b[31m\r\n",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = c.Read(make([]byte, 4096))
				_, _ = io.WriteString(c, answer)
				_ = c.(*net.TCPConn).CloseWrite() // who asks may be about to write more
				_, _ = io.Copy(io.Discard, c)
				_ = c.Close()
			}
		}()
		for kind, want := range map[mesh.CheckType]string{
			mesh.CheckHTTP: "its answer is no proper HTTP", mesh.CheckGRPC: "its answer is no proper gRPC",
		} {
			p, what := probeOf(t, l.Addr().String(), mesh.Check{Type: kind, Path: "/?token=" + secret, Contains: "x"})
			if got := p.Run(t.Context(), what); got != want {
				t.Errorf("%s, and an answer that begins with %.30q: got %q, want %q", kind, answer, got, want)
			}
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestHTTPS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	c := mesh.Check{Type: mesh.CheckHTTP, Scheme: "https"}
	p, what := probeOf(t, server.Listener.Addr().String(), c)
	if got := p.Run(t.Context(), what); !strings.Contains(got, "certificate") {
		t.Errorf("with a certificate of nobody: got %q", got)
	}
	what.Check.SkipVerify = true
	if got := p.Run(t.Context(), what); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p, what := probeOf(t, l.Addr().String(), mesh.Check{})
	if got := p.Run(t.Context(), what); got != "" {
		t.Errorf("got %q", got)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := p.Run(t.Context(), what); got != "connection refused" {
		t.Errorf("got %q", got)
	}
	what.Service.Address = "nowhere.invalid"
	if got := p.Run(t.Context(), what); got != "no such host" {
		t.Errorf("of an external one: got %q", got)
	}
}

// The check passes against a server of the library that most use.
func TestGRPC(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, states := grpc.NewServer(), grpchealth.NewServer()
	healthpb.RegisterHealthServer(server, states)
	go server.Serve(l) //nolint:errcheck // ends with Stop
	defer server.Stop()
	bare, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	without := grpc.NewServer()
	go without.Serve(bare) //nolint:errcheck // ends with Stop
	defer without.Stop()
	states.SetServingStatus("model.v1", healthpb.HealthCheckResponse_NOT_SERVING)
	page := httptest.NewServer(http.NotFoundHandler())
	defer page.Close()
	for _, tt := range []struct {
		name, address, service, want string
	}{
		{"the server", l.Addr().String(), "", ""},
		{"a service", l.Addr().String(), "model.v1", "NOT_SERVING"},
		{"no such service", l.Addr().String(), "other.v1", "it does not know the service"},
		{"no health service", bare.Addr().String(), "", "it does not have the health service"},
	} {
		p, what := probeOf(t, tt.address, mesh.Check{Type: mesh.CheckGRPC, Service: tt.service})
		if got := p.Run(t.Context(), what); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	states.SetServingStatus("model.v1", healthpb.HealthCheckResponse_SERVING)
	p, what := probeOf(t, l.Addr().String(), mesh.Check{Type: mesh.CheckGRPC, Service: "model.v1"})
	if got := p.Run(t.Context(), what); got != "" {
		t.Errorf("got %q", got)
	}
	p, what = probeOf(t, page.Listener.Addr().String(), mesh.Check{Type: mesh.CheckGRPC})
	if got := p.Run(t.Context(), what); got == "" {
		t.Error("a server of pages passes")
	}
}

func TestGRPCOverTLS(t *testing.T) {
	pages := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	defer pages.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&pages.TLS.Certificates[0])))
	healthpb.RegisterHealthServer(server, grpchealth.NewServer())
	go server.Serve(l) //nolint:errcheck // ends with Stop
	defer server.Stop()
	for _, tt := range []struct {
		check mesh.Check
		want  []string
	}{
		{mesh.Check{Scheme: "https", SkipVerify: true}, []string{""}},
		{mesh.Check{Scheme: "https"}, []string{
			"its certificate is not accepted: x509: certificate signed by unknown authority",
		}},
		// The server hangs up, before we have said all or after.
		{mesh.Check{}, []string{ended, "its answer is no proper gRPC"}},
	} {
		tt.check.Type = mesh.CheckGRPC
		p, what := probeOf(t, l.Addr().String(), tt.check)
		if got := p.Run(t.Context(), what); !slices.Contains(tt.want, got) {
			t.Errorf("scheme %q, any certificate %v: got %q, want %q", tt.check.Scheme, tt.check.SkipVerify, got, tt.want)
		}
	}
}

func TestScriptAndGPU(t *testing.T) {
	var told []string
	code, output, failed := 0, "", error(nil)
	p := &Prober{
		Host: "10.0.0.1",
		Script: func(_ context.Context, of health.Of, argv, env []string) (int, string, error) {
			told = append(append([]string{of.Task}, argv...), env...)
			return code, output, failed
		},
		Sick: func(context.Context, health.Of) string { return "GPU-1 is sick: too hot" },
	}
	what := &health.Probe{
		Of: health.Of{Alloc: "a", Task: "t"}, Service: mesh.ServiceDef{Name: "web", Port: "80"},
		Check: mesh.Check{Type: mesh.CheckScript, Command: []string{"./check", "-x"}},
	}
	if got := p.Run(t.Context(), what); got != "" {
		t.Errorf("got %q", got)
	}
	want := "t ./check -x MN_SERVICE_NAME=web MN_SERVICE_ADDRESS=10.0.0.1 MN_SERVICE_PORT=80"
	if got := strings.Join(told, " "); got != want {
		t.Errorf("ran %q, want %q", got, want)
	}
	code, output = 3, "looking\nno disk\n"
	if got := p.Run(t.Context(), what); got != "exit code 3: no disk" {
		t.Errorf("got %q", got)
	}
	output = ""
	if got := p.Run(t.Context(), what); got != "exit code 3" {
		t.Errorf("got %q", got)
	}
	code = 127
	if got := p.Run(t.Context(), what); got != "exit code 127 (no such command)" {
		t.Errorf("got %q", got)
	}
	failed = errors.New("the task does not run")
	if got := p.Run(t.Context(), what); got != "the task does not run" {
		t.Errorf("got %q", got)
	}
	what.Check = mesh.Check{Type: mesh.CheckGPU}
	if got := p.Run(t.Context(), what); got != "GPU-1 is sick: too hot" {
		t.Errorf("got %q", got)
	}
}

// Whatever a server answers, it is read without harm.
func FuzzStatusIn(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x02\x08\x01"))
	f.Add([]byte("\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if status, ok := statusIn(b); !ok && status != 0 {
			t.Errorf("%q is unreadable, and says %d", b, status)
		}
	})
}
