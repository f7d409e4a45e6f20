package sim

import (
	"slices"
	"time"

	"mn/crdt"
	"mn/mesh"
	"mn/mesh/core"
	"mn/runner"
)

func sortIDs(ids []uint64) { slices.Sort(ids) }

// keep performs a Ready: its disk first, for nothing may happen before what it
// rests on is durable. While the disk works the core takes no step.
func (h *host) keep(a *agent, r core.Ready) {
	a.busy = true
	if r.Keep.Empty() && len(r.Facts) == 0 {
		h.effect(a, r)
		return
	}
	if h.full > 0 {
		h.refuse(a, &r)
		h.w.plan(retryDisk, func() {
			if h.agent == a {
				h.whenUp(func() { h.keep(a, r) })
			}
		})
		return
	}
	takes := h.diskDice.upTo(h.w.scenario.Disk.Sync.Std())
	if h.sluggish > 0 {
		takes += h.diskDice.upTo(slowSync)
	}
	// A crash within the write leaves all of it or nothing.
	if h.doomed && h.crashDice.IntN(3) == 0 {
		if h.crashDice.IntN(2) == 0 {
			h.commit(&r)
			a.kept = a.steps
		}
		h.w.counts.add(CrashedWriting)
		h.crash()
		return
	}
	h.w.plan(takes, func() { h.written(a, r) })
}

// written is the moment at which a write has become durable.
func (h *host) written(a *agent, r core.Ready) {
	if h.agent != a {
		return // it died meanwhile, and the write with it
	}
	h.whenUp(func() {
		h.commit(&r)
		h.effect(a, r)
	})
}

// commit makes a write durable.
func (h *host) commit(r *core.Ready) {
	h.disk.commit(r)
	h.durable = max(h.durable, r.Keep.NextSeq-1)
	h.w.checkCommit(h, r)
}

// refuse answers callers while the disk takes nothing.
func (h *host) refuse(a *agent, r *core.Ready) {
	h.w.counts.add(DiskRefused)
	fault := mesh.Faultf(mesh.Unavailable, "no space left on device")
	answer := func(id uint64) {
		if reply := a.calls[id]; reply != nil {
			delete(a.calls, id)
			reply(core.Reply{ID: id, Fault: fault})
		}
	}
	for _, reply := range r.Reply {
		answer(reply.ID)
	}
	r.Reply = nil
	a.inbox = slices.DeleteFunc(a.inbox, func(ev core.Event) bool {
		call, ok := ev.(core.Asked)
		if ok {
			answer(call.ID)
		}
		return ok
	})
}

// effect performs what follows the disk. A host that is to crash does so after
// some of it.
func (h *host) effect(a *agent, r core.Ready) {
	a.kept = a.steps
	budget := len(r.Send) + len(r.Orders) + len(r.Reply) + 1
	if h.doomed && budget > 1 {
		budget = h.crashDice.IntN(budget)
	}
	spend := func() bool { budget--; return budget >= 0 }
	var m mail
	for i := range r.Send {
		if !spend() {
			break
		}
		h.send(&r.Send[i], &m)
	}
	for _, o := range r.Orders {
		if !spend() {
			break
		}
		h.order(o)
	}
	for _, f := range r.Fetch {
		if !spend() {
			break
		}
		h.fetchFor(a, f)
	}
	for _, x := range r.Watch {
		h.watch(a, x)
	}
	for _, reply := range r.Reply {
		if !spend() {
			break
		}
		if done := a.calls[reply.ID]; done != nil {
			delete(a.calls, reply.ID)
			done(reply)
		}
	}
	for _, e := range r.Events {
		h.w.noteEvent(h, e)
	}
	if h.doomed {
		h.w.counts.add(CrashedActing)
		h.crash()
		return
	}
	a.busy = false
	if a.core.Out() != "" {
		h.leaves()
		return
	}
	h.wake(a, r.Wake)
	h.arm()
}

// crash is the end that the host was doomed to.
func (h *host) crash() {
	power := h.power
	h.doomed, h.power = false, false
	if power {
		h.cutPower()
		return
	}
	h.kill()
}

// mail is a message as bytes. As in the daemon, the same one to many is encoded
// once.
type mail struct {
	msg core.Message
	raw []byte
}

// send puts a core's message on the network, as bytes. last is what was sent
// before it.
func (h *host) send(e *core.Envelope, last *mail) {
	to := h.w.byID[e.To]
	if to == nil {
		return // a node that this mesh has never had: nothing to send it to
	}
	if last.raw == nil || last.msg != e.Msg {
		raw, err := crdt.Encode(e.Msg)
		if err != nil {
			h.w.breach("encodes", "%s cannot encode a message: %v", h.name, err)
			return
		}
		last.msg, last.raw = e.Msg, raw
	}
	raw := last.raw
	h.w.trace.bytes(raw)
	h.w.noteMessage(&e.Msg)
	h.w.network.send(h, to, classOf(&e.Msg), len(raw), func() {
		if !to.listens() {
			return
		}
		ev := core.Received{From: h.self.ID}
		if err := crdt.Decode(raw, &ev.Msg); err != nil {
			h.w.breach("decodes", "%s cannot decode a message of %s: %v", to.name, h.name, err)
			return
		}
		h.w.values.intern(&ev.Msg)
		if h.w.trace.messages {
			h.w.story(to, "message", "from %s: %s", h.name, describe(&ev.Msg))
		}
		to.tell(ev)
	})
}

// listens says whether what is sent to the host gets as far as its agent.
func (h *host) listens() bool { return h.agent != nil && h.asleep == 0 }

// observe hands what a supervisor has seen to the agent, if it runs. If not, it
// is on record.
func (h *host) observe(o runner.Observation, after time.Duration) {
	h.w.plan(after, func() { h.tell(core.Observed{Observation: o}) })
}
