package mesh

import "time"

// CheckpointPolicy has a folder of a task saved, so that the next copy of it, wherever it
// runs, goes on from there instead of from its beginning.
type CheckpointPolicy struct {
	// Every is how long after the last time the folder is saved without a word of the task,
	// if nobody writes to it just then; 0 if only the task says when it is whole.
	Every Duration `json:"every,omitempty" toml:"every"`
	// Copies is how many other nodes keep what was saved; 2 if unset.
	Copies int `json:"copies,omitempty" toml:"copies"`
}

const (
	checkpointCopies    = 2
	checkpointCopiesMax = 6
	checkpointEveryMin  = time.Second
	checkpointEveryMax  = 7 * 24 * time.Hour
)

// Elsewhere is the effective Copies.
func (p *CheckpointPolicy) Elsewhere() int {
	if p.Copies == 0 {
		return checkpointCopies
	}
	return p.Copies
}

// Checkpoint is what was saved of a task: its folder as it was at one time, whole.
type Checkpoint struct {
	Task  string    `json:"task"`
	Seq   uint64    `json:"seq"`             // a later one of the same seat has a greater one
	Tree  string    `json:"tree"`            // what it is called in the content stores
	Bytes int64     `json:"bytes"`           // of its files
	Label string    `json:"label,omitempty"` // what the task has said of it
	At    time.Time `json:"at"`
	Nodes []NodeID  `json:"nodes"` // who has it on disk, as far as the node of its copy knows
}

// Later says whether c is what to go on from, rather than o. Either may be nil: none.
func (c *Checkpoint) Later(o *Checkpoint) bool {
	return c != nil && (o == nil || c.Seq > o.Seq || c.Seq == o.Seq && c.At.After(o.At))
}

// CheckpointLabelMax bounds what a task may say of a checkpoint, in bytes.
const CheckpointLabelMax = 128
