package sim

import (
	"slices"
	"time"

	"mn/mesh"
	"mn/mesh/core"
)

// drain has people drain a node, and take it into service again afterwards.
func drain(b *blow) func() {
	return b.each(func(h *host) func() {
		system := b.dice.IntN(2) == 0
		h.administer(mesh.Administration{
			Node: h.self.ID, Mode: mesh.Draining, System: system,
			Deadline: h.now().Wall.Add(b.dice.about(drainDeadline)),
		})
		return func() { h.administer(mesh.Administration{Node: h.self.ID}) }
	})
}

// drainDeadline is about when drains wait for batch jobs no longer.
const drainDeadline = 10 * time.Second

// administer has people want something of a node, by way of some node or other.
// They look now and then, and say it again as long as they do not find it there:
// the first whom they asked may have died, or not have heard what another was told.
func (h *host) administer(a mesh.Administration) {
	h.wanted, h.wantedAt = a, h.w.now
	h.insist(a)
}

const lookAgain = 2 * time.Second

func (h *host) insist(a mesh.Administration) {
	w := h.w
	if h.wanted != a || h.gone || h.evicted || h.barred {
		return // they want something else by now, or it is no member any more
	}
	running := w.running()
	i := slices.IndexFunc(running, func(o *host) bool { return !o.finds(h, a.Mode) })
	if i >= 0 {
		what := "drain " + h.name
		if a.Mode == mesh.InService {
			what = "undrain " + h.name
		}
		w.tell(running[i], "people", "%s", what)
		w.people.ask(running[i], what, core.Administer{Administration: a}, func(core.Reply) {})
	}
	if i >= 0 || len(running) < len(w.members()) {
		w.plan(lookAgain, func() { h.insist(a) })
	}
}

// finds says whether a host knows that people want that of another.
func (h *host) finds(o *host, mode mesh.AdminMode) bool {
	n := h.agent.core.View().Node(o.self.ID)
	return n == nil || n.Admin.Mode == mode
}

// inService looks for a node that people want in service, and that is not.
func (w *world) inService(members []*host) string {
	for _, h := range members {
		for _, o := range members {
			if o.wanted.Mode == mesh.InService && !h.finds(o, mesh.InService) {
				return h.name + " does not know that " + o.name + " is in service again"
			}
		}
	}
	return ""
}

// drained says whether a copy on a host may have been stopped because the node was
// to be drained: it is, or was not long ago. The word of it may be late.
func (h *host) drained() bool {
	return h.wanted.Mode == mesh.Draining || h.wantedAt > 0 && h.w.now-h.wantedAt < wordMax
}

// wordMax is how late a decision may reach its node, cut off as that may be.
const wordMax = time.Minute
