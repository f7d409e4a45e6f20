package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mn/health/clock"
	"mn/mesh"
	"mn/mesh/api"
	"mn/mesh/identity"
	"mn/mesh/transport"
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

// The key of a stolen machine still passes handshakes. It gets no answer through
// them, neither from the API nor from what members ask of each other.
func TestEvictedKeyIsAnsweredNothing(t *testing.T) {
	agents := newMesh(t, 3)
	out, victim := agents[2], agents[0]
	if _, err := victim.client.Evict(t.Context(), api.EvictRequest{Node: out.cfg.Name}); err != nil {
		t.Fatal(err)
	}
	<-out.done
	out.cancel = nil
	id, err := identity.Load(out.cfg.Data, clock.Wall())
	if err != nil {
		t.Fatal(err)
	}
	at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(victim.cfg.Port))
	log := slog.New(slog.DiscardHandler)
	thief := &daemon{id: id, self: mesh.Node{ID: id.ID()}, log: log}
	thief.net, err = transport.Listen(transport.Config{
		Addr: netip.MustParseAddrPort("127.0.0.1:0"), Identity: id, Log: log,
		Admitted: func(mesh.NodeID) bool { return true },
		Resolve:  func(mesh.NodeID) (string, bool) { return at.String(), true },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer thief.net.Close() //nolint:errcheck // nothing of it is wanted any more
	target, err := identity.Load(victim.cfg.Data, clock.Wall())
	if err != nil {
		t.Fatal(err)
	}
	client := api.NewClient("n1", func(ctx context.Context) (net.Conn, error) {
		return thief.net.Open(ctx, target.ID(), transport.KindAPI)
	})
	defer client.Close()
	_, byAPI := client.CreateToken(t.Context(), api.TokenRequest{TTL: mesh.Duration(time.Hour), Uses: 1})
	_, byMember := thief.askMember(t.Context(), target.ID(), pathAdmit, json.RawMessage(`{}`))
	for door, err := range map[string]error{"API": byAPI, "members": byMember} {
		if err == nil || mesh.FaultOf(err).Kind != mesh.Denied || !strings.Contains(err.Error(), "evicted") {
			t.Errorf("%s: got %v", door, err)
		}
	}
}
