package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mn/mesh"
	"mn/mesh/core"
	"mn/runner"
)

// tree is what was saved of a task, whole, on a disk.
type tree struct {
	done time.Duration // how much work it stands for
	at   time.Duration // since when it is on the disk
}

// Bounds of the model of saving.
const (
	saveTakes    = time.Second     // up to which a save takes, if the scenario does not say
	fetchTakes   = 3 * time.Second // and a fetch
	collectEvery = time.Minute
	collectYoung = 2 * time.Minute // as the content store's
)

// saveLater has a task's folder saved every now and then, as its program wants it.
func (p *process) saveLater() {
	g := p.program(p.h.w.people.job(p.copy.job))
	if g == nil || g.Saves == 0 || p.spec.Saving == nil {
		return
	}
	p.in(p.h.w.saves.dice.about(g.Saves.Std()), func() {
		p.save()
		p.saveLater()
	})
}

// save is a save by the agent that runs now. It counts if that lives to its end.
func (p *process) save() {
	h, a, w := p.h, p.h.agent, p.h.w
	if a == nil || !h.up() || h.full > 0 || p.saving {
		return
	}
	p.saving = true
	name, t := fmt.Sprintf("%v of %d at %v", p.copy, p.pid, w.now), tree{done: p.done + w.now - p.since}
	p.in(w.saves.dice.upTo(orElse(w.scenario.Tasks.Save, saveTakes)), func() {
		p.saving = false
		if h.agent != a {
			w.counts.add(SavesCutOff)
			return
		}
		h.whenUp(func() {
			t.at = w.now
			w.noteSaved(h, p)
			h.disk.trees[name] = t
			w.counts.add(Saved)
			h.observe(runner.Observation{
				Alloc: p.spec.Alloc, Task: p.spec.Task, Attempt: p.spec.Attempt, Kind: runner.Saved,
				Checkpoint: &mesh.Checkpoint{Tree: name, Bytes: int64(t.done), At: h.now().Wall}, At: h.now().Wall,
			}, think)
		})
	})
}

func orElse(d mesh.Duration, other time.Duration) time.Duration {
	if d == 0 {
		return other
	}
	return d.Std()
}

// restoring is an attempt before which the work that it goes on from is brought.
type restoring struct {
	spec    runner.Spec
	until   time.Duration // as its agent has said meanwhile
	stopped bool
}

// restore brings what an attempt goes on from, and has it start. All of it ends with the agent.
func (h *host) restore(key string, s runner.Spec) {
	a := h.agent
	if r := a.restores[key]; r != nil && r.spec.Attempt >= s.Attempt {
		return
	}
	r := &restoring{spec: s}
	a.restores[key] = r
	from, began, cuts := h.w.offering(h, h.copyOf(s)), h.w.now, a.cuts
	h.bring(a, s.Saving.From, nil, func(c *mesh.Checkpoint, not []string) {
		delete(a.restores, key)
		seen := runner.Observation{
			Alloc: s.Alloc, Task: s.Task, Attempt: s.Attempt, Kind: runner.RestoreFailed,
			Err: strings.Join(not, "; "), At: h.now().Wall,
		}
		if a.cuts == cuts {
			h.w.checkRestored(h, &s, c, from, began)
		}
		if c == nil || r.stopped {
			h.w.counts.add(Unrestored)
			h.observe(seen, think)
			return
		}
		h.w.counts.add(Restored)
		if len(not) > 0 {
			h.w.counts.add(RestoredOlder)
		}
		seen.Kind, seen.Checkpoint = runner.Restored, c
		h.observe(seen, think)
		if s.Until > 0 {
			s.Until = max(s.Until, r.until)
		}
		h.launch(key, s, h.disk.trees[c.Tree].done)
	})
}

// bring makes the first that can be had of some checkpoints be on the disk.
func (h *host) bring(a *agent, from []mesh.Checkpoint, not []string, done func(*mesh.Checkpoint, []string)) {
	if len(not) == len(from) {
		done(nil, not)
		return
	}
	c := &from[len(not)]
	h.fetch(a, c.Tree, c.Nodes, func(err string) {
		if err == "" {
			done(c, not)
			return
		}
		h.bring(a, from, append(not, fmt.Sprintf("%v: %s", c, err)), done)
	})
}

// fetch brings a tree from whoever has it, those that are said to first.
func (h *host) fetch(a *agent, name string, first []mesh.NodeID, done func(err string)) {
	var sources []*host
	for _, o := range h.w.hosts {
		if o == h {
			continue
		}
		if a.core.Sees(o.self.ID) {
			sources = append(sources, o)
		} else if _, has := o.disk.trees[name]; has {
			a.cuts++
		}
	}
	slices.SortStableFunc(sources, func(x, y *host) int {
		rank := func(o *host) int {
			if slices.Contains(first, o.self.ID) {
				return 0
			}
			return 1
		}
		return rank(x) - rank(y)
	})
	h.fetchFrom(a, name, sources, done)
}

// fetchFrom asks one source after the other. Either end may be gone before all has come.
func (h *host) fetchFrom(a *agent, name string, sources []*host, done func(err string)) {
	w := h.w
	later := func(d time.Duration, do func()) {
		w.plan(w.saves.dice.upTo(d), func() {
			if h.agent == a {
				h.whenUp(do)
			}
		})
	}
	if _, here := h.disk.trees[name]; here {
		later(saveTakes, func() { done("") })
		return
	}
	if len(sources) == 0 {
		later(saveTakes, func() { done("nobody has it") })
		return
	}
	o := sources[0]
	by := o.agent
	if !w.offers(o, h, name) {
		if _, has := o.disk.trees[name]; has {
			a.cuts++
		}
		later(saveTakes, func() { h.fetchFrom(a, name, sources[1:], done) })
		return
	}
	later(orElse(w.scenario.Tasks.Fetch, fetchTakes), func() {
		switch {
		case o.agent != by || !w.offers(o, h, name):
			w.counts.add(FetchesCutOff)
			a.cuts++
			h.fetchFrom(a, name, sources[1:], done)
		case h.full > 0:
			a.cuts++
			done("no space left on device")
		default:
			h.disk.trees[name] = tree{done: o.disk.trees[name].done, at: w.now}
			done("")
		}
	})
}

// offers says whether a node can fetch a tree from another now.
func (w *world) offers(o, to *host, name string) bool {
	_, has := o.disk.trees[name]
	sees := o == to || to.agent.core.Sees(o.self.ID) && w.network.reaches(to, o) && w.network.reaches(o, to)
	return has && o.up() && sees
}

// fetchFor is a fetch that the core has asked for.
func (h *host) fetchFor(a *agent, f core.Fetch) {
	h.fetch(a, f.Tree, f.From, func(err string) { h.tell(core.Fetched{Tree: f.Tree, Err: err}) })
}

// collect gives back the room of what its core does not want, again and again.
func (h *host) collect() {
	a := h.agent
	h.w.plan(collectEvery, func() {
		if h.agent != a {
			return
		}
		h.whenUp(func() {
			wanted := a.core.Trees()
			for name, t := range h.disk.trees {
				if h.w.now-t.at > collectYoung && !slices.Contains(wanted, name) {
					delete(h.disk.trees, name)
				}
			}
			h.collect()
		})
	})
}
