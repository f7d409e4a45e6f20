// Package lease is for deciding who may decide: it grants each slot to at most
// one node at a time, for a few seconds, with a fence that orders decisions,
// and it agrees on the roster, the numbered list of voters that grant.
//
// [Party] is one node's part in both, whichever roles it has: bidder for slots,
// voter, and driver of a change of the roster. It is a pure state machine: the
// caller gives it the time since boot with each input, and performs each
// [Output] from top to bottom. It has no clock, goroutine or I/O of its own.
//
// What it promises, argued in DESIGN.md:
//
//  1. At any instant at most one node holds a slot, whatever the network does,
//     whoever crashes, as long as clocks differ in rate by no more than
//     [Config.Rate] and no disk forgets what it kept.
//  2. The fences of a slot, in the order of the grants, only grow.
//  3. Each roster has one successor, agreed by a majority of its own voters.
//
// It does not stop work: a task outlives its agent, and what a task does to the
// world outside is guarded by its fence.
package lease

import (
	"mn/crdt"
	"mn/mesh"
)

// Fact is something that this node must not forget. Facts are private: they
// are never replicated. A fact with no value deletes the key.
type Fact struct {
	Key   string
	Value []byte
}

// Envelope is a message to another node. It may be lost, delayed, repeated and
// reordered; the receiver must know for certain who sent it.
type Envelope struct {
	To  mesh.NodeID
	Msg Message
}

// Output is what one Step asks of the world. The fields are in the order in
// which they must be performed: nothing is sent, and no change is acted upon,
// before the facts are durable.
type Output struct {
	Facts   []Fact
	Send    []Envelope
	Changes []Change
}

// ChangeKind says what changed.
type ChangeKind string

// The kinds of changes.
const (
	Taken   ChangeKind = "taken"   // Slots are held now, under Fence, also if they were before
	Yielded ChangeKind = "yielded" // Slots were given back
	Expired ChangeKind = "expired" // Slots were lost: not renewed in time
	Elected ChangeKind = "elected" // Roster stands now
	Retired ChangeKind = "retired" // Roster stands now, and this node is no longer a voter
	Evicted ChangeKind = "evicted" // this node is no longer admitted: it holds nothing
	Barred  ChangeKind = "barred"  // this node's memory is not its own: it must join anew
	Paced   ChangeKind = "paced"   // the clock of Peer, a voter, goes otherwise than was thought: see Text
	Refused ChangeKind = "refused" // something from Peer was refused, for the reason in Text
)

// Change is one thing that is different after a Step.
type Change struct {
	Kind   ChangeKind
	Slots  SlotSet
	Fence  crdt.Fence
	Roster *Roster
	Peer   mesh.NodeID
	Text   string
}

// Input is one thing that happens to a Party: [Tick], [Received], [Members],
// [Bid], [Informed], [Forgot], [Promised] or [Rewound].
type Input interface{ input() }

// Tick says that time has passed.
type Tick struct{}

// Received is a message from another node, whose identity has been proven.
type Received struct {
	From mesh.NodeID
	Msg  Message
}

// Members says who is in the mesh. Admitted is authority; Alive is a hint and
// moves nothing but the choice of voters. Self counts as alive. The lists are not
// changed later: of Admitted and Witnesses, the same memory is the same list.
type Members struct {
	Admitted  []mesh.Member
	Witnesses []mesh.NodeID
	Alive     []mesh.NodeID
}

// Bid is the set of slots that this node should hold: those for which it has
// rank 0. It gives back what it holds beyond that after [Config.Yield].
type Bid struct{ Slots SlotSet }

// Informed says that this node knows what was decided before the roster of that
// epoch: since it learned of it, it has done what [Party.Lesson] asks for. A
// voter grants nothing before.
type Informed struct{ Epoch uint64 }

// Forgot says that this node's disk has lost some of its data.
type Forgot struct{}

// Promised says that this node is about to tell another that it keeps something
// which that one counts on.
type Promised struct{}

// Rewound says that others know what this node has written and does not know
// itself: its disk has gone back in time.
type Rewound struct{}

func (Tick) input()     {}
func (Received) input() {}
func (Members) input()  {}
func (Bid) input()      {}
func (Informed) input() {}
func (Forgot) input()   {}
func (Promised) input() {}
func (Rewound) input()  {}
