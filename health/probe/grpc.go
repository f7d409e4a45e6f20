package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"

	"google.golang.org/protobuf/encoding/protowire"

	"mn/mesh"
)

// The standard health protocol of gRPC: grpc.health.v1, as its proto file has it.
const (
	healthMethod = "/grpc.health.v1.Health/Check"
	fieldService = 1 // of the request, and the status of the answer
	serving      = 1
	frameHeader  = 5 // whether it is compressed, and the length
)

var servingStatuses = map[uint64]string{0: "UNKNOWN", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}

func tlsConfig(c *mesh.Check) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.SkipVerify} //nolint:gosec // as jobs want it
}

// checkGRPC asks once, with the few bytes of the protocol: a library for all of gRPC would be the
// largest part of the agent.
func checkGRPC(ctx context.Context, c *mesh.Check, address string) string {
	var ask []byte
	if c.Service != "" {
		ask = protowire.AppendString(protowire.AppendTag(nil, fieldService, protowire.BytesType), c.Service)
	}
	frame := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(ask))), ask...)
	at := scheme(c) + "://" + address + healthMethod
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader(frame))
	if err != nil {
		return "its address is no URL"
	}
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("TE", "trailers")
	r.Header.Set("User-Agent", "mn")
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	client, done := client(c, &protocols)
	defer done()
	answer, err := client.Do(r)
	if err != nil {
		return cause(err, "gRPC")
	}
	defer answer.Body.Close() //nolint:errcheck // it was only read
	if answer.StatusCode != http.StatusOK {
		return fmt.Sprintf("status %d", answer.StatusCode)
	}
	said, err := io.ReadAll(io.LimitReader(answer.Body, bodyMax))
	if err != nil {
		return cause(err, "gRPC")
	}
	code := answer.Trailer.Get("Grpc-Status")
	if code == "" {
		code = answer.Header.Get("Grpc-Status") // of an answer that has no body
	}
	if code != "0" {
		return statusText(code)
	}
	status, ok := statusIn(said)
	switch {
	case !ok:
		return "its answer cannot be read"
	case status == serving:
		return ""
	}
	if name := servingStatuses[status]; name != "" {
		return name
	}
	return fmt.Sprintf("status %d", status)
}

// statusIn is the status in an answer.
func statusIn(frame []byte) (uint64, bool) {
	if len(frame) < frameHeader || frame[0] != 0 {
		return 0, false
	}
	msg := frame[frameHeader:]
	if n := binary.BigEndian.Uint32(frame[1:]); uint64(n) != uint64(len(msg)) {
		return 0, false
	}
	status := uint64(0) // what is not said is 0
	for len(msg) > 0 {
		field, kind, n := protowire.ConsumeTag(msg)
		if n < 0 {
			return 0, false
		}
		msg = msg[n:]
		if field == fieldService && kind == protowire.VarintType {
			if status, n = protowire.ConsumeVarint(msg); n < 0 {
				return 0, false
			}
		} else if n = protowire.ConsumeFieldValue(field, kind, msg); n < 0 {
			return 0, false
		}
		msg = msg[n:]
	}
	return status, true
}
