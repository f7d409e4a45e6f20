package core

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"mn/crdt"
	"mn/mesh"
)

// What people set of a node is a record beside the node's own, as of what they want of it
// (admin.go): it holds whether the node is there or not. Views have both in one.
//
// All shares of a node are one record, and so are all its labels: the last that was written
// stands, as a whole. Where two peers that have not heard of each other's are asked at about
// the same time, what the earlier was asked is undone, though it was acknowledged, and though
// it may have been of another share or label. Whoever asked sees it in the node's status, and
// in two events of one kind. A key for each would not have it so, but records of people are
// never deleted: those of labels of old would be more and more.

// node is what a node says of itself, as far as people have not set it otherwise.
func (r *records) node(id mesh.NodeID) mesh.Node {
	n := r.nodes[id]
	n.Allowance = r.sharing[id].Share
	n.Capacity = n.Allowance.Of(n.Capacity)
	if l, labelled := r.labels[id]; labelled {
		n.Labels = l.Over(n.Labels)
	}
	return n
}

// setShare takes how much of a node the mesh may have.
func (c *Core) setShare(s SetShare) (reply any, none crdt.Entry, f *mesh.Fault) {
	if !c.admitted(s.Node) {
		return nil, none, mesh.Faultf(mesh.NotFound, "no node %q", s.Node).Hint("mn node ls")
	}
	if f := s.Share.Check(); f != nil {
		return nil, none, f
	}
	next := mesh.Sharing{
		Node: s.Node, Share: c.records.sharing[s.Node].Share.With(s.Share), By: c.self, At: c.now.Wall.UTC(),
	}
	text := fmt.Sprintf("%s shares out: %v", c.name(s.Node), next.Share)
	c.event(mesh.Event{Kind: mesh.NodeShared, Peer: s.Node, Text: text})
	return Kept{}, c.put(mesh.KeySharing(s.Node), next, crdt.Fence{}), nil
}

// label takes labels that a node is to have, and takes some away.
func (c *Core) label(l Label) (reply any, none crdt.Entry, f *mesh.Fault) {
	if !c.admitted(l.Node) {
		return nil, none, mesh.Faultf(mesh.NotFound, "no node %q", l.Node).Hint("mn node ls")
	}
	before := c.records.labels[l.Node]
	next, f := before.Change(c.records.nodes[l.Node].Labels, l.Set, l.Remove)
	if f != nil {
		return nil, none, f
	}
	next.Node, next.By, next.At = l.Node, c.self, c.now.Wall.UTC()
	if f := fits(mesh.KeyLabels(l.Node), next); f != nil {
		return nil, none, f
	}
	var changes []string
	for _, name := range slices.Sorted(maps.Keys(l.Set)) {
		changes = append(changes, name+"="+l.Set[name])
	}
	for _, name := range l.Remove {
		changes = append(changes, name+"-")
	}
	text := fmt.Sprintf("%s: %s", c.name(l.Node), strings.Join(changes, " "))
	c.event(mesh.Event{Kind: mesh.NodeLabelled, Peer: l.Node, Text: text})
	return Kept{}, c.put(mesh.KeyLabels(l.Node), next, crdt.Fence{}), nil
}
