package api

import (
	"context"
	"slices"

	"mn/mesh"
)

// Recovery is what becomes of the copies that are meant to run on a node, when it is
// given no time to come back.
type Recovery struct {
	Node   string               `json:"node"`
	NodeID mesh.NodeID          `json:"node_id"`
	State  string               `json:"state"` // of the node, as in a list of nodes
	DryRun bool                 `json:"dry_run"`
	Counts map[RecoveryWord]int `json:"counts"` // of all words, also those with none
	Copies []RecoveredCopy      `json:"copies"`
}

// RecoveredCopy is what becomes of a copy.
type RecoveredCopy struct {
	Job        mesh.JobID   `json:"job"`
	Alloc      mesh.AllocID `json:"id"`
	Group      string       `json:"group"`
	Index      int          `json:"index"`
	Generation int          `json:"generation"`
	Result     RecoveryWord `json:"result"`
	To         string       `json:"to"` // where another takes its place, as far as is known
	ToID       mesh.NodeID  `json:"to_id"`
	Reason     string       `json:"reason"`
}

// RecoveryWord is what becomes of a copy, in a word; Checked counts them all.
type RecoveryWord string

// The words.
const (
	Checked   RecoveryWord = "checked"
	Recovered RecoveryWord = "recovered" // another takes its place, or is about to
	Paused    RecoveryWord = "paused"    // a person has to decide
	Blocked   RecoveryWord = "blocked"   // no node has room for another
	Skipped   RecoveryWord = "skipped"   // it stays, waits for what its job promises, or is not wanted any more
	Failed    RecoveryWord = "failed"    // another should have taken its place, and has not
)

// RecoveryWords are all of them, in the order in which people are told.
var RecoveryWords = []RecoveryWord{Checked, Recovered, Paused, Blocked, Skipped, Failed}

// recoveries is what an outcome is called here.
var recoveries = map[mesh.Becoming]RecoveryWord{
	mesh.Moves:        Recovered,
	mesh.StartsBeside: Recovered,
	mesh.ForReview:    Paused,
	mesh.NoRoom:       Blocked,
	mesh.Stays:        Skipped,
	mesh.Waits:        Skipped,
	mesh.Ends:         Skipped,
}

// reconcile says what becomes of the copies on a node, and unless it is a dry run has
// nobody give that node time any more.
func reconcile(ctx context.Context, b Backend, r ReconcileRequest) (Recovery, error) {
	snap, err := b.Snapshot(ctx)
	if err != nil {
		return Recovery{}, err
	}
	n, err := picture{snap}.findMember(r.Node)
	if err != nil {
		return Recovery{}, err
	}
	sides, err := b.Suppose(ctx, Supposition{GivenUp: n.ID})
	if err != nil {
		return Recovery{}, err
	}
	rec := picture{snap}.recovery(n, sides[0].Outcomes)
	rec.DryRun = r.DryRun
	if r.DryRun || n.Liveness == mesh.Alive || len(rec.Copies) == 0 {
		return rec, nil
	}
	_, err = b.GiveUp(ctx, n.ID, r.Reason)
	return rec, err
}

// recovery is what becomes of each copy that is meant to run on a node.
func (p picture) recovery(n *mesh.NodeView, outcomes []mesh.Outcome) Recovery {
	rec := Recovery{Node: n.Name, NodeID: n.ID, State: nodeState(n), Copies: []RecoveredCopy{}}
	for i := range p.View.Allocs {
		a := &p.View.Allocs[i]
		if a.Node != n.ID || a.Want != mesh.WantRun || a.State().Final() {
			continue
		}
		c := RecoveredCopy{
			Job: a.Job, Alloc: a.ID, Group: a.Group, Index: a.Index, Generation: a.Generation,
			Result: Skipped, Reason: "its node is in sight, and sees to it",
		}
		if i := slices.IndexFunc(outcomes, func(o mesh.Outcome) bool { return o.Alloc == a.ID }); i >= 0 {
			o := &outcomes[i]
			c.Result, c.ToID, c.Reason = recoveries[o.Becomes], o.To, o.Reason
			if o.To != "" {
				c.To = p.nodeName(o.To)
			}
		}
		if c.Result == Recovered && p.followed(a) {
			c.Result, c.Reason = Skipped, "another runs in its place already"
		}
		rec.Copies = append(rec.Copies, c)
	}
	rec.Count()
	return rec
}

// followed says whether a later copy of a copy's seat runs.
func (p picture) followed(a *mesh.AllocView) bool {
	return slices.ContainsFunc(p.View.AllocsOf(a.Job), func(o mesh.AllocView) bool {
		return o.Seat() == a.Seat() && o.Generation > a.Generation && o.State() == mesh.Running
	})
}

// Count counts what has become of the copies.
func (r *Recovery) Count() {
	r.Counts = map[RecoveryWord]int{}
	for _, w := range RecoveryWords {
		r.Counts[w] = 0
	}
	for _, c := range r.Copies {
		r.Counts[Checked]++
		r.Counts[c.Result]++
	}
}
