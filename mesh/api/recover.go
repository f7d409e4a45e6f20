package api

import (
	"context"

	"mn/mesh"
)

// Vouched answers a [RecoverRequest].
type Vouched struct {
	Before    uint64   `json:"before"` // epoch of the voters until now
	Was       []string `json:"was"`    // their names
	Epoch     uint64   `json:"epoch"`  // of the new ones; 0 if this was a dry run
	Voters    []string `json:"voters"`
	Forgotten []string `json:"forgotten"` // the nodes that are off
	Copies    int      `json:"copies"`    // nodes on whose disks that is by now
	DryRun    bool     `json:"dry_run"`
}

// vouch asks the backend to name new voters.
func vouch(ctx context.Context, b Backend, r RecoverRequest) (Vouched, error) {
	snap, err := b.Snapshot(ctx)
	if err != nil {
		return Vouched{}, err
	}
	p := picture{snap}
	forgotten := []string{}
	for i, ref := range r.Off {
		n, err := p.findNode(ref)
		if err != nil {
			return Vouched{}, err
		}
		forgotten = append(forgotten, n.Name)
		r.Off[i] = string(n.ID)
	}
	done, err := b.Recover(ctx, r)
	for _, ids := range [][]string{done.Was, done.Voters} {
		for i, id := range ids {
			ids[i] = p.nodeName(mesh.NodeID(id))
		}
	}
	done.Forgotten, done.DryRun = forgotten, r.DryRun
	return done, err
}
