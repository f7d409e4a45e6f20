package cases

import (
	"sync"

	"mn/mesh"
	"mn/mesh/api"
)

// ledger is what agents have acknowledged: the promises that are held against
// them. It is safe for concurrent use.
type ledger struct {
	mu      sync.Mutex
	acks    []ack
	last    map[mesh.JobID]outcome
	refused int
}

// ack is a change of a job that an agent said is durable.
type ack struct {
	job     mesh.JobID
	node    string
	version uint64
	hash    string
}

// outcome is what is known of the last that somebody wanted of a job.
type outcome struct {
	stopped bool
	doubt   bool // it was not acknowledged, and may have been done nevertheless
}

// note keeps what came of a change.
func (l *ledger) note(job mesh.JobID, node string, got api.Submitted, stop bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil {
		l.last = map[mesh.JobID]outcome{}
	}
	l.last[job] = outcome{stopped: stop, doubt: err != nil}
	if err != nil {
		l.refused++
		return
	}
	l.acks = append(l.acks, ack{job, node, got.Version, got.Hash})
}

// kept are all that was acknowledged, by job.
func (l *ledger) kept() map[mesh.JobID][]ack {
	l.mu.Lock()
	defer l.mu.Unlock()
	byJob := map[mesh.JobID][]ack{}
	for _, a := range l.acks {
		byJob[a.job] = append(byJob[a.job], a)
	}
	return byJob
}

// stopped are the jobs of which the last that somebody wanted was their stop,
// and was acknowledged.
func (l *ledger) stopped() []mesh.JobID {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ids []mesh.JobID
	for id, o := range l.last {
		if o.stopped && !o.doubt {
			ids = append(ids, id)
		}
	}
	return ids
}

// counts are how many changes were acknowledged, and how many were not.
func (l *ledger) counts() (acked, refused int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acks), l.refused
}
