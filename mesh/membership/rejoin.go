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
	tryAtOnce  = 8           // tries at the same time, of both kinds
	askAtOnce  = 3           // of these: at hints, so that they never wait for dead addresses, nor the reverse
	beaconRest = time.Second // between two tries that beacons ask for
	bookPeriod = time.Second // between two writes of the address book
)

// seedTarget stands for the seeds among the targets: nodes without an id.
const seedTarget mesh.NodeID = ""

// rejoiner tries, for as long as it runs, to reach every admitted peer that is
// not alive: at the addresses in the book, where a beacon or gossip has put it,
// and through the seeds. One peer that answers brings all that it knows.
//
// A try goes through all addresses of a target, and each that is dead takes
// seconds. A fresh hint is the best of them, so it gets a try of its own, beside
// the one that may be under way. That one ends once the peer is here, and not
// before: a hint can be stale, and the book right.
type rejoiner struct {
	m    *Membership
	wake chan struct{}

	mu      sync.Mutex
	targets map[mesh.NodeID]*target
	claims  map[mesh.NodeID]string
	trying  int // tries that go through all addresses
	asking  int // tries of a fresh hint
	tries   int64
}

// target is a peer that is to be reached.
type target struct {
	backoff time.Duration
	at      time.Time // of the next try
	busy    bool

	hint    string // the address that it was last heard of at
	fresh   bool   // the hint waits for a try of its own
	asking  bool   // a hint has one
	askedAt time.Time
}

func (t *target) idle() bool { return !t.busy && !t.asking }

// attempt is a try of a target: only at the hint, if there is one.
type attempt struct {
	id   mesh.NodeID
	hint string
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
		t = r.add(id, now.Add(firstRetry))
	}
	if t == nil || t.hint == addr && (t.fresh || t.asking || now.Sub(t.askedAt) < beaconRest) {
		r.mu.Unlock()
		return
	}
	t.hint, t.fresh, t.backoff = addr, true, 0
	// It is about: if not there, then perhaps at another of its addresses.
	if soon := now.Add(firstRetry); t.at.After(soon) {
		t.at = soon
	}
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
				t.hint, t.fresh = claim, true
			}
		}
	} else if t := r.targets[id]; t != nil && t.idle() {
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
	flushed := time.Now()
	for {
		r.refresh(time.Now())
		for _, a := range r.due(time.Now()) {
			tries.Go(func() { r.try(a) })
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
		if !wanted[id] && !hinted && t.idle() {
			delete(r.targets, id)
		}
	}
}

// alone says whether nobody else is here.
func (r *rejoiner) alone() bool {
	return !slices.ContainsFunc(r.m.Members(), func(m Member) bool { return m.State == mesh.Alive })
}

// due takes the tries whose time has come, as far as there is room for them:
// what is left over comes when one of those under way has ended.
func (r *rejoiner) due(now time.Time) []attempt {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []attempt
	for id, t := range r.targets {
		if t.fresh && !t.asking && r.asking < askAtOnce {
			t.fresh, t.asking = false, true
			r.asking++
			list = append(list, attempt{id, t.hint})
		}
		if !t.busy && !t.at.After(now) && r.trying < tryAtOnce-askAtOnce {
			t.busy = true
			r.trying++
			list = append(list, attempt{id: id})
		}
	}
	return list
}

// wait is how long nothing will be due, unless a hint comes or a try ends.
func (r *rejoiner) wait(now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	wait := lastRetry
	if r.trying >= tryAtOnce-askAtOnce {
		return wait
	}
	for _, t := range r.targets {
		if !t.busy {
			wait = min(wait, t.at.Sub(now))
		}
	}
	return max(wait, 0)
}

func (r *rejoiner) try(a attempt) {
	switch {
	case a.hint != "":
		r.reach(a.id, []string{a.hint})
	case a.id == seedTarget:
		if _, err := r.m.serf.Memberlist().Join(r.m.conf.Seeds); err != nil {
			r.m.conf.Log.Debug("no seed reached", "addrs", r.m.conf.Seeds, "why", err)
		}
	default:
		r.reach(a.id, r.addresses(a.id))
	}
	r.ended(a, time.Now())
	r.kick()
}

// reach asks a peer, at one address after the other, to exchange all it knows,
// until it answers or is here by other means.
func (r *rejoiner) reach(id mesh.NodeID, addrs []string) {
	for _, addr := range addrs {
		if r.m.state(id) == mesh.Alive || r.m.ctx.Err() != nil {
			return
		}
		// As memberlist reads it: with the id in front, so that nobody else is
		// mistaken for it.
		_, err := r.m.serf.Memberlist().Join([]string{string(id) + "/" + addr})
		if err == nil {
			return
		}
		r.m.conf.Log.Debug("peer not reached", "peer", id, "addr", addr, "why", err)
	}
}

// ended notes the end of a try, and puts off the next one of its kind.
func (r *rejoiner) ended(a attempt, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries++
	t := r.targets[a.id] // it is there: only idle ones are forgotten
	if a.hint != "" {
		r.asking--
		t.asking, t.askedAt = false, now
		return
	}
	r.trying--
	t.busy = false
	t.backoff = min(max(2*t.backoff, firstRetry), lastRetry)
	// A quarter more or less, so that a mesh does not try in step.
	t.at = now.Add(t.backoff*3/4 + rand.N(t.backoff/2))
}

// addresses is where to try a peer, best first. A hint that is being asked for
// needs no second try.
func (r *rejoiner) addresses(id mesh.NodeID) []string {
	r.mu.Lock()
	var hint string
	var asking bool
	if t := r.targets[id]; t != nil {
		hint, asking = t.hint, t.asking
	}
	r.mu.Unlock()
	addrs := r.m.conf.Book.Addresses(id)
	if hint == "" {
		return addrs
	}
	addrs = slices.DeleteFunc(addrs, func(a string) bool { return a == hint })
	if !asking {
		addrs = slices.Insert(addrs, 0, hint)
	}
	return addrs
}
