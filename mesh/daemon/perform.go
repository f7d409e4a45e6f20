package daemon

import (
	"context"
	"log/slog"

	"mn/crdt"
	"mn/crdt/store"
	"mn/mesh"
	"mn/mesh/core"
	"mn/placement/lease"
	"mn/runner"
)

// sender is what a performer needs of the transport.
type sender interface {
	Send(to mesh.NodeID, msg []byte)
}

// keeper is what a performer needs of the disk.
type keeper interface {
	Commit(b crdt.Batch, facts []store.Fact) error
}

// performer performs what a Ready asks for.
type performer struct {
	store  keeper
	net    sender
	driver runner.Driver
	fetch  func(core.Fetch)
	watch  func(core.Watch)
	log    *slog.Logger
	events *history
}

// keep makes records and promises durable, in one transaction.
func (p *performer) keep(r core.Ready) error {
	if r.Keep.Empty() && len(r.Facts) == 0 {
		return nil
	}
	return p.store.Commit(r.Keep, storeFacts(r.Facts))
}

// send puts messages on their way. A message to many peers is encoded once.
func (p *performer) send(out []core.Envelope) {
	var last core.Message
	var encoded []byte
	for _, e := range out {
		if encoded == nil || e.Msg != last {
			b, err := crdt.Encode(e.Msg)
			if err != nil {
				p.log.Error("encode message", "to", e.To, "err", err)
				continue
			}
			encoded, last = b, e.Msg
		}
		p.net.Send(e.To, encoded)
	}
}

// order tells the driver what to start and stop.
func (p *performer) order(orders []runner.Order) {
	for _, o := range orders {
		o.Perform(p.driver)
	}
}

// tell logs events and hands them to who follows them.
func (p *performer) tell(events []mesh.Event) {
	for _, e := range events {
		attrs := make([]slog.Attr, 0, 5)
		for _, a := range []struct{ key, value string }{
			{"job", string(e.Job)}, {"alloc", string(e.Alloc)}, {"peer", string(e.Peer)},
		} {
			if a.value != "" {
				attrs = append(attrs, slog.String(a.key, a.value))
			}
		}
		if !e.Fence.IsZero() {
			attrs = append(attrs, slog.String("fence", e.Fence.String()))
		}
		attrs = append(attrs, slog.String("text", e.Text))
		p.log.LogAttrs(context.Background(), slog.LevelInfo, string(e.Kind), attrs...)
	}
	p.events.add(events)
}

func storeFacts(facts []lease.Fact) []store.Fact {
	out := make([]store.Fact, len(facts))
	for i, f := range facts {
		out[i] = store.Fact{Key: f.Key, Value: f.Value}
	}
	return out
}
