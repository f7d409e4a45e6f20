package lease

import (
	"errors"
	"fmt"
	"time"

	"mn/mesh"
)

// The limits of a message.
const (
	ballotMax  = 1<<40 - 1 // what a fence's number has room for
	ballotJump = 1 << 20   // more than this above what a voter knows is refused
	groupsMax  = 64        // ballots in one message
	busyMax    = 32        // holders named in one refusal
	entriesMax = 3         // rosters in one message
	idMax      = 64        // bytes of a node id
)

// Message is what parties say to each other. Beside epoch and run, which stand
// in every message, at most one field is set. A message with none of them tells
// the epoch: whoever has a newer roster answers with it.
type Message struct {
	Epoch uint64 `json:"e"` // of the sender's roster; 0 if it has none
	View  uint64 `json:"v"` // tells two rosters of one epoch apart
	Run   run    `json:"r"`

	Prepare *prepare `json:"pr,omitempty"` // bidder: may I ask for these slots?
	Promise *promise `json:"pm,omitempty"` // voter: for these you may
	Propose *propose `json:"pp,omitempty"` // bidder: grant me these, or again
	Accept  *accept  `json:"ac,omitempty"` // voter: these are granted
	Release *release `json:"rl,omitempty"` // holder: I give these back

	Seek  *seek  `json:"sk,omitempty"` // driver: may I ask for a successor roster?
	Vow   *vow   `json:"vw,omitempty"` // voter: you may; this is what I voted for
	Elect *elect `json:"el,omitempty"` // driver: vote for this roster
	Vote  *vote  `json:"vt,omitempty"` // voter: my vote; this epoch is sealed for me

	Chain *chain `json:"ch,omitempty"` // newer rosters, with their proofs
	Stale *run   `json:"st,omitempty"` // your run is older than one that I have seen
}

// run is one life of a party, and what its disk knew of the one before: enough to
// tell a disk that has forgotten something from one that has only been started.
type run struct {
	Count uint64 `json:"c"`           // of starts
	Nonce uint64 `json:"n"`           // of its own, by chance
	Made  uint64 `json:"m,omitempty"` // steps in which it has promised something

	WasNonce uint64 `json:"b,omitempty"` // of the run before
	WasMade  uint64 `json:"d,omitempty"`
}

// follows says whether r can come after a run of the same node, as far as that was
// heard of: no earlier one can, and none that does not know all its promises.
func (r run) follows(o run) bool {
	return r.Count > o.Count && (r.WasNonce != o.Nonce || r.WasMade >= o.Made)
}

// group is slots that share a ballot.
type group struct {
	Ballot uint64  `json:"b"`
	Slots  SlotSet `json:"s"`
}

// busy is slots that a voter has granted to another, and for how long still.
type busy struct {
	Holder mesh.NodeID   `json:"h,omitempty"`
	Wait   time.Duration `json:"w"`
	Slots  SlotSet       `json:"s"`
}

type prepare group

type promise struct {
	Run    uint64  `json:"r"` // the nonce of the run that has asked
	Ballot uint64  `json:"b"`
	Slots  SlotSet `json:"s"`
	Higher *group  `json:"h,omitempty"` // refused: the highest ballot to beat
	Busy   []busy  `json:"y,omitempty"` // refused: granted to another
}

type propose struct {
	Sent   time.Duration `json:"t"` // on the bidder's clock; only the bidder reads it
	Groups []group       `json:"g"`
}

type accept struct {
	Run    uint64        `json:"r"` // as in promise
	Sent   time.Duration `json:"t"` // of the proposal
	Clock  time.Duration `json:"k"` // the voter's own, at the answer
	Groups []group       `json:"g,omitempty"`
	Higher *group        `json:"h,omitempty"`
}

type release struct {
	Groups []group `json:"g"`
}

type seek struct {
	Ballot uint64 `json:"b"`
}

type vow struct {
	Ballot uint64  `json:"b"`
	Higher uint64  `json:"h,omitempty"` // refused: promised already
	Voted  uint64  `json:"d,omitempty"` // the ballot of the vote, if there was one
	Entry  *Roster `json:"n,omitempty"`
}

type elect struct {
	Ballot uint64 `json:"b"`
	Entry  Roster `json:"n"`
}

type vote struct {
	Ballot uint64 `json:"b"`
	Higher uint64 `json:"h,omitempty"`
	Sign   []byte `json:"s,omitempty"`
	Carry  *carry `json:"c,omitempty"`
}

type chain struct {
	Entries []Roster `json:"n"`
	Carry   *carry   `json:"c,omitempty"` // of the last entry's predecessor
}

// check says what is wrong with a message, whoever sent it.
func (m *Message) check() error {
	if m.Epoch > epochMax {
		return fmt.Errorf("message of epoch %d, above %d", m.Epoch, epochMax)
	}
	switch {
	case m.Prepare != nil:
		return checkBallot(m.Prepare.Ballot)
	case m.Promise != nil:
		if len(m.Promise.Busy) > busyMax {
			return fmt.Errorf("promise that names %d holders, above %d", len(m.Promise.Busy), busyMax)
		}
		return errors.Join(checkBallot(m.Promise.Ballot), m.Promise.Higher.check())
	case m.Propose != nil:
		return checkGroups(m.Propose.Groups)
	case m.Accept != nil:
		return errors.Join(checkGroups(m.Accept.Groups), m.Accept.Higher.check())
	case m.Release != nil:
		return checkGroups(m.Release.Groups)
	case m.Vote != nil:
		return m.Vote.Carry.check()
	case m.Chain != nil:
		if len(m.Chain.Entries) > entriesMax {
			return fmt.Errorf("chain of %d rosters, above %d", len(m.Chain.Entries), entriesMax)
		}
		return m.Chain.Carry.check()
	}
	return nil
}

func checkBallot(b uint64) error {
	if b == 0 || b > ballotMax {
		return fmt.Errorf("ballot %d is not within 1 and %d", b, uint64(ballotMax))
	}
	return nil
}

func (g *group) check() error {
	if g == nil {
		return nil
	}
	return checkBallot(g.Ballot)
}

func checkGroups(groups []group) error {
	if len(groups) > groupsMax {
		return fmt.Errorf("message with %d ballots, above %d", len(groups), groupsMax)
	}
	for i := range groups {
		if err := groups[i].check(); err != nil {
			return err
		}
	}
	return nil
}

// addTo puts slot into the group of its ballot, which it makes if need be.
func addTo(groups []group, ballot uint64, slot mesh.Slot) []group {
	for i := range groups {
		if groups[i].Ballot == ballot {
			groups[i].Slots.Add(slot)
			return groups
		}
	}
	return append(groups, group{ballot, SlotsOf(slot)})
}

// Contested says whether the message refuses a ballot for a higher one.
func (m *Message) Contested() bool {
	return m.Promise != nil && m.Promise.Higher != nil || m.Accept != nil && m.Accept.Higher != nil ||
		m.Vow != nil && m.Vow.Higher > 0 || m.Vote != nil && m.Vote.Higher > 0
}
