package crdt

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
)

// Buckets is how many parts the keys fall into, for finding out where two
// copies differ.
const Buckets = 256

// Digest is the sum of the hashes of a copy's live entries, whatever the order
// in which they came. Equal digests are equal copies: the hash is SHA-256 keyed
// with the secret of the mesh, and the sum is modulo 2^128. Tombstones are not
// in it, because nodes collect them at different times.
type Digest [16]byte

// String is the digest in hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText writes the digest in hexadecimal, for JSON.
func (d Digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

func (d Digest) halves() (hi, lo uint64) {
	return binary.BigEndian.Uint64(d[:8]), binary.BigEndian.Uint64(d[8:])
}

func digestOf(hi, lo uint64) (d Digest) {
	binary.BigEndian.PutUint64(d[:8], hi)
	binary.BigEndian.PutUint64(d[8:], lo)
	return d
}

func (d Digest) plus(o Digest) Digest {
	dh, dl := d.halves()
	oh, ol := o.halves()
	lo, carry := bits.Add64(dl, ol, 0)
	hi, _ := bits.Add64(dh, oh, carry)
	return digestOf(hi, lo)
}

func (d Digest) minus(o Digest) Digest {
	dh, dl := d.halves()
	oh, ol := o.halves()
	lo, borrow := bits.Sub64(dl, ol, 0)
	hi, _ := bits.Sub64(dh, oh, borrow)
	return digestOf(hi, lo)
}

// bucketOf is the bucket of a key: its FNV-1a hash, folded. The mesh's nodes
// must agree on it, and keys of one kind must spread.
func bucketOf(key string) uint8 {
	h := uint32(2166136261)
	for i := range len(key) {
		h = (h ^ uint32(key[i])) * 16777619
	}
	h ^= h >> 16
	return uint8(h ^ h>>8)
}

// hashOf is the hash of everything in e.
func hashOf(secret []byte, e *Entry) Digest {
	var room [1 << 10]byte // on the stack, for all but large values
	b := appendText(room[:0], secret)
	b = appendText(b, e.Key)
	b = appendText(b, e.Value)
	b = appendText(b, e.Stamp.Node)
	b = appendText(b, e.Dot.Origin)
	deleted := uint64(0)
	if e.Deleted {
		deleted = 1
	}
	for _, n := range [...]uint64{
		deleted, e.Fence.Epoch, e.Fence.Ballot,
		uint64(e.Stamp.Wall), uint64(e.Stamp.Logical), e.Dot.Seq,
	} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	sum := sha256.Sum256(b)
	return Digest(sum[:16])
}

// appendText adds s with its length before it, so that no two lists of texts
// make the same bytes.
func appendText[T string | []byte](b []byte, s T) []byte {
	return append(binary.BigEndian.AppendUint64(b, uint64(len(s))), s...)
}
