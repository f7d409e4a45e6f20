package core

import (
	"fmt"
	"time"

	"mn/crdt"
	"mn/mesh"
	"mn/placement/reconcile"
)

// gang is placements on their way that become decisions together, or not at all.
type gang struct {
	members []*placing // by rank
	missing int        // answers
}

// placeGang asks for the room of a whole gang at once.
func (c *Core) placeGang(places []reconcile.Placement, fence crdt.Fence) {
	g := &gang{missing: len(places)}
	for _, p := range places {
		pl := &placing{alloc: p.Alloc, asks: p.Alloc.Grants, gang: g}
		pl.alloc.Fence = fence
		pl.rest = []mesh.NodeID{p.Choice.Candidates[0].Node}
		c.lead.placing[p.Alloc.ID] = pl
		g.members = append(g.members, pl)
	}
	for _, pl := range g.members {
		c.askNext(pl)
	}
}

// promised takes the room that a node has set aside for a member of a gang. The
// last one decides all: in one step, so that they are on disk together.
func (c *Core) promised(pl *placing) {
	if pl.deadline == never {
		return // said again
	}
	pl.deadline = never
	if pl.gang.missing--; pl.gang.missing > 0 {
		return
	}
	for _, m := range pl.gang.members {
		c.become(m)
	}
}

// abandon gives up a gang of which a member was not admitted, and plans it again
// after a while that is not the same for all: two gangs that take the room from
// each other do not do so for ever.
func (c *Core) abandon(pl *placing, reason string) {
	for _, m := range pl.gang.members {
		delete(c.lead.placing, m.alloc.ID)
		c.send(m.alloc.Node, Message{Release: &Release{Job: m.alloc.Job, Alloc: m.alloc.ID, Fence: m.alloc.Fence}})
	}
	c.stir()
	pause := replanAfter + time.Duration(c.cfg.Rand.Int64N(int64(replanAfter)))
	c.lead.wakes[pl.alloc.Job] = c.now.Boot + pause
	c.event(mesh.Event{
		Kind: mesh.AllocBlocked, Job: pl.alloc.Job, Alloc: pl.alloc.ID, Fence: pl.alloc.Fence,
		Text: fmt.Sprintf("no room for the whole gang: %v on %s: %s", pl.alloc.Seat(), c.name(pl.alloc.Node), reason),
	})
}
