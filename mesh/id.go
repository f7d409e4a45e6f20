package mesh

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"hash"
	"strconv"
	"strings"
)

// NodeID identifies a node: it derives from the node's public key, so that
// nobody can take another's id, and neither a name nor an address matters.
type NodeID string

// JobID identifies a job. It is the job's name: the same name submitted on two
// sides of a split is the same job, whose two versions are then shown.
type JobID string

// AllocID identifies one placed copy of a group.
type AllocID string

// BootID identifies one run of a machine: a node that returns with another
// boot id has lost all the processes it ran before.
type BootID string

var idText = base32.NewEncoding("abcdefghijkmnpqrstuvwxyz23456789").WithPadding(base32.NoPadding)

// NodeIDOf derives a node's id from its public key.
func NodeIDOf(key ed25519.PublicKey) NodeID {
	sum := sha256.Sum256(key)
	return NodeID(idText.EncodeToString(sum[:10]))
}

// IDPrefixMin is how much of an id, of whatever kind, is needed to stand for all of it.
const IDPrefixMin = 4

// Short is the id's first characters, enough for people to tell nodes apart.
func (id NodeID) Short() string { return string(id[:min(len(id), 8)]) }

// AllocIDOf derives an allocation's id, so that whoever decides the same thing
// twice, or on two sides of a split, names the same allocation. Generation
// counts the copies that this one follows: a copy moved once is generation 1.
func AllocIDOf(job JobID, version uint64, seat Seat, generation int) AllocID {
	h := sha256.New()
	hashText(h, string(job))
	hashText(h, strconv.FormatUint(version, 10))
	hashText(h, seat.Group)
	hashText(h, strconv.Itoa(seat.Index))
	hashText(h, strconv.Itoa(generation))
	if seat.Target != "" {
		hashText(h, string(seat.Target))
	}
	return AllocID(idText.EncodeToString(h.Sum(nil)[:7]))
}

func hashText(h hash.Hash, s string) {
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], uint32(len(s)))
	h.Write(n[:])
	h.Write([]byte(s))
}

// Slots is the number of buckets that jobs hash to. Leases are per slot, so
// their cost grows with slots and voters, not with jobs.
const Slots = 256

// Slot is one of the [Slots] buckets.
type Slot uint8

// SlotOf is the slot of a job.
func SlotOf(job JobID) Slot {
	sum := sha256.Sum256([]byte(job))
	return Slot(sum[0])
}

// ValidName says whether s can name a job, task, group or node: 1 to 63
// characters of a–z, 0–9, '-', '_' and '.', beginning with a letter or digit.
func ValidName(s string) bool {
	if len(s) == 0 || len(s) > 63 {
		return false
	}
	for i, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		case i > 0 && strings.ContainsRune("-_.", r):
		default:
			return false
		}
	}
	return true
}
