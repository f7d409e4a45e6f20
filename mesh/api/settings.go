package api

import (
	"context"
	"slices"

	"mn/mesh"
)

// setShare says how much of a node the mesh may have, and what the node shares out then.
func setShare(ctx context.Context, b Backend, r ShareRequest) (Resources, error) {
	if f := r.Check(); f != nil {
		return Resources{}, f
	}
	if r.Allowance == (mesh.Allowance{}) {
		return Resources{}, mesh.Faultf(mesh.Invalid, "nothing is set: say one of cpu, memory, disk and gpu")
	}
	snap, err := b.Snapshot(ctx)
	if err != nil {
		return Resources{}, err
	}
	n, err := picture{snap}.findMember(r.Node)
	if err != nil {
		return Resources{}, err
	}
	id := n.ID
	if _, err := b.SetShare(ctx, id, r.Allowance); err != nil {
		return Resources{}, err
	}
	if snap, err = b.Snapshot(ctx); err != nil {
		return Resources{}, err
	}
	rows := picture{snap}.resources()
	i := slices.IndexFunc(rows, func(row Resources) bool { return row.NodeID == id })
	if i < 0 {
		return Resources{}, mesh.Faultf(mesh.NotFound, "node %q is no longer there", id)
	}
	return rows[i], nil
}

// label gives labels to a node, and takes some away; it says what the node is then.
func label(ctx context.Context, b Backend, r LabelRequest) (Node, error) {
	if len(r.Set)+len(r.Remove) == 0 {
		return Node{}, mesh.Faultf(mesh.Invalid, "no label is to be set or to be removed")
	}
	if n := len(r.Set) + len(r.Remove); n > 2*mesh.LabelsMax {
		return Node{}, mesh.Faultf(mesh.Invalid, "%d labels are more than %d", n, 2*mesh.LabelsMax)
	}
	snap, err := b.Snapshot(ctx)
	if err != nil {
		return Node{}, err
	}
	n, err := picture{snap}.findMember(r.Node)
	if err != nil {
		return Node{}, err
	}
	if _, err := b.Label(ctx, n.ID, r.Set, r.Remove); err != nil {
		return Node{}, err
	}
	if snap, err = b.Snapshot(ctx); err != nil {
		return Node{}, err
	}
	if n, err = (picture{snap}).findNode(string(n.ID)); err != nil {
		return Node{}, err
	}
	return nodeRow(n), nil
}
