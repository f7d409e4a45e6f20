package main

import (
	"context"

	"mn/mesh/api"
)

func (f *fake) Recover(_ context.Context, r api.RecoverRequest) (api.Vouched, error) {
	return api.Vouched{Before: 7, Was: []string{"n1", "n2"}, Epoch: 16384, Voter: "n1", Copies: 1}, nil
}

func (f *fake) Evict(context.Context, api.EvictRequest) (int, error) { return 2, nil }

func (f *fake) Version(context.Context) (api.Version, error) {
	return api.Version{
		Release: "1.2", Node: "box-1", NodeID: "aaaa2222bbbb3333", Mesh: "m1", StartedAt: earlier(),
	}, nil
}

func (f *fake) Digest(context.Context) (api.Digest, error) {
	return api.Digest{
		Node: "box-1", NodeID: "aaaa2222bbbb3333", Digest: "c0ffee", Entries: 12,
		Waiting: []string{"job/x: from the future"},
	}, nil
}
