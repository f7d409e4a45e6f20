package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"mn/mesh"
)

// gangKey is a gang: the copies of a job that were placed together.
type gangKey struct {
	job        mesh.JobID
	generation int
}

// rankKey is a copy of a gang.
type rankKey struct {
	gangKey
	group string
	index int
}

// checkGangs: a gang is placed as a whole, in one step, and each copy is told another
// rank.
func (w *world) checkGangs(h *host, placed []*decided) {
	gangs := map[gangKey]map[int]bool{} // ranks
	for _, d := range placed {
		if d.Gang == nil {
			continue
		}
		key := gangKey{d.Job, d.Generation}
		if gangs[key] == nil {
			gangs[key] = map[int]bool{}
			w.counts.add(GangsPlaced)
			if d.Generation > 0 {
				w.counts.add(GangsRestarted)
			}
		}
		if gangs[key][d.Gang.Rank] || d.Gang.Rank < 0 || d.Gang.Rank >= d.Gang.Size {
			w.breach("gangs-are-whole", "%s places %s with rank %d of %d, which is taken",
				h.name, d.ID, d.Gang.Rank, d.Gang.Size)
		}
		gangs[key][d.Gang.Rank] = true
	}
	for _, d := range placed {
		if d.Gang != nil && len(gangs[gangKey{d.Job, d.Generation}]) != d.Gang.Size {
			w.breach("gangs-are-whole", "%s places %d of the %d copies of %s, generation %d",
				h.name, len(gangs[gangKey{d.Job, d.Generation}]), d.Gang.Size, d.Job, d.Generation)
		}
	}
}

// checkRanks: what runs of a gang was told what it is, and no other of it the same.
func (w *world) checkRanks(l *life, p *process) {
	d := w.deeds.decided[l.id]
	if d == nil || !l.job.Gang {
		return
	}
	if d.Gang == nil {
		w.breach("gangs-are-whole", "%s starts on %s and was not placed with a gang", l.id, l.h.name)
		return
	}
	rank, size := variable(p.spec, mesh.VarRank), variable(p.spec, mesh.VarWorldSize)
	if rank != fmt.Sprint(d.Gang.Rank) || size != fmt.Sprint(l.job.Copies()) {
		w.breach("gangs-are-whole", "%s on %s is told that it is %s of %s, and is %d of %d",
			l.id, l.h.name, rank, size, d.Gang.Rank, l.job.Copies())
	}
	for _, o := range w.alive(l.place.job) {
		other := w.deeds.decided[o.id]
		same := other.Version == d.Version && other.Generation == d.Generation // two sides of a split differ in one
		if o.id != l.id && same && other.Gang != nil && other.Gang.Rank == d.Gang.Rank {
			w.breach("gangs-are-whole", "%s and %s have the same rank %d", l.id, o.id, d.Gang.Rank)
		}
	}
}

// checkGenerations: of a job that never has two copies nothing of an earlier gang runs
// when a later one begins.
func (w *world) checkGenerations(l *life, d *decided) {
	if !l.job.Gang || !neverTwo(l.job) {
		return
	}
	for _, o := range w.alive(l.place.job) {
		other := w.deeds.decided[o.id]
		same := other.Generation == d.Generation && other.Version == d.Version
		if !same && !o.late() {
			w.breach("gangs-are-whole", "%s of generation %d starts on %s while %s of generation %d runs on %s",
				l.id, d.Generation, l.h.name, o.id, other.Generation, o.h.name)
		}
	}
}

// checkOneGang: at the end what runs of a gang was placed together.
func (w *world) checkOneGang() {
	for _, id := range w.people.ids() {
		alive := w.alive(id)
		for _, l := range alive {
			one, other := w.deeds.decided[alive[0].id], w.deeds.decided[l.id]
			if l.job.Gang && (one.Generation != other.Generation || one.Version != other.Version) {
				w.breach("gangs-are-whole", "%s and %s of %s run at the end, and are of two gangs",
					one.ID, other.ID, id)
			}
		}
	}
}

// brokenMax is how long what is left of a gang may run when one of it has gone and stays
// away, and somebody leads the job: until gossip has noticed and what is out of sight has
// surely stopped; then it is told, or its lease runs out. One that is back before is
// restarted where it was, while the next may be gone.
const brokenMax = time.Minute

// checkMember looks for how long a gang has run on without one of its copies.
func (w *world) checkMember(job *mesh.Job, key rankKey, there map[rankKey]bool, over bool) {
	if w.deeds.there[key] == 0 || over || there[key] {
		w.deeds.there[key] = w.now
	}
	left := w.now - max(w.deeds.there[key], w.checker.holders[mesh.SlotOf(key.job)].since)
	if left > brokenMax && job.Recovery.Partition() == mesh.Majority {
		w.breach("gangs-are-whole", "%s, generation %d, runs on without %s[%d] for %v",
			key.job, key.generation, key.group, key.index, left)
	}
}

// checkTogether looks for gangs that are not whole, and of which something goes on
// to run: with a majority behind them that has an end. Where copies wait for
// nodes out of sight, it has one when nothing goes wrong any more.
func (w *world) checkTogether() {
	for _, id := range w.people.ids() {
		job := w.people.job(id)
		if !job.Gang || !w.people.untouched(id) {
			continue
		}
		there, runs := map[rankKey]bool{}, map[int]bool{}
		for _, l := range w.deeds.jobs[id] {
			d := w.deeds.decided[l.id]
			_, done := l.completed()
			if l.does(isMain) || done {
				there[rankKey{gangKey{id, d.Generation}, d.Group, d.Index}] = true
			}
			runs[d.Generation] = runs[d.Generation] || l.does(isMain) && l.h.asleep == 0
		}
		for _, generation := range slices.Sorted(maps.Keys(runs)) {
			for _, g := range job.Groups() {
				for i := range g.Count {
					w.checkMember(job, rankKey{gangKey{id, generation}, g.Name, i}, there, !runs[generation])
				}
			}
		}
	}
}
