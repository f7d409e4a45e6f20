package api

import (
	"time"

	"mn/mesh"
)

// QueuedJob is a job of which copies wait for room.
type QueuedJob struct {
	Position int           `json:"position"` // 1 for who comes first; 0 for a gang, which waits beside the others
	Job      mesh.JobID    `json:"job"`
	Priority int           `json:"priority"`
	Since    *time.Time    `json:"since"`
	Groups   []QueuedGroup `json:"groups"`
}

// QueuedGroup is the waiting copies of a group.
type QueuedGroup struct {
	Group  string    `json:"group"`
	Copies int       `json:"copies"`
	Why    string    `json:"why"`   // in one line
	Nodes  []WhyNode `json:"nodes"` // with what refuses it on each
	Ends   []Ending  `json:"ends"`  // the fewest copies after whose end one more would fit; none if none would do
}

// Ending is a copy that runs.
type Ending struct {
	Alloc    mesh.AllocID `json:"alloc"`
	Job      mesh.JobID   `json:"job"`
	Group    string       `json:"group"`
	Index    int          `json:"index"`
	Node     string       `json:"node"`
	Priority int          `json:"priority"`
	Preempts bool         `json:"preempts"` // it was told to make room
}
