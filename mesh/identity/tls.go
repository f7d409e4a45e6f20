package identity

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"mn/health/clock"
	"mn/mesh"
)

// The reasons why a connection to or from a peer is not trusted.
var (
	ErrWrongMesh = errors.New("it belongs to another mesh")
	ErrEvicted   = errors.New("the mesh has evicted it")
	ErrWrongNode = errors.New("it is another node")
)

// AdmitFunc decides about a node whose certificate is good: false for one that the
// mesh has evicted. It is called for every connection and must not block.
type AdmitFunc func(mesh.NodeID) bool

// ServerTLS accepts members of the mesh.
func (i *Identity) ServerTLS(proto string, admit AdmitFunc) *tls.Config {
	c := i.base(proto)
	c.ClientAuth = tls.RequireAnyClientCert // verified below, against our CA only
	c.VerifyConnection = i.verifyPeer("", admit)
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return i.chain(), nil }
	return c
}

// ClientTLS connects to one node of the mesh, or to any if peer is "".
func (i *Identity) ClientTLS(proto string, peer mesh.NodeID, admit AdmitFunc) *tls.Config {
	c := i.base(proto)
	c.InsecureSkipVerify = true // host names mean nothing here; verified below
	c.VerifyConnection = i.verifyPeer(peer, admit)
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return i.chain(), nil
	}
	return c
}

// DoorTLS accepts anyone: for the one request with which a node joins.
func (i *Identity) DoorTLS(proto string) *tls.Config {
	c := i.base(proto)
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return i.chain(), nil }
	return c
}

// JoinTLS connects to any node of the mesh whose CA has that fingerprint. The
// connection fails, before anything is said on it, if the other end is not.
func JoinTLS(proto string, ca Fingerprint) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{proto},
		SessionTicketsDisabled: true,
		InsecureSkipVerify:     true, // verified below, against the pinned CA
		VerifyConnection: func(s tls.ConnectionState) error {
			return verifyPinned(s.PeerCertificates, ca, clock.Wall())
		},
	}
}

// PeerOf is the node at the other end of a connection that these
// configurations have let pass.
func PeerOf(s tls.ConnectionState) mesh.NodeID {
	if len(s.PeerCertificates) == 0 {
		return ""
	}
	key, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok {
		return ""
	}
	return mesh.NodeIDOf(key)
}

func (i *Identity) base(proto string) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{proto},
		SessionTicketsDisabled: true, // a resumed session would outlive an eviction
	}
}

// chain is our certificate with the CA's, which a joining node checks first.
func (i *Identity) chain() *tls.Certificate {
	leaf := i.certificate()
	return &tls.Certificate{
		Certificate: [][]byte{leaf.Raw, i.ca.Raw},
		PrivateKey:  i.key.private,
		Leaf:        leaf,
	}
}

func (i *Identity) verifyPeer(want mesh.NodeID, admit AdmitFunc) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return errors.New("check peer: it has no certificate")
		}
		id, _, err := verify(s.PeerCertificates[0], i.ca, clock.Wall())
		var foreign x509.UnknownAuthorityError
		switch {
		case errors.As(err, &foreign):
			return fmt.Errorf("check peer: %w", ErrWrongMesh)
		case err != nil:
			return fmt.Errorf("check peer: %w", err)
		case want != "" && id != want:
			return fmt.Errorf("check peer: want node %q, got %q: %w", want, id, ErrWrongNode)
		case admit != nil && !admit(id):
			return fmt.Errorf("check peer %q: %w", id, ErrEvicted)
		}
		return nil
	}
}

// verifyPinned checks that a chain ends in the CA with that fingerprint.
func verifyPinned(chain []*x509.Certificate, pin Fingerprint, now time.Time) error {
	if len(chain) != 2 {
		return fmt.Errorf("check mesh: want a certificate and its CA's, got %d: is it an mn agent?",
			len(chain))
	}
	leaf, ca := chain[0], chain[1]
	if got := FingerprintOf(ca); got != pin {
		return fmt.Errorf("check mesh: its CA is %s, the token's is %s: %w",
			got.Short(), pin.Short(), ErrWrongMesh)
	}
	if _, _, err := verify(leaf, ca, now); err != nil {
		return fmt.Errorf("check mesh: %w", err)
	}
	return nil
}
