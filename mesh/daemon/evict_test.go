package daemon

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"mn/mesh"
	"mn/mesh/api"
)

func TestEvictedNodeEnds(t *testing.T) {
	agents := newMesh(t, 3)
	out := agents[2]
	e, err := agents[0].client.Evict(t.Context(), api.EvictRequest{Node: out.cfg.Name, Reason: "stolen"})
	if err != nil || e.Copies != 2 {
		t.Fatalf("evict: %+v, %v", e, err)
	}
	for range 2 { // at once, and whenever it is started again
		if err := <-out.done; err == nil || !strings.Contains(err.Error(), "stolen") {
			t.Errorf("the agent of an evicted node ends with %v", err)
		}
		go func() { out.done <- Run(t.Context(), out.cfg, Options{Log: slog.New(slog.DiscardHandler)}) }()
	}
	<-out.done
	out.cancel = nil
	gone := errors.New("gone")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = agents[1].client.WatchNode(ctx, out.cfg.Name, func(n api.NodeDetail) error {
		if n.Status == mesh.Lost && !n.SchedulingEligible {
			return gone
		}
		return nil
	})
	if !errors.Is(err, gone) {
		t.Errorf("the others do not know that it is gone: %v", err)
	}
}
