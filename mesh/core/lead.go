package core

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mn/crdt"
	"mn/mesh"
	"mn/placement"
	"mn/placement/lease"
	"mn/placement/reconcile"
)

// Bounds and rhythms of leading.
const (
	reserveTimeout = time.Second // for a node to answer a reservation
	blockedMax     = 1024        // reasons already told
	replanAfter    = time.Second // before a placement that failed is planned again
	// In a mesh of more than bidMany members the next change of members is taken
	// notice of bidPause after the last: what one costs grows with their number,
	// and many come at once. Gossip takes longer to find out.
	bidMany  = 64
	bidPause = 100 * time.Millisecond
)

// lead is what this node knows as a coordinator.
type lead struct {
	dirty     map[mesh.JobID]bool          // to be planned again
	allDirty  bool                         // all of them
	members   bool                         // the members have changed since the last bid
	bidAt     time.Duration                // no bid before
	leaders   placement.Leaders            // of those in sight, who ranks first
	wakes     map[mesh.JobID]time.Duration // when to plan a job again
	placing   map[mesh.AllocID]*placing
	questions uint64                  // that were asked about room
	blocked   map[mesh.AllocID]string // reasons already told
	starved   map[mesh.JobID]bool     // jobs that wait for room on some node
	reviews   map[mesh.JobID]map[mesh.AllocID]mesh.ReviewKind
	waited    map[mesh.JobID]time.Time               // since when jobs wait for room that are being placed
	failed    map[mesh.JobID]map[mesh.AllocID]string // what was told to follow those copies
	settled   map[mesh.JobID]settled
	graceAt   time.Duration // when peers that we have not seen begin to count as lost
	degraded  bool          // no voter majority is in sight
	calmAt    time.Duration // when to decide again without one; never if now
	heardAt   time.Duration // when a peer out of sight was heard, if that counted
	// majorityAt is since when a voter majority is in sight; never if none is.
	majorityAt time.Duration
	aloneAt    time.Duration // when that was last lost
	// heldSince is when we took each slot that we hold, renewed when we last put
	// off an allocation's dead-man's switch.
	heldSince map[mesh.Slot]time.Duration
	renewed   map[mesh.AllocID]time.Duration
}

// placing is a placement on its way: a reservation is out for it.
type placing struct {
	alloc    mesh.Alloc
	asks     *mesh.Grants  // what it needs, of whichever node
	ask      uint64        // the last question
	rest     []mesh.NodeID // candidates not asked yet, best first
	refusals []string
	deadline time.Duration
	gang     *gang // that it belongs to, or nil
	seeks    bool  // a permit first: nobody was asked for room
}

func newLead(graceAt time.Duration) lead {
	return lead{
		graceAt: graceAt,
		dirty:   map[mesh.JobID]bool{},
		wakes:   map[mesh.JobID]time.Duration{},
		placing: map[mesh.AllocID]*placing{},
		blocked: map[mesh.AllocID]string{},
		starved: map[mesh.JobID]bool{},
		reviews: map[mesh.JobID]map[mesh.AllocID]mesh.ReviewKind{},
		waited:  map[mesh.JobID]time.Time{},
		failed:  map[mesh.JobID]map[mesh.AllocID]string{},
		settled: map[mesh.JobID]settled{},
		members: true,
		calmAt:  never,
		heardAt: -heardEvery,

		majorityAt: never,

		heldSince: map[mesh.Slot]time.Duration{},
		renewed:   map[mesh.AllocID]time.Duration{},
	}
}

// changed takes notice of what the agreement machine reports.
func (c *Core) changed(ch lease.Change) {
	e := mesh.Event{Fence: ch.Fence, Peer: ch.Peer, Text: ch.Text}
	switch ch.Kind {
	case lease.Taken:
		e.Kind = mesh.LeaseTaken
		c.taken(ch.Slots.All())
	case lease.Yielded, lease.Expired:
		e.Kind = mesh.LeaseLost
		c.lost(ch.Slots.All())
		if ch.Kind == lease.Expired {
			c.unheard()
		}
	case lease.Elected, lease.Retired, lease.Evicted, lease.Barred:
		e.Kind = mesh.RosterChanged
		c.lead.members = true
		c.stir()
		c.lost(ch.Slots.All())
		c.study()
	case lease.Refused:
		e.Kind = mesh.LeaseRefused
	case lease.Paced:
		e.Kind = mesh.ClockCompared
	}
	if !ch.Slots.Empty() {
		e.Text = strings.TrimSpace(mesh.Counted(ch.Slots.Len(), "slot ", "slots ") + e.Text)
	}
	c.lead.allDirty = c.lead.allDirty || ch.Kind != lease.Refused && ch.Kind != lease.Paced
	c.event(e)
}

// right is the fence under which this node may decide about a slot now, and
// whether voters granted it. Without a voter majority in sight the first in
// rank of those in sight decides, under a degraded fence.
func (c *Core) right(s mesh.Slot) (fence crdt.Fence, granted, ok bool) {
	if c.out != "" {
		return crdt.Fence{}, false, false
	}
	if f, ok := c.party.Held(c.now.Boot, s); ok {
		return f, true, true
	}
	if c.lead.degraded && c.lead.calmAt == never && c.lead.leaders.Of(s) == c.self {
		return crdt.Fence{Ballot: uint64(max(c.now.Wall.Unix(), 1))}, false, true
	}
	return crdt.Fence{}, false, false
}

const (
	// healing is for how long nobody decides without a majority after a peer has
	// come into sight, or was heard: a network that heals shows one after the other,
	// and what is said of one's own copies comes by the first.
	healing = time.Second
	// heardEvery is how often it counts that a peer is heard that is out of sight: a
	// link may stay that way.
	heardEvery = 10 * time.Second
)

// calm puts off what is decided without a majority, if there is none.
func (c *Core) calm() {
	if c.lead.degraded {
		c.lead.calmAt = c.now.Boot + healing
	}
}

// heard is calm for a peer that gossip does not show yet.
func (c *Core) heard(from mesh.NodeID) {
	p := c.peers[from]
	if c.lead.degraded && p != nil && p.liveness != mesh.Alive && c.lead.heardAt+heardEvery <= c.now.Boot {
		c.lead.heardAt = c.now.Boot
		c.calm()
	}
}

// live are the nodes in sight that may lead, this one included, sorted.
func (c *Core) live() []mesh.NodeID {
	at, _ := slices.BinarySearch(c.sync.inSight, c.self)
	ids := slices.Insert(slices.Clone(c.sync.inSight), at, c.self)
	admitted := c.records.admitted() // sorted, too
	return slices.DeleteFunc(ids, func(id mesh.NodeID) bool {
		for len(admitted) > 0 && admitted[0].ID < id {
			admitted = admitted[1:]
		}
		return len(admitted) == 0 || admitted[0].ID != id
	})
}

// bid tells the agreement machine who is here and which slots are ours by rank.
func (c *Core) bid() {
	c.lead.members = false
	if len(c.records.members) > bidMany {
		c.lead.bidAt = c.now.Boot + bidPause
	}
	live := c.live()
	c.take(c.party.Step(c.now.Boot, lease.Members{
		Admitted: c.records.admitted(), Witnesses: c.records.witnesses(), Alive: live,
	}))
	c.degrade(live)
	able := c.leaders(live)
	c.lead.leaders.Set(able)
	c.lead.allDirty = c.lead.allDirty || c.lead.degraded // who decides without a majority follows from rank alone
	c.take(c.party.Step(c.now.Boot, lease.Bid{Slots: c.wanted()}))
}

// sorted says whether a node is among some, which are sorted.
func sorted(ids []mesh.NodeID, id mesh.NodeID) bool {
	_, found := slices.BinarySearch(ids, id)
	return found
}

// degrade finds out whether a voter majority is in sight. Without one the
// others may only be late, until the grace for joining is over.
func (c *Core) degrade(live []mesh.NodeID) {
	majority := c.party.Majority(func(id mesh.NodeID) bool { return sorted(live, id) })
	switch {
	case !majority && c.lead.majorityAt != never:
		c.lead.majorityAt, c.lead.aloneAt = never, c.now.Boot
	case !majority:
	case c.lead.majorityAt == never:
		c.lead.majorityAt = c.now.Boot
	}
	// Not known to be admitted while our copy is empty.
	degraded := !majority && c.admitted(c.self) && c.graceOver()
	if degraded == c.lead.degraded {
		return
	}
	c.lead.degraded, c.lead.allDirty = degraded, true
	text := "a majority of the voters is in sight again"
	if degraded {
		text = "no majority of the voters is in sight: each job's on_partition decides"
	}
	c.event(mesh.Event{Kind: mesh.MajorityChanged, Text: text})
}

// waited says whether the grace for joining is over.
func (c *Core) waited() bool { return c.now.Boot >= c.started+c.cfg.JoinGrace }

// graceOver says whether what we do not see is lost: we know and have seen every
// peer since we started, or have waited long enough for those that we have not.
func (c *Core) graceOver() bool {
	if c.waited() {
		return true
	}
	if !c.settled() {
		return false
	}
	for id := range c.records.members {
		if id != c.self && c.admitted(id) && c.peers[id] == nil {
			return false
		}
	}
	return len(c.records.members) > 1
}

// leadDue plans again what is due, and gives up on reservations unanswered.
func (c *Core) leadDue() {
	if c.lead.graceAt <= c.now.Boot {
		c.lead.graceAt, c.lead.members, c.lead.allDirty = never, true, true
	}
	if c.lead.calmAt <= c.now.Boot {
		c.lead.calmAt, c.lead.allDirty = never, true
	}
	for id, at := range c.lead.wakes {
		if at <= c.now.Boot {
			delete(c.lead.wakes, id)
			c.lead.dirty[id] = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.lead.placing)) {
		p := c.lead.placing[id]
		switch {
		case p == nil || p.deadline > c.now.Boot: // given up with its gang
		case p.seeks:
			if asked, ok := c.permits.asked[id]; ok {
				c.permits.vain[asked.key] = true
			}
			c.unpermitted(id, fmt.Sprintf("no answer about a permit in %v", reserveTimeout))
		default:
			c.send(p.alloc.Node, Message{Release: &Release{Job: p.alloc.Job, Alloc: id, Fence: p.alloc.Fence}})
			c.refused(id, "no answer in "+reserveTimeout.String())
		}
	}
}

// leadSlots plans the jobs that want it and that we may decide about.
func (c *Core) leadSlots() bool {
	if c.lead.members && c.lead.bidAt <= c.now.Boot {
		c.bid()
	}
	if c.lead.allDirty {
		c.lead.allDirty = false
		c.noticeNodes()
		for id := range c.records.versions {
			c.lead.dirty[id] = true
		}
	}
	dirty := slices.Sorted(maps.Keys(c.lead.dirty))
	clear(c.lead.dirty)
	for _, id := range dirty {
		fence, granted, ok := c.right(mesh.SlotOf(id))
		if !ok || granted && !c.informed(mesh.SlotOf(id)) {
			delete(c.lead.wakes, id)
			delete(c.lead.starved, id)
			delete(c.lead.waited, id)
			continue
		}
		c.plan(id, fence, granted)
	}
	return len(dirty) > 0
}

// plan finds what should be done about a job, and does it.
func (c *Core) plan(id mesh.JobID, fence crdt.Fence, granted bool) {
	job, ok := c.records.job(id)
	if !ok {
		c.forgetRest(id, fence, granted)
		delete(c.lead.settled, id)
		delete(c.lead.failed, id)
		delete(c.lead.waited, id)
		return
	}
	for _, a := range c.records.allocsOf(id) {
		if !a.State().Final() {
			c.read(a.Node)
		}
	}
	scene := c.scene(&job)
	c.readOffers(scene)
	plan := reconcile.Job(scene, &job, c.pending(id), granted)
	for _, s := range plan.Stop {
		c.stopAlloc(s, fence, granted)
	}
	c.giveBack(plan.Return)
	c.claim(job.Job.Limit, id, plan.Claim)
	switch {
	case len(plan.Place) == 0:
	case job.Job.Gang:
		c.placeGang(plan.Place, fence)
	case job.Job.Limit != nil:
		c.seek(job.Job.Limit, plan.Place, fence)
	default:
		for _, p := range plan.Place {
			c.place(p, fence)
		}
	}
	for _, b := range plan.Blocked {
		c.block(id, b, fence, plan.Wake)
	}
	c.starve(&plan)
	c.tellUnready(&plan, fence)
	c.tellReviews(&job, plan.Reviews, fence)
	c.tellDrain(&plan, fence)
	c.tellFailed(&plan, fence)
	c.tellSettled(&plan, fence)
	delete(c.lead.wakes, id)
	if plan.Wake > 0 {
		c.lead.wakes[id] = c.now.Boot + plan.Wake
	}
	c.lineUp(&job, &plan, fence)
	c.deploy(&job, &plan, fence, granted)
	for _, gone := range plan.Forget {
		c.forget(gone, granted, fence)
	}
	c.noticeEnd(&job, plan.Status)
	c.expire(&job, &plan)
	c.fire(&job, fence, granted)
}

// pending are the placements of a job that are on their way.
func (c *Core) pending(id mesh.JobID) []mesh.Alloc {
	var allocs []mesh.Alloc
	for _, key := range slices.Sorted(maps.Keys(c.lead.placing)) {
		if p := c.lead.placing[key]; p.alloc.Job == id {
			allocs = append(allocs, p.alloc)
		}
	}
	return allocs
}

// decide writes a decision under the right that we have.
func (c *Core) decide(a mesh.Alloc, fence crdt.Fence, granted bool) {
	a.Fence, a.Coordinator = fence, c.self
	if granted {
		c.put(mesh.KeyAlloc(a.ID), a, fence)
		if j, _, ok := c.spec(a); ok && a.Want == mesh.WantRun && exclusive(&j.Job) {
			c.confirmed(mesh.KeyAlloc(a.ID)) // asks the voters to keep it, before its node asks to start
		}
		return
	}
	c.put(mesh.KeyDegraded(a.ID), mesh.DegradedAlloc{Alloc: a, Base: c.records.granted[a.ID].stamp}, crdt.Fence{})
}

func (c *Core) stopAlloc(s reconcile.Stop, fence crdt.Fence, granted bool) {
	a, ok := c.records.effective(s.Alloc)
	if !ok || a.Want == mesh.WantStop && !(granted && a.Degraded) {
		return
	}
	a.Want, a.Reason, a.Leaves, a.Yields = mesh.WantStop, s.Reason, s.Leaves, s.Yields
	c.decide(a.Alloc, fence, granted)
	c.event(mesh.Event{Kind: mesh.AllocStopped, Job: a.Job, Alloc: a.ID, Peer: a.Node, Fence: fence, Text: s.Reason})
}

// forget removes the record of an allocation that ended long ago. Its node
// drops the status, and the files, when it sees that.
func (c *Core) forget(id mesh.AllocID, granted bool, fence crdt.Fence) {
	if granted {
		c.drop(mesh.KeyDegraded(id), crdt.Fence{}) // first: without the other it would stand
		c.drop(mesh.KeyAlloc(id), fence)
		if _, judged := c.records.verdicts[id]; judged {
			c.drop(mesh.KeyReview(id), crdt.Fence{})
		}
	}
}

// name is a node's label: as it says itself, else as it was admitted.
func (c *Core) name(id mesh.NodeID) string {
	if n, ok := c.records.nodes[id]; ok {
		return n.Name
	}
	if m, ok := c.records.members[id]; ok {
		return m.Name
	}
	return id.Short()
}

// wake is when leadDue has something to do.
func (l *lead) wake() time.Duration {
	at := min(l.graceAt, l.calmAt)
	if l.members && l.bidAt > 0 {
		at = min(at, l.bidAt)
	}
	for _, w := range l.wakes {
		at = min(at, w)
	}
	for _, p := range l.placing {
		at = min(at, p.deadline)
	}
	return at
}
