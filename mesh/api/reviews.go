package api

import (
	"context"
	"slices"
	"strings"
	"time"

	"mn/mesh"
)

// Review is a copy that waits for a person.
type Review struct {
	ID     mesh.AllocID    `json:"id"`
	Job    mesh.JobID      `json:"job"`
	Group  string          `json:"group"`
	Index  int             `json:"index"`
	Node   string          `json:"node"`
	NodeID mesh.NodeID     `json:"node_id"`
	Kind   mesh.ReviewKind `json:"kind"`
	Reason string          `json:"reason"`
	Since  *time.Time      `json:"since"` // null if nobody knows
}

// JudgeRequest is a person's word about copies that wait for one.
type JudgeRequest struct {
	Of      string `json:"of"` // a job, for all of it that waits; or the id of a copy, or its beginning
	Approve bool   `json:"approve"`
	Reason  string `json:"reason,omitempty"`
	// Dead is the word that a copy that is lost does not run any more, which its
	// approval needs.
	Dead bool `json:"dead,omitempty"`
}

// reviews are what waits for a person, by job and copy.
func (p picture) reviews() []Review {
	rows := []Review{}
	for i, o := range p.Outlooks {
		allocs := p.View.AllocsOf(p.View.Jobs[i].ID())
		for _, r := range o.Reviews {
			row := Review{
				ID: r.Alloc, Job: r.Job, Node: p.nodeName(r.Node), NodeID: r.Node,
				Kind: r.Kind, Reason: r.Reason, Since: known(r.Since),
			}
			at := slices.IndexFunc(allocs, func(a mesh.AllocView) bool { return a.ID == r.Alloc })
			if at >= 0 {
				row.Group, row.Index = allocs[at].Group, allocs[at].Index
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// findReviews are those that a person means.
func (p picture) findReviews(of string) ([]Review, error) {
	all := p.reviews()
	if p.View.Job(mesh.JobID(of)) != nil {
		mine := slices.DeleteFunc(all, func(r Review) bool { return string(r.Job) != of })
		if len(mine) == 0 {
			return nil, mesh.Faultf(mesh.Conflict, "nothing of job %q waits for a person", of).Hint("mn review ls")
		}
		return mine, nil
	}
	found := slices.DeleteFunc(all, func(r Review) bool {
		return string(r.ID) != of && (len(of) < mesh.IDPrefixMin || !strings.HasPrefix(string(r.ID), of))
	})
	switch len(found) {
	case 1:
		return found, nil
	case 0:
		return nil, mesh.Faultf(mesh.NotFound, "no job is called %q, and no copy of that id waits for a person", of).
			Hint("mn review ls")
	}
	return nil, mesh.Faultf(mesh.Invalid, "%d copies that wait have an id that begins with %q", len(found), of)
}

// judge takes a person's word, and returns what it was about.
func judge(ctx context.Context, b Backend, r JudgeRequest) ([]Review, error) {
	snap, err := b.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	about, err := picture{snap}.findReviews(r.Of)
	if err != nil {
		return nil, err
	}
	for _, one := range about {
		if r.Approve && one.Kind == mesh.ReviewLost && !r.Dead {
			return nil, mesh.Faultf(mesh.Invalid, "copy %s of job %q may still run: %s", one.ID, one.Job, one.Reason).
				Hint("see to it that it does not, and approve with --yes")
		}
	}
	for _, one := range about {
		if _, err := b.Judge(ctx, mesh.Verdict{Alloc: one.ID, Approve: r.Approve, Reason: r.Reason}); err != nil {
			return nil, err
		}
	}
	return about, nil
}
