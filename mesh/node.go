package mesh

import "time"

// Role says what a node does in the mesh besides gossip.
type Role string

// The roles.
const (
	Worker  Role = "worker"  // runs tasks, may be a voter
	Witness Role = "witness" // a voter that runs no tasks
)

// Node is what a node says about itself. Only that node writes it.
type Node struct {
	ID      NodeID            `json:"id"`
	Name    string            `json:"name"`
	Address string            `json:"address"` // host:port of its one UDP port
	Boot    BootID            `json:"boot_id"`
	Role    Role              `json:"role"`
	Release string            `json:"release"` // version of mn
	OS      string            `json:"os"`
	Arch    string            `json:"arch"`
	Labels  map[string]string `json:"labels,omitempty"`
	Pool    string            `json:"pool,omitempty"` // DefaultPool if unset
	Drivers []string          `json:"drivers"`
	// Programs are those of [Programs] that it has, sorted.
	Programs []string `json:"programs,omitempty"`
	// Isolation has each that it was tried for, and why it cannot be had there; "" if it can.
	Isolation map[Isolation]string `json:"isolation,omitempty"`
	// Closed is the folder that lets no user but root through to the agent's data; "" if there is none.
	Closed   string    `json:"closed,omitempty"`
	Engine   *Engine   `json:"engine,omitempty"`  // of containers; nil before it was looked for
	Volumes  []string  `json:"volumes,omitempty"` // folders of which tasks may have what is in them
	Devices  []Device  `json:"devices,omitempty"` // by id
	Foreign  []Port    `json:"foreign,omitempty"` // on which programs listen that are not ours, sorted
	Files    []string  `json:"files,omitempty"`   // of jobs that are here: [Payload.Tree], sorted
	Fetched  []string  `json:"fetched,omitempty"` // for tasks that ran here: [Group.Fetches], sorted
	Capacity Resources `json:"capacity"`          // what it shares out
	// Quarantined is why the node takes no work for a while, by its own judgement; "" if it does.
	Quarantined string `json:"quarantined,omitempty"`
	// Allowance is what people let the mesh have of it. It is in views, whose Capacity is that
	// much of what the node itself says, and not in the node's record.
	Allowance Allowance `json:"-"`
	StartedAt time.Time `json:"started_at"`
}

// Member is an admission: the mesh let this key in. Written by the peer that
// signed its certificate.
type Member struct {
	ID         NodeID    `json:"id"`
	Name       string    `json:"name"`
	Key        []byte    `json:"key"` // Ed25519 public key
	AdmittedAt time.Time `json:"admitted_at"`
	By         NodeID    `json:"by"`
	Token      string    `json:"token,omitempty"` // id of the token it came with
}

// Away marks a node that nobody waits for any more before deletes are forgotten:
// it has been out of sight for longer than the horizon. What it still has may
// be what others have deleted, so it must begin with an empty copy when it is
// back. The mark goes when it has.
type Away struct {
	Node  NodeID    `json:"node"`
	Since time.Time `json:"since"` // when the mark was set
}

// Evicted says that the mesh does without a node for good. It stands for ever:
// that key is never let in again.
type Evicted struct {
	Node   NodeID    `json:"node"`
	Reason string    `json:"reason,omitempty"`
	By     NodeID    `json:"by"` // the peer that was asked
	At     time.Time `json:"at"`
	// Off: a person vouches that it is off, and will never run anything again. The
	// mesh forgets it then: its copies have ended, whatever their jobs promise.
	Off bool `json:"off,omitempty"`
}

// AdminMode is what people want a node to be, whatever it is up to.
type AdminMode string

// The modes.
const (
	InService   AdminMode = ""            // takes work
	Maintenance AdminMode = "maintenance" // takes no new work, and keeps what it has
	Draining    AdminMode = "draining"    // takes no new work, and what it has is to go
)

// Administration is what people want of a node: the last that anybody has said, on
// whichever peer. It holds until somebody says otherwise, also over restarts.
type Administration struct {
	Node   NodeID    `json:"node"`
	Mode   AdminMode `json:"mode"`
	Reason string    `json:"reason,omitempty"`
	By     NodeID    `json:"by"` // the peer that was asked
	At     time.Time `json:"at"`
	// Deadline is when copies of batch jobs are waited for no longer; for Draining.
	Deadline time.Time `json:"deadline,omitzero"`
	// System: copies of jobs that have one on each node go too, at the deadline.
	System bool `json:"system,omitempty"`
	// GivenUp is when somebody last said that no time is to be given to the node to
	// come back. It says nothing of an absence that begins later.
	GivenUp time.Time `json:"given_up,omitzero"`
}

// DefaultDrainDeadline is how long a drain waits for batch jobs to end.
const DefaultDrainDeadline = 30 * time.Minute

// Token is a permission to join. The secret itself is never kept, only its hash.
type Token struct {
	ID        string    `json:"id"`
	Hash      []byte    `json:"hash"` // SHA-256 of the secret
	Uses      int       `json:"uses"` // how many nodes may join with it
	ExpiresAt time.Time `json:"expires_at"`
	CreatedAt time.Time `json:"created_at"`
	Revoked   bool      `json:"revoked,omitempty"`
}

// Liveness is what one node thinks of another, from gossip: a hint.
type Liveness string

// The liveness states.
const (
	Alive  Liveness = "alive"
	Lost   Liveness = "lost"   // failed by gossip; it may be dead or cut off
	Left   Liveness = "left"   // said goodbye
	Unseen Liveness = "unseen" // admitted, never seen since we started
)
