package mesh

import "time"

// ReviewKind says over what a person has to decide.
type ReviewKind string

// The kinds of reviews.
const (
	ReviewFailed ReviewKind = "failed" // the copy ended before its work was done
	ReviewLost   ReviewKind = "lost"   // its node is out of sight, or is no member any more: it may run
	ReviewDrain  ReviewKind = "drain"  // its node is to be drained, and the copy does not move by itself
	// ReviewRestore: nothing can be had of what was saved of it, and it waits for that.
	ReviewRestore ReviewKind = "restore"
)

// Review is a copy whose seat waits for a person. Nobody keeps it: it follows from
// what is known, and is gone when that has changed.
type Review struct {
	Alloc  AllocID    `json:"id"`
	Job    JobID      `json:"job"`
	Node   NodeID     `json:"node_id"`
	Kind   ReviewKind `json:"kind"`
	Reason string     `json:"reason"`
	Since  time.Time  `json:"since,omitzero"` // if that is known
}

// Verdict is what a person said about a review. It counts once, for the copy and
// what the review was about: another end of another copy asks again.
type Verdict struct {
	Alloc   AllocID    `json:"alloc"`
	Job     JobID      `json:"job"`
	Kind    ReviewKind `json:"kind"`
	Approve bool       `json:"approve"`          // go on as if the copy were safe; else give its seat up
	Reason  string     `json:"reason,omitempty"` // why, as they said
	By      NodeID     `json:"by"`               // the peer that took it
	At      time.Time  `json:"at"`               // later than all that it is about
}
