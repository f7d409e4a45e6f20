package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"sync"

	"github.com/quic-go/quic-go"

	"mn/mesh/identity"
)

// The codes with which connections end.
const (
	codeBye     quic.ApplicationErrorCode = 0 // nothing is wrong
	codeRefused quic.ApplicationErrorCode = 1
	codeBusy    quic.ApplicationErrorCode = 2
	codeStalled quic.ApplicationErrorCode = 3 // the peer takes nothing any more
)

var (
	errNotMN = errors.New("it does not speak mn's protocol")
	errBusy  = errors.New("too many handshakes at once")
)

// accept takes connections whose handshake is done, so whose peer is known.
func (e *Endpoint) accept() {
	for {
		conn, err := e.listener.Accept(e.ctx)
		if err != nil {
			return // closed
		}
		if h, ok := conn.Context().Value(handshakeKey{}).(*handshake); ok {
			h.done()
		}
		switch conn.ConnectionState().TLS.NegotiatedProtocol {
		case protoJoin:
			if !e.start(func() { e.door.serve(conn) }) {
				hangUp(conn, codeBye, "the agent stops")
			}
		case protoPeer:
			e.count.accepted.Add(1)
			e.adopt(conn, "")
		}
	}
}

// hangUp ends a connection. It cannot go wrong in a way that matters.
func hangUp(c *quic.Conn, code quic.ApplicationErrorCode, why string) {
	_ = c.CloseWithError(code, why)
}

// serverTLS picks by protocol: members prove who they are on both sides, who
// comes to join cannot yet.
func (e *Endpoint) serverTLS() *tls.Config {
	members := e.conf.Identity.ServerTLS(protoPeer, e.conf.Admitted)
	strangers := e.conf.Identity.DoorTLS(protoJoin)
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{protoPeer},
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			from := hello.Conn.RemoteAddr()
			switch {
			case slices.Contains(hello.SupportedProtos, protoPeer):
				return e.noting(members, from), nil
			case slices.Contains(hello.SupportedProtos, protoJoin) && e.conf.Join != nil:
				return strangers, nil
			}
			e.refused(from, errNotMN)
			return nil, errNotMN
		},
	}
}

// noting is c, with the refusals of the connection's peer counted and logged.
func (e *Endpoint) noting(c *tls.Config, from net.Addr) *tls.Config {
	c = c.Clone()
	verify := c.VerifyConnection
	c.VerifyConnection = func(s tls.ConnectionState) error {
		err := verify(s)
		if err != nil {
			e.refused(from, err)
		}
		return err
	}
	return c
}

func (e *Endpoint) refused(from net.Addr, why error) {
	e.count.refused.Add(1)
	e.guard.note(from, "connection refused", why)
}

// handshake is one half-open connection.
type handshake struct {
	once sync.Once
	end  func()
}

type handshakeKey struct{}

func (h *handshake) done() { h.once.Do(h.end) }

// admitHandshake bounds the half-open connections, whoever opens them.
func (e *Endpoint) admitHandshake(
	ctx context.Context, from *quic.ClientInfo,
) (context.Context, error) {
	if e.count.handshakes.Add(1) > maxHandshakes {
		e.count.handshakes.Add(-1)
		e.refused(from.RemoteAddr, errBusy)
		return nil, errBusy
	}
	h := &handshake{end: func() { e.count.handshakes.Add(-1) }}
	context.AfterFunc(ctx, h.done)
	return context.WithValue(ctx, handshakeKey{}, h), nil
}

// wantProofOfAddress makes clients prove their address first, for one more
// round trip, when many come at once: a flood from forged addresses then costs
// us nothing but the answer, which is smaller than the question.
func (e *Endpoint) wantProofOfAddress(net.Addr) bool {
	return e.count.handshakes.Load() >= retryHandshakes
}

// reason is what to say about a peer that could not be reached or trusted.
func reason(err error) error {
	var alert *quic.TransportError
	switch {
	case errors.Is(err, identity.ErrWrongMesh), errors.Is(err, identity.ErrEvicted),
		errors.Is(err, identity.ErrWrongNode):
		return err
	case errors.As(err, &alert) && alert.Remote && alert.ErrorCode.IsCryptoError():
		return &refusalError{err}
	}
	return err
}

// refusalError is a handshake that the peer broke off: it does not trust us.
type refusalError struct{ cause error }

func (r *refusalError) Error() string {
	return "the peer refused our certificate: " + r.cause.Error()
}
func (r *refusalError) Unwrap() error { return r.cause }
