package api

import (
	"cmp"
	"net"
	"slices"
	"strings"

	"mn/mesh"
)

// findNode finds a node by its name, its id, the beginning of its id, or its address, with
// or without the port, also in the form USER@ADDRESS. The name of one that is evicted may be
// another's by now, and so may its address: that is meant then.
func (p picture) findNode(ref string) (*mesh.NodeView, error) {
	all := func(is func(*mesh.NodeView) bool) (found []*mesh.NodeView) {
		for i := range p.View.Nodes {
			if n := &p.View.Nodes[i]; is(n) {
				found = append(found, n)
			}
		}
		slices.SortStableFunc(found, func(a, b *mesh.NodeView) int { return cmp.Compare(rank(a), rank(b)) })
		return found
	}
	if named := all(func(n *mesh.NodeView) bool { return n.Name == ref || string(n.ID) == ref }); len(named) > 0 {
		return named[0], nil
	}
	begin := all(func(n *mesh.NodeView) bool {
		return len(ref) >= mesh.IDPrefixMin && strings.HasPrefix(string(n.ID), ref)
	})
	switch len(begin) {
	case 1:
		return begin[0], nil
	case 0:
		return p.nodeAt(ref, all(func(n *mesh.NodeView) bool { return isAt(n.Address, ref) }))
	}
	return nil, mesh.Faultf(mesh.Invalid, "%d nodes have an id that begins with %q", len(begin), ref)
}

// rank is lower of a node that is rather meant.
func rank(n *mesh.NodeView) int {
	if n.Evicted {
		return 1
	}
	return 0
}

// nodeAt is the one of those at an address that is meant.
func (p picture) nodeAt(ref string, found []*mesh.NodeView) (*mesh.NodeView, error) {
	if len(found) > 0 && rank(found[0]) == 0 {
		found = slices.DeleteFunc(found, func(n *mesh.NodeView) bool { return n.Evicted })
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		f := mesh.Faultf(mesh.NotFound, "no node %q", ref)
		if near := nearest(ref, p.View.Nodes, func(n mesh.NodeView) string { return n.Name }); near != "" {
			return nil, f.Hint("there is a node %q", near)
		}
		return nil, f.Hint("mn node ls lists the nodes")
	}
	var names []string
	for _, n := range found {
		names = append(names, n.Name)
	}
	slices.Sort(names)
	return nil, mesh.Faultf(mesh.Invalid, "%d nodes are at %q: %s", len(found), ref, strings.Join(names, ", ")).
		Hint("say which, by its name")
}

// isAt says whether ref means an address, which has a port.
func isAt(address, ref string) bool {
	ref = ref[strings.LastIndex(ref, "@")+1:]
	host, _, err := net.SplitHostPort(address)
	return err == nil && ref != "" && (ref == address || strings.Trim(ref, "[]") == host)
}

// findMember finds a node as findNode does, and refuses one that is evicted: nothing can be
// wanted of it any more.
func (p picture) findMember(ref string) (*mesh.NodeView, error) {
	n, err := p.findNode(ref)
	if err == nil && n.Evicted {
		return nil, mesh.Faultf(mesh.Conflict, "node %s is evicted: it is no longer part of the mesh", n.Name).
			Hint("with a new data directory its machine can join anew: mn mesh join")
	}
	return n, err
}

// prefixMin is the length from which on the beginning of a name is like it.
const prefixMin = 3

// nearest is the name in list that is most like want, or "" if none is like it.
func nearest[T any](want string, list []T, name func(T) string) string {
	var names []string
	for _, t := range list {
		names = append(names, name(t))
	}
	if near := mesh.Nearest(want, names); near != "" || len(want) < prefixMin {
		return near
	}
	want = strings.ToLower(want)
	i := slices.IndexFunc(names, func(n string) bool { return strings.HasPrefix(strings.ToLower(n), want) })
	if i < 0 {
		return ""
	}
	return names[i]
}
