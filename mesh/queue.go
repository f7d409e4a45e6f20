package mesh

import (
	"cmp"
	"slices"
	"time"
)

// Queued says that copies of a job fit nowhere. As long as it stands, work of a lower
// priority leaves to them what room there is for them, and what is named in Preempts makes
// some. It counts while its coordinator is in sight.
type Queued struct {
	Job         JobID         `json:"job"`
	Priority    int           `json:"priority"`
	Groups      []QueuedGroup `json:"groups"`
	Preempts    []AllocID     `json:"preempts,omitempty"` // sorted
	Since       time.Time     `json:"since"`
	Coordinator NodeID        `json:"coordinator"`
}

// QueuedGroup is how many copies of a group wait, and for which nodes if they are bound to
// some.
type QueuedGroup struct {
	Group   string   `json:"group"`
	Copies  int      `json:"copies"`
	Targets []NodeID `json:"targets,omitempty"`
}

// Same says whether two say the same, but for when.
func (q *Queued) Same(o *Queued) bool {
	return q.Job == o.Job && q.Priority == o.Priority && q.Coordinator == o.Coordinator &&
		slices.Equal(q.Preempts, o.Preempts) && slices.EqualFunc(q.Groups, o.Groups, func(a, b QueuedGroup) bool {
		return a.Group == b.Group && a.Copies == b.Copies && slices.Equal(a.Targets, b.Targets)
	})
}

// QueueView is a job of which copies wait for room, as seen from here.
type QueueView struct {
	Queued
	Spec   *Job        // its current version
	Allocs []AllocView // its copies
	Ending []Alloc     // those of Preempts that have not ended yet
}

// Before orders what waits: by priority, then by time.
func (q *QueueView) Before(o *QueueView) int {
	return cmp.Or(cmp.Compare(o.Priority, q.Priority), q.Since.Compare(o.Since), cmp.Compare(q.Job, o.Job))
}

// Rank is the effective Priority.
func (j *Job) Rank() int { return cmp.Or(j.Priority, priorityUnset) }
