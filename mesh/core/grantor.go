package core

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"mn/crdt"
	"mn/mesh"
)

// The coordinator of a shared limit gives out its permits; see permit.go.

// giving is an answer that waits until a majority of the voters keeps its permits.
type giving struct {
	to     mesh.NodeID
	answer Permitted
	limit  string
	held   time.Duration // since when we have held the limit's slot
	until  time.Duration // nobody waits for it any more
}

// grantor is the fence under which we may give out the permits of a limit.
func (c *Core) grantor(limit string) (crdt.Fence, bool) {
	slot := mesh.SlotOfLimit(limit)
	fence, granted, ok := c.right(slot)
	return fence, ok && granted && c.informed(slot)
}

// permit answers a coordinator that asks for permits. Whose turn it is not to say
// answers nothing: the other asks again.
func (c *Core) permit(from mesh.NodeID, m *AskPermit) {
	fence, ok := c.grantor(m.Limit.Key)
	if !ok || len(m.Allocs) > mesh.CopiesMax {
		c.passToGrantor(m.Limit.Key, from, m.Detour, func(d Detour) Message {
			one := *m
			one.Detour = d
			return Message{AskPermit: &one}
		})
		return
	}
	g := giving{
		to: from, limit: m.Limit.Key, until: c.now.Boot + confirmFor,
		held: c.lead.heldSince[mesh.SlotOfLimit(m.Limit.Key)],
	}
	g.answer.Sent, g.answer.Life, g.answer.For = m.Sent, m.Life, m.For
	for _, id := range m.Allocs {
		others := len(c.records.permits[m.Limit.Key])
		_, has := c.records.permits[m.Limit.Key][id]
		if has { // it may be one that was never given
			others--
		}
		switch {
		case m.Claim && has:
			continue
		case !m.Claim && others >= m.Limit.Max:
			g.answer.Refused = append(g.answer.Refused, id)
			g.answer.Refusal = fmt.Sprintf("limit %q = %d: %s", m.Limit.Key, m.Limit.Max,
				mesh.Counted(others, "copy runs", "copies run"))
			continue
		}
		c.put(mesh.KeyPermit(m.Limit.Key, id),
			mesh.Permit{Key: m.Limit.Key, Job: m.Job, Alloc: id, Coordinator: c.self, At: c.now.Wall}, fence)
		c.confirmed(mesh.KeyPermit(m.Limit.Key, id))
		g.answer.Given = append(g.answer.Given, id)
	}
	if !m.Claim {
		c.permits.giving = append(c.permits.giving, g)
		c.give()
	}
}

// give sends the answers of which all permits are kept by a majority of the voters,
// under a lease that is still ours.
func (c *Core) give() {
	c.permits.giving = slices.DeleteFunc(c.permits.giving, func(g giving) bool {
		_, ours := c.grantor(g.limit)
		if !ours || g.held != c.lead.heldSince[mesh.SlotOfLimit(g.limit)] || g.until <= c.now.Boot {
			return true
		}
		for _, id := range g.answer.Given {
			if !c.confirmed(mesh.KeyPermit(g.limit, id)) {
				return false
			}
		}
		c.send(g.to, Message{Permitted: &g.answer})
		return true
	})
}

// returned takes permits back, as far as they are those that stand.
func (c *Core) returned(from mesh.NodeID, m *ReturnPermits) {
	fence, ok := c.grantor(m.Limit)
	if !ok {
		c.passToGrantor(m.Limit, from, m.Detour, func(d Detour) Message {
			return Message{ReturnPermits: &ReturnPermits{m.Limit, m.Permits, d}}
		})
		return
	}
	for _, key := range slices.Sorted(maps.Keys(m.Permits)) {
		if e, ok := c.replica.Get(key); ok && mesh.Kind(key) == mesh.PrefixPermit && e.Dot == m.Permits[key] {
			c.drop(key, fence)
		}
	}
}

// passToGrantor sends on what its sender has sent in vain.
func (c *Core) passToGrantor(limit string, from mesh.NodeID, d Detour, message func(Detour) Message) {
	to := c.lead.leaders.Of(mesh.SlotOfLimit(limit))
	if d.Vain && d.For == "" && to != c.self && to != from {
		c.send(to, message(Detour{For: from}))
	}
}
