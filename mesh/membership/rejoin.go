package membership

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"mn/mesh"
)

// Bounds of the tries to reach peers that are not here.
const (
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
	tryAtOnce  = 8           // targets at the same time
	beaconRest = time.Second // between two tries that beacons ask for
	bookPeriod = time.Second // between two writes of the address book
)

// seedTarget stands for the seeds among the targets: nodes without an id.
const seedTarget mesh.NodeID = ""

// rejoiner tries, for as long as it runs, to reach every admitted peer that is
// not alive: at the addresses in the book, where a beacon or gossip has put it,
// and through the seeds. One peer that answers brings all that it knows.
type rejoiner struct {
	m    *Membership
	wake chan struct{}

	mu      sync.Mutex
	targets map[mesh.NodeID]*target
	claims  map[mesh.NodeID]string
	tries   int64
}

// target is a peer that is to be reached.
type target struct {
	hint    string // the address that it was last heard of at
	backoff time.Duration
	at      time.Time // of the next try
	triedAt time.Time
	busy    bool
}

func newRejoiner(m *Membership) *rejoiner {
	return &rejoiner{
		m: m, wake: make(chan struct{}, 1),
		targets: map[mesh.NodeID]*target{}, claims: map[mesh.NodeID]string{},
	}
}

// claim notes that a node says it is elsewhere than gossip has it. A node that
// has crashed and is back at another address is not believed until its loss is
// known, and does not learn of that by itself: we must go there.
func (r *rejoiner) claim(id mesh.NodeID, addr string) {
	if m, known := r.m.member(id); !known || m.Address == addr {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.claims) < maxMembers {
		r.claims[id] = addr
	}
}

// heard notes a beacon of a node, and tries it at once if it is not here.
func (r *rejoiner) heard(id mesh.NodeID, addr string) {
	if r.m.state(id) == mesh.Alive {
		return
	}
	now := time.Now()
	r.mu.Lock()
	t := r.targets[id]
	if t == nil {
		t = r.add(id, now)
	}
	if t == nil || t.hint == addr && now.Sub(t.triedAt) < beaconRest {
		r.mu.Unlock()
		return
	}
	t.hint, t.at, t.backoff = addr, now, 0
	r.mu.Unlock()
	r.kick()
}

// changed notes that gossip has another opinion of a node.
func (r *rejoiner) changed(id mesh.NodeID, s mesh.Liveness) {
	r.mu.Lock()
	claim, claimed := r.claims[id]
	delete(r.claims, id)
	if s == mesh.Lost {
		if t := r.add(id, time.Now().Add(firstRetry)); t != nil {
			t.backoff = 0
			if claimed {
				t.hint, t.at = claim, time.Now()
			}
		}
	} else if t := r.targets[id]; t != nil && !t.busy {
		delete(r.targets, id)
	}
	r.mu.Unlock()
	r.kick()
}

// add makes a target of a node; r.mu is held. It is nil if there are too many.
func (r *rejoiner) add(id mesh.NodeID, at time.Time) *target {
	t := r.targets[id]
	if t == nil && len(r.targets) < maxMembers {
		t = &target{at: at}
		r.targets[id] = t
	}
	return t
}

func (r *rejoiner) kick() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *rejoiner) count() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tries
}

// missing says whether some admitted peer is neither here nor has left.
func (r *rejoiner) missing() bool {
	return slices.ContainsFunc(r.m.conf.Peers(), func(id mesh.NodeID) bool {
		return id != r.m.conf.Self && r.wanted(id)
	})
}

// wanted says whether a peer is worth a try: one that has said goodbye comes
// back by itself.
func (r *rejoiner) wanted(id mesh.NodeID) bool {
	switch r.m.state(id) {
	case mesh.Lost, mesh.Unseen:
		return true
	}
	return false
}

func (r *rejoiner) run() {
	var tries sync.WaitGroup
	defer tries.Wait()
	slots := make(chan struct{}, tryAtOnce)
	flushed := time.Now()
	for {
		r.refresh(time.Now())
		for _, id := range r.due(time.Now()) {
			select {
			case slots <- struct{}{}:
			case <-r.m.ctx.Done():
				return
			}
			tries.Go(func() {
				r.try(id)
				<-slots
			})
		}
		wait := r.wait(time.Now())
		if rest := time.Since(flushed); rest >= bookPeriod {
			r.flush()
			flushed = time.Now()
		} else if r.m.conf.Book.changed() {
			wait = min(wait, bookPeriod-rest)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-r.wake:
			timer.Stop()
		case <-r.m.ctx.Done():
			timer.Stop()
			return
		}
	}
}

func (r *rejoiner) flush() {
	if err := r.m.conf.Book.Flush(); err != nil {
		r.m.conf.Log.Warn("address book not written", "why", err)
	}
}

// refresh makes targets of the admitted peers that are not here, and forgets
// those that are, or were evicted.
func (r *rejoiner) refresh(now time.Time) {
	wanted := map[mesh.NodeID]bool{}
	for _, id := range r.m.conf.Peers() {
		if id != r.m.conf.Self && r.m.conf.Admitted(id) && r.wanted(id) {
			wanted[id] = true
		}
	}
	alone := r.alone()
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range wanted {
		r.add(id, now)
	}
	if len(r.m.conf.Seeds) > 0 && alone {
		r.add(seedTarget, now)
		wanted[seedTarget] = true
	}
	for id, t := range r.targets {
		// A beacon's target may be a peer that we have not heard of otherwise.
		hinted := t.hint != "" && id != seedTarget && r.m.state(id) != mesh.Alive && r.m.conf.Admitted(id)
		if !wanted[id] && !hinted && !t.busy {
			delete(r.targets, id)
		}
	}
}

// alone says whether nobody else is here.
func (r *rejoiner) alone() bool {
	return !slices.ContainsFunc(r.m.Members(), func(m Member) bool { return m.State == mesh.Alive })
}

// due takes the targets whose time has come.
func (r *rejoiner) due(now time.Time) []mesh.NodeID {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []mesh.NodeID
	for id, t := range r.targets {
		if !t.busy && !t.at.After(now) {
			t.busy = true
			ids = append(ids, id)
		}
	}
	return ids
}

// wait is how long nothing will be due.
func (r *rejoiner) wait(now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	wait := lastRetry
	for _, t := range r.targets {
		if !t.busy {
			wait = min(wait, t.at.Sub(now))
		}
	}
	return max(wait, 0)
}

// try asks a target, at each of its addresses, to exchange all it knows.
func (r *rejoiner) try(id mesh.NodeID) {
	if id == seedTarget || r.m.state(id) != mesh.Alive {
		if addrs := r.addresses(id); len(addrs) > 0 {
			if _, err := r.m.serf.Memberlist().Join(addrs); err != nil {
				r.m.conf.Log.Debug("peer not reached", "peer", id, "addrs", addrs, "why", err)
			}
		}
	}
	now := time.Now()
	r.mu.Lock()
	r.tries++
	if t := r.targets[id]; t != nil {
		t.busy, t.triedAt = false, now
		t.backoff = min(max(2*t.backoff, firstRetry), lastRetry)
		// A quarter more or less, so that a mesh does not try in step.
		t.at = now.Add(t.backoff*3/4 + rand.N(t.backoff/2))
	}
	r.mu.Unlock()
	r.kick()
}

// addresses is where to try a target, as memberlist reads it: with the id in
// front, so that nobody else is mistaken for it.
func (r *rejoiner) addresses(id mesh.NodeID) []string {
	if id == seedTarget {
		return r.m.conf.Seeds
	}
	r.mu.Lock()
	var hint string
	if t := r.targets[id]; t != nil {
		hint = t.hint
	}
	r.mu.Unlock()
	addrs := r.m.conf.Book.Addresses(id)
	if hint != "" && !slices.Contains(addrs, hint) {
		addrs = slices.Insert(addrs, 0, hint)
	}
	for i, a := range addrs {
		addrs[i] = string(id) + "/" + a
	}
	return addrs
}
