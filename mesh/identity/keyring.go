package identity

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"path/filepath"
)

// Bounds of a keyring.
const (
	gossipKeySize = 32 // AES-256
	maxGossipKeys = 8
)

// Keyring is the gossip keys. Packets are encrypted under the first and
// decrypted under any, so that keys can be changed while nodes are away.
type Keyring [][]byte

// NewKeyring makes a keyring of one new key.
func NewKeyring() (Keyring, error) {
	key := make([]byte, gossipKeySize)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("make gossip key: %w", err)
	}
	return Keyring{key}, nil
}

// Validate says what is wrong with k.
func (k Keyring) Validate() error {
	if len(k) == 0 || len(k) > maxGossipKeys {
		return fmt.Errorf("check keyring: it has %d keys, want 1 to %d", len(k), maxGossipKeys)
	}
	for i, key := range k {
		if len(key) != gossipKeySize {
			return fmt.Errorf("check keyring: key %d has %d bytes, want %d", i+1, len(key), gossipKeySize)
		}
	}
	return nil
}

func (k Keyring) save(dir string) error {
	b, err := json.Marshal(k)
	if err != nil {
		return fmt.Errorf("encode keyring: %w", err)
	}
	return writeSecret(filepath.Join(dir, keyringFile), append(b, '\n'))
}

func loadKeyring(dir string) (Keyring, error) {
	path := filepath.Join(dir, keyringFile)
	b, err := readSecret(path)
	if err != nil {
		return nil, err
	}
	var k Keyring
	if err := json.Unmarshal(b, &k); err != nil {
		return nil, fmt.Errorf("decode keyring %q: %w", path, err)
	}
	return k, k.Validate()
}
