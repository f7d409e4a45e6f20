// Package probe runs checks of services against what really answers.
//
// A check is bounded by its timeout and in what it reads. What it says of a failure goes to every node
// and to whoever may see jobs: nothing in it is from a URL's query, a header, a body or an
// answer; but the last line that a script says is told, as whoever wrote the script wants it.
package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"

	"mn/health"
	"mn/mesh"
)

// Bounds of what is read of an answer.
const (
	bodyMax    = 64 << 10
	headersMax = 32 << 10
	outputMax  = 4 << 10
)

// Prober runs checks.
type Prober struct {
	// Host is where what runs on this node is reached.
	Host string
	// Script runs a command within a task, with environment besides that of the task, and returns
	// how it ended.
	Script func(ctx context.Context, of health.Of, argv, env []string) (code int, output string, err error)
	// Sick says why a device of a task cannot be used, or "".
	Sick func(ctx context.Context, of health.Of) string
}

// Run runs a check, for as long as its timeout, and returns why it failed, or "".
func (p *Prober) Run(ctx context.Context, what *health.Probe) string {
	limit := what.Check.Limit()
	ctx, done := context.WithTimeout(ctx, limit)
	defer done()
	fault := p.run(ctx, what)
	if fault != "" && ctx.Err() != nil {
		return fmt.Sprintf("no answer within %v", mesh.Duration(limit))
	}
	return fault
}

func (p *Prober) run(ctx context.Context, what *health.Probe) string {
	c, host := &what.Check, p.Host
	if what.Service.External() {
		host = what.Service.Address
	}
	port := string(what.Service.Port)
	if c.Port != "" {
		port = string(c.Port)
	}
	address := net.JoinHostPort(host, port)
	switch c.Kind() {
	case mesh.CheckHTTP:
		return checkHTTP(ctx, c, address)
	case mesh.CheckGRPC:
		return checkGRPC(ctx, c, address)
	case mesh.CheckScript:
		env := []string{
			"MN_SERVICE_NAME=" + what.Service.Name, "MN_SERVICE_ADDRESS=" + host,
			"MN_SERVICE_PORT=" + string(what.Service.Port),
		}
		return p.script(ctx, what.Of, c.Command, env)
	case mesh.CheckGPU:
		return p.Sick(ctx, what.Of)
	}
	return checkTCP(ctx, address)
}

func checkTCP(ctx context.Context, address string) string {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return cause(err, "TCP")
	}
	_ = conn.Close() // it was only to see that there is somebody
	return ""
}

// client is one for a single request, with no state that stays.
func client(c *mesh.Check, protocols *http.Protocols) (*http.Client, func()) {
	t := &http.Transport{
		DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: headersMax,
		TLSClientConfig: tlsConfig(c), Protocols: protocols,
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &http.Client{Transport: t, CheckRedirect: stay}, t.CloseIdleConnections
}

func scheme(c *mesh.Check) string {
	if c.Scheme == "" {
		return "http"
	}
	return c.Scheme
}

func checkHTTP(ctx context.Context, c *mesh.Check, address string) string {
	path := c.Path
	if path == "" {
		path = "/"
	}
	method := c.Method
	if method == "" {
		method = http.MethodGet
	}
	var body io.Reader
	if c.Body != "" {
		body = strings.NewReader(c.Body)
	}
	r, err := http.NewRequestWithContext(ctx, method, scheme(c)+"://"+address+path, body)
	if err != nil {
		return "its address is no URL"
	}
	r.Header.Set("User-Agent", "mn")
	for k, v := range c.Headers {
		if strings.ContainsAny(v, "\r\n\x00") { // as what it was filled in with has
			return fmt.Sprintf("header %q cannot be sent: it has a new line in it", k)
		}
		if strings.EqualFold(k, "Host") {
			r.Host = v
			continue
		}
		r.Header.Set(k, v)
	}
	client, done := client(c, nil)
	defer done()
	answer, err := client.Do(r)
	if err != nil {
		return cause(err, "HTTP")
	}
	defer answer.Body.Close() //nolint:errcheck // it was only read
	if !c.Expects(answer.StatusCode) {
		return fmt.Sprintf("status %d", answer.StatusCode)
	}
	if c.Contains == "" {
		return ""
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, bodyMax))
	if strings.Contains(string(text), c.Contains) {
		return ""
	}
	if err != nil {
		return cause(err, "HTTP")
	}
	return fmt.Sprintf("status %d, and the answer does not have in it what it should", answer.StatusCode)
}

func (p *Prober) script(ctx context.Context, of health.Of, argv, env []string) string {
	code, output, err := p.Script(ctx, of, argv, env)
	switch {
	case err != nil:
		return err.Error()
	case code == 0:
		return ""
	}
	last := strings.TrimSpace(output[max(0, len(output)-outputMax):])
	last = last[strings.LastIndexByte(last, '\n')+1:]
	exit := fmt.Sprintf("exit code %d", code)
	if usual := usualCodes[code]; usual != "" {
		exit += " (" + usual + ")"
	}
	if last == "" {
		return exit
	}
	return exit + ": " + last
}

// usualCodes are what shells, and engines of containers, mean by exit codes.
var usualCodes = map[int]string{126: "the command cannot be run", 127: "no such command"}

// ended tells of a connection that is closed before there is an answer, whichever side noticed first.
const ended = "it ended the connection"

// cause is what an error of a conversation comes down to, in words of our own: those of libraries may have the
// address in them, or some of the answer, and either may hold what is secret.
func cause(err error, protocol string) string {
	var timeout interface{ Timeout() bool }
	var number syscall.Errno
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	var alert tls.AlertError
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET):
		return ended
	case errors.As(err, &number):
		return number.Error()
	case errors.As(err, &name):
		return "no such host"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ended
	case errors.As(err, &certificate):
		return "its certificate is not accepted: " + certificate.Err.Error() // which anybody may see
	case errors.As(err, &alert):
		return alert.Error()
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "it answers without TLS"
	}
	return "its answer is no proper " + protocol
}

// statusText is a status of gRPC for people.
func statusText(code string) string {
	names := map[string]string{
		"5": "it does not know the service", "12": "it does not have the health service", "14": "unavailable",
	}
	if text, known := names[code]; known {
		return text
	}
	if _, err := strconv.Atoi(code); err != nil {
		return "it does not speak gRPC"
	}
	return "status " + code
}
