package sim

import (
	"time"

	"mn/crdt"
	"mn/mesh"
	"mn/mesh/core"
)

// limit is when the time of a copy is over: its own, or that of one of its tasks; 0 if
// it has no limit or has not begun.
func (l *life) limit() time.Duration {
	var at time.Duration
	ends := func(from time.Duration, timeout mesh.Duration) {
		if from > 0 && timeout > 0 && (at == 0 || from+timeout.Std() < at) {
			at = from + timeout.Std()
		}
	}
	ends(l.began, l.job.Timeout)
	for _, s := range l.tasks {
		if s.def.Lifecycle != mesh.Poststop {
			ends(s.first, s.def.Timeout)
		}
	}
	return at
}

// able says since when a host's agent has been able to do what is due; it is asked
// each second.
func (h *host) able() time.Duration {
	busy := !h.up() || h.full > 0 || h.sluggish > 0 || h.slow > 0 || h.agent.busy
	if busy || h.agent != h.ableAs {
		h.ableAs, h.ableSince = h.agent, h.w.now
	}
	return h.ableSince
}

// checkLimits looks for tasks that run though their time is over, and the agent has had
// the time to see to it. While there is none nobody counts it.
func (w *world) checkLimits() {
	for _, h := range w.hosts {
		since := h.able()
		for _, key := range sortedKeys(h.tasks) {
			p := h.tasks[key]
			l, s := w.stint(p)
			if l == nil {
				continue
			}
			limit, what := l.limit(), "its time"
			done, over := l.completed()
			switch {
			case s.def.Lifecycle == mesh.Poststop:
				limit = s.first + mesh.DefaultPoststop
				if s.def.Timeout > 0 {
					limit = s.first + s.def.Timeout.Std()
				}
			case over && (limit == 0 || done < limit):
				limit, what = done, "the work that it stands by"
			}
			grace := p.spec.Grace
			if limit > 0 && w.now > max(limit, since)+grace+slack+drifted(limit-l.order) {
				w.breach("within-its-time", "%s of %s runs on %s, and %s was over %v ago",
					s.def.Name, l.id, h.name, what, w.now-limit)
			}
		}
	}
}

// checkStatuses: what a node says that a copy has come to, it has.
func (w *world) checkStatuses(h *host, r *core.Ready) {
	for i := range r.Keep.Put {
		e := &r.Keep.Put[i]
		if e.Deleted || mesh.Kind(e.Key) != mesh.PrefixStatus || e.Dot.Origin != string(h.self.ID) {
			continue
		}
		var s mesh.Status
		if err := crdt.Decode(e.Value, &s); err != nil || s.Node != h.self.ID || s.Outcome == "" {
			continue
		}
		if l := w.deeds.lives[lifeKey{h.place, s.Alloc}]; l != nil && w.people.written(s.Job) && !h.spoilt {
			w.checkStatus(l, &s)
		}
	}
}

func (w *world) checkStatus(l *life, s *mesh.Status) {
	done, ok := l.completed()
	switch s.Outcome {
	case mesh.Complete:
		if !ok {
			w.breach("ends-are-true", "%s says that %s has completed, and it has not", l.h.name, l.id)
		}
	case mesh.TimedOut:
		if !l.timedOut {
			l.timedOut = true
			w.counts.add(TimedOut)
		}
		earliest := l.earliest()
		if w.now < earliest-drifted(earliest-l.order) {
			w.breach("ends-are-true", "%s says that %s has timed out, %v before its time is over",
				l.h.name, l.id, earliest-w.now)
		}
		if ok && done < earliest-time.Second-drifted(earliest-l.order) {
			w.breach("ends-are-true", "%s says that %s has timed out, and it had completed %v before its time was over",
				l.h.name, l.id, earliest-done)
		}
	case mesh.Failed:
		if ok && !l.has(mesh.Sidecar) {
			w.breach("ends-are-true", "%s says that %s has failed, and it has completed", l.h.name, l.id)
		}
	}
}

func (l *life) has(lifecycle mesh.Lifecycle) bool {
	for _, s := range l.tasks {
		if s.def.Lifecycle == lifecycle {
			return true
		}
	}
	return false
}

// earliest is when the time of a copy can be over at the earliest: it counts from the
// order to start.
func (l *life) earliest() time.Duration {
	at := time.Duration(1<<63 - 1)
	if l.job.Timeout > 0 {
		at = l.order + l.job.Timeout.Std()
	}
	for _, s := range l.tasks {
		if s.def.Timeout > 0 && s.def.Lifecycle != mesh.Poststop {
			at = min(at, l.order+s.def.Timeout.Std())
		}
	}
	return at
}
