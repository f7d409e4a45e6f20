// Package placement says where work should run: which nodes can take a copy of
// a group, which of them is the best, and why not the others.
//
// It decides from a [mesh.View] alone, so every node comes to the same choice
// from the same picture. A choice is only a proposal: the node itself is the
// authority on its own capacity, and its [Ledger] admits or refuses each copy.
//
// The package is pure. It does not say who may decide (placement/lease), nor
// when a copy is needed (placement/reconcile).
package placement

import (
	"cmp"
	"slices"

	"mn/mesh"
)

// Choice is where a copy can go: the candidates, best first, and the nodes that
// cannot take it, by id.
type Choice struct {
	Candidates []Candidate
	Refused    []Refusal
}

// Candidate is a node that can take the copy.
type Candidate struct {
	Node  mesh.NodeID
	Name  string
	Avoid string // why it is taken only if no other node can
	Score int64  // the sum of the terms, in millionths
	Terms []Term
	tie   uint64
}

// Term is one named part of a score, in millionths.
type Term struct {
	Name  string
	Value int64
}

// Refusal says why a node cannot take a copy. It is an error, for the ledger.
type Refusal struct {
	Node   mesh.NodeID
	Name   string
	Filter string // which filter refused: see feasible.go
	Reason string
}

// Error is the reason.
func (r *Refusal) Error() string { return r.Reason }

// Place chooses where one copy of a group can go. Key names the copy, and
// breaks ties between nodes that score the same. A node in avoid, with the
// reason, comes after all others that can take the copy.
//
// What is in use on a node is what the view says. A caller that plans several
// copies at once adds each to its own copy of the view.
func Place(v *mesh.View, job *mesh.Job, group mesh.Group, key string, avoid map[mesh.NodeID]string) Choice {
	q, score := prepare(v, job, group)
	var c Choice
	for i := range v.Nodes {
		c.add(&v.Nodes[i], q, score, key, avoid)
	}
	slices.SortFunc(c.Candidates, better)
	return c
}

// PlaceOn is the choice for a copy that is bound to one node.
func PlaceOn(v *mesh.View, job *mesh.Job, group mesh.Group, node mesh.NodeID) Choice {
	q, score := prepare(v, job, group)
	var c Choice
	if n := v.Node(node); n != nil {
		c.add(n, q, score, "", nil)
	}
	return c
}

// Trial asks nodes whether they could take one more copy of a group, as they are in a view
// or as they would be.
func Trial(v *mesh.View, job *mesh.Job, group mesh.Group) func(*mesh.NodeView) bool {
	q, _ := prepare(v, job, group)
	return func(n *mesh.NodeView) bool { return refuse(n, q) == nil && spoken(n, q) == nil }
}

// prepare makes ready what all nodes of a view are asked, and how they are scored.
func prepare(v *mesh.View, job *mesh.Job, group mesh.Group) (*asked, func(*mesh.NodeView) []Term) {
	q := ask(group)
	q.crowd, q.served = around(v, job, group), served(v, job, group)
	if len(v.Queue) > 0 {
		var all []rival
		known := false
		q.first = func() []rival { // it takes time, and where no node has room nobody asks
			if !known {
				all, known = rivals(v, job), true
			}
			return all
		}
	}
	score, wish := scorerFor(v, job, group), wishes(group.Affinities)
	files, brought := local(job), fetched(group)
	return q, func(n *mesh.NodeView) []Term {
		return slices.Concat(score(n), q.crowd.spread(&n.Node, group.Spreads), wish(&n.Node), files(&n.Node),
			brought(&n.Node))
	}
}

// add asks a node, and puts it where it belongs.
func (c *Choice) add(
	n *mesh.NodeView, q *asked, score func(*mesh.NodeView) []Term, key string, avoid map[mesh.NodeID]string,
) {
	r := refuse(n, q)
	if r == nil {
		r = spoken(n, q)
	}
	if r != nil {
		c.Refused = append(c.Refused, *r)
		return
	}
	cand := Candidate{Node: n.ID, Name: n.Name, Avoid: avoid[n.ID], Terms: score(n), tie: Weight(key, n.ID)}
	for _, t := range cand.Terms {
		cand.Score += t.Value
	}
	c.Candidates = append(c.Candidates, cand)
}

// better orders candidates, best first.
func better(a, b Candidate) int {
	return cmp.Or(
		compareBool(a.Avoid != "", b.Avoid != ""),
		cmp.Compare(b.Score, a.Score),
		cmp.Compare(b.tie, a.tie),
		cmp.Compare(a.Node, b.Node))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
