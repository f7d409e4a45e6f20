package mesh

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

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

// Checkpoint is what was saved of a task: its folder as it was at one time, whole. One
// without a tree says that a person has the task begin anew, whatever was saved before.
type Checkpoint struct {
	Task  string    `json:"task"`
	Seq   uint64    `json:"seq"`             // a later one of the same seat has a greater one
	Tree  string    `json:"tree,omitempty"`  // what it is called in the content stores
	Bytes int64     `json:"bytes"`           // of its files
	Label string    `json:"label,omitempty"` // what the task has said of it
	At    time.Time `json:"at"`
	Nodes []NodeID  `json:"nodes"` // who has it on disk, as far as the node of its copy knows
}

// Elsewhere is the latest checkpoint of a task that other nodes have on disk too, or nil.
func (t *TaskStatus) Elsewhere() *Checkpoint {
	if c := t.Checkpoint; c != nil && len(c.Nodes) > 1 {
		return c
	}
	return t.Kept
}

// Saved are all checkpoints of a task that the status names, the latest first.
func (t *TaskStatus) Saved() []*Checkpoint {
	var all []*Checkpoint
	for _, c := range []*Checkpoint{t.Checkpoint, t.Kept} {
		if c != nil {
			all = append(all, c)
		}
	}
	for i := range t.Older {
		all = append(all, &t.Older[i])
	}
	return all
}

// Later says whether c is what to go on from, rather than o. Either may be nil: none.
func (c *Checkpoint) Later(o *Checkpoint) bool { return c != nil && (o == nil || c.Compare(o) > 0) }

// Compare orders checkpoints of a seat, what to go on from last.
func (c *Checkpoint) Compare(o *Checkpoint) int {
	return cmp.Or(cmp.Compare(c.Seq, o.Seq), c.At.Compare(o.At))
}

// On is the checkpoint with a node among those who have it.
func (c *Checkpoint) On(node NodeID) *Checkpoint {
	more := *c
	if !slices.Contains(c.Nodes, node) {
		more.Nodes = append(slices.Clone(c.Nodes), node)
	}
	return &more
}

// String is its number and what the task has said of it: `checkpoint 7 (step 70)`.
func (c *Checkpoint) String() string {
	if c.Label == "" {
		return fmt.Sprintf("checkpoint %d", c.Seq)
	}
	return fmt.Sprintf("checkpoint %d (%s)", c.Seq, c.Label)
}

// CheckpointLabelMax bounds what a task may say of a checkpoint, in bytes.
const CheckpointLabelMax = 128
