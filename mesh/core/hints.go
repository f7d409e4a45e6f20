package core

import (
	"maps"
	"time"

	"mn/mesh"
)

// What its checks say of a service is in its copy's record, which is pushed to peers and compared
// with them. Gossip says it too, in a few bytes, over all of its ways: to whoever is cut off from the
// node itself, and to whom a push was lost. That is a hint: it can have an instance hidden, until its
// record says more, or for a while; it never has one shown.

// Bounds of hints.
const (
	hintFor  = 30 * time.Second // is how long a hint counts whose record does not come
	hintsMax = 4096             // more are not kept: their records come all the same
)

// hint is the latest that gossip has said of a service.
type hint struct {
	at    time.Time // by the clock of its node
	heard time.Duration
	fails bool
}

// hinted takes what gossip says of services.
func (c *Core) hinted(ev Hinted) {
	changed := false
	for _, list := range []struct {
		keys  []mesh.ServiceKey
		fails bool
	}{{ev.Fail, true}, {ev.Pass, false}} {
		for _, key := range list.keys {
			old, known := c.hints[key]
			if known && !ev.At.After(old.at) || !known && len(c.hints) >= hintsMax {
				continue
			}
			c.hints[key] = hint{ev.At, c.now.Boot, list.fails}
			changed = changed || old.fails != list.fails
		}
	}
	if changed {
		c.view, c.ready.Hinted = nil, true
	}
}

// forgetHints forgets those that are old.
func (c *Core) forgetHints() {
	maps.DeleteFunc(c.hints, func(_ mesh.ServiceKey, h hint) bool { return h.heard+hintFor < c.now.Boot })
}

// failing are the services of which gossip says that they fail, and when.
func (c *Core) failing() map[mesh.ServiceKey]time.Time {
	var all map[mesh.ServiceKey]time.Time
	for key, h := range c.hints {
		if h.fails && c.now.Boot <= h.heard+hintFor {
			if all == nil {
				all = map[mesh.ServiceKey]time.Time{}
			}
			all[key] = h.at
		}
	}
	return all
}
