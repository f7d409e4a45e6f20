package sim

import (
	"slices"
	"time"

	"mn/mesh"
)

// checkTurn: the tasks of a copy start in their turn, as their lifecycles say.
func (w *world) checkTurn(l *life, s *stint) {
	at, done := l.completed()
	// Known to be done: an agent that was stopped, or asleep, goes on with what it had begun.
	done = done && at < s.ordered-heardAt && l.h.wentOn < at
	for _, o := range l.tasks {
		wrong := ""
		switch {
		case o == s:
		case s.def.Lifecycle == mesh.Poststop:
			if o.def.Lifecycle != mesh.Poststop && o.p != nil {
				wrong = "runs"
			}
		case o.def.Lifecycle == mesh.Prestart && s.def.Lifecycle != mesh.Prestart && !o.succeeded():
			wrong = "has not completed"
		case o.def.Lifecycle == mesh.Poststop && o.starts > 0:
			wrong = "has cleaned up"
		}
		if wrong != "" {
			w.breach("in-turn", "%s of %s starts on %s while %s %s", s.def.Name, l.id, l.h.name, o.def.Name, wrong)
		}
	}
	switch {
	case s.def.Lifecycle != mesh.Poststop:
		if done {
			w.breach("finished-stays-finished", "%s of %s starts on %s, and the copy had completed",
				s.def.Name, l.id, l.h.name)
		}
	case s.starts > 0:
		w.breach("in-turn", "%s of %s cleans up on %s a second time", s.def.Name, l.id, l.h.name)
	default:
		w.counts.add(Cleaned)
	}
}

// checkBounds: of a job that never has two copies there are never more at once than its
// max_running, and the limit of an array, allow.
func (w *world) checkBounds(l *life) {
	limit, of := l.job.MaxRunning, l.group.Array.AtOnce
	if !neverTwo(l.job) || limit == 0 && of == 0 {
		return
	}
	all, group := 0, 0
	for _, o := range w.alive(l.place.job) {
		if o.late() {
			continue // its switch is about to fire
		}
		all++
		if o.group.Name == l.group.Name {
			group++
		}
	}
	if limit > 0 && all > limit || of > 0 && group > of {
		w.breach("within-bounds", "%d copies of %s run, with max_running = %d; %d of them of group %s, with %%%d",
			all, l.place.job, limit, group, l.group.Name, of)
	}
	if all == limit || group == of {
		w.counts.add(Throttled)
	}
}

// late says whether all that runs of a copy has been asleep past its lease.
func (l *life) late() bool {
	for _, s := range l.tasks {
		if s.p != nil && !l.h.waking(s.p) {
			return false
		}
	}
	return true
}

// checkAfter: a group does not begin before its rule is met by what has really become
// of those that it comes after.
func (w *world) checkAfter(l *life) {
	if len(l.group.After) > 0 && !w.met(l.job, &l.group) && !w.failedAsFarAsKnown(l.job, &l.group) {
		w.breach("groups-in-turn", "%s begins on %s before its after_rule %q is met: %s",
			l.id, l.h.name, l.group.AfterRule, w.outcomes(l.job, &l.group))
	}
	for _, g := range l.job.Groups() {
		for _, name := range g.After {
			ends := g.AfterRule == mesh.AllDone || g.AfterRule == mesh.NoneFailed || g.AfterRule == mesh.AllSuccess
			if name == l.group.Name && ends && neverTwo(l.job) && w.hasBegun(l.place.job, &g) {
				w.breach("groups-in-turn", "%s starts on %s, and group %s, which comes after it, has begun",
					l.id, l.h.name, g.Name)
			}
		}
	}
}

// checkBefore: a job that comes after others does not begin before all of these have
// really completed. (What has begun goes on.)
func (w *world) checkBefore(l *life) {
	if len(l.job.After) == 0 || l.job.AfterRule != "" && l.job.AfterRule != mesh.AllSuccess {
		return
	}
	for _, g := range l.job.Groups() {
		for i := range g.Count {
			for _, o := range w.deeds.seats[place{job: l.place.job, group: g.Name, index: i}] {
				if o != l && o.began > 0 {
					return
				}
			}
		}
	}
	w.counts.add(Followed)
	for _, id := range l.job.Before() {
		before := w.people.job(id)
		if before == nil {
			w.breach("jobs-in-turn", "%s begins on %s, and there is no job %s", l.place.job, l.h.name, id)
			continue
		}
		for _, g := range before.Groups() {
			if !w.became(before, &g).succeeded {
				w.breach("jobs-in-turn", "%s begins on %s before group %s of job %s has completed",
					l.place.job, l.h.name, g.Name, id)
			}
		}
	}
}

// met says whether what has become of the groups before one allows it to begin.
func (w *world) met(job *mesh.Job, g *mesh.Group) bool {
	all, over, succeeded, failed := 0, 0, 0, 0
	for _, name := range g.After {
		before, _ := job.Group(name)
		o := w.became(job, &before)
		all++
		if o.over {
			over++
		}
		if o.succeeded {
			succeeded++
		}
		if o.failed {
			failed++
		}
	}
	switch g.AfterRule {
	case mesh.AllDone:
		return over == all
	case mesh.OneSuccess:
		return succeeded > 0
	case mesh.OneDone:
		return over > 0
	case mesh.OneFailed:
		return failed > 0
	case mesh.NoneFailed:
		return over == all && succeeded > 0 && (failed == 0 || !neverTwo(job))
	case mesh.QuorumSuccess:
		return succeeded >= g.AfterQuorum
	case mesh.AllSuccess:
	}
	return succeeded == all
}

// failedAsFarAsKnown: a copy whose node was lost from sight may have completed there, as
// shows when it is back, and the one that took its place has failed for good meanwhile.
func (w *world) failedAsFarAsKnown(job *mesh.Job, g *mesh.Group) bool {
	return g.AfterRule == mesh.OneFailed && slices.ContainsFunc(g.After, func(name string) bool {
		before, _ := job.Group(name)
		for i := range before.Count {
			lives := w.deeds.seats[place{job: mesh.JobID(job.Name), group: name, index: i}]
			if n := len(lives); n > 1 && lives[n-1].fell() {
				return true
			}
		}
		return false
	})
}

// outcome is what has become of a group. What is skipped is over.
type outcome struct{ over, succeeded, failed bool }

func (w *world) became(job *mesh.Job, g *mesh.Group) outcome {
	o := outcome{over: true, succeeded: true}
	begun := false
	for i := range g.Count {
		lives := w.deeds.seats[place{job: mesh.JobID(job.Name), group: g.Name, index: i}]
		done, fell, runs := false, false, false
		for _, l := range lives {
			_, ok := l.completed()
			done, fell, runs = done || ok, fell || l.fell(), runs || l.does(anyTask)
		}
		begun = begun || len(lives) > 0
		if !neverTwo(job) && fell { // the other side of a split cannot know better
			o.succeeded, o.failed = o.succeeded && done, true
			continue
		}
		o.succeeded = o.succeeded && done
		o.failed = o.failed || fell && !done && !runs
		o.over = o.over && (done || fell && !runs)
	}
	switch {
	case len(g.After) == 0:
	case !neverTwo(job):
		o.over = true // on one side of a split it may have been skipped
	case !begun && !w.met(job, g):
		return outcome{over: true}
	}
	return o
}

// outcomes is what has become of the groups before one, in words.
func (w *world) outcomes(job *mesh.Job, g *mesh.Group) string {
	text := ""
	for _, name := range g.After {
		before, _ := job.Group(name)
		o := w.became(job, &before)
		text += " " + name
		for _, is := range []struct {
			so   bool
			word string
		}{{o.succeeded, " succeeded"}, {o.failed, " failed"}, {o.over, " is over"}, {!o.over, " goes on"}} {
			if is.so {
				text += is.word
			}
		}
	}
	return text
}

func (w *world) hasBegun(job mesh.JobID, g *mesh.Group) bool {
	for i := range g.Count {
		if len(w.deeds.seats[place{job: job, group: g.Name, index: i}]) > 0 {
			return true
		}
	}
	return false
}

// checkSkipped looks at the groups that have never run, of jobs that have come to their
// end: each of them was skipped by its rule.
func (w *world) checkSkipped() {
	for _, id := range w.people.ids() {
		job := w.people.job(id)
		if job.Type != mesh.Batch || len(w.deeds.jobs[id]) == 0 || !w.people.untouched(id) {
			continue
		}
		for _, g := range job.Groups() {
			switch {
			case len(g.After) == 0 || w.hasBegun(id, &g):
			case neverTwo(job) && w.met(job, &g) && !w.lacksHosts():
				w.breach("groups-in-turn", "group %s of %s has never run, and its after_rule %q was met:%s",
					g.Name, id, g.AfterRule, w.outcomes(job, &g))
			default:
				w.counts.add(Skipped)
			}
		}
	}
}

// slack is how late an agent that is well may do what is due.
const slack = 15 * time.Second
