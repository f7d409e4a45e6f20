package placement

import (
	"fmt"
	"time"

	"mn/crdt"
	"mn/mesh"
)

// HoldFor is how long a reservation stands that does not become a decision.
const HoldFor = 10 * time.Second

// HoldsMax bounds what a ledger holds, decided or not: a node runs fewer.
const HoldsMax = 20_000

// Ledger is a node's authority over its own capacity. Coordinators plan from
// pictures that may be old and ask at the same time; whatever they ask, the
// ledger never admits more than the node has.
//
// It is not safe for concurrent use, and knows instants only by the now that it
// is given: the node's boot clock.
type Ledger struct {
	self     mesh.NodeID
	node     mesh.Node  // with what it shares out
	used     mesh.Usage // by all holds together
	nextPort int        // where the next dynamic port is looked for
	holds    map[mesh.AllocID]hold
	granted  map[mesh.JobID]crdt.Fence // the highest seen, with voters behind it
	degraded map[mesh.JobID]crdt.Fence // the highest seen, without
}

// hold is room set aside for one allocation.
type hold struct {
	alloc   mesh.Alloc    // its resources and grants
	expires time.Duration // 0 once it is decided
}

// NewLedger is the ledger of a node with nothing on it.
func NewLedger(self mesh.NodeID, capacity mesh.Resources) *Ledger {
	return &Ledger{
		self:     self,
		node:     mesh.Node{Capacity: capacity},
		nextPort: mesh.DynamicPortMin,
		holds:    map[mesh.AllocID]hold{},
		granted:  map[mesh.JobID]crdt.Fence{},
		degraded: map[mesh.JobID]crdt.Fence{},
	}
}

// Found says which devices the node has by now, and on which ports programs listen that
// are not ours. What has been given out stays so.
func (l *Ledger) Found(devices []mesh.Device, foreign []mesh.Port) {
	l.node.Devices, l.node.Foreign = devices, foreign
}

// Share says what the node has, and how much of it the mesh may have by now. What has
// been given out stays so.
func (l *Ledger) Share(capacity mesh.Resources, a mesh.Allowance) {
	l.node.Capacity, l.node.Allowance = a.Of(capacity), a
}

// Reserve sets room aside for an allocation until now+HoldFor, and returns what it is
// granted of ports and devices, or says why not: the error is a [*Refusal]. Asking again
// for the same allocation, as after a lost answer, prolongs the hold and takes no more
// room.
//
// A fence below the highest that this ledger has seen for the job is refused:
// its coordinator has been replaced. Fences with and without voters behind them
// are compared only with their own kind, for a degraded coordinator must be
// able to place on its side of a split what a granted one placed before; which
// of two such decisions stands is settled when they meet.
func (l *Ledger) Reserve(fence crdt.Fence, a mesh.Alloc, now time.Duration) (*mesh.Grants, error) {
	if a.Node != l.self {
		return nil, l.refuse("node", "meant for node %s, not for this one", a.Node.Short())
	}
	if high := l.Fence(a.Job, fence.Epoch > 0); fence.Compare(high) < 0 {
		return nil, l.refuse("fence", "fence %v is behind %v: another coordinator decides now", fence, high)
	}
	l.expire(now)
	if err := l.admit(a, now+HoldFor); err != nil {
		return nil, err
	}
	l.Raise(a.Job, fence)
	return l.holds[a.ID].alloc.Grants, nil
}

// Confirm makes the hold of an allocation last until it is released, because
// it was decided. A decision that arrives after its hold has run out is
// admitted again if there is room; the error, a [*Refusal], says that there is
// none, and then it must not run.
func (l *Ledger) Confirm(a mesh.Alloc, now time.Duration) error {
	l.expire(now)
	return l.admit(a, 0)
}

// admit takes or changes the hold of an allocation, if there is room. A hold
// that is decided stays so, and what it was granted is not given out anew.
func (l *Ledger) admit(a mesh.Alloc, expires time.Duration) error {
	old, held := l.holds[a.ID]
	if !held && len(l.holds) >= HoldsMax {
		return l.refuse("capacity", "%d copies are here already", HoldsMax)
	}
	if a.Resources.CPU < 0 || a.Resources.Memory < 0 || a.Resources.Disk < 0 {
		return l.refuse("capacity", "asks for less than nothing")
	}
	if !held && a.Target != "" && l.taken(&a) {
		return l.refuse("copy", "another copy of %s is here", a.Group)
	}
	others := l.used
	if held {
		others = others.Without(&old.alloc)
	}
	unchanged := held && old.alloc.Resources == a.Resources
	if lacks := l.node.Capacity.Sub(others.Resources).Lacks(a.Resources); lacks != "" && !unchanged {
		return l.refuse("capacity", "%s", lacks)
	}
	if held && !a.Grants.Named() {
		a.Grants = old.alloc.Grants
	} else if err := l.grant(&a, others.Claims); err != nil {
		return err // what was decided is not what we have set aside, and somebody else has it by now
	}
	if held && old.expires == 0 {
		expires = 0
	}
	l.used = others.With(&a)
	l.holds[a.ID] = holdOf(&a, expires)
	return nil
}

// taken says whether a copy is here of a seat that belongs to this node: two coordinators who do not see
// each other may both reach the node, and mean different versions.
func (l *Ledger) taken(a *mesh.Alloc) bool {
	for _, h := range l.holds {
		if h.alloc.Job == a.Job && h.alloc.Seat() == a.Seat() {
			return true
		}
	}
	return false
}

// grant gives an allocation its ports and devices, or what was given to it before if that
// is still free.
func (l *Ledger) grant(a *mesh.Alloc, others []mesh.Claim) error {
	asked := a.Grants
	given, reason := grant(&l.node, others, asked, l.nextPort)
	if reason != "" {
		return l.refuse("grants", "%s", reason)
	}
	a.Grants = given
	if given == nil {
		return nil
	}
	for i, p := range given.Ports {
		if n := int(p.Number); asked.Ports[i].Number == 0 && n >= l.nextPort {
			l.nextPort = n + 1 // a port that was just given back is not the next to be given out
		}
	}
	if l.nextPort > mesh.DynamicPortMax {
		l.nextPort = mesh.DynamicPortMin
	}
	return nil
}

func holdOf(a *mesh.Alloc, expires time.Duration) hold {
	return hold{mesh.Alloc{
		ID: a.ID, Job: a.Job, Group: a.Group, Index: a.Index, Target: a.Target,
		Resources: a.Resources, Grants: a.Grants,
	}, expires}
}

// Insist holds what a copy has that runs already, whoever else has some of it.
func (l *Ledger) Insist(a mesh.Alloc) {
	l.Release(a.ID)
	l.used = l.used.With(&a)
	l.holds[a.ID] = holdOf(&a, 0)
}

// Rebuild replaces what the ledger holds by what runs here, or is decided to:
// after a restart, what runs does so whatever the capacity is now.
func (l *Ledger) Rebuild(allocs []mesh.Alloc) {
	l.used = mesh.Usage{}
	clear(l.holds)
	for i := range allocs {
		l.Insist(allocs[i])
	}
}

// Release gives the room of an allocation back. Releasing what is not held
// does nothing.
func (l *Ledger) Release(id mesh.AllocID) {
	if h, held := l.holds[id]; held {
		l.used = l.used.Without(&h.alloc)
		delete(l.holds, id)
	}
}

// Used is what is held at now.
func (l *Ledger) Used(now time.Duration) mesh.Usage {
	l.expire(now)
	return l.used
}

// Fence is the highest fence seen for a job, among those with voters behind
// them or among those without.
func (l *Ledger) Fence(job mesh.JobID, granted bool) crdt.Fence {
	if granted {
		return l.granted[job]
	}
	return l.degraded[job]
}

// Raise takes notice of a fence for a job, from a decision or from disk.
func (l *Ledger) Raise(job mesh.JobID, fence crdt.Fence) {
	high := l.degraded
	if fence.Epoch > 0 {
		high = l.granted
	}
	if fence.Compare(high[job]) > 0 {
		high[job] = fence
	}
}

// expire gives up the holds whose time is over.
func (l *Ledger) expire(now time.Duration) {
	for id, h := range l.holds {
		if h.expires != 0 && h.expires <= now {
			l.Release(id)
		}
	}
}

func (l *Ledger) refuse(filter, format string, args ...any) *Refusal {
	return &Refusal{Node: l.self, Filter: filter, Reason: fmt.Sprintf(format, args...)}
}
