package sim

import (
	"slices"
	"time"

	"mn/mesh"
	"mn/placement/lease"
)

// Gossip needs a moment to find out who is not there any more, and longer that somebody is
// there again.
const (
	unaware = 5 * time.Second
	noticed = 20 * time.Second
)

// sight is what a host reaches of the voters, looked at each second.
type sight struct {
	reached map[mesh.NodeID]time.Duration // when last
	now     []mesh.NodeID                 // whom it reaches
	since   time.Duration                 // those
	cutOff  bool                          // no majority of them was reached lately
	cutAt   time.Duration                 // since when
}

// look takes notice of whom a host reaches.
func (s *sight) look(w *world, h *host, roster lease.Roster) {
	if s.reached == nil {
		s.reached = map[mesh.NodeID]time.Duration{}
	}
	var now []mesh.NodeID
	lately := 0
	for _, v := range roster.Voters {
		o := w.byID[v.ID]
		if h.up() && o != nil && o.up() && w.network.reaches(h, o) && w.network.reaches(o, h) {
			now = append(now, v.ID)
			s.reached[v.ID] = w.now
		}
		if at, ok := s.reached[v.ID]; ok && w.now-at <= unaware {
			lately++
		}
	}
	if !slices.Equal(now, s.now) {
		s.now, s.since = now, w.now
	}
	if cut := lately < roster.Quorum(); cut != s.cutOff {
		s.cutOff, s.cutAt = cut, w.now
	}
}

// checkCutOff looks, each second, for eager copies that run where no majority of the voters
// can be reached, longer than their stop_after.
func (w *world) checkCutOff() {
	roster, ok := w.latestRoster()
	if !ok {
		return
	}
	for _, h := range w.hosts {
		if h.sight.look(w, h, roster); !h.sight.cutOff || h.asleep > 0 {
			continue
		}
		for _, key := range sortedKeys(h.tasks) {
			p := h.tasks[key]
			l, s := w.stint(p)
			if l == nil || l.job.Recovery.StopAfter == 0 || s.def.Lifecycle == mesh.Poststop {
				continue
			}
			d := l.job.Recovery.StopAfter.Std()
			if over := w.now - max(h.sight.cutAt, h.wokenAt, p.since) - d; over > noticed+p.spec.Grace+drifted(d) {
				w.breach("stops-when-cut-off", "%s of %s runs on %s, which is cut off for %v more than its stop_after",
					s.def.Name, l.id, h.name, over)
			}
		}
	}
}

// lookAround takes notice of whom hosts reach, where copies stop that are cut off: a voter may
// be reached for less than a second.
func (w *world) lookAround() {
	stops := func(j mesh.Job) bool { return j.Recovery.StopAfter > 0 }
	if !slices.ContainsFunc(w.scenario.Jobs, stops) {
		return
	}
	if roster, ok := w.latestRoster(); ok {
		for _, h := range w.hosts {
			h.sight.look(w, h, roster)
		}
	}
}

// latestRoster is the latest that a host which is up knows.
func (w *world) latestRoster() (latest lease.Roster, ok bool) {
	for _, h := range w.hosts {
		if h.up() && !h.barred && !h.evicted {
			if r := h.agent.core.Roster(); r.Epoch > latest.Epoch {
				latest, ok = r, true
			}
		}
	}
	return latest, ok
}

// checkExpired: the switch of an eager copy fires only where there was no agent in order, or
// no majority of the voters, for some of the time.
func (w *world) checkExpired(p *process) {
	l, _ := w.stint(p)
	roster, ok := w.latestRoster()
	if !ok || l == nil || l.job.Recovery.StopAfter == 0 || len(p.h.sight.now) < roster.Quorum() {
		return
	}
	d := l.job.Recovery.StopAfter.Std()
	if fine := w.now - max(p.h.sight.since, p.h.ableSince, l.began); fine > d+noticed {
		w.breach("not-for-nothing", "%s stops by itself on %s, which has not been cut off for %v", l.id, p.h.name, fine)
	}
}
