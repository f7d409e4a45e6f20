package lease

import (
	"time"

	"mn/mesh"
)

// Voter is a node that grants leases, with the key that proves its votes.
type Voter struct {
	ID  mesh.NodeID `json:"i"`
	Key []byte      `json:"k"`
}

// Roster is the list of all voters of an epoch. It travels with its proof:
// signatures of a majority of the voters of the roster before it.
type Roster struct {
	Epoch  uint64        `json:"e"`
	Voters []Voter       `json:"v"`           // 1, 3, 5 or 7, by id
	Length time.Duration `json:"l"`           // of a lease
	Prev   []byte        `json:"p,omitempty"` // digest of the roster before it
	Forced string        `json:"f,omitempty"` // why a person installed it without a majority
	Proof  Proof         `json:"s"`
}

// Proof is what makes a roster the successor of the one before it: votes in one
// ballot, each a signature of the roster and the ballot.
type Proof struct {
	Ballot uint64      `json:"b"`
	Votes  []Signature `json:"v,omitempty"`
}

// Signature is one voter's vote.
type Signature struct {
	By   mesh.NodeID `json:"i"`
	Sign []byte      `json:"s"`
}
