package api

import (
	"cmp"
	"context"
	"slices"
	"time"

	"mn/mesh"
)

// Drain is how far the drain of a node has got, and what people want of the node.
type Drain struct {
	Node     string           `json:"node"`
	NodeID   mesh.NodeID      `json:"node_id"`
	Mode     mesh.AdminMode   `json:"mode"`
	Status   mesh.DrainStatus `json:"status"`
	Would    mesh.DrainStatus `json:"would_status,omitempty"` // of a dry run: what it would be at first
	Reason   string           `json:"reason"`
	By       string           `json:"by"` // the node that was asked
	At       *time.Time       `json:"at"`
	Deadline *time.Time       `json:"deadline"`
	System   bool             `json:"system"`
	Left     int              `json:"left"` // copies that have to go, and have not ended
	Copies   []DrainedCopy    `json:"copies"`
}

// DrainedCopy is what becomes of a copy on the node.
type DrainedCopy struct {
	Job    mesh.JobID       `json:"job"`
	Alloc  mesh.AllocID     `json:"id"`
	Group  string           `json:"group"`
	Index  int              `json:"index"`
	Action mesh.DrainAction `json:"action"`
	To     string           `json:"to"` // where it would go, of a dry run; else ""
	ToID   mesh.NodeID      `json:"to_id"`
	Reason string           `json:"reason"`
}

// drain is how far the drain of a node has got.
func (p picture) drain(ref string) (Drain, error) {
	n, err := p.findNode(ref)
	if err != nil {
		return Drain{}, err
	}
	d := Drain{
		Node: n.Name, NodeID: n.ID, Mode: n.Admin.Mode, Reason: n.Admin.Reason, By: p.nodeName(n.Admin.By),
		At: known(n.Admin.At), Deadline: known(n.Admin.Deadline), System: n.Admin.System, Copies: []DrainedCopy{},
	}
	var steps []mesh.DrainStep
	for _, o := range p.Outlooks {
		for _, s := range o.Drain {
			if s.Node == n.ID {
				steps = append(steps, s)
			}
		}
	}
	d.Status = mesh.DrainOf(n, steps)
	for _, s := range steps {
		if i := slices.IndexFunc(p.View.Allocs, func(a mesh.AllocView) bool { return a.ID == s.Alloc }); i >= 0 {
			a := &p.View.Allocs[i]
			d.Copies = append(d.Copies, DrainedCopy{
				Job: a.Job, Alloc: a.ID, Group: a.Group, Index: a.Index, Action: s.Action, Reason: s.Reason,
			})
		}
	}
	if d.Mode == mesh.Draining {
		d.Left = n.Holds.Free
		if d.System {
			d.Left += n.Holds.Bound
		}
	}
	return d, nil
}

// administer says what people want of a node from now on, or what would come of it.
func administer(ctx context.Context, b Backend, r AdminRequest) (Drain, error) {
	snap, err := b.Snapshot(ctx)
	if err != nil {
		return Drain{}, err
	}
	n, err := picture{snap}.findMember(r.Node)
	if err != nil {
		return Drain{}, err
	}
	a := mesh.Administration{Node: n.ID, Mode: r.Mode, Reason: r.Reason}
	switch r.Mode {
	case mesh.Draining:
		if r.Deadline < 0 {
			return Drain{}, mesh.Faultf(mesh.Invalid, "the deadline %v is in the past", r.Deadline)
		}
		a.Deadline, a.System = snap.View.Now.Add(cmp.Or(r.Deadline.Std(), mesh.DefaultDrainDeadline)).UTC(), r.System
	case mesh.InService, mesh.Maintenance:
	default:
		return Drain{}, mesh.Faultf(mesh.Invalid, "%q is no mode of a node; there are %q, %q and %q for in service",
			r.Mode, mesh.Draining, mesh.Maintenance, mesh.InService)
	}
	if r.DryRun {
		return suppose(ctx, b, a)
	}
	draining := n.Admin.Mode == mesh.Draining && !n.Drained()
	if _, err := b.Administer(ctx, a); err != nil {
		return Drain{}, err
	}
	if snap, err = b.Snapshot(ctx); err != nil {
		return Drain{}, err
	}
	d, err := picture{snap}.drain(string(n.ID))
	if draining && r.Mode != mesh.Draining {
		d.Status = mesh.DrainCancelled
	}
	return d, err
}

// suppose says what a drain would do.
func suppose(ctx context.Context, b Backend, a mesh.Administration) (Drain, error) {
	sides, err := b.Suppose(ctx, Supposition{Admin: a})
	if err != nil {
		return Drain{}, err
	}
	d, err := picture{sides[0].Snapshot}.drain(string(a.Node))
	d.Status, d.Would = mesh.DrainDryRun, d.Status
	for i := range d.Copies {
		if d.Copies[i].Action == mesh.DrainMigrate {
			d.Copies[i].Action = mesh.DrainWould
		}
		for _, o := range sides[0].Outcomes {
			if o.Alloc == d.Copies[i].Alloc && o.To != "" {
				d.Copies[i].To, d.Copies[i].ToID = picture{sides[0].Snapshot}.nodeName(o.To), o.To
			}
		}
	}
	return d, err
}
