package sim

import (
	"slices"
	"time"

	"mn/mesh"
	"mn/mesh/core"
	"mn/placement/lease"
)

// evict has a person tell the mesh to do without a node. Another machine takes
// its place afterwards.
func evict(b *blow) func() {
	return b.each(func(h *host) func() {
		others := slices.DeleteFunc(h.w.running(), func(o *host) bool { return o == h })
		if !h.w.spares(h) || len(others) == 0 {
			b.said = "spared, for the voters' sake"
			return nil
		}
		h.evicted = true // or may be: an answer can be lost
		h.w.clocks.fell(h)
		h.w.people.evict(h, pick(b.dice, others))
		return h.replace
	})
}

// burn ends machines for good, and with them perhaps a majority of the voters, which
// nothing but a person can tell from a split. They do in the end.
func burn(b *blow) func() {
	for _, h := range b.hosts {
		h.w.clocks.fell(h)
		h.lose()
	}
	return func() { b.w.people.vouch(b.hosts) }
}

// vouch has people say of machines that they are off for good, by way of some node, until
// it has them go on without. While a majority is left there is nothing to say.
func (p *people) vouch(burnt []*host) {
	by := p.w.sponsors()
	if len(by) == 0 {
		p.w.plan(lookAgain, func() { p.vouch(burnt) })
		return
	}
	call := core.Vouch{Reason: "they burned"}
	for _, h := range burnt {
		call.Off = append(call.Off, h.name)
		p.w.tell(by[0], "people", "vouch that %s is off", h.name)
	}
	answered := false
	p.ask(by[0], "vouch", call, func(r core.Reply) {
		answered = true
		if r.Fault != nil {
			p.w.plan(lookAgain, func() { p.vouch(burnt) })
			return
		}
		p.vouched(burnt)
	})
	p.w.plan(vouchAgain, func() {
		switch agent := by[0].agent; {
		case answered:
		case agent != nil && p.without(agent.core.Roster(), burnt): // only the answer was lost
			p.vouched(burnt)
		default:
			p.vouch(burnt)
		}
	})
}

// vouchAgain is after how long people ask once more who got no answer: the agent died.
const vouchAgain = 10 * time.Second

func (p *people) vouched(burnt []*host) {
	p.w.counts.add(Vouched)
	for _, h := range burnt {
		h.vouched = true
	}
}

// without says whether none of some machines is a voter any more.
func (p *people) without(roster lease.Roster, burnt []*host) bool {
	return !slices.ContainsFunc(burnt, func(h *host) bool { return roster.Seat(h.self.ID) >= 0 })
}

// orphaned are machines of which nobody is left who knows that they were let in: who did
// so was evicted before it had told others. People turn them off.
func (w *world) orphaned() {
	for _, h := range w.hosts {
		knows := func(o *host) bool { return !o.gone && o.disk.holds(mesh.KeyMember(h.self.ID)) }
		if h.joined && !h.gone && !slices.ContainsFunc(w.hosts, knows) {
			w.tell(h, "people", "nobody knows that it was let in: it is turned off")
			h.lose()
		}
	}
}

// sponsors are the hosts that may let a machine in: not those that people have
// evicted, which may not have heard of it and whose word counts for nothing, nor those
// with a restored disk, which may find out before anybody else has heard of it.
func (w *world) sponsors() []*host {
	return slices.DeleteFunc(w.running(), func(h *host) bool { return h.evicted || h.barred })
}

// replace lets another machine join in the stead of one that is gone for good.
func (h *host) replace() {
	like := Machine{Role: h.self.Role, Resources: h.self.Capacity, Labels: h.self.Labels, GPUs: len(h.self.Devices)}
	next := h.w.newHost(heir(h.name), like)
	if by := h.w.sponsors(); len(by) > 0 {
		h.w.join(next, by[0])
	} else {
		next.gone = true // nobody is there to let it in
	}
}

// outMax is how long a node that has learned that it is out may take to stop
// what it runs: its tasks' grace, and a machine that is slow or asleep aside.
const outMax = mesh.DefaultKillGrace + 5*time.Second

// checkOut looks at a step in which a node has learned that it is out: it holds
// nothing from that instant, says nothing, and stops all that it runs.
func (w *world) checkOut(h *host, r *core.Ready) {
	switch {
	case !h.barred && !h.evicted:
		w.breach("out-for-cause", "%s believes that it is out, and nobody has given it a reason", h.name)
	case len(r.Send) > 0:
		w.breach("out-is-out", "%s has learned that it is out, and still speaks", h.name)
	}
	for s := range h.agent.core.Holdings(h.now()) {
		w.breach("out-is-out", "%s has learned that it is out, and still holds slot %d", h.name, s)
	}
	if h.barred {
		w.counts.add(Barred)
	} else {
		w.counts.add(Evictions)
	}
	a := h.agent
	w.plan(outMax, func() {
		if h.agent == a && h.up() && h.slow+h.full+h.sluggish == 0 && w.now > h.wokenAt+outMax {
			w.breach("out-is-out", "%s has learned that it is out, and %d of its tasks run %v later",
				h.name, len(h.tasks), outMax)
		}
	})
}

// leaves is the end of a node that is out, by its own word: its agent ends, and
// a person takes the machine away. One whose disk was restored is evicted, too,
// and begins anew.
func (h *host) leaves() {
	h.kill()
	h.gone = true
	h.w.orphaned()
	if len(h.tasks) > 0 {
		h.w.breach("out-is-out", "the agent of %s ends for good, and leaves tasks behind", h.name)
	}
	if by := h.w.running(); h.barred && !h.evicted && len(by) > 0 {
		h.w.people.evict(h, by[0])
		h.replace()
	}
}
