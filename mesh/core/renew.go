package core

import (
	"cmp"
	"maps"
	"slices"

	"mn/mesh"
)

// renew answers a node that asks for its copies to start, or to run on: only the
// holder of a granted lease does, once it knows all that was decided before, and
// for copies that it has not replaced.
// Whether gossip sees the node does not matter: the copy runs, and it has asked.
// The time counts from then, so a late answer gives less, not more.
func (c *Core) renew(from mesh.NodeID, r *Renew) {
	runs := cmp.Or(r.For, from)
	var allowed []mesh.AllocID
	pass := map[mesh.NodeID][]mesh.AllocID{}
	for _, id := range r.Allocs {
		a, ok := c.records.effective(id)
		if !ok || a.Node != runs || a.Want != mesh.WantRun || c.replaced(a) {
			continue
		}
		slot := mesh.SlotOf(a.Job)
		if _, granted, ok := c.right(slot); !ok || !granted {
			to := c.lead.leaders.Of(slot)
			pass[to] = append(pass[to], id)
		} else if c.informed(slot) && c.mayStart(id, from, r) {
			c.lead.renewed[id] = c.now.Boot
			allowed = append(allowed, id)
		}
	}
	if len(allowed) > 0 {
		c.send(from, Message{Renewed: &Renewed{Allocs: allowed, Asked: r.Asked, Life: r.Life, For: r.For}})
	}
	if n := len(c.sync.inSight); r.Vain && r.For == "" && (n <= fanOut || c.cfg.Rand.IntN(n) < fanOut) {
		c.passOn(pass, from, r)
	}
}

// passOn asks the coordinators of some copies for a node that has asked in vain:
// it may be that the two do not reach each other, and all others do. The answer
// comes back the same way. In a large mesh, where all are asked, a few pass it on.
func (c *Core) passOn(pass map[mesh.NodeID][]mesh.AllocID, from mesh.NodeID, r *Renew) {
	for _, to := range slices.Sorted(maps.Keys(pass)) {
		if to != c.self && to != from && from != c.self {
			c.send(to, Message{Renew: &Renew{Allocs: pass[to], Asked: r.Asked, Life: r.Life, For: from}})
		}
	}
}

// replaced says whether a later generation has taken the place of a, or is about to. One that
// has ended does not count: a may have been decided again since, by somebody who did not know
// of it, and be the one that stays.
func (c *Core) replaced(a mesh.AllocView) bool {
	for _, o := range c.records.allocsOf(a.Job) {
		if o.Seat() == a.Seat() && o.Generation > a.Generation && !o.State().Final() {
			return true
		}
	}
	return slices.ContainsFunc(c.pending(a.Job), func(p mesh.Alloc) bool { return p.Replaces == a.ID })
}
