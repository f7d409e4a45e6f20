package api

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"mn/mesh"
)

// Bounds of the client.
const (
	replyMax   = 64 << 20         // bytes of an answer, or of a line of a stream
	callWait   = time.Minute      // for an answer
	dialWait   = 5 * time.Second  // for a connection
	silenceMax = 3 * HeartbeatMax // without any line, a stream's peer counts as gone
)

// Client asks a peer. It is safe for concurrent use.
type Client struct {
	http *http.Client
	to   string // for messages
}

// NewClient makes a client of whoever answers on the connections that dial
// makes; name says in messages who that is.
func NewClient(name string, dial func(context.Context) (net.Conn, error)) *Client {
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, dialWait)
			defer cancel()
			return dial(ctx)
		},
		MaxIdleConns:           4,
		IdleConnTimeout:        idleWait / 2, // before the server closes it
		MaxResponseHeaderBytes: headerMax,
		DisableCompression:     true,
		ExpectContinueTimeout:  callWait,
	}
	return &Client{http: &http.Client{Transport: t}, to: name}
}

// ClientOf makes a client of the peer at addr: the path of its socket, with or
// without "unix:" before it, or the host:port of its HTTP API. It connects only
// when it is used.
func ClientOf(addr string) (*Client, error) {
	network, target := "tcp", strings.TrimSuffix(strings.TrimPrefix(addr, "http://"), "/")
	path, ok := strings.CutPrefix(addr, "unix:")
	if ok || strings.ContainsRune(target, '/') || strings.HasSuffix(target, ".sock") {
		network, target = "unix", strings.TrimPrefix(path, "//")
		if !filepath.IsAbs(target) {
			abs, err := filepath.Abs(target)
			if err != nil {
				return nil, fmt.Errorf("find the socket %q: %w", target, err)
			}
			target = abs
		}
	} else if _, _, err := net.SplitHostPort(target); err != nil {
		return nil, mesh.Faultf(mesh.Invalid,
			"address %q is neither the path of a socket nor host:port", addr)
	}
	return NewClient(addr, func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, target)
	}), nil
}

// Close lets go of idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// do calls an endpoint once.
func do[Req, Reply any](ctx context.Context, c *Client, e call[Req, Reply], req Req) (Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	var reply Reply
	resp, err := c.send(ctx, e.method, e.path, req, false)
	if err != nil {
		return reply, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, replyMax+1))
	switch {
	case err != nil:
		return reply, c.broken(ctx, err)
	case len(body) > replyMax:
		return reply, mesh.Faultf(mesh.Internal, "the answer of %s is larger than %v", c.to, mesh.Bytes(replyMax))
	}
	if err := json.Unmarshal(body, &reply); err != nil {
		return reply, c.garbled(err)
	}
	return reply, nil
}

// watchCall calls each with the answer now and after every change, until each
// fails, ctx is done or the peer is gone.
func watchCall[Req, Reply any](
	ctx context.Context, c *Client, e call[Req, Reply], req Req, each func(Reply) error,
) error {
	return follow(ctx, c, e.path, req, true, each)
}

// read calls each with the items of a stream until it ends.
func read[Req, Item any](
	ctx context.Context, c *Client, e stream[Req, Item], req Req, each func(Item) error,
) error {
	return follow(ctx, c, e.path, req, false, each)
}

func follow[Item any](
	ctx context.Context, c *Client, path string, req any, watch bool, each func(Item) error,
) error {
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(silenceMax, func() {
		cancel(mesh.Faultf(mesh.Unavailable, "nothing was heard from %q for %v", c.to, silenceMax))
	})
	defer silence.Stop()
	resp, err := c.send(inner, http.MethodGet, path, req, watch)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, replyMax)
	for lines.Scan() {
		silence.Reset(silenceMax)
		var f frame
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
			return c.garbled(err)
		}
		switch {
		case f.End:
			return ctx.Err()
		case f.Error != nil:
			return f.Error
		case f.Item == nil:
			continue
		}
		var item Item
		if err := json.Unmarshal(f.Item, &item); err != nil {
			return c.garbled(err)
		}
		if err := each(item); err != nil {
			return err
		}
	}
	return c.broken(inner, cmp.Or(lines.Err(), io.ErrUnexpectedEOF))
}

// send makes a request, and returns the response if it is a good one.
func (c *Client) send(
	ctx context.Context, method, path string, req any, watch bool,
) (*http.Response, error) {
	path, query := fillPath(path, req)
	var body io.Reader
	if method == http.MethodPost {
		b, err := json.Marshal(req)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		body, query = bytes.NewReader(b), nil
	}
	if watch {
		query.Set("watch", "1")
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	// The transport dials the peer, whatever the host is called.
	hr, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, body)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	hr.Header.Set("Content-Type", "application/json")
	return c.perform(ctx, hr)
}

// perform sends a request; the answer is one that says that all went well.
func (c *Client) perform(ctx context.Context, hr *http.Request) (*http.Response, error) {
	resp, err := c.http.Do(hr)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusSwitchingProtocols {
		return resp, nil
	}
	defer resp.Body.Close()
	var f mesh.Fault
	b, err := io.ReadAll(io.LimitReader(resp.Body, BodyMax))
	if err != nil || json.Unmarshal(b, &f) != nil || f.Text == "" {
		return nil, mesh.Faultf(mesh.Internal, "%s answered %q, which is no answer of mn", c.to, resp.Status)
	}
	return nil, &f
}

func (c *Client) unreachable(ctx context.Context, err error) error {
	var cause *mesh.Fault
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	switch {
	case errors.As(context.Cause(ctx), &cause):
		return cause
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case errors.Is(err, fs.ErrPermission):
		return mesh.Faultf(mesh.Denied, "no permission to use %q", c.to)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return mesh.Faultf(mesh.Unavailable, "no agent answers at %q", c.to).
			Hint("mn agent runs one; --data or --addr, or MN_DATA or MN_ADDR, choose which to ask")
	case errors.Is(err, context.DeadlineExceeded):
		return mesh.Faultf(mesh.Unavailable, "the agent at %q did not answer in time", c.to)
	}
	return mesh.Faultf(mesh.Unavailable, "ask the agent at %q: %v", c.to, err)
}

func (c *Client) broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return c.unreachable(ctx, ctx.Err())
	}
	return mesh.Faultf(mesh.Unavailable, "the connection to %q broke: %v", c.to, err)
}

func (c *Client) garbled(err error) error {
	return mesh.Faultf(mesh.Internal, "read the answer of %q: %v", c.to, err)
}
