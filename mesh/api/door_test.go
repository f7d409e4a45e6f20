package api

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"mn/mesh"
)

// A web page that someone looks at on this machine can make their browser send
// requests to loopback. None of them gets through.
func TestBrowsersAreKeptOut(t *testing.T) {
	for _, test := range []struct {
		name, method, host string
		header             map[string]string
		want               int
	}{
		{"curl", "GET", "127.0.0.1:7080", nil, 200},
		{"curl by name", "GET", "localhost:7080", nil, 200},
		{"curl over IPv6", "GET", "[::1]:7080", nil, 200},
		{"a name that resolves to loopback", "GET", "evil.example:7080", nil, 403},
		{"no host", "GET", "", nil, 403},
		{
			"a script", "POST", "localhost:7080",
			map[string]string{"Content-Type": "application/json"},
			200,
		},
		{
			"a form", "POST", "localhost:7080",
			map[string]string{"Content-Type": "application/x-www-form-urlencoded"},
			400,
		},
		{"a form without a type", "POST", "localhost:7080", nil, 400},
		{
			"another site's page", "POST", "localhost:7080",
			map[string]string{"Content-Type": "application/json", "Origin": "http://evil.example"},
			403,
		},
		{
			"another site's page, as new browsers say", "POST", "localhost:7080",
			map[string]string{"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"},
			403,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, c := serving(t, newFake(), Loopback)
			path, body := "/v1/version", ""
			if test.method == "POST" {
				path, body = "/v1/jobs/web/stop", "{}"
			}
			got, _ := raw(t, c, test.method, path, test.host, test.header, body)
			if got != test.want {
				t.Errorf("got status %d, want %d", got, test.want)
			}
		})
	}
}

func TestNothingAllowsOtherOrigins(t *testing.T) {
	_, c := serving(t, newFake(), Loopback)
	_, head := raw(t, c, "GET", "/v1/version", "localhost", map[string]string{"Origin": "http://a.b"}, "")
	for k := range head {
		if strings.HasPrefix(k, "Access-Control") {
			t.Errorf("got header %s: %s", k, head.Get(k))
		}
	}
}

// raw sends a request as it is, past the client's own manners.
func raw(
	t *testing.T, c *Client, method, path, host string, header map[string]string, body string,
) (status int, head http.Header) {
	t.Helper()
	conn, err := c.http.Transport.(*http.Transport).DialContext(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", method, path, host, len(body))
	for k, v := range header {
		fmt.Fprintf(&b, "%s: %s\r\n", k, v)
	}
	fmt.Fprintf(&b, "Connection: close\r\n\r\n%s", body)
	answer := make(chan []byte, 1)
	go func() {
		got, _ := io.ReadAll(conn)
		answer <- got
	}()
	_, _ = io.WriteString(conn, b.String())
	text := string(<-answer)
	head = http.Header{}
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(line, ": "); ok {
			head.Add(k, strings.TrimSpace(v))
		}
	}
	if _, err := fmt.Sscanf(text, "HTTP/1.1 %d", &status); err != nil {
		t.Fatalf("got %q", text)
	}
	return status, head
}

func TestHTTPIsServedOnLoopbackOnly(t *testing.T) {
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(newFake())
	defer s.Close()
	if err := s.Serve(l, Loopback); err == nil || !strings.Contains(err.Error(), "not a loopback address") {
		t.Errorf("got %v", err)
	}
	if _, err := l.Accept(); err == nil {
		t.Error("the listener is still open")
	}
}

func TestBodiesAreBoundedAndStrict(t *testing.T) {
	for name, test := range map[string]struct {
		body string
		want int
	}{
		"good":              {`{}`, 200},
		"unknown field":     {`{"jib":"web"}`, 400},
		"two values":        {`{}{}`, 400},
		"no JSON":           {`job=web`, 400},
		"nothing":           {``, 400},
		"more than allowed": {`{"job":"` + strings.Repeat("x", BodyMax) + `"}`, 400},
	} {
		t.Run(name, func(t *testing.T) {
			_, c := serving(t, newFake(), Socket)
			got, _ := raw(t, c, "POST", "/v1/jobs/web/stop", "mn",
				map[string]string{"Content-Type": "application/json"}, test.body)
			if got != test.want {
				t.Errorf("got status %d, want %d", got, test.want)
			}
		})
	}
}

func TestUnknownPathsAreFaults(t *testing.T) {
	_, c := serving(t, newFake(), Socket)
	for path, want := range map[string]int{
		"/": 404, "/v2/jobs": 404, "/v1/allocs?all=perhaps": 400, "/v1/jobs/none": 404,
	} {
		if got, _ := raw(t, c, "GET", path, "mn", nil, ""); got != want {
			t.Errorf("GET %s: got status %d, want %d", path, got, want)
		}
	}
}

// A client that sends its body by the drop does not hold a request for ever.
func TestASlowBodyIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := serving(t, newFake(), Socket)
		conn, err := c.http.Transport.(*http.Transport).DialContext(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		began := time.Now()
		_, _ = io.WriteString(conn, "POST /v1/jobs HTTP/1.1\r\nHost: mn\r\n"+
			"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
		answer, _ := io.ReadAll(conn)
		if took := time.Since(began); took < bodyWait || took > 2*bodyWait {
			t.Errorf("got %q after %v, want it after %v", answer, took, bodyWait)
		}
	})
}

// The time for a body is not the time for the work: that may take longer.
func TestSlowWorkIsNotTakenForASlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFake()
		b.submit = func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(3 * bodyWait):
				return nil
			}
		}
		_, c := serving(t, b, Socket)
		job := mesh.Job{Name: "a", Tasks: []mesh.Task{{Name: "a", Command: []string{"true"}}}}
		if _, err := c.Run(t.Context(), job); err != nil {
			t.Errorf("got %v", err)
		}
	})
}

// Whatever text a request has, it arrives.
func TestParametersTravel(t *testing.T) {
	b := newFake()
	_, c := serving(t, b, Socket)
	rapid.Check(t, func(t *rapid.T) {
		want := LogsRequest{
			Job:    "j" + mesh.JobID(rapid.String().Draw(t, "job")),
			Task:   rapid.String().Draw(t, "task"),
			Tail:   rapid.Int().Draw(t, "tail"),
			Follow: rapid.Bool().Draw(t, "follow"),
		}
		b.asked = nil
		err := c.Logs(context.Background(), want, func(LogLine) error { return nil })
		if err != nil || len(b.asked) != 1 || b.asked[0] != want {
			t.Fatalf("got %+v, %v, want %+v", b.asked, err, want)
		}
	})
}
