package transport

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/quic-go/quic-go"

	"mn/mesh"
	"mn/mesh/identity"
)

// Joiner is a node that wants to join a mesh.
type Joiner struct {
	Addr  string // ip:port of any member
	Token identity.Token
	Key   identity.Key
	Name  string
	Role  mesh.Role
	Conn  net.PacketConn // instead of a socket of its own; it stays open
}

// Join asks the member at j.Addr to let the node in. It says the token's
// secret only to a member of the token's mesh. What it returns is checked to
// be of that mesh too. Its errors are faults for people to read.
func Join(ctx context.Context, j Joiner) (JoinReply, error) {
	to, err := udpAddr(j.Addr)
	if err != nil {
		return JoinReply{}, mesh.Faultf(mesh.Invalid, "join mesh: %v", err)
	}
	conn := j.Conn
	if conn == nil {
		if conn, err = openSocket(unspecified(to)); err != nil {
			return JoinReply{}, err
		}
		defer conn.Close() //nolint:errcheck // nothing is left to send
	}
	tr := &quic.Transport{Conn: conn}
	defer tr.Close() //nolint:errcheck // likewise
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	c, err := tr.Dial(ctx, to, identity.JoinTLS(protoJoin, j.Token.CA), quicConfig())
	if err != nil {
		return JoinReply{}, dialFault(j.Addr, err)
	}
	defer hangUp(c, codeBye, "")
	a, err := ask(ctx, c, j)
	switch {
	case err != nil:
		return JoinReply{}, askFault(j.Addr, err)
	case a.Refusal != nil:
		return JoinReply{}, a.Refusal
	case a.Reply == nil:
		return JoinReply{}, mesh.Faultf(mesh.Internal, "join mesh at %q: the answer is empty", j.Addr)
	}
	return *a.Reply, j.check(*a.Reply)
}

// ask sends the request and reads the answer.
func ask(ctx context.Context, c *quic.Conn, j Joiner) (joinAnswer, error) {
	channel, err := channelOf(c)
	if err != nil {
		return joinAnswer{}, err
	}
	s, err := c.OpenStreamSync(ctx)
	if err != nil {
		return joinAnswer{}, fmt.Errorf("open stream: %w", err)
	}
	if err := s.SetDeadline(time.Now().Add(joinTimeout)); err != nil {
		return joinAnswer{}, fmt.Errorf("set deadline: %w", err)
	}
	err = writeJSON(s, JoinRequest{
		Token: j.Token.ID, Secret: j.Token.Secret,
		Key: j.Key.Public(), Name: j.Name, Role: j.Role,
		Proof: j.Key.Prove(channel),
	})
	if err != nil {
		return joinAnswer{}, err
	}
	var a joinAnswer
	return a, readJSON(s, &a)
}

// check makes sure that the reply is of the token's mesh and for our key.
func (j Joiner) check(r JoinReply) error {
	err := r.Check(j.Token.CA, ed25519.PublicKey(j.Key.Public()), time.Now())
	if err != nil {
		return mesh.Faultf(mesh.Internal, "join mesh at %q: the answer is not usable: %v", j.Addr, err)
	}
	return nil
}

// dialFault says in words why no connection came about.
func dialFault(addr string, err error) *mesh.Fault {
	var alert *quic.TransportError
	var version *quic.VersionNegotiationError
	var idle *quic.IdleTimeoutError
	var handshake *quic.HandshakeTimeoutError
	switch {
	case errors.Is(err, identity.ErrWrongMesh):
		return mesh.Faultf(mesh.Denied, "join mesh at %q: it belongs to another mesh than the token",
			addr).
			Hint("make a token with \"mn mesh token create\" on a node of this mesh")
	case errors.As(err, &idle), errors.As(err, &handshake), errors.Is(err, context.DeadlineExceeded):
		return mesh.Faultf(mesh.Unavailable, "join mesh at %q: nothing answers there", addr).
			Hint("is the agent running there, and is its UDP port open?")
	case errors.As(err, &alert) && alert.ErrorCode.IsCryptoError(), errors.As(err, &version):
		return mesh.Faultf(mesh.Unavailable, "join mesh at %q: what answers there is not an mn agent: %v",
			addr, err)
	case errors.Is(err, context.Canceled):
		return mesh.Faultf(mesh.Unavailable, "join mesh at %q: %v", addr, err)
	}
	return mesh.Faultf(mesh.Unavailable, "join mesh at %q: %v", addr, err)
}

// askFault says in words why there was no answer on a connection.
func askFault(addr string, err error) *mesh.Fault {
	var app *quic.ApplicationError
	if errors.As(err, &app) && app.ErrorCode == codeBusy {
		return mesh.Faultf(mesh.Unavailable, "join mesh at %q: %s", addr, app.ErrorMessage)
	}
	return mesh.Faultf(mesh.Unavailable, "join mesh at %q: the peer broke off: %v", addr, err)
}

// unspecified is any port on any address of the family of to.
func unspecified(to *net.UDPAddr) netip.AddrPort {
	if to.AddrPort().Addr().Is4() {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
}
