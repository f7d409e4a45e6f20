package sim

import (
	"time"

	"mn/mesh"
)

// watches measure how long things take that people wait for.
type watches struct {
	gone      map[copyID]time.Duration // since when a copy is lost
	vacant    map[mesh.Slot]vacancy
	failovers []time.Duration
	takeovers []time.Duration
}

// vacancy is a slot whose holder's agent has ended.
type vacancy struct {
	by *host
	at time.Duration
}

func newWatches() watches {
	return watches{gone: map[copyID]time.Duration{}, vacant: map[mesh.Slot]vacancy{}}
}

// lost starts the watch of a copy that ended with its machine.
func (w *watches) lost(now time.Duration, id copyID) {
	if _, on := w.gone[id]; !on {
		w.gone[id] = now
	}
}

// started stops it.
func (w *watches) started(now time.Duration, id copyID) {
	if at, on := w.gone[id]; on {
		w.failovers = append(w.failovers, now-at)
		delete(w.gone, id)
	}
}

// fell starts the watches of the slots that a host holds, whose agent ends.
func (w *watches) fell(h *host) {
	if h.agent == nil {
		return
	}
	for s := range h.agent.core.Holdings(h.now()) {
		w.vacant[s] = vacancy{h, h.w.now}
	}
}

// taken stops the watch of a slot.
func (w *watches) taken(now time.Duration, s mesh.Slot, by *host) {
	if v, on := w.vacant[s]; on {
		if v.by != by {
			w.takeovers = append(w.takeovers, now-v.at)
		}
		delete(w.vacant, s)
	}
}
