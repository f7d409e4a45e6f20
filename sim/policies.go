package sim

import (
	"slices"
	"time"

	"mn/mesh"
)

// checkRestart holds a start of a task against its restart policy. When a recovery has
// begun lies between the end of the attempt before and the start, so a start breaks the
// policy only if it does so whenever that was.
func (w *world) checkRestart(l *life, s *stint) {
	if l.over != "" && s.def.Lifecycle != mesh.Poststop {
		w.breach("policy-holds", "%s of %s starts on %s, though %s", s.def.Name, l.id, l.h.name, l.over)
	}
	if s.starts == 0 || s.end.how == expired || s.end.how == stopped {
		return
	}
	if s.succeeded() && w.toEnd(l, s) {
		w.breach("finished-stays-finished", "%s of %s had completed on %s, and starts again",
			s.def.Name, l.id, l.h.name)
	}
	policy := mesh.RestartFor(l.job, s.def)
	s.restarts = append(s.restarts, s.end.at)
	w.counts.add(Restarted)
	n, interval := len(s.restarts), policy.Interval-drifted(policy.Interval)
	if !policy.Enabled || policy.Attempts <= 0 {
		w.breach("policy-holds", "%s of %s restarts on %s, and its restarts are off", s.def.Name, l.id, l.h.name)
		return
	}
	if before := n - 1 - policy.Attempts; before >= 0 && w.now-s.restarts[before] < interval {
		w.breach("policy-holds", "%s of %s restarts on %s for the %dth time within %v, and may %d times",
			s.def.Name, l.id, l.h.name, policy.Attempts+1, w.now-s.restarts[before], policy.Attempts)
	}
	used := s.used(w.now-interval) - 1
	delay := policy.Delays.After(used + 1)
	mayWait := policy.Mode == mesh.RestartDelay
	if mayWait && s.counted(s.end.at-policy.Interval-drifted(policy.Interval)) > policy.Attempts {
		return // for the window alone, whatever the delay
	}
	if took := w.now - s.end.at; took < delay-drifted(delay) {
		w.breach("policy-holds", "%s of %s restarts on %s %v after its end, and its delay is %v",
			s.def.Name, l.id, l.h.name, took, delay)
	}
}

// used counts the restarts whose recovery began after an instant for sure.
func (s *stint) used(after time.Duration) int {
	n := 0
	for _, end := range s.restarts {
		if end > after {
			n++
		}
	}
	return n
}

// counted counts the restarts whose recovery may have begun after an instant.
func (s *stint) counted(after time.Duration) int {
	n := 0
	for _, at := range s.again {
		if at > after {
			n++
		}
	}
	return n
}

// toEnd says whether a task is there to end by itself.
func (w *world) toEnd(l *life, s *stint) bool {
	switch s.def.Lifecycle {
	case mesh.Prestart, mesh.Poststop:
		return true
	case mesh.Sidecar:
		return false
	}
	return !l.job.Type.Long()
}

// heardAt is by when an agent that is well knows of the end of a task.
const heardAt = 2 * time.Second

// foreseeEnd notes that a copy is over as its restarts are used up, if its agent has
// learned of the end at once: for who learns late may count anew.
func (w *world) foreseeEnd(l *life, s *stint) {
	policy := mesh.RestartFor(l.job, s.def)
	fails := s.end.how == ill || s.end.how == itself && !(s.succeeded() && w.toEnd(l, s))
	if !fails || policy.Mode == mesh.RestartDelay || s.def.Lifecycle == mesh.Poststop || !l.h.up() {
		return
	}
	agent, ends := l.h.agent, s.end
	steps := agent.steps
	w.plan(heardAt, func() {
		heard := l.h.agent == agent && l.h.up() && !agent.busy && agent.steps > steps && len(agent.inbox) == 0
		after := w.now - policy.Interval + drifted(policy.Interval)
		if !heard || s.end != ends || s.p != nil || policy.Enabled && s.used(after) < policy.Attempts {
			return
		}
		l.over = "its restarts were used up"
		w.counts.add(Exhausted)
	})
}

// checkBirth holds the first start of a copy against what has been of those before it.
func (w *world) checkBirth(l *life) {
	d := w.deeds.decided[l.id]
	if d == nil || d.begun {
		return
	}
	d.begun = true
	w.checkFinished(l, d)
	w.checkGenerations(l, d)
	if !w.people.counted(l.place.job) {
		return
	}
	w.checkAfter(l)
	w.checkBefore(l)
	if d.moved {
		w.checkMove(l, d)
	}
}

// checkMove holds a copy that was placed because another had failed against the
// job's reschedule policy, by when that was decided.
func (w *world) checkMove(l *life, d *decided) {
	at := l.place
	if l.job.Gang {
		at = place{job: l.place.job}
		if slices.Contains(w.deeds.moves[at], d.at) {
			return // with another of the gang
		}
	}
	w.counts.add(Moved)
	policy := mesh.RescheduleFor(l.job)
	if !policy.Enabled || d.overdue {
		w.breach("policy-holds", "%s of %s follows on a copy that had failed, and none may", l.id, l.place.job)
		return
	}
	interval := policy.Interval - drifted(policy.Interval)
	moves := w.deeds.moves[at]
	if !neverTwo(l.job) {
		moves = nil // each side of a split has moved what it knew of
	}
	n := 0
	for _, m := range moves {
		if d.at-m < interval { // the failure may have become known late
			n++
		}
	}
	if !policy.Unlimited && n >= policy.Attempts {
		w.breach("policy-holds", "%s of %s is the %dth move within %v, and %d are allowed",
			l.id, l.place.job, n+1, policy.Interval, policy.Attempts)
	}
	delay := policy.Delays.After(n + 1)
	if took := d.at - d.failed; d.failed > 0 && took < delay-drifted(delay)-w.disagree() {
		w.breach("policy-holds", "%s of %s was placed %v after the copy before it had failed, and the delay is %v",
			l.id, l.place.job, took, delay)
	}
	w.deeds.moves[at] = append(moves, d.at)
}

// checkFinished: what has completed is not run again, if whoever placed the copy knew,
// or had to.
func (w *world) checkFinished(l *life, d *decided) {
	if l.job.Gang {
		return
	}
	if d.redo != "" {
		w.breach("finished-stays-finished", "%s starts on %s, and was placed though %s was known to have completed",
			l.id, l.h.name, d.redo)
	}
	if l.job.Recovery.Partition() != mesh.Keep || !w.people.untouched(l.place.job) {
		return // the word of it may have been lost, or it was done when it was told to stop
	}
	if w.words.approved[copyID{job: l.place.job, index: l.place.index}] > 0 {
		return // a person has said of a copy out of sight that it does not run, and that another may
	}
	for _, o := range w.deeds.seats[l.place] {
		if at, ok := o.completed(); ok && !o.h.gone && !o.h.barred {
			w.breach("finished-stays-finished", "%s starts on %s, and %s had completed on %s at %v",
				l.id, l.h.name, o.id, o.h.name, at)
		}
	}
}

// disagree is by how much clocks on walls differ now: a delay counts from when a node says that
// something has ended, by the clock of whoever decides.
func (w *world) disagree() time.Duration {
	var least, most time.Time
	for i, h := range w.members() {
		at := h.now().Wall
		if i == 0 || at.Before(least) {
			least = at
		}
		if i == 0 || at.After(most) {
			most = at
		}
	}
	if d := most.Sub(least); d > time.Second { // else it is but drift
		return d
	}
	return 0
}
