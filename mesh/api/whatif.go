package api

import (
	"context"
	"slices"

	"mn/mesh"
)

// WhatIfRequest asks what would become of the copies in one of several cases. Nodes are
// names, ids, or the first characters of ids.
type WhatIfRequest struct {
	Lose      []string   `json:"lose,omitempty"`      // lost for good
	Drain     string     `json:"drain,omitempty"`     // drained, with the default deadline
	Partition [][]string `json:"partition,omitempty"` // sides that do not see each other; the rest is one more
}

// WhatIf is what would become of the copies. Nothing has changed.
type WhatIf struct {
	Sides []WhatIfSide `json:"sides"` // one, unless the mesh is split
}

// WhatIfSide is what those would come to who are in sight of each other.
type WhatIfSide struct {
	Nodes    []string              `json:"nodes"`
	Majority bool                  `json:"majority"` // of the voters; else each job's on_partition decides
	Counts   map[mesh.Becoming]int `json:"counts"`
	Copies   []WhatIfCopy          `json:"copies"`
}

// WhatIfCopy is what would become of a copy.
type WhatIfCopy struct {
	Job     mesh.JobID    `json:"job"`
	Alloc   mesh.AllocID  `json:"id"`
	Group   string        `json:"group"`
	Index   int           `json:"index"`
	Node    string        `json:"node"` // where it is
	NodeID  mesh.NodeID   `json:"node_id"`
	Becomes mesh.Becoming `json:"becomes"`
	To      string        `json:"to"` // where the next copy would be; "" if there is none
	ToID    mesh.NodeID   `json:"to_id"`
	Reason  string        `json:"reason"`
}

// Supposition is something that might happen: one of these.
type Supposition struct {
	Lost  []mesh.NodeID       // nodes are lost for good
	Admin mesh.Administration // people want that of its node
	Sides [][]mesh.NodeID     // all nodes in sight, by who would see whom
	// GivenUp is a node that is given no time to come back.
	GivenUp mesh.NodeID
}

// Foreseen is what would come of a [Supposition] for those who are in sight of each other.
type Foreseen struct {
	Snapshot // at first, when nothing has been done about it
	InSight  []mesh.NodeID
	Granted  bool // by a majority of the voters
	Outcomes []mesh.Outcome
}

// whatIf answers what would become of the copies.
func whatIf(ctx context.Context, b Backend, r WhatIfRequest) (WhatIf, error) {
	snap, err := b.Snapshot(ctx)
	if err != nil {
		return WhatIf{}, err
	}
	p := picture{snap}
	s, err := p.supposition(r)
	if err != nil {
		return WhatIf{}, err
	}
	sides, err := b.Suppose(ctx, s)
	if err != nil {
		return WhatIf{}, err
	}
	w := WhatIf{Sides: []WhatIfSide{}}
	for _, f := range sides {
		w.Sides = append(w.Sides, p.whatIfSide(f))
	}
	return w, nil
}

// supposition is the one that a request is about.
func (p picture) supposition(r WhatIfRequest) (s Supposition, err error) {
	asked := 0
	for _, one := range []bool{len(r.Lose) > 0, r.Drain != "", len(r.Partition) > 0} {
		if one {
			asked++
		}
	}
	if asked != 1 {
		return s, mesh.Faultf(mesh.Invalid, "want one of lose, drain and partition, not %d", asked)
	}
	switch {
	case r.Drain != "":
		n, err := p.findMember(r.Drain)
		if err != nil {
			return s, err
		}
		s.Admin = mesh.Administration{
			Node: n.ID, Mode: mesh.Draining, Deadline: p.View.Now.Add(mesh.DefaultDrainDeadline).UTC(),
		}
		return s, nil
	case len(r.Partition) > 0:
		s.Sides, err = p.sides(r.Partition)
		return s, err
	}
	s.Lost, err = p.findNodes(r.Lose, nil)
	if rest := p.inSight(s.Lost); err == nil && len(rest) == 0 {
		return s, mesh.Faultf(mesh.Invalid, "no other node is in sight: nobody would be left to decide anything")
	}
	return s, err
}

// sides are the sides of a split, with the nodes in sight that are on none of those
// named as one more.
func (p picture) sides(named [][]string) (sides [][]mesh.NodeID, err error) {
	var all []mesh.NodeID
	for _, names := range named {
		side, err := p.findNodes(names, all)
		if err != nil {
			return nil, err
		}
		for _, id := range side {
			if p.View.Node(id).Liveness != mesh.Alive {
				return nil, mesh.Faultf(mesh.Invalid, "node %q is not in sight now: it is on no side", p.nodeName(id))
			}
		}
		if len(side) > 0 {
			sides, all = append(sides, side), append(all, side...)
		}
	}
	if rest := p.inSight(all); len(rest) > 0 {
		sides = append(sides, rest)
	}
	if len(sides) < 2 {
		return nil, mesh.Faultf(mesh.Invalid, "all nodes in sight are on one side: that is no partition").
			Hint("name some of the nodes; the others are the other side")
	}
	return sides, nil
}

// findNodes finds nodes, each once and none of others.
func (p picture) findNodes(refs []string, others []mesh.NodeID) (ids []mesh.NodeID, err error) {
	for _, ref := range refs {
		n, err := p.findNode(ref)
		if err != nil {
			return nil, err
		}
		if slices.Contains(ids, n.ID) || slices.Contains(others, n.ID) {
			return nil, mesh.Faultf(mesh.Invalid, "node %q is named twice", n.Name)
		}
		ids = append(ids, n.ID)
	}
	return ids, nil
}

// inSight are the nodes in sight, but for some.
func (p picture) inSight(but []mesh.NodeID) (ids []mesh.NodeID) {
	for i := range p.View.Nodes {
		if n := &p.View.Nodes[i]; n.Liveness == mesh.Alive && !slices.Contains(but, n.ID) {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

func (p picture) whatIfSide(f Foreseen) WhatIfSide {
	s := WhatIfSide{
		Nodes: []string{}, Majority: f.Granted, Counts: map[mesh.Becoming]int{}, Copies: []WhatIfCopy{},
	}
	for _, id := range f.InSight {
		s.Nodes = append(s.Nodes, p.nodeName(id))
	}
	slices.Sort(s.Nodes)
	for _, o := range f.Outcomes {
		s.Counts[o.Becomes]++
		c := WhatIfCopy{
			Job: o.Job, Alloc: o.Alloc, Group: o.Seat.Group, Index: o.Seat.Index,
			Node: p.nodeName(o.Node), NodeID: o.Node, Becomes: o.Becomes, ToID: o.To, Reason: o.Reason,
		}
		if o.To != "" {
			c.To = p.nodeName(o.To)
		}
		s.Copies = append(s.Copies, c)
	}
	return s
}
