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
	var c Choice
	q := ask(group)
	q.crowd, q.rivals = around(v, job, group), rivals(v, job)
	score, wish := scorerFor(v, job, group), wishes(group.Affinities)
	for i := range v.Nodes {
		n := &v.Nodes[i]
		if r := cmp.Or(refuse(n, q), spoken(n, q)); r != nil {
			c.Refused = append(c.Refused, *r)
			continue
		}
		terms := slices.Concat(score(n), q.crowd.spread(&n.Node, group.Spreads), wish(&n.Node))
		cand := Candidate{Node: n.ID, Name: n.Name, Avoid: avoid[n.ID], Terms: terms, tie: weight(key, n.ID)}
		for _, t := range terms {
			cand.Score += t.Value
		}
		c.Candidates = append(c.Candidates, cand)
	}
	slices.SortFunc(c.Candidates, better)
	return c
}

// PlaceOn is the choice for a copy that is bound to one node.
func PlaceOn(v *mesh.View, job *mesh.Job, group mesh.Group, node mesh.NodeID) Choice {
	one := *v
	one.Nodes = nil
	if n := v.Node(node); n != nil {
		one.Nodes = []mesh.NodeView{*n}
	}
	return Place(&one, job, group, "", nil)
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
