package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base32"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"time"

	"mn/mesh"
)

// The lives of certificates. A certificate is backdated, so that a node whose
// clock is a little behind accepts it.
const (
	caLife   = 20 * 365 * 24 * time.Hour
	NodeLife = 90 * 24 * time.Hour
	backdate = time.Hour
)

const serialBits = 120

var text32 = base32.NewEncoding("abcdefghijkmnpqrstuvwxyz23456789").WithPadding(base32.NoPadding)

// Fingerprint identifies a mesh: the SHA-256 of its CA's public key, so that
// the CA's certificate can be issued anew.
type Fingerprint [sha256.Size]byte

// FingerprintOf is the fingerprint of a CA.
func FingerprintOf(ca *x509.Certificate) Fingerprint {
	return sha256.Sum256(ca.RawSubjectPublicKeyInfo)
}

// String is the fingerprint as it stands in a token.
func (f Fingerprint) String() string { return text32.EncodeToString(f[:]) }

// Short is enough of a fingerprint for people to tell meshes apart.
func (f Fingerprint) Short() string { return f.String()[:12] }

func (f Fingerprint) mesh() string { return f.String()[:16] }

func parseFingerprint(s string) (Fingerprint, error) {
	b, err := text32.DecodeString(s)
	if err != nil || len(b) != sha256.Size || text32.EncodeToString(b) != s {
		return Fingerprint{}, errors.New("not a fingerprint")
	}
	return Fingerprint(b), nil
}

// Authority is a mesh's CA with its key: whoever holds it can let nodes in.
type Authority struct {
	cert *x509.Certificate
	key  ed25519.PrivateKey
}

// NewAuthority makes the CA of a new mesh.
func NewAuthority(now time.Time) (*Authority, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make CA key: %w", err)
	}
	return issueCA(public, private, now)
}

func issueCA(
	public ed25519.PublicKey, private ed25519.PrivateKey, now time.Time,
) (*Authority, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "mn mesh CA"},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caLife),
		IsCA:                  true,
		MaxPathLenZero:        true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		return nil, fmt.Errorf("make CA certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse CA certificate: %w", err)
	}
	return &Authority{cert: cert, key: private}, nil
}

// Certificate is the CA's certificate, DER.
func (a *Authority) Certificate() []byte { return a.cert.Raw }

// Fingerprint identifies the CA.
func (a *Authority) Fingerprint() Fingerprint { return FingerprintOf(a.cert) }

// Sign makes a certificate for a node's key. Whoever calls it has made sure
// that the mesh wants the key, and that the asker holds it.
func (a *Authority) Sign(key ed25519.PublicKey, role mesh.Role, now time.Time) ([]byte, error) {
	if len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("sign node certificate: the key has %d bytes, want %d",
			len(key), ed25519.PublicKeySize)
	}
	if role != mesh.Worker && role != mesh.Witness {
		return nil, fmt.Errorf("sign node certificate: role %q: want %q or %q",
			role, mesh.Worker, mesh.Witness)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	id := mesh.NodeIDOf(key)
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: string(id)},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(NodeLife),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		URIs:                  []*url.URL{nodeURI(a.Fingerprint(), id, role)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key, a.key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate of node %q: %w", id, err)
	}
	return der, nil
}

// Bytes is the CA with its key, for another node that shall keep it too. It is
// as secret as anything can be.
func (a *Authority) Bytes() ([]byte, error) {
	return append(a.key.Seed(), a.cert.Raw...), nil
}

// ParseAuthority reads what [Authority.Bytes] gave.
func ParseAuthority(b []byte) (*Authority, error) {
	if len(b) <= ed25519.SeedSize {
		return nil, errors.New("parse CA key: it is too short")
	}
	cert, err := parseCA(b[ed25519.SeedSize:])
	if err != nil {
		return nil, err
	}
	key := ed25519.NewKeyFromSeed(b[:ed25519.SeedSize])
	if !key.Public().(ed25519.PublicKey).Equal(cert.PublicKey) {
		return nil, errors.New("parse CA key: it is not the key of its certificate")
	}
	return &Authority{cert: cert, key: key}, nil
}

func parseCA(der []byte) (*x509.Certificate, error) {
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse CA certificate: %w", err)
	}
	if _, ok := ca.PublicKey.(ed25519.PublicKey); !ok || !ca.IsCA {
		return nil, errors.New("parse CA certificate: it is not one of a mesh's CA")
	}
	if err := ca.CheckSignatureFrom(ca); err != nil {
		return nil, fmt.Errorf("check CA certificate: %w", err)
	}
	return ca, nil
}

func newSerial() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits))
	if err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	return n, nil
}

// nodeURI is the name in a node's certificate: which mesh, which node, and
// what it may be there.
func nodeURI(f Fingerprint, id mesh.NodeID, role mesh.Role) *url.URL {
	return &url.URL{
		Scheme:   "mn",
		Host:     f.mesh(),
		Path:     "/node/" + string(id),
		RawQuery: "role=" + string(role),
	}
}

// verify checks a node's certificate: signed by ca, valid now, and named after
// its own key. It is the whole of what makes a connection trusted.
func verify(leaf, ca *x509.Certificate, now time.Time) (mesh.NodeID, mesh.Role, error) {
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots:       roots,
		CurrentTime: now,
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return "", "", err
	}
	key, ok := leaf.PublicKey.(ed25519.PublicKey)
	if !ok || len(leaf.URIs) != 1 {
		return "", "", errors.New("the certificate is not one of a node")
	}
	id, uri := mesh.NodeIDOf(key), leaf.URIs[0].String()
	for _, role := range []mesh.Role{mesh.Worker, mesh.Witness} {
		if uri == nodeURI(FingerprintOf(ca), id, role).String() {
			return id, role, nil
		}
	}
	return "", "", fmt.Errorf("the certificate's name %q is not that of its key, node %q",
		strings.ToValidUTF8(uri, "?"), id)
}
