package mesh

// DrainStep is what becomes of a copy on a node that is to be drained.
type DrainStep struct {
	Alloc  AllocID
	Node   NodeID
	Action DrainAction
	Reason string
}

// DrainAction is what a drain does about a copy now.
type DrainAction string

// The actions.
const (
	DrainIgnored DrainAction = "ignored"           // it may stay
	DrainWaiting DrainAction = "waiting"           // for its end, the deadline, or its turn
	DrainMigrate DrainAction = "migrating"         // it is on its way to another node
	DrainWould   DrainAction = "would_migrate"     // of a dry run
	DrainBlocked DrainAction = "blocked"           // no node has room for it
	DrainReview  DrainAction = "paused_for_review" // a person has to decide
)

// DrainStatus is how far the drain of a node has got.
type DrainStatus string

// The states of a drain.
const (
	DrainNone      DrainStatus = "none" // nobody wants the node drained
	DrainRuns      DrainStatus = "draining"
	DrainNoPlace   DrainStatus = "blocked_no_placement" // it goes on once there is room elsewhere
	DrainPaused    DrainStatus = "paused_for_review"
	DrainComplete  DrainStatus = "complete"
	DrainCancelled DrainStatus = "cancelled"
	DrainDryRun    DrainStatus = "dry_run"
)

// DrainOf sums up what becomes of the copies on a node.
func DrainOf(n *NodeView, steps []DrainStep) DrainStatus {
	switch {
	case n.Admin.Mode != Draining:
		return DrainNone
	case n.Drained():
		return DrainComplete
	}
	has := map[DrainAction]bool{}
	for _, s := range steps {
		has[s.Action] = true
	}
	switch {
	case has[DrainMigrate]:
		return DrainRuns
	case has[DrainBlocked]:
		return DrainNoPlace
	case has[DrainReview]:
		return DrainPaused
	}
	return DrainRuns
}
