package core

import (
	"maps"
	"slices"
	"time"

	"mn/crdt"
	"mn/mesh"
	"mn/placement/reconcile"
)

// A shared limit bounds the copies of jobs that different nodes coordinate. So a copy
// of such a job needs a permit, which the coordinator of the limit's slot gives out:
//
//  1. It counts the permits that are given, and knows of all of them: it gives one only
//     once its record is durable at a majority of the voters (confirm.go), under a lease
//     that it still holds then, and as every coordinator it has read a majority since it
//     took the slot (inform.go).
//  2. The coordinator of the copy's job asks for the permit before it asks a node for room,
//     and lets the copy start only if it has been given it since it took the job's slot.
//  3. It gives a permit back when its copy holds no place any more: has ended, was never
//     placed, or counts as gone; but then only once a majority keeps the decision that it
//     stops, for the copy may come back. What it gives back is that record of the permit
//     alone: who asks again gets another one, which what is late does not take away.
//
// Copies of these jobs are exclusive (see exclusive), so each passes 2 before it starts.

// AskPermit asks the coordinator of a shared limit for permits.
type AskPermit struct {
	Limit  mesh.SharedLimit `json:"limit"`
	Job    mesh.JobID       `json:"job"`
	Allocs []mesh.AllocID   `json:"allocs"`
	// Claim says that the copies hold a place already, as their job had no such limit
	// before. They count, even beyond it, and there is no answer.
	Claim bool          `json:"claim,omitempty"`
	Sent  time.Duration `json:"sent"` // on the asker's boot clock
	Life  uint64        `json:"life"` // of the asker

	Detour
}

// Detour is how a message about permits goes where its sender may not reach its receiver.
type Detour struct {
	Vain bool        `json:"vain,omitempty"` // there was no answer: pass it on
	For  mesh.NodeID `json:"for,omitempty"`  // who has sent it, if another has passed it on
}

// Permitted answers AskPermit: for all that it asked for.
type Permitted struct {
	Given   []mesh.AllocID `json:"given,omitempty"`
	Refused []mesh.AllocID `json:"refused,omitempty"`
	Refusal string         `json:"refusal,omitempty"`
	Sent    time.Duration  `json:"sent"` // of what it answers
	Life    uint64         `json:"life"`
	For     mesh.NodeID    `json:"for,omitempty"` // as in what it answers
}

// ReturnPermits gives permits back: those that were written as these, under their keys.
type ReturnPermits struct {
	Limit   string              `json:"limit"`
	Permits map[string]crdt.Dot `json:"permits"`

	Detour
}

// permits is what a coordinator knows of permits beside their records: of a job, what
// it has asked for and was given, and of a limit, what it is about to give.
type permits struct {
	asked  map[mesh.AllocID]grant // last
	given  map[mesh.AllocID]grant
	waits  map[mesh.AllocID]*waiting // nodes that want to start a copy
	vain   map[string]bool           // limits whose coordinator has not answered
	back   map[string]givenBack      // by the key of the permit
	giving []giving
}

// givenBack is a permit that was given back, and is not taken yet.
type givenBack struct {
	dot crdt.Dot
	at  time.Duration // last
}

// returnEvery is when a permit is given back again.
const returnEvery = 500 * time.Millisecond

// grant is a permit that was asked for, or given, as long as we hold the job's slot without
// a break.
type grant struct {
	job  mesh.JobID
	key  string
	sent time.Duration // the question
	held time.Duration // since when we held the slot then
}

func newPermits() permits {
	return permits{
		asked: map[mesh.AllocID]grant{}, given: map[mesh.AllocID]grant{}, waits: map[mesh.AllocID]*waiting{},
		vain: map[string]bool{}, back: map[string]givenBack{},
	}
}

// forget drops all about a copy.
func (p *permits) forget(id mesh.AllocID) {
	delete(p.asked, id)
	delete(p.given, id)
	delete(p.waits, id)
}

// lost drops all about the jobs of a slot that is held no more.
func (p *permits) lost(slot mesh.Slot) {
	for _, of := range []map[mesh.AllocID]grant{p.asked, p.given} {
		for id, g := range of {
			if mesh.SlotOf(g.job) == slot {
				p.forget(id)
			}
		}
	}
}

// seek asks for the permits of copies that are planned, and then for their room.
func (c *Core) seek(l *mesh.SharedLimit, places []reconcile.Placement, fence crdt.Fence) {
	var ids []mesh.AllocID
	for _, p := range places {
		if c.lead.placing[p.Alloc.ID] != nil {
			continue
		}
		pl := c.placing(p, fence)
		if c.hasGiven(p.Alloc.ID, p.Alloc.Job, l.Key) { // too late for the placement before
			c.askNext(pl)
			continue
		}
		pl.seeks, pl.deadline = true, c.now.Boot+reserveTimeout
		ids = append(ids, p.Alloc.ID)
	}
	if len(ids) > 0 {
		c.askPermit(l, places[0].Alloc.Job, ids)
	}
}

// hasGiven says whether we were given a permit of a limit for a copy, since we have held
// its job's slot.
func (c *Core) hasGiven(id mesh.AllocID, job mesh.JobID, limit string) bool {
	g, ok := c.permits.given[id]
	return ok && g.key == limit && g.held == c.lead.heldSince[mesh.SlotOf(job)]
}

func (c *Core) askPermit(l *mesh.SharedLimit, job mesh.JobID, ids []mesh.AllocID) {
	for _, id := range ids {
		c.permits.asked[id] = grant{job: job, key: l.Key, sent: c.now.Boot, held: c.lead.heldSince[mesh.SlotOf(job)]}
	}
	c.tellGrantor(l.Key, func(d Detour) Message {
		return Message{AskPermit: &AskPermit{
			Limit: *l, Job: job, Allocs: ids, Sent: c.now.Boot, Life: c.life, Detour: d,
		}}
	})
}

// tellGrantor sends a message to the coordinator of a limit; if that has not answered, others
// are to pass it on: it may be that the two do not reach each other, and all others do.
func (c *Core) tellGrantor(limit string, message func(Detour) Message) {
	first := c.lead.leaders.Of(mesh.SlotOfLimit(limit))
	vain := c.permits.vain[limit] && first != c.self
	c.send(first, message(Detour{Vain: vain}))
	n := len(c.sync.inSight)
	for _, id := range c.sync.inSight {
		if vain && id != first && (n <= fanOut || c.cfg.Rand.IntN(n) < fanOut) {
			c.send(id, message(Detour{Vain: true}))
		}
	}
}

// claim has copies counted that hold a place without a permit.
func (c *Core) claim(l *mesh.SharedLimit, job mesh.JobID, ids []mesh.AllocID) {
	if len(ids) > 0 {
		c.tellGrantor(l.Key, func(d Detour) Message {
			return Message{AskPermit: &AskPermit{Limit: *l, Job: job, Allocs: ids, Claim: true, Detour: d}}
		})
	}
}

// returnsMax bounds the permits that one message gives back.
const returnsMax = 1000

// giveBack returns permits that are needed no more. A copy that has not ended is to stop, and
// that has to be kept first.
func (c *Core) giveBack(permits []mesh.Permit) {
	of := map[string][]string{}
	for _, p := range permits {
		a, decided := c.records.effective(p.Alloc)
		stops := decided && !a.State().Final() && a.Want == mesh.WantStop
		if stops && !c.confirmed(mesh.KeyAlloc(p.Alloc)) {
			continue
		}
		of[p.Key] = append(of[p.Key], mesh.KeyPermit(p.Key, p.Alloc))
		if c.permits.given[p.Alloc].key == p.Key {
			delete(c.permits.given, p.Alloc)
		}
		delete(c.permits.asked, p.Alloc)
	}
	for _, limit := range slices.Sorted(maps.Keys(of)) {
		for keys := range slices.Chunk(of[limit], returnsMax) {
			dots := map[string]crdt.Dot{}
			for _, key := range keys {
				e, ok := c.replica.Get(key)
				last := c.permits.back[key]
				if again := last.dot == e.Dot; again && last.at+returnEvery > c.now.Boot {
					continue
				} else if again {
					c.permits.vain[limit] = true
				}
				if ok {
					dots[key], c.permits.back[key] = e.Dot, givenBack{e.Dot, c.now.Boot}
				}
			}
			if len(dots) == 0 {
				continue
			}
			c.tellGrantor(limit, func(d Detour) Message {
				return Message{ReturnPermits: &ReturnPermits{limit, dots, d}}
			})
		}
	}
}

// permitted takes an answer to what we asked for last.
func (c *Core) permitted(m *Permitted) {
	if m.For != "" && m.For != c.self {
		c.send(m.For, Message{Permitted: m})
		return
	}
	if m.Life != c.life {
		return
	}
	for _, id := range m.Given {
		g, ok := c.answersLast(id, m)
		if !ok {
			continue
		}
		c.permits.given[id] = g
		if p := c.lead.placing[id]; p != nil && p.seeks {
			p.seeks = false
			c.askNext(p)
		}
		if w := c.permits.waits[id]; w != nil {
			delete(c.permits.waits, id)
			c.renew(w.node, &w.asks)
		}
	}
	for _, id := range m.Refused {
		p := c.lead.placing[id]
		if _, ok := c.answersLast(id, m); ok && p != nil && p.seeks {
			c.unpermitted(id, m.Refusal)
		}
	}
}

// answersLast is what we have asked about a copy last, if that is what an answer is to.
func (c *Core) answersLast(id mesh.AllocID, m *Permitted) (grant, bool) {
	last, ok := c.permits.asked[id]
	if !ok || last.sent != m.Sent {
		return grant{}, false
	}
	delete(c.permits.asked, id)
	if m.For == "" {
		delete(c.permits.vain, last.key)
	}
	return last, true
}

// unpermitted gives up a placement that gets no permit. It is planned again as soon as
// one is given back, and a little later at the latest.
func (c *Core) unpermitted(id mesh.AllocID, why string) {
	p := c.lead.placing[id]
	delete(c.lead.placing, id)
	c.stir()
	c.lead.wakes[p.alloc.Job] = c.now.Boot + replanAfter
	c.lead.starved[p.alloc.Job] = true
	if c.anew(id, why) {
		c.event(mesh.Event{
			Kind: mesh.AllocBlocked, Job: p.alloc.Job, Alloc: id, Fence: p.alloc.Fence,
			Text: why + "; tried again as soon as one has ended",
		})
	}
}

// hasPermit says whether a copy that is to start has the permit that its job asks for. If
// it has not been given it since we took the job's slot, it is asked for, and its node is told
// once it is there: who held the slot before us may have decided about it so late that we gave
// the permit back.
func (c *Core) hasPermit(a *mesh.AllocView, from mesh.NodeID, asked *Renew) bool {
	limit, ok := c.limitOf(a)
	if limit == nil {
		return ok
	}
	if c.hasGiven(a.ID, a.Job, limit.Key) {
		return true
	}
	one := *asked
	one.Allocs = []mesh.AllocID{a.ID}
	c.permits.waits[a.ID] = &waiting{from, one}
	c.askPermit(limit, a.Job, []mesh.AllocID{a.ID})
	return false
}

// limitOf is the limit that a copy needs a permit for: that of its job as it is now, or else
// as it was placed for; ok is false if that is not known.
func (c *Core) limitOf(a *mesh.AllocView) (l *mesh.SharedLimit, ok bool) {
	placed, _, known := c.spec(a.Alloc)
	job, is := c.records.job(a.Job)
	if is && job.Job.Limit != nil {
		return job.Job.Limit, true
	}
	return placed.Job.Limit, known && is
}

// seekAgain asks for the permits of copies that wait to start, as one was given back.
func (c *Core) seekAgain() {
	for _, id := range slices.Sorted(maps.Keys(c.permits.waits)) {
		a, ok := c.records.effective(id)
		limit, _ := c.limitOf(&a)
		if _, open := c.permits.asked[id]; ok && limit != nil && !open {
			c.askPermit(limit, a.Job, []mesh.AllocID{id})
		}
	}
}

// permitsFor are the permits that matter for a job, or all.
func (r *records) permitsFor(job *mesh.JobView) []mesh.Permit {
	var all []mesh.Permit
	for _, key := range slices.Sorted(maps.Keys(r.permits)) {
		for _, id := range slices.Sorted(maps.Keys(r.permits[key])) {
			p := r.permits[key][id]
			if job == nil || p.Job == job.ID() || job.Job.Limit != nil && job.Job.Limit.Key == key {
				all = append(all, p)
			}
		}
	}
	return all
}

// permit takes over a permit.
func (r *records) permit(v *mesh.Permit) touched {
	r.unpermit(v.Key, v.Alloc)
	if r.permits[v.Key] == nil {
		r.permits[v.Key] = map[mesh.AllocID]mesh.Permit{}
	}
	r.permits[v.Key][v.Alloc] = *v
	r.permitted[v.Job]++
	return touched{job: v.Job}
}

// unpermit forgets a permit, if it is known.
func (r *records) unpermit(limit string, id mesh.AllocID) {
	old, ok := r.permits[limit][id]
	if !ok {
		return
	}
	delete(r.permits[limit], id)
	if len(r.permits[limit]) == 0 {
		delete(r.permits, limit)
	}
	if r.permitted[old.Job]--; r.permitted[old.Job] == 0 {
		delete(r.permitted, old.Job)
	}
}
