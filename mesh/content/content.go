// Package content keeps files by what is in them: the folder of a job, the checkpoints
// of a task. What is equal is kept, and sent, once.
//
// A folder is packed into objects: the pieces of its files, of [PieceBytes] each, and a
// [Tree] that lists the files and their pieces. The name of an object is the SHA-256 of
// its bytes, so whoever has an object can tell that it is whole, from wherever it came,
// and the name of the tree stands for the whole folder.
//
// A [Store] is the objects of one node on its disk. [Store.Pack] brings a folder in,
// [Store.Unpack] writes one out, [Store.Pull] fetches what is missing from others, and
// [Store.Collect] gives back the room of what nobody wants. All paths come from others:
// a folder is only ever opened beneath its root (os.Root), and a tree is checked
// ([Tree.Check]) before it is believed.
package content

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// Bounds of what is kept.
const (
	PieceBytes = 1 << 20  // of a file; its last piece is shorter
	TreeBytes  = 16 << 20 // of a tree: half a million pieces
	FilesMax   = 100_000  // of a tree
	PathMax    = 1024     // bytes
)

// Hash names an object: the SHA-256 of its bytes.
type Hash [sha256.Size]byte

// HashOf is the name of an object.
func HashOf(object []byte) Hash { return sha256.Sum256(object) }

// String is the hash in hex.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText is the hash in hex.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads a hash in hex.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(h)) {
		return fmt.Errorf("hash %q: %d characters, want %d", text, len(text), hex.EncodedLen(len(h)))
	}
	if _, err := hex.Decode(h[:], text); err != nil {
		return fmt.Errorf("hash %q: %w", text, err)
	}
	return nil
}

// ErrMissing says that an object is not here, or was spoiled on the disk.
var ErrMissing = errors.New("object is not here")

// ErrChanged says that a folder changed while it was packed: what was read of it never
// was there at one time.
var ErrChanged = errors.New("it changed while it was read")
