package core

import (
	"time"

	"mn/crdt"
	"mn/mesh"
	"mn/placement/lease"
	"mn/runner"
)

// Ready is what one Step asks of the world. The fields are in the order in
// which they must be performed: nothing is sent, started or answered before
// what it promises is durable.
type Ready struct {
	Keep   crdt.Batch     // replicated records, to disk
	Facts  []lease.Fact   // this node's own promises, to disk with Keep, atomically
	Send   []Envelope     // to other nodes; may be lost
	Orders []runner.Order // to the driver
	Fetch  []Fetch        // content to be brought here; each is answered with Fetched
	Hinted bool           // what views show has changed, and no record
	Watch  []Watch        // services to be checked; what they come to is told with Checked
	Reply  []Reply        // to callers of the API
	Events []mesh.Event   // for the log, the API and the simulator's trace
	Wake   time.Duration  // step again with Tick no later than this boot time
}

// Watch says what an attempt of a task offers from now on: with no services, nothing any more.
type Watch struct {
	Alloc mesh.AllocID
	runner.Offer
}

// Envelope is a message on its way.
type Envelope struct {
	To  mesh.NodeID
	Msg Message
}

// Message is what cores say to each other: exactly one field is set.
type Message struct {
	Push      *Push          `json:"push,omitempty"`
	Ack       *Ack           `json:"ack,omitempty"`
	Sync      *crdt.Request  `json:"sync,omitempty"`
	Answer    *crdt.Answer   `json:"answer,omitempty"`
	Lease     *lease.Message `json:"lease,omitempty"`
	Reserve   *Reserve       `json:"reserve,omitempty"`
	Reserved  *Reserved      `json:"reserved,omitempty"`
	Release   *Release       `json:"release,omitempty"`
	Renew     *Renew         `json:"renew,omitempty"`
	Renewed   *Renewed       `json:"renewed,omitempty"`
	Confirm   *Confirm       `json:"confirm,omitempty"`
	Confirmed *Confirmed     `json:"confirmed,omitempty"`
	Stale     *Stale         `json:"stale,omitempty"`

	AskPermit     *AskPermit     `json:"ask_permit,omitempty"`
	Permitted     *Permitted     `json:"permitted,omitempty"`
	ReturnPermits *ReturnPermits `json:"return_permits,omitempty"`

	Hold  *Hold  `json:"hold,omitempty"`
	Holds *Holds `json:"holds,omitempty"`

	// Began stands beside Sync and Answer: when the comparison began, on the
	// clock of the one who asks. Standing stands beside Answer: what the one who
	// answers can say of decisions.
	Began    time.Duration  `json:"began,omitempty"`
	Standing lease.Standing `json:"standing,omitzero"`
}

// Push carries new entries at once. Whoever learns from it passes it on while
// Hops lasts. With an Ack it asks for an answer once the entries are durable.
type Push struct {
	Entries []crdt.Entry `json:"entries"`
	Hops    int          `json:"hops,omitempty"`
	Ack     uint64       `json:"ack,omitempty"`
}

// Ack says that the entries of the push with that number are durable here.
type Ack struct {
	ID uint64 `json:"id"`
}

// Reserve asks a node to set aside room for an allocation.
type Reserve struct {
	Alloc mesh.Alloc `json:"alloc"`
	Ask   uint64     `json:"ask,omitempty"` // tells this question from others about the same copy
}

// Reserved answers Reserve: with a Refusal if the node does not admit it.
type Reserved struct {
	Alloc   mesh.AllocID `json:"alloc"`
	Fence   crdt.Fence   `json:"fence"`
	Refusal string       `json:"refusal,omitempty"`
	Grants  *mesh.Grants `json:"grants,omitempty"` // what it is granted, where it asked for any
	Ask     uint64       `json:"ask,omitempty"`    // of the question
}

// Release gives a reservation back that will not become a decision.
type Release struct {
	Job   mesh.JobID   `json:"job"`
	Alloc mesh.AllocID `json:"alloc"`
	Fence crdt.Fence   `json:"fence"`
}

// Renew asks whoever leads the jobs of these allocations to let them start, or
// run on.
type Renew struct {
	Allocs []mesh.AllocID `json:"allocs"`
	Asked  time.Duration  `json:"asked"` // on the boot clock of the node that runs them
	Life   uint64         `json:"life"`  // of that node: another boot shows the same times again
	// Vain says that another was asked and has not answered: pass it on.
	Vain bool        `json:"vain,omitempty"`
	For  mesh.NodeID `json:"for,omitempty"` // who runs them, if another has passed it on
}

// Renewed answers Renew.
type Renewed struct {
	Allocs []mesh.AllocID `json:"allocs"`
	Asked  time.Duration  `json:"asked"`
	Life   uint64         `json:"life"`
	For    mesh.NodeID    `json:"for,omitempty"` // as in Renew
}

// Stale tells a node that it has been away beyond the horizon: it must empty
// its copy. Emptied says back that it has.
type Stale struct {
	Mark    crdt.Dot `json:"mark,omitzero"` // of the record that says so
	Emptied bool     `json:"emptied,omitempty"`
}

// Reply answers the call with that ID.
type Reply struct {
	ID    uint64
	Value any         // what the call's doc says; nil with a Fault
	Fault *mesh.Fault // nil on success
}
