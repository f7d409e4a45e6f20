package daemon

import (
	"context"
	"time"

	"mn/health/clock"
	"mn/mesh/core"
	"mn/placement/lease"
)

// When a node looks whether it is time for a new certificate, and how soon it
// asks again if it got none: more and more seldom.
const (
	renewEvery = time.Hour
	renewRetry = 15 * time.Second
)

// keepCertificate renews this node's certificate in time. It looks at once, for
// an agent may be started more often than it would look otherwise.
func (d *daemon) keepCertificate(ctx context.Context) {
	again(ctx, func() error { return d.renewCertificate(ctx) }, func(err error) {
		if expires := d.id.Expires(); clock.Wall().After(expires) {
			d.log.Error("the certificate of this node has expired: peers refuse it; "+
				"it must join again, with an empty data directory", "expires", expires, "err", err)
			return
		}
		d.log.Warn("renew certificate", "expires", d.id.Expires(), "err", err)
	})
}

// again does something at once and then every renewEvery, and sooner after it
// went wrong, until ctx ends.
func again(ctx context.Context, do func() error, failed func(error)) {
	retry := renewRetry
	for {
		wait := renewEvery
		if err := do(); err != nil {
			failed(err)
			wait, retry = retry, min(2*retry, renewEvery)
		} else {
			retry = renewRetry
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// renewCertificate asks for a new certificate if it is time.
func (d *daemon) renewCertificate(ctx context.Context) error {
	if clock.Wall().Before(d.id.RenewAt()) {
		return nil
	}
	var roster lease.Roster
	if err := d.loop.look(ctx, func(c *core.Core) { roster = c.Roster() }); err != nil {
		return err
	}
	certificate, err := d.askVoters(ctx, roster, "renew/"+string(d.self.ID), pathRenew, struct{}{})
	if err != nil {
		return err
	}
	return d.id.Renew(certificate, clock.Wall())
}
