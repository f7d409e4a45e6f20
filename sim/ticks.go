package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mn/crdt"
	"mn/mesh"
	"mn/mesh/core"
)

// ticks is what is known of the jobs of which only runs have copies. True time says when each is
// due, and what nodes write, what was made of it.
type ticks struct {
	since  map[mesh.JobID]time.Duration          // when people had each submitted
	until  time.Duration                         // from when on what is due is not looked at
	job    map[mesh.JobID]*mesh.Job              // of runs
	hash   map[mesh.JobID]string                 // of their first versions
	told   map[mesh.JobID]map[time.Duration]bool // what was decided of which times
	gone   map[mesh.JobID]bool                   // runs that were forgotten
	ended  map[mesh.JobID]int                    // how often the work of each was done
	emit   []mesh.OccurrenceID                   // of which people were told that they are kept
	paused map[mesh.JobID]bool
	alone  map[decider]time.Duration // since when somebody decides of a job without a majority
}

// decider is who decides of a job without a majority of the voters.
type decider struct {
	who *agent
	job mesh.JobID
}

func newTicks() ticks {
	return ticks{
		since: map[mesh.JobID]time.Duration{}, job: map[mesh.JobID]*mesh.Job{}, hash: map[mesh.JobID]string{},
		told: map[mesh.JobID]map[time.Duration]bool{}, gone: map[mesh.JobID]bool{}, ended: map[mesh.JobID]int{},
		paused: map[mesh.JobID]bool{}, alone: map[decider]time.Duration{},
	}
}

const (
	// tickAfter is how long after a coordinator has begun to lead at the latest it has decided of
	// what was due before; tickSlack is by how much the clocks of nodes may be wrong there.
	tickAfter = 20 * time.Second
	tickSlack = 5 * time.Second
	// emitEvery is about how often people say that something has happened.
	emitEvery = 4 * time.Second
	// pauseAfter is when people pause what is due again and again, after the last fault.
	pauseAfter = time.Minute
)

// templates are the jobs of the scenario of which only runs have copies.
func (w *world) templates() []*mesh.Job {
	var all []*mesh.Job
	for i := range w.scenario.Jobs {
		if w.scenario.Jobs[i].Template() {
			all = append(all, &w.scenario.Jobs[i])
		}
	}
	return all
}

// beginTicks has people submit what is due from now on, and say that things happen.
func (w *world) beginTicks() {
	triggered := false
	for i, job := range w.templates() {
		w.people.submit(job, w.hosts[i%len(w.hosts)])
		w.ticks.since[mesh.JobID(job.Name)] = w.now + tickSlack
		triggered = triggered || len(job.Triggers) > 0
	}
	if triggered {
		w.emit()
	}
}

// emit has people tell two nodes at once of something that has happened, again and again.
func (w *world) emit() {
	w.plan(w.people.dice.about(emitEvery), func() {
		if w.resting {
			return
		}
		w.calls++
		id := mesh.OccurrenceID(fmt.Sprintf("x%d", w.calls))
		up := w.running()
		for range min(len(up), 2) {
			h := pick(w.people.dice, up)
			w.people.ask(h, "emit "+string(id), core.Emit{Occurrence: mesh.Occurrence{ID: id, Event: "landed"}},
				func(r core.Reply) {
					if _, ok := r.Value.(core.Emitted); ok && r.Fault == nil {
						w.ticks.emit = append(w.ticks.emit, id)
					}
				})
		}
		w.emit()
	})
}

// endTicks has people pause what is due again and again, some time after the last fault.
func (w *world) endTicks() {
	w.ticks.until = w.now
	w.plan(pauseAfter, w.pauseTicks)
}

func (w *world) pauseTicks() {
	up := w.running()
	for _, job := range w.templates() {
		id := mesh.JobID(job.Name)
		if w.ticks.paused[id] || len(up) == 0 {
			continue
		}
		w.people.ask(up[0], "pause "+job.Name, core.Act{Job: id, Verb: mesh.VerbPause}, func(r core.Reply) {
			if _, ok := r.Value.(core.Submitted); ok && r.Fault == nil {
				w.ticks.paused[id] = true
			}
		})
	}
	if len(w.ticks.paused) < len(w.templates()) {
		w.plan(5*time.Second, w.pauseTicks)
	}
}

// noteRuns looks at what a node has written about runs.
func (w *world) noteRuns(h *host, e *crdt.Entry) {
	switch mesh.Kind(e.Key) {
	case mesh.PrefixJob:
		if e.Deleted {
			w.noteGone(e)
			return
		}
		var v mesh.JobVersion
		if crdt.Decode(e.Value, &v) == nil && v.Job.Origin != nil {
			w.noteRun(h, &v)
		}
	case mesh.PrefixFired:
		var f mesh.Firing
		if !e.Deleted && crdt.Decode(e.Value, &f) == nil {
			w.noteFiring(&f)
		}
	}
}

func (w *world) noteGone(e *crdt.Entry) {
	id, _, _ := strings.Cut(strings.TrimPrefix(e.Key, mesh.PrefixJob), "/")
	if w.ticks.job[mesh.JobID(id)] != nil {
		w.ticks.gone[mesh.JobID(id)] = true
		w.counts.add(RunsForgotten)
	}
}

// noteRun: a run is the same whoever makes it, and is not made again once it was forgotten.
func (w *world) noteRun(h *host, v *mesh.JobVersion) {
	id := mesh.JobID(v.Job.Name)
	if v.Number != 1 {
		return
	}
	was, known := w.ticks.hash[id]
	switch {
	case !known:
		w.ticks.hash[id], w.ticks.job[id] = v.Hash, &v.Job
		w.counts.add(RunsMade)
		w.told(v.Job.Origin.Job, v.Job.Origin.Due)
	case was != v.Hash && v.Job.Origin.Cause == mesh.CauseTime:
		w.breach("one-run-a-time", "%s makes run %s with hash %s, and it was made with %s", h.name, id, v.Hash, was)
	case w.ticks.gone[id] && v.Job.Recovery.Partition() != mesh.Eager:
		w.breach("one-run-a-time", "%s makes run %s again, which had ended and was forgotten", h.name, id)
	default:
		w.counts.add(RunsAgain)
	}
}

func (w *world) told(of mesh.JobID, due time.Time) {
	if w.ticks.told[of] == nil {
		w.ticks.told[of] = map[time.Duration]bool{}
	}
	w.ticks.told[of][due.Sub(epoch)] = true
}

// noteFiring notes what was made of the times that a firing is about.
func (w *world) noteFiring(f *mesh.Firing) {
	if f.Result == mesh.FiringSkipped || f.Result == mesh.FiringMissed {
		w.counts.add(TicksLeftOut)
	}
	w.told(f.Job, f.Origin.Due)
	if f.Times > 1 {
		for at := range w.dueTimes(f.Job, f.First.Add(-1).Sub(epoch), f.Origin.Due.Sub(epoch)) {
			w.told(f.Job, epoch.Add(at))
		}
	}
}

// dueTimes are the times of a job after an instant and not after another.
func (w *world) dueTimes(id mesh.JobID, from, to time.Duration) map[time.Duration]bool {
	times := map[time.Duration]bool{}
	job := w.people.jobs[id]
	for at := job.Schedule.Next(id, epoch.Add(from), epoch); !at.IsZero() && at.Sub(epoch) <= to; {
		times[at.Sub(epoch)] = true
		at = job.Schedule.Next(id, at, epoch)
	}
	return times
}

// checkTicks: of each time something is made soon, wherever somebody leads that could.
func (w *world) checkTicks() {
	for _, id := range slices.Sorted(maps.Keys(w.ticks.since)) {
		job, slot := w.people.jobs[id], mesh.SlotOf(id)
		l := &w.checker.holders[slot]
		if !job.Schedule.Timed() || w.ticks.until > 0 || !l.holds(slot) || !l.h.up() || w.now-l.since < tickAfter {
			continue
		}
		w.checkTold(id, max(w.ticks.since[id], w.now-tickAfter-time.Minute), w.now-tickAfter)
	}
}

// checkLonely: whoever decides of an eager job without a majority has a run of each time that is due meanwhile.
func (w *world) checkLonely() {
	for _, id := range slices.Sorted(maps.Keys(w.ticks.since)) {
		job := w.people.jobs[id]
		if !job.Schedule.Timed() || job.Recovery.Partition() != mesh.Eager || w.ticks.until > 0 {
			continue
		}
		for _, h := range w.hosts {
			if h.agent == nil {
				continue
			}
			me := decider{h.agent, id}
			since, known := w.ticks.alone[me]
			switch {
			case !h.up() || !h.agent.core.Alone(mesh.SlotOf(id)):
				delete(w.ticks.alone, me)
			case !known:
				w.ticks.alone[me] = w.now
			case w.now-since > tickSlack:
				w.checkMade(h, id, max(since, w.now-2*tickSlack), w.now-tickSlack)
			}
		}
	}
}

// checkMade: a node knows of a run of each time of a job within a span.
func (w *world) checkMade(h *host, id mesh.JobID, from, to time.Duration) {
	made := map[time.Duration]bool{}
	for _, f := range h.agent.core.Firings(id) {
		if f.Result == mesh.FiringStarted {
			made[f.Origin.Due.Sub(epoch)] = true
		}
	}
	for _, at := range slices.Sorted(maps.Keys(w.dueTimes(id, from, to))) {
		if !made[at] {
			w.breach("each-time-is-told", "%s decides alone of %s, and makes no run of %v", h.name, id, at)
		}
		w.counts.add(TicksAlone)
	}
}

// checkTold: something was made of each time of a job within a span.
func (w *world) checkTold(id mesh.JobID, from, to time.Duration) {
	for _, at := range slices.Sorted(maps.Keys(w.dueTimes(id, from, to))) {
		if !w.ticks.told[id][at] {
			w.breach("each-time-is-told", "nothing was made of the time %v of %s, though it has a coordinator", at, id)
		}
	}
}

// noteDone counts how often the work of a run was done.
func (w *world) noteDone(id mesh.JobID) {
	if job := w.ticks.job[id]; job == nil {
		return
	}
	w.ticks.ended[id]++
	w.counts.add(RunsDone)
	if n := w.ticks.ended[id]; n > 1 && w.ticks.job[id].Recovery.Partition() == mesh.Keep {
		w.breach("one-run-a-time", "the work of run %s of a keep job is done for the %dth time", id, n)
	}
}

// checkRuns looks at the end for what should have been made: of each time something, of an eager job
// a run, and of each event that somebody was told is kept.
func (w *world) checkRuns() {
	for _, id := range slices.Sorted(maps.Keys(w.ticks.since)) {
		job := w.people.jobs[id]
		if job.Schedule.Timed() {
			w.checkTold(id, w.ticks.since[id], w.ticks.until-tickSlack)
		}
		if len(job.Triggers) == 0 {
			continue
		}
		for _, o := range w.ticks.emit {
			run := mesh.RunName(id, &mesh.Origin{Cause: mesh.CauseEvent, Occurrence: o})
			if w.ticks.job[run] == nil {
				w.breach("each-time-is-told", "%s was never run for event %s", id, o)
			}
		}
	}
	for _, run := range slices.Sorted(maps.Keys(w.ticks.job)) {
		if w.ticks.ended[run] == 0 {
			w.breach("each-time-is-told", "run %s was made, and never came to its end", run)
		}
	}
}

// ofTicks says of a job of which only runs have copies what is in the way of calm, if it is one.
func (w *world) ofTicks(job *mesh.JobView) (why string, is bool) {
	switch {
	case !job.Job.Template():
		return "", false
	case w.resting && !job.Paused:
		return "it is due again and again", true
	}
	return "", true
}
