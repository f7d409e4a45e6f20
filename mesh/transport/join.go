package transport

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/quic-go/quic-go"

	"mn/mesh"
	"mn/mesh/identity"
)

// Bounds of the door through which nodes join.
const (
	maxJoinLen     = 64 << 10 // of a request, and of a reply
	maxJoins       = 8        // at once
	joinsPerSecond = 20
	joinTimeout    = 10 * time.Second // for all of one
)

// exporterLabel ties the proof of a key to one TLS connection.
const exporterLabel = "EXPORTER-mn-join-1"

// JoinRequest is what a node that wants in says, after it has made sure that
// it talks to the mesh of its token.
type JoinRequest struct {
	Token  string            `json:"token"` // id
	Secret string            `json:"secret"`
	Key    ed25519.PublicKey `json:"key"`
	Name   string            `json:"name"`
	Role   mesh.Role         `json:"role"`
	Proof  []byte            `json:"proof"` // of possession of the key; checked before the handler
}

// JoinPeer is where a member is.
type JoinPeer struct {
	ID      mesh.NodeID `json:"id"`
	Address string      `json:"address"`
}

// JoinReply is what a node that was let in needs to be one of the mesh.
type JoinReply struct {
	identity.Admission
	Peers  []JoinPeer `json:"peers"`
	Roster []byte     `json:"roster,omitempty"` // of the voters, with its proof
}

// JoinHandler decides about a request. Its fault is told to the node that
// asked; any other error is not.
type JoinHandler func(ctx context.Context, from net.Addr, r JoinRequest) (JoinReply, error)

// joinAnswer is a JoinReply or the reason why not.
type joinAnswer struct {
	Reply   *JoinReply  `json:"reply,omitempty"`
	Refusal *mesh.Fault `json:"refusal,omitempty"`
}

// door serves those who come to join: one request each.
type door struct {
	e     *Endpoint
	slots chan struct{}
	rate  bucket
}

func newDoor(e *Endpoint) *door {
	return &door{
		e:     e,
		slots: make(chan struct{}, maxJoins),
		rate:  bucket{burst: joinsPerSecond, perSecond: joinsPerSecond},
	}
}

func (d *door) serve(conn *quic.Conn) {
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	default:
		d.busy(conn)
		return
	}
	if !d.rate.take(time.Now()) {
		d.busy(conn)
		return
	}
	ctx, cancel := context.WithTimeout(d.e.ctx, joinTimeout)
	defer cancel()
	if err := d.answer(ctx, conn); err != nil {
		d.e.count.joinsRefused.Add(1)
		d.e.guard.note(conn.RemoteAddr(), "join refused", err)
	} else {
		d.e.count.joins.Add(1)
	}
	select {
	case <-conn.Context().Done(): // it has read the answer
	case <-ctx.Done():
	}
	hangUp(conn, codeBye, "")
}

func (d *door) busy(conn *quic.Conn) {
	d.e.refused(conn.RemoteAddr(), errBusy)
	hangUp(conn, codeBusy, "too many nodes join at once: try again")
}

// answer reads the request and answers it. The error says why it was refused.
func (d *door) answer(ctx context.Context, conn *quic.Conn) error {
	s, err := conn.AcceptStream(ctx)
	if err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := s.SetDeadline(deadline); err != nil {
			return fmt.Errorf("set deadline: %w", err)
		}
	}
	var r JoinRequest
	err = readJSON(s, &r)
	if err == nil {
		err = checkRequest(conn, &r)
	}
	var reply JoinReply
	if err == nil {
		reply, err = d.e.conf.Join(ctx, conn.RemoteAddr(), r)
	}
	a := joinAnswer{Reply: &reply}
	if err != nil {
		a = joinAnswer{Refusal: refusal(err)}
	}
	if writeErr := writeJSON(s, a); writeErr != nil {
		return errors.Join(err, fmt.Errorf("write answer: %w", writeErr))
	}
	return err
}

// refusal is what a stranger may know of an error.
func refusal(err error) *mesh.Fault {
	var f *mesh.Fault
	if errors.As(err, &f) {
		return f
	}
	return mesh.Faultf(mesh.Internal, "the peer could not answer; its log says why")
}

func checkRequest(conn *quic.Conn, r *JoinRequest) error {
	if !mesh.ValidName(r.Name) {
		return mesh.Faultf(mesh.Invalid, "node name %q: want 1 to 63 letters, digits, '-', '_' or '.'",
			r.Name)
	}
	if r.Role != mesh.Worker && r.Role != mesh.Witness {
		return mesh.Faultf(mesh.Invalid, "role %q: want %q or %q", r.Role, mesh.Worker, mesh.Witness)
	}
	channel, err := channelOf(conn)
	if err != nil {
		return err
	}
	if err := identity.CheckProof(r.Key, channel, r.Proof); err != nil {
		return mesh.Faultf(mesh.Denied, "the request does not prove that its key is the joining node's")
	}
	return nil
}

// channelOf is known to the two ends of this one connection and to nobody else.
func channelOf(conn *quic.Conn) ([]byte, error) {
	tls := conn.ConnectionState().TLS
	b, err := tls.ExportKeyingMaterial(exporterLabel, nil, 32)
	if err != nil {
		return nil, fmt.Errorf("export keying material: %w", err)
	}
	return b, nil
}

// readJSON reads all of a stream as one bounded value.
func readJSON(r io.Reader, v any) error {
	b, err := io.ReadAll(io.LimitReader(r, maxJoinLen+1))
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if len(b) > maxJoinLen {
		return mesh.Faultf(mesh.Invalid, "the request is larger than %d bytes", maxJoinLen)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return mesh.Faultf(mesh.Invalid, "the request is not what mn says to join")
	}
	return nil
}

// writeJSON writes one value and ends the stream.
func writeJSON(s *quic.Stream, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	if len(b) > maxJoinLen {
		return fmt.Errorf("encode: %d bytes are more than %d", len(b), maxJoinLen)
	}
	if _, err := s.Write(b); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return s.Close()
}
