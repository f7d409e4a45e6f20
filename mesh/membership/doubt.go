package membership

import (
	"sync"
	"time"

	"github.com/hashicorp/serf/serf"

	"mn/mesh"
)

// A loss that gossip reports is doubted, for a moment, in two cases where the
// report is likely to be about us and not about the node:
//
//   - This process has been short of CPU: after a pause, the timer of a
//     suspicion fires before the packet that refutes it is read.
//   - The node has answered us since it came under suspicion.
//
// If the node is well, it refutes the report within that moment, and nobody is
// told. A real crash is not reported later for it: a node that has crashed has
// not answered since, and a machine that has CPU to spare has no lag.

// Bounds of a doubt.
const (
	lagLooks     = 4               // at the clock, in a probe interval
	lagMemory    = 2 * time.Second // a lag is held against us for as long
	lagTolerated = 15 * time.Millisecond
	lagFactor    = 4           // a refutation takes some hops, each of which may wait
	maxDoubt     = time.Second // whatever the lag
)

// doubter decides how long a loss is doubted.
type doubter struct {
	suspicion time.Duration // that precedes a report
	period    time.Duration // between two looks at the clock

	mu       sync.Mutex
	lag      time.Duration
	lagAt    time.Time
	answered map[mesh.NodeID]time.Time
}

func newDoubter(t timing) *doubter {
	return &doubter{
		suspicion: time.Duration(t.suspicion) * t.probe,
		period:    t.probe / lagLooks,
		answered:  map[mesh.NodeID]time.Time{},
	}
}

// answers notes that a node has answered a probe.
func (d *doubter) answers(id mesh.NodeID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, known := d.answered[id]; known || len(d.answered) < maxMembers {
		d.answered[id] = time.Now()
	}
}

// noteLag notes how much later than asked for this process was woken.
func (d *doubter) noteLag(lag time.Duration, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if lag >= d.lag || now.Sub(d.lagAt) > lagMemory {
		d.lag, d.lagAt = lag, now
	}
}

// doubt is how long to wait before a node's loss is believed.
func (d *doubter) doubt(id mesh.NodeID, now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	var wait time.Duration
	if at, ok := d.answered[id]; ok && now.Sub(at) < d.suspicion {
		wait = d.suspicion
	}
	if d.lag > lagTolerated && now.Sub(d.lagAt) <= lagMemory {
		wait = max(wait, lagFactor*d.lag)
	}
	return min(wait, maxDoubt)
}

// watchLag looks at the clock, again and again: what is late is this process.
func (m *Membership) watchLag() {
	tick := time.NewTicker(m.doubter.period)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-tick.C:
			now := time.Now()
			m.doubter.noteLag(now.Sub(last)-m.doubter.period, now)
			last = now
		case <-m.ctx.Done():
			return
		}
	}
}

// doubts are the losses that are not believed yet. The goroutine of watch owns
// them.
type doubts map[mesh.NodeID]doubted

type doubted struct {
	member serf.Member
	until  time.Time
}

// settled takes what can be doubted no longer, and says when to look again: in
// an hour, if nothing is in doubt.
func (d doubts) settled(now time.Time) (lost []serf.Member, again time.Duration) {
	again = time.Hour
	for id, x := range d {
		if wait := x.until.Sub(now); wait > 0 {
			again = min(again, wait)
			continue
		}
		lost = append(lost, x.member)
		delete(d, id)
	}
	return lost, again
}
