package sim

import (
	"fmt"
	"slices"
	"time"

	"mn/mesh"
	"mn/mesh/core"
	"mn/runner"
)

// saves is what the invariants about saved work rest on.
type saves struct {
	dice   chance
	floors map[copyID]floor
}

// floor is what was known of a task when its machine was lost: the least that the next copy
// goes on from.
type floor struct {
	mesh.Checkpoint
	at     time.Duration
	by     []mesh.NodeID // those who knew
	before bool          // when the task was saved last, rather than when it was lost
}

func newSaves(seed uint64) saves { return saves{chanceOf(seed, "saves"), map[copyID]floor{}} }

// noteLost notes what all others know of the tasks that are lost with a machine and its disk.
func (w *world) noteLost(h *host, lost []*process) {
	for id, f := range w.saves.floors {
		if f.before { // this machine may be the one that had something later
			delete(w.saves.floors, id)
		}
	}
	for _, p := range lost {
		if p.spec.Saving == nil {
			continue
		}
		f := w.knownToAll(h, p)
		if p.known.Later(&f.Checkpoint) && w.has(h, &p.known.Checkpoint) {
			f = p.known
			f.before = true
		}
		if f.at = w.now; f.Tree != "" {
			w.saves.floors[p.copy] = f
		}
	}
}

// noteSaved notes what all others know of a task that is about to have something later: that
// there is something later is no reason to forget it. Who takes the copy for another's, as two sides
// may have placed it under one name, may.
func (w *world) noteSaved(h *host, p *process) {
	for _, o := range w.knowing(h) {
		if a, ok := o.agent.core.Alloc(p.spec.Alloc); !ok || a.Node != h.self.ID {
			return
		}
	}
	if f := w.knownToAll(h, p); f.Later(&p.known.Checkpoint) {
		p.known = f
	}
}

// knownToAll is the latest checkpoint of a task of which all others know at least, and that
// another machine has.
func (w *world) knownToAll(h *host, p *process) floor {
	var f floor
	for i, o := range w.knowing(h) {
		c := w.known(o, h, p)
		if c == nil {
			return floor{}
		}
		switch order := c.Compare(&f.Checkpoint); {
		case i == 0 || order < 0:
			f.Checkpoint = *c
		case order == 0:
			f.Nodes = common(f.Nodes, c.Nodes)
		}
		f.by = append(f.by, o.self.ID)
	}
	return f
}

// common are those who are in both lists.
func common(a, b []mesh.NodeID) []mesh.NodeID {
	return slices.DeleteFunc(slices.Clone(a), func(id mesh.NodeID) bool { return !slices.Contains(b, id) })
}

// knowing are those who are there when a machine is lost.
func (w *world) knowing(lost *host) []*host {
	return slices.DeleteFunc(w.running(), func(o *host) bool { return o == lost })
}

// known is the latest checkpoint of a task that a node knows of and another machine has.
func (w *world) known(o, lost *host, p *process) *mesh.Checkpoint {
	var latest *mesh.Checkpoint
	for _, a := range o.agent.core.View().AllocsOf(p.copy.job) {
		if a.Index != p.copy.index || a.Status == nil {
			continue
		}
		for i := range a.Status.Tasks {
			t := &a.Status.Tasks[i]
			for _, c := range t.Saved() {
				if t.Name == p.copy.task && c.Later(latest) && w.has(lost, c) {
					latest = c
				}
			}
		}
	}
	return latest
}

// has says whether one of those who are said to have a checkpoint does, but for one machine.
func (w *world) has(but *host, c *mesh.Checkpoint) bool {
	return slices.ContainsFunc(c.Nodes, func(id mesh.NodeID) bool {
		o := w.byID[id]
		if o == nil || o == but {
			return false
		}
		_, has := o.disk.trees[c.Tree]
		return has
	})
}

// checkRestored holds what a copy goes on from, or nothing if c is nil, against what was known
// of its task when its machine was lost, and could be had all the time since the search began.
func (w *world) checkRestored(
	h *host, s *runner.Spec, c *mesh.Checkpoint, from map[*host]*agent, began time.Duration,
) {
	id := h.copyOf(*s)
	f, d := w.saves.floors[id], w.deeds.decided[s.Alloc]
	// Two sides may have placed it under one name: that which placed it here must have known.
	placed, _ := h.agent.core.Alloc(s.Alloc)
	if f.Tree == "" || d == nil || d.at <= f.at || !slices.Contains(f.by, placed.Coordinator) {
		return
	}
	if c != nil && c.Seq >= f.Seq {
		delete(w.saves.floors, id)
		return
	}
	if first := s.Saving.From[0]; c == nil && len(s.Saving.From) == 1 && first.Later(&f.Checkpoint) {
		return // it looks for the latest alone at first
	}
	later := func(o mesh.Checkpoint) bool { return o.Later(&f.Checkpoint) && w.has(nil, &o) }
	if slices.ContainsFunc(s.Saving.From, later) {
		return // it may well wait for who has that
	}
	for _, who := range f.Nodes { // who has it and could tell nobody is found by nobody
		o := w.byID[who]
		since := from[o]
		if since != nil && since == o.agent && o.wentOn <= began && w.offers(o, h, f.Tree) {
			w.breach("work-goes-on",
				"%v goes on from %v on %s, and %s has %v, of which all knew when it was lost at %v",
				id, c, h.name, o.name, &f.Checkpoint, f.at)
		}
	}
}

// offering are those from whom a node could fetch what it is known that a task goes on from
// at least, by the agents that they have now.
func (w *world) offering(to *host, id copyID) map[*host]*agent {
	from := map[*host]*agent{}
	if f := w.saves.floors[id]; f.Tree != "" {
		for _, o := range w.hosts {
			if w.offers(o, to, f.Tree) {
				from[o] = o.agent
			}
		}
	}
	return from
}

// checkHolds: who says that it has something on its disk does.
func (w *world) checkHolds(h *host, r *core.Ready) {
	for i := range r.Send {
		if m := r.Send[i].Msg.Holds; m != nil {
			w.counts.add(Kept)
			if _, has := h.disk.trees[m.Tree]; !has {
				w.breach("kept-is-there", "%s says that it keeps %q, and does not", h.name, m.Tree)
			}
		}
	}
}

// goesOnSoon is which copy that people are asked about finds what was saved of it the next time
// that it looks, or "".
func (w *world) goesOnSoon(reviews []mesh.Review) string {
	for _, r := range reviews {
		h := w.byID[r.Node]
		if r.Kind != mesh.ReviewRestore || h == nil || !h.up() {
			continue
		}
		a, _ := h.agent.core.Alloc(r.Alloc)
		for i := range a.Resume {
			for _, o := range w.members() {
				if _, has := o.disk.trees[a.Resume[i].Tree]; has {
					return fmt.Sprintf("%s waits on %s for %v, which %s has", r.Alloc, h.name, &a.Resume[i], o.name)
				}
			}
		}
	}
	return ""
}
