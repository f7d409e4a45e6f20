package lease

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"mn/mesh"
)

// The limits of a roster.
const (
	VotersMax = 7         // voters of one roster
	epochMax  = 1<<24 - 1 // what a fence's number has room for
	forceStep = 1 << 14   // epochs that a forced roster jumps, to the next multiple
	forceSpan = 1 << 7    // of them are for each node that may force one, and what follows
	reasonMax = 200       // bytes of the reason of a forced roster
	digestLen = sha256.Size
)

// Voter is a node that grants leases, with the key that proves its votes.
type Voter struct {
	ID  mesh.NodeID `json:"i"`
	Key []byte      `json:"k"`
}

// Roster is the list of all voters of an epoch. It travels with its proof:
// votes of a majority of the voters of the roster before it. Rosters are
// values: nothing in one is changed once it is made.
type Roster struct {
	Epoch  uint64        `json:"e"`
	Voters []Voter       `json:"v"`           // 1, 3, 5 or 7, by id
	Length time.Duration `json:"l"`           // of a lease
	Prev   []byte        `json:"p,omitempty"` // digest of the roster before it
	Forced string        `json:"f,omitempty"` // why a person installed it without a majority
	Proof  Proof         `json:"s"`
}

// Proof is what makes a roster the successor of the one before it: votes of one
// ballot. Votes of several ballots prove nothing, even for the same roster.
type Proof struct {
	Ballot uint64      `json:"b"`
	Votes  []Signature `json:"v,omitempty"`
}

// Signature is one voter's vote: it signs the roster and the ballot.
type Signature struct {
	By   mesh.NodeID `json:"i"`
	Sign []byte      `json:"s"`
}

// Seat is the position of a voter in the roster, or -1.
func (r Roster) Seat(id mesh.NodeID) int {
	return slices.IndexFunc(r.Voters, func(v Voter) bool { return v.ID == id })
}

// Quorum is how many voters are a majority of all, dead ones included.
func (r Roster) Quorum() int { return len(r.Voters)/2 + 1 }

// String is the roster for people: "epoch 3: a b c".
func (r Roster) String() string {
	ids := make([]string, len(r.Voters))
	for i, v := range r.Voters {
		ids[i] = v.ID.Short()
	}
	text := fmt.Sprintf("epoch %d: %s", r.Epoch, strings.Join(ids, " "))
	if r.Forced != "" {
		text += fmt.Sprintf(" (forced: %s)", r.Forced)
	}
	return text
}

// content is what the voters agree on: the roster without its proof.
type content struct {
	Epoch  uint64        `json:"e"`
	Voters []Voter       `json:"v"`
	Length time.Duration `json:"l"`
	Prev   []byte        `json:"p,omitempty"`
	Forced string        `json:"f,omitempty"`
}

// digest names the roster's content, whichever ballot chose it.
func (r Roster) digest() []byte {
	sum := sha256.Sum256(encode(content{r.Epoch, r.Voters, r.Length, r.Prev, r.Forced}))
	return sum[:]
}

// view is the digest's first bytes: it tells apart rosters of one epoch.
func (r Roster) view() uint64 { return binary.BigEndian.Uint64(r.digest()) }

// ballotText is what a vote for the roster in a ballot signs.
func (r Roster) ballotText(ballot uint64) []byte {
	text := append([]byte("mn roster vote\n"), r.digest()...)
	return binary.BigEndian.AppendUint64(text, ballot)
}

// check says what is wrong with the roster taken by itself.
func (r Roster) check() error {
	n := len(r.Voters)
	switch {
	case r.Epoch == 0 || r.Epoch > epochMax:
		return fmt.Errorf("roster epoch %d is not within 1 and %d", r.Epoch, epochMax)
	case n == 0 || n > VotersMax || n%2 == 0:
		return fmt.Errorf("roster epoch %d has %d voters, want 1, 3, 5 or 7", r.Epoch, n)
	case r.Length < lengthMin || r.Length > lengthMax:
		return fmt.Errorf("roster epoch %d has leases of %v, want %v to %v",
			r.Epoch, r.Length, lengthMin, lengthMax)
	case len(r.Forced) > reasonMax:
		return fmt.Errorf("roster epoch %d has a reason of %d bytes, want at most %d",
			r.Epoch, len(r.Forced), reasonMax)
	case len(r.Prev) != 0 && len(r.Prev) != digestLen:
		return fmt.Errorf("roster epoch %d has a digest of %d bytes", r.Epoch, len(r.Prev))
	case len(r.Proof.Votes) > VotersMax:
		return fmt.Errorf("roster epoch %d has %d votes", r.Epoch, len(r.Proof.Votes))
	}
	for i, v := range r.Voters {
		if len(v.Key) != ed25519.PublicKeySize || mesh.NodeIDOf(v.Key) != v.ID {
			return fmt.Errorf("voter %q of roster epoch %d has another node's key", v.ID, r.Epoch)
		}
		if i > 0 && r.Voters[i-1].ID >= v.ID {
			return fmt.Errorf("voters of roster epoch %d are not in order at %q", r.Epoch, v.ID)
		}
	}
	return nil
}

// checkNext says why r, by its content, cannot be the successor of prev.
func (r Roster) checkNext(prev Roster) error {
	if err := r.check(); err != nil {
		return err
	}
	switch {
	case r.Epoch != prev.Epoch+1:
		return fmt.Errorf("roster epoch %d does not follow epoch %d", r.Epoch, prev.Epoch)
	case !bytes.Equal(r.Prev, prev.digest()):
		return fmt.Errorf("roster epoch %d follows another epoch %d", r.Epoch, prev.Epoch)
	case r.Length != prev.Length:
		return fmt.Errorf("roster epoch %d changes the length of leases", r.Epoch)
	case r.Forced != "":
		return fmt.Errorf("roster epoch %d is forced and follows by vote", r.Epoch)
	}
	return nil
}

// proven says why r is not proven to be what a majority of prev chose.
func (r Roster) proven(prev Roster) error {
	if err := r.checkNext(prev); err != nil {
		return err
	}
	text := r.ballotText(r.Proof.Ballot)
	var voted [VotersMax]bool
	count := 0
	for _, s := range r.Proof.Votes {
		seat := prev.Seat(s.By)
		if seat < 0 || voted[seat] || !ed25519.Verify(prev.Voters[seat].Key, text, s.Sign) {
			return fmt.Errorf("roster epoch %d has a bad vote by %q", r.Epoch, s.By)
		}
		voted[seat] = true
		count++
	}
	if count < prev.Quorum() {
		return fmt.Errorf("roster epoch %d has %d votes of %d, want %d",
			r.Epoch, count, len(prev.Voters), prev.Quorum())
	}
	return nil
}

// forced is the epoch of a roster that a node forces. Two that do so apart from each
// other mostly take different ones, so that when they meet one follows from the other.
func (r Roster) forced(by mesh.NodeID) uint64 {
	sum := sha256.Sum256([]byte(by))
	return (r.Epoch/forceStep+1)*forceStep + uint64(sum[0])%(forceStep/forceSpan)*forceSpan
}

// vouched says why r is not a roster that a person forced after prev, with the node that
// was asked as its only voter. Of two in one epoch the greater stands. keyOf is the key
// of that node, or nil if it is not admitted; one that is says with its word alone what
// the signature of another that is unknown by now would say.
func (r Roster) vouched(prev Roster, from mesh.NodeID, keyOf func(mesh.NodeID) ed25519.PublicKey) error {
	if err := r.check(); err != nil {
		return err
	}
	above := r.Epoch > prev.Epoch ||
		(r.Epoch == prev.Epoch && prev.Forced != "" && r.view() > prev.view())
	if !above || r.Epoch%forceSpan != 0 || len(r.Proof.Votes) != 1 || len(r.Voters) != 1 ||
		r.Voters[0].ID != r.Proof.Votes[0].By {
		return fmt.Errorf("forced roster epoch %d does not follow epoch %d", r.Epoch, prev.Epoch)
	}
	by := r.Proof.Votes[0]
	key := keyOf(by.By)
	if key == nil && keyOf(from) != nil {
		key = r.Voters[0].Key
	}
	if key == nil || !ed25519.Verify(key, r.ballotText(0), by.Sign) {
		return fmt.Errorf("forced roster epoch %d is not signed by an admitted node", r.Epoch)
	}
	return nil
}
