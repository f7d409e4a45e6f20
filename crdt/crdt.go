// Package crdt keeps data that converges: every node has a copy, any node may
// write in any partition, and nodes that have exchanged everything are equal.
//
// The unit is the [Entry]: a key, a value that is replaced whole, and what
// orders it against another entry of the same key: first the fence of whoever
// had the right to decide, then a hybrid logical clock. A record that must keep
// concurrent writes apart uses a key of its own for each write.
//
// The package is pure: time is a parameter, and nothing here touches a disk or
// a network. Package crdt/store keeps a [Replica] on disk.
package crdt

import (
	"cmp"
	"strconv"
)

// Fence orders decisions: the epoch of the roster, then the ballot of the lease
// under which a decision was taken. The zero Fence is below all others: people
// write under it. Epoch 0 with a ballot is a degraded fence, of a coordinator
// without a voter majority, and so loses to every granted one.
type Fence struct {
	Epoch  uint64 `json:"epoch"`
	Ballot uint64 `json:"ballot"`
}

// Compare is -1, 0 or 1 as f is below, equal to or above o.
func (f Fence) Compare(o Fence) int {
	return cmp.Or(cmp.Compare(f.Epoch, o.Epoch), cmp.Compare(f.Ballot, o.Ballot))
}

// IsZero says whether f is no fence at all.
func (f Fence) IsZero() bool { return f == Fence{} }

// String is "epoch.ballot".
func (f Fence) String() string {
	return strconv.FormatUint(f.Epoch, 10) + "." + strconv.FormatUint(f.Ballot, 10)
}

// ballotBits is how much of a fence's number the ballot takes.
const ballotBits = 40

// Number is f as one number with the same order, for tasks to compare. Ballots
// stay below 2^40: one lease a millisecond for 34 years.
func (f Fence) Number() uint64 { return f.Epoch<<ballotBits | f.Ballot&(1<<ballotBits-1) }

// Dot names one write: the Seq-th of its origin, counted from 1 without gaps.
type Dot struct {
	Origin string `json:"o"`
	Seq    uint64 `json:"s"`
}

// Stamp is a hybrid logical time: wall time in milliseconds since 1970, a
// counter for writes within one, and the writer, which breaks the last tie.
type Stamp struct {
	Wall    int64  `json:"w"`
	Logical uint32 `json:"l"`
	Node    string `json:"n"`
}

// Compare is -1, 0 or 1 as s is before, equal to or after o.
func (s Stamp) Compare(o Stamp) int {
	return cmp.Or(cmp.Compare(s.Wall, o.Wall), cmp.Compare(s.Logical, o.Logical),
		cmp.Compare(s.Node, o.Node))
}

// Entry is one write: the unit of replication.
type Entry struct {
	Key     string `json:"k"`
	Value   []byte `json:"v,omitempty"` // empty in a tombstone
	Deleted bool   `json:"d,omitempty"`
	Fence   Fence  `json:"f"`
	Stamp   Stamp  `json:"t"`
	Dot     Dot    `json:"i"`
}

// Compare is -1, 0 or 1 as e loses to, is the same write as, or wins over o.
func (e *Entry) Compare(o *Entry) int {
	return cmp.Or(e.Fence.Compare(o.Fence), e.Stamp.Compare(o.Stamp),
		cmp.Compare(e.Dot.Origin, o.Dot.Origin), cmp.Compare(e.Dot.Seq, o.Dot.Seq))
}
