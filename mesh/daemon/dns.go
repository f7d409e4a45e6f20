package daemon

import (
	"context"
	"sync"
	"time"

	"mn/health"
	"mn/health/dns"
	"mn/mesh"
	"mn/mesh/core"
)

// How often what DNS answers from is made anew.
const (
	namesPause = 100 * time.Millisecond // at least, between two changes that follow each other
	namesAge   = 5 * time.Second        // at most: distances change without notice
)

// answerNames begins to answer DNS. That the usual address is taken, as by another agent on this machine,
// keeps no agent from its work; that one is which somebody asked for does.
func (d *daemon) answerNames(ctx context.Context, wg *sync.WaitGroup, closers *closers) error {
	if d.cfg.DNS.Off {
		return nil
	}
	table, err := d.names(ctx)
	if err != nil {
		return err
	}
	if d.dns, err = dns.Listen(d.cfg.DNS.At(), table, d.log); err != nil {
		if d.cfg.DNS.Listen == "" {
			d.log.Warn("this agent answers no DNS; choose another address with --dns", "err", err)
			return nil
		}
		return mesh.Faultf(mesh.Unavailable, "%v", err).
			Hint("choose another address: mn agent --dns IP:PORT, or listen in [dns] of its file")
	}
	closers.add(d.dns.Close)
	wg.Go(func() { d.followNames(ctx) })
	return nil
}

// dnsAddress is where DNS is answered, or "".
func (d *daemon) dnsAddress() string {
	if d.dns == nil {
		return ""
	}
	return d.dns.Addr().String()
}

// followNames has DNS answer from the picture of the mesh as it is.
func (d *daemon) followNames(ctx context.Context) {
	for {
		change := d.loop.change()
		table, err := d.names(ctx)
		if err != nil {
			return // the agent stops
		}
		d.dns.Set(table)
		pause := time.NewTimer(namesPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
		pause.Reset(namesAge - namesPause)
		select {
		case <-change:
		case <-pause.C:
		case <-ctx.Done():
		}
		pause.Stop()
	}
}

// names is what DNS answers from now.
func (d *daemon) names(ctx context.Context) (*dns.Table, error) {
	var view *mesh.View
	if err := d.loop.look(ctx, func(c *core.Core) { view = c.View() }); err != nil {
		return nil, err
	}
	away := map[mesh.NodeID]time.Duration{}
	gossip := d.gossip.Load()
	for i := range view.Nodes {
		if far, ok := gossip.Distance(view.Nodes[i].ID); ok {
			away[view.Nodes[i].ID] = far
		}
	}
	return dns.New(view, health.Catalog(view), away), nil
}
