// Package identity proves who a node is: its key, the mesh's CA that vouches
// for the key, the TLS configurations that check it, the keyring of gossip and
// the tokens that let a new key in.
//
// Everything lives in a few files of the node's data directory, all written
// whole and 0600. Keys never leave the node that made them; the CA's key is
// kept on some nodes, encrypted under the node's own key. The package opens no
// sockets and starts no goroutines.
package identity

import (
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"mn/mesh"
)

// The files of a node's identity, below its data directory.
const (
	keyFile         = "node.key"
	certificateFile = "node.crt"
	caFile          = "ca.crt"
	caKeyFile       = "ca.key"
	keyringFile     = "keyring.json"
)

// ErrNotAdmitted says that a data directory belongs to no mesh yet.
var ErrNotAdmitted = errors.New("this node belongs to no mesh yet")

// Admission is what a mesh gives to a node that it lets in. All of it but the
// certificate is the same for all members.
type Admission struct {
	Certificate []byte  `json:"certificate"` // DER, for the node's key
	CA          []byte  `json:"ca"`          // DER
	Keyring     Keyring `json:"keyring"`
}

// Identity is everything by which a node proves who it is. It is safe for
// concurrent use; a renewed certificate is used from the next connection on.
type Identity struct {
	dir string
	key Key
	ca  *x509.Certificate

	mu      sync.Mutex
	leaf    *x509.Certificate
	keyring Keyring
}

// Admit keeps what a mesh gave to the key in dir, once it is sure that all of
// it fits together. A directory that already belongs to a mesh is left alone.
// What else must be there before the node belongs to the mesh is for prepare to
// write, which may be nil: if it fails, or the machine does, nothing was admitted.
func Admit(
	dir string, key Key, a Admission, now time.Time, prepare func(*Identity) error,
) (*Identity, error) {
	if Admitted(dir) {
		return nil, fmt.Errorf("admit node: %q already belongs to a mesh", dir)
	}
	id, err := compose(dir, key, a, now)
	if err != nil {
		return nil, err
	}
	// The certificate is last: a directory is admitted when it is there.
	if err := a.Keyring.save(dir); err != nil {
		return nil, err
	}
	if err := writePEM(filepath.Join(dir, caFile), blockCertificate, a.CA); err != nil {
		return nil, err
	}
	if prepare != nil {
		if err := prepare(id); err != nil {
			return nil, err
		}
	}
	path := filepath.Join(dir, certificateFile)
	if err := writePEM(path, blockCertificate, a.Certificate); err != nil {
		return nil, err
	}
	return id, nil
}

// Admitted says whether the node of dir belongs to a mesh.
func Admitted(dir string) bool { return exists(filepath.Join(dir, certificateFile)) }

// Load reads the identity in dir. It is [ErrNotAdmitted] if there is none.
func Load(dir string, now time.Time) (*Identity, error) {
	if !Admitted(dir) {
		return nil, fmt.Errorf("load identity from %q: %w", dir, ErrNotAdmitted)
	}
	key, err := loadKey(dir)
	if err != nil {
		return nil, err
	}
	var a Admission
	a.Certificate, err = readPEM(filepath.Join(dir, certificateFile), blockCertificate)
	if err != nil {
		return nil, err
	}
	if a.CA, err = readPEM(filepath.Join(dir, caFile), blockCertificate); err != nil {
		return nil, err
	}
	if a.Keyring, err = loadKeyring(dir); err != nil {
		return nil, err
	}
	return compose(dir, key, a, now)
}

// compose checks that the parts of an identity belong together. An expired
// certificate of our own passes: the node can still ask for a new one. So does one
// that is yet to begin: a machine without a battery starts with a clock of long ago.
func compose(dir string, key Key, a Admission, now time.Time) (*Identity, error) {
	ca, err := parseCA(a.CA)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(a.Certificate)
	if err != nil {
		return nil, fmt.Errorf("parse node certificate: %w", err)
	}
	if now.After(leaf.NotAfter) {
		now = leaf.NotAfter
	}
	if now.Before(leaf.NotBefore) {
		now = leaf.NotBefore
	}
	id, _, err := verify(leaf, ca, now)
	if err != nil {
		return nil, fmt.Errorf("check node certificate: %w", err)
	}
	if id != key.ID() {
		return nil, fmt.Errorf("check node certificate: it is for node %q, the key is %q", id, key.ID())
	}
	if err := a.Keyring.Validate(); err != nil {
		return nil, err
	}
	return &Identity{dir: dir, key: key, ca: ca, leaf: leaf, keyring: a.Keyring}, nil
}

// Check says whether an admission is of the mesh with that CA, for that key.
func (a Admission) Check(mesh Fingerprint, key ed25519.PublicKey, now time.Time) error {
	ca, err := parseCA(a.CA)
	if err != nil {
		return err
	}
	if FingerprintOf(ca) != mesh {
		return fmt.Errorf("check admission: %w", ErrWrongMesh)
	}
	leaf, err := x509.ParseCertificate(a.Certificate)
	if err != nil {
		return fmt.Errorf("parse node certificate: %w", err)
	}
	if _, _, err := verify(leaf, ca, now); err != nil {
		return fmt.Errorf("check node certificate: %w", err)
	}
	if !key.Equal(leaf.PublicKey) {
		return errors.New("check node certificate: it is for another key")
	}
	return a.Keyring.Validate()
}

// ID is the node's id.
func (i *Identity) ID() mesh.NodeID { return i.key.ID() }

// Key is the node's key.
func (i *Identity) Key() Key { return i.key }

// Public is the node's public key.
func (i *Identity) Public() ed25519.PublicKey { return i.key.Public() }

// Mesh names the mesh: it derives from the CA's key.
func (i *Identity) Mesh() string { return FingerprintOf(i.ca).mesh() }

// Fingerprint identifies the mesh's CA.
func (i *Identity) Fingerprint() Fingerprint { return FingerprintOf(i.ca) }

// CA is the mesh's CA certificate, DER.
func (i *Identity) CA() []byte { return i.ca.Raw }

// Keyring is the gossip keys.
func (i *Identity) Keyring() Keyring {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keyring
}

// Expires is when the node's certificate ends.
func (i *Identity) Expires() time.Time { return i.certificate().NotAfter }

// RenewAt is when the node should ask for a new certificate: between half and
// two thirds of its life, at an instant of the node's own, so that a mesh that
// was made in one minute does not renew in one minute.
func (i *Identity) RenewAt() time.Time {
	leaf := i.certificate()
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	share := time.Duration(i.Public()[0]) // 0..255, as good as random
	return leaf.NotBefore.Add(life/2 + life/6*share/256)
}

// Renew replaces the node's certificate, on disk first.
func (i *Identity) Renew(certificate []byte, now time.Time) error {
	leaf, err := x509.ParseCertificate(certificate)
	if err != nil {
		return fmt.Errorf("parse renewed certificate: %w", err)
	}
	id, _, err := verify(leaf, i.ca, now)
	if err != nil {
		return fmt.Errorf("check renewed certificate: %w", err)
	}
	if id != i.ID() {
		return fmt.Errorf("check renewed certificate: it is for node %q, not %q", id, i.ID())
	}
	path := filepath.Join(i.dir, certificateFile)
	if err := writePEM(path, blockCertificate, certificate); err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.leaf = leaf
	return nil
}

// Authority is the mesh's CA with its key, if this node keeps it, and an error
// that is [fs.ErrNotExist] if it does not.
func (i *Identity) Authority() (*Authority, error) {
	sealed, err := readPEM(filepath.Join(i.dir, caKeyFile), blockSealedKey)
	if err != nil {
		return nil, err
	}
	secret, err := i.key.unseal(purposeCAKey, sealed)
	if err != nil {
		return nil, fmt.Errorf("decrypt CA key %q: %w", filepath.Join(i.dir, caKeyFile), err)
	}
	a, err := ParseAuthority(secret)
	if err != nil {
		return nil, err
	}
	if a.Fingerprint() != i.Fingerprint() {
		return nil, fmt.Errorf("load CA key %q: it is of another mesh", filepath.Join(i.dir, caKeyFile))
	}
	return a, nil
}

// KeepAuthority keeps the CA's key here, encrypted under the node's key.
func (i *Identity) KeepAuthority(a *Authority) error {
	if a.Fingerprint() != i.Fingerprint() {
		return errors.New("keep CA key: it is of another mesh")
	}
	secret, err := a.Bytes()
	if err != nil {
		return err
	}
	sealed, err := i.key.seal(purposeCAKey, secret)
	if err != nil {
		return err
	}
	return writePEM(filepath.Join(i.dir, caKeyFile), blockSealedKey, sealed)
}

// HasAuthority says whether this node keeps the CA's key: of this mesh, and whole.
// A file may be left from a mesh that was never made.
func (i *Identity) HasAuthority() bool {
	_, err := i.Authority()
	return err == nil
}

func (i *Identity) certificate() *x509.Certificate {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.leaf
}

// Found makes a new mesh: a CA and a gossip key, and dir's node as its first
// member, who keeps the CA's key. Prepare is as for [Admit].
func Found(
	dir string, role mesh.Role, now time.Time, prepare func(*Identity) error,
) (*Identity, error) {
	if Admitted(dir) {
		return nil, fmt.Errorf("found mesh: %q already belongs to one", dir)
	}
	key, err := EnsureKey(dir)
	if err != nil {
		return nil, err
	}
	ca, err := NewAuthority(now)
	if err != nil {
		return nil, err
	}
	ring, err := NewKeyring()
	if err != nil {
		return nil, err
	}
	certificate, err := ca.Sign(key.Public(), role, now)
	if err != nil {
		return nil, err
	}
	a := Admission{Certificate: certificate, CA: ca.Certificate(), Keyring: ring}
	id, err := compose(dir, key, a, now)
	if err != nil {
		return nil, err
	}
	// First of all, so that there is never a mesh whose CA key is lost.
	if err := id.KeepAuthority(ca); err != nil {
		return nil, err
	}
	return Admit(dir, key, a, now, prepare)
}

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
