package identity

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"

	"mn/mesh"
)

// The purposes for which keys are derived from the node's key. They never
// change: what was sealed under one could not be opened again.
const (
	purposeCAKey      = "mn: the mesh's CA key at rest"
	purposeAdmission  = "mn: proof of a joining node's key"
	purposeResetToken = "mn: QUIC stateless reset"
)

// Key is a node's key: its id derives from it.
type Key struct {
	private ed25519.PrivateKey
}

// EnsureKey is the key in dir, which is made if there is none. A directory
// that already has one keeps it for good: another key is another node.
func EnsureKey(dir string) (Key, error) {
	if err := ensureDir(dir); err != nil {
		return Key{}, err
	}
	k, err := loadKey(dir)
	if !isNotExist(err) {
		return k, err
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Key{}, fmt.Errorf("make node key: %w", err)
	}
	if err := writePEM(filepath.Join(dir, keyFile), blockNodeKey, private.Seed()); err != nil {
		return Key{}, err
	}
	return Key{private}, nil
}

func loadKey(dir string) (Key, error) {
	path := filepath.Join(dir, keyFile)
	seed, err := readPEM(path, blockNodeKey)
	if err != nil {
		return Key{}, err
	}
	if len(seed) != ed25519.SeedSize {
		return Key{}, fmt.Errorf("read key %q: it has %d bytes, want %d",
			path, len(seed), ed25519.SeedSize)
	}
	return Key{ed25519.NewKeyFromSeed(seed)}, nil
}

// ID is the id of the key's node.
func (k Key) ID() mesh.NodeID { return mesh.NodeIDOf(k.Public()) }

// Public is the public half.
func (k Key) Public() ed25519.PublicKey { return k.private.Public().(ed25519.PublicKey) }

// Prove proves possession of the key to the other end of one connection, which
// channel identifies (keying material exported from TLS): the proof is worth
// nothing on another.
func (k Key) Prove(channel []byte) []byte {
	return ed25519.Sign(k.private, append([]byte(purposeAdmission), channel...))
}

// CheckProof says whether proof is what [Key.Prove] gives for that connection.
func CheckProof(public ed25519.PublicKey, channel, proof []byte) error {
	if len(public) != ed25519.PublicKeySize {
		return fmt.Errorf("check proof: the key has %d bytes, want %d",
			len(public), ed25519.PublicKeySize)
	}
	if !ed25519.Verify(public, append([]byte(purposeAdmission), channel...), proof) {
		return errors.New("check proof: the key's signature is wrong")
	}
	return nil
}

// ResetKey is the secret by which peers recognise, after a restart, that we
// have forgotten a connection.
func (k Key) ResetKey() [32]byte { return [32]byte(k.derive(purposeResetToken)) }

// derive makes a key of 32 bytes for one purpose.
func (k Key) derive(purpose string) []byte {
	key, err := hkdf.Key(sha256.New, k.private.Seed(), nil, purpose, 32)
	if err != nil {
		panic("identity: derive key: " + err.Error()) // only for lengths out of range
	}
	return key
}

func (k Key) cipher(purpose string) cipher.AEAD {
	block, err := aes.NewCipher(k.derive(purpose))
	if err != nil {
		panic("identity: make cipher: " + err.Error()) // only for keys of a wrong length
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("identity: make cipher: " + err.Error())
	}
	return aead
}

// seal encrypts secret under the node's key.
func (k Key) seal(purpose string, secret []byte) ([]byte, error) {
	return k.cipher(purpose).Seal(nil, nil, secret, []byte(purpose)), nil
}

func (k Key) unseal(purpose string, sealed []byte) ([]byte, error) {
	secret, err := k.cipher(purpose).Open(nil, nil, sealed, []byte(purpose))
	if err != nil {
		return nil, errors.New("it was encrypted under another node's key, or is damaged")
	}
	return secret, nil
}

// Private is the key itself, to sign with what the node vouches for.
func (k Key) Private() ed25519.PrivateKey { return k.private }
