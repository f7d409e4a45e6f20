package core

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mn/crdt"
	"mn/mesh"
	"mn/runner"
)

// tend is what this node knows of the allocations that are placed on it.
type tend struct {
	copies map[mesh.AllocID]*tended
	dirty  map[mesh.AllocID]bool // decisions to look at again
	retry  bool                  // something came that a waiting decision may need
	// stirred: something has changed that copies here may refer to.
	stirred bool
	found   map[mesh.AllocID][]runner.Observation
	// settleAt is when we give up waiting for a peer to compare data with.
	settleAt time.Duration
}

// tended is an allocation whose copy runs here, or is about to.
type tended struct {
	*runner.Copy
	slot  mesh.Slot
	lease time.Duration // of its dead-man's switch; 0 if it has none
	self  bool          // we put it off ourselves, as long as we hear a majority of the voters
	waits bool          // a copy of a keep job that has not been allowed to start
	askAt time.Duration // when to ask for it to start, or to run on; never if it need not
	asked int           // times in vain, since it was renewed
	by    mesh.NodeID   // who renewed it last, or has placed it

	watched map[string]int // the attempts whose services are checked, by task
	refers  *referral      // nil for one whose texts refer to nothing that may change
}

func newTend(found []runner.Observation, settleAt time.Duration) tend {
	t := tend{
		settleAt: settleAt,
		retry:    true,
		copies:   map[mesh.AllocID]*tended{},
		dirty:    map[mesh.AllocID]bool{},
		found:    map[mesh.AllocID][]runner.Observation{},
	}
	for _, o := range found {
		t.found[o.Alloc] = append(t.found[o.Alloc], readable(o))
		t.dirty[o.Alloc] = true
	}
	return t
}

// tendAllocs brings the copies here in line with the decisions about them.
func (c *Core) tendAllocs() bool {
	if c.tend.retry {
		c.tend.retry = false
		for id := range c.records.granted {
			c.mayTend(id)
		}
		for id := range c.records.degraded {
			c.mayTend(id)
		}
		for id := range c.tend.copies {
			c.tend.dirty[id] = true
		}
		for id := range c.tend.found {
			c.tend.dirty[id] = true
		}
		for id, by := range c.records.statuses { // of a decision that went before we were settled
			if _, mine := by[c.self]; mine && c.tend.copies[id] == nil {
				c.tend.dirty[id] = true
			}
		}
	}
	dirty := slices.Sorted(maps.Keys(c.tend.dirty))
	clear(c.tend.dirty)
	for _, id := range dirty {
		c.tendAlloc(id)
	}
	return len(dirty) > 0
}

// mayTend marks a decision for this node that has no copy yet.
func (c *Core) mayTend(id mesh.AllocID) {
	if a, ok := c.records.effective(id); ok && a.Node == c.self && c.tend.copies[id] == nil {
		c.tend.dirty[id] = true
	}
}

func (c *Core) tendAlloc(id mesh.AllocID) {
	if c.out != "" && c.tend.copies[id] == nil {
		c.sweep(id)
		return
	}
	a, ok := c.records.effective(id)
	if !ok && !c.settled() {
		return // what runs goes on: our copy may lack the decision, and a peer have it
	}
	mine := ok && a.Node == c.self
	if ok {
		c.ledger.Raise(a.Job, a.Fence) // an older coordinator reserves nothing here from now on
	}
	copy := c.tend.copies[id]
	switch {
	case copy == nil && mine:
		c.adopt(a)
	case copy == nil:
		c.sweep(id)
	case !mine:
		c.step(id, runner.Stop{Reason: "another node runs it by a later decision", AtOnce: true})
	case a.Want == mesh.WantStop:
		c.step(id, runner.Stop{Reason: a.Reason})
	}
}

// adopt begins to look after an allocation: it starts it, or goes on with what
// the driver found of it. What was not found running starts only once we have
// compared data with a peer, or have given up waiting for one: meanwhile
// another node may have taken over.
func (c *Core) adopt(a mesh.AllocView) {
	found := c.tend.found[a.ID]
	status, reported := c.records.statuses[a.ID][c.self]
	if reported && status.State.Final() {
		c.keepEnded(a.ID, &status)
		c.sweep(a.ID)
		return
	}
	if a.Want == mesh.WantStop && len(found) == 0 {
		c.endUnstarted(a, status, mesh.Stopped, a.Reason)
		return
	}
	runs := slices.ContainsFunc(found, func(o runner.Observation) bool { return o.Kind == runner.Adopted })
	if !runs && (reported || len(found) > 0 || c.damaged) && !c.settled() {
		return // what it has come to may be among what the disk has lost
	}
	job, group, ok := c.spec(a.Alloc)
	if !ok {
		return // its job version is still on its way here
	}
	if err := c.ledger.Confirm(a.Alloc, c.now.Boot); err != nil && !runs {
		state := mesh.Failed
		if len(found) == 0 && !begun(&status) {
			state = mesh.Stopped // the decision came too late: nothing that the policies count
		}
		c.endUnstarted(a, status, state, err.Error())
		return
	} else if err != nil {
		c.ledger.Insist(a.Alloc)
	}
	t := &tended{
		Copy: runner.NewCopy(a.Alloc, group, &job.Job, c.cfg.Tasks),
		slot: mesh.SlotOf(a.Job), askAt: never, by: a.Coordinator,
	}
	switch t.lease = job.Job.Recovery.Switch(); job.Job.Recovery.Partition() {
	case mesh.Majority:
		t.askAt = c.now.Boot
	case mesh.Keep:
		if t.waits = len(found) == 0 && !begun(&status); t.waits {
			t.askAt = c.now.Boot
		}
	case mesh.Eager:
		if t.self = t.lease > 0; t.self {
			t.askAt = c.now.Boot
		}
	}
	if reported || len(found) > 0 {
		t.asked = 1 // before our restart: nobody knows how long ago, or who leads it by now
	}
	c.tend.copies[a.ID] = t
	c.keep.next = c.now.Boot // there may be something to keep from before our restart
	delete(c.tend.found, a.ID)
	t.refers = newReferral(t.Copy, &a.Alloc, reported || len(found) > 0)
	if reported {
		c.step(a.ID, runner.Resume{Status: &status, Found: found})
	} else if len(found) > 0 {
		c.step(a.ID, runner.Resume{Found: found})
	}
	c.tellFirst(a.ID)
	switch {
	case a.Want == mesh.WantStop:
		c.step(a.ID, runner.Stop{Reason: a.Reason})
	case !t.waits:
		c.step(a.ID, runner.Run{Fence: a.Fence})
	}
}

// settled says whether this node knows enough to start again what it ran
// before its restart, and to stop what it has no decision for.
func (c *Core) settled() bool {
	_, member := c.records.members[c.self]
	alone := member && len(c.records.members) == 1 && !c.damaged // it may have lost the others
	return c.sync.settled || alone || c.waited()
}

// spec is the version of the job that an allocation was placed for.
func (c *Core) spec(a mesh.Alloc) (mesh.JobVersion, mesh.Group, bool) {
	for _, v := range c.records.versions[a.Job] {
		if v.Hash == a.Hash {
			g, ok := v.Job.Group(a.Group)
			return v, g, ok
		}
	}
	return mesh.JobVersion{}, mesh.Group{}, false
}

// sweep clears away what is left of an allocation that nobody wants here: its
// processes, if the driver found any, its status, and its room.
func (c *Core) sweep(id mesh.AllocID) {
	for _, o := range c.tend.found[id] {
		if o.Kind == runner.Adopted {
			c.ready.Orders = append(c.ready.Orders,
				runner.Order{Verb: runner.DoStop, Alloc: id, Task: o.Task, Grace: mesh.DefaultKillGrace})
		}
	}
	delete(c.tend.found, id)
	c.ledger.Release(id)
	if _, decided := c.records.effective(id); !decided {
		if _, reported := c.records.statuses[id][c.self]; reported {
			c.drop(mesh.KeyStatus(id, c.self), crdt.Fence{})
			c.ready.Orders = append(c.ready.Orders, runner.Order{Verb: runner.DoRemove, Alloc: id})
		}
	}
}

// observed hands what the driver saw to the copy that it is about. What was
// found and has no copy yet may change before it gets one.
func (c *Core) observed(o runner.Observation) {
	o = readable(o)
	if o.Kind == runner.Saved || o.Kind == runner.Restored || o.Kind == runner.Kept {
		c.keep.next = c.now.Boot
	}
	c.startSeen(o)
	c.startedHere(o)
	if c.tend.copies[o.Alloc] != nil {
		c.step(o.Alloc, runner.Observed{Observation: o})
		return
	}
	found := c.tend.found[o.Alloc]
	for i := range found {
		if found[i].Task == o.Task && found[i].Attempt == o.Attempt {
			was := &found[i]
			o.Checkpoint, o.Log = cmp.Or(o.Checkpoint, was.Checkpoint), cmp.Or(o.Log, was.Log)
			if o.Kind == runner.Saved || o.Kind == runner.Kept { // it runs all the same
				was.Checkpoint, was.Log = o.Checkpoint, o.Log
			} else {
				*was = o
			}
			c.tend.dirty[o.Alloc] = true
		}
	}
}

// readable is an observation that can stand in a record, whatever bytes the
// system's errors have, and however many.
func readable(o runner.Observation) runner.Observation {
	o.Err = mesh.Plain(o.Err, mesh.TextMax)
	if o.Checkpoint != nil {
		o.Checkpoint.Label = strings.ToValidUTF8(o.Checkpoint.Label, "\ufffd")
	}
	o.Outputs, o.Log = o.Outputs.Readable(), o.Log.Readable()
	return o
}

// step runs a copy's machine, and takes notice of what comes of it.
func (c *Core) step(id mesh.AllocID, in runner.Input) {
	t := c.tend.copies[id]
	if t == nil {
		return // it ended with the input before
	}
	if stop, is := in.(runner.Stop); is && (!t.self || stop.AtOnce) {
		t.askAt = never
	}
	out := t.Step(c.now, in)
	c.ready.Orders = append(c.ready.Orders, out.Orders...)
	for _, e := range out.Events {
		c.event(e)
	}
	status := t.Status()
	if out.Changed || t.watched == nil {
		c.watch(id, t)
	}
	if out.Changed {
		c.putStatus(status)
	}
	if status.State.Final() {
		c.keepEnded(id, &status)
		c.noticeFreed(id)
		delete(c.tend.copies, id)
		c.ledger.Release(id)
		c.tend.dirty[id] = true // its decision may have gone before it
	}
}

func (c *Core) putStatus(s mesh.Status) {
	s.Node, s.Boot, s.Agent, s.At = c.self, c.cfg.Self.Boot, c.cfg.Self.StartedAt, c.now.Wall
	if s.State.Final() {
		s.At = c.endedAt(s.Job)
	}
	c.put(mesh.KeyStatus(s.Alloc, c.self), s, crdt.Fence{})
	c.noticeServices(&s)
}

// endedAt is when a copy has ended: later than the version of its job that we know, also if
// the clock is ahead of the node where that was submitted, as far as clocks may be. What has
// ended before a version may not count for it.
func (c *Core) endedAt(id mesh.JobID) time.Time {
	at := c.now.Wall
	if job, ok := c.records.job(id); ok && !job.At.Before(at) && job.At.Sub(at) <= crdt.MaxAhead {
		at = job.At.Add(time.Nanosecond)
	}
	return at
}

// tendDue wakes the copies whose time has come, and asks for those that need
// it to start or to run on.
func (c *Core) tendDue() {
	var due []mesh.AllocID
	for id, t := range c.tend.copies {
		if t.Wake() <= c.now.Boot {
			due = append(due, id)
		}
	}
	slices.Sort(due)
	for _, id := range due {
		c.step(id, runner.Tick{})
	}
	c.renewOwn()
	c.askRenewal()
	if c.tend.settleAt <= c.now.Boot {
		c.tend.settleAt, c.tend.retry, c.tend.stirred = never, true, true
	}
}

// renewPart: a dead-man's switch is put off every third of its time. Who has
// asked in vain asks again after half of that, which leaves three more tries.
const renewPart = 3

// A copy that waits to start asks again soon, and then less often.
const (
	startEvery = 500 * time.Millisecond
	startSlow  = 3 // doublings
)

// again is when to ask once more for a copy, if there is no answer.
func (t *tended) again() time.Duration {
	if t.waits {
		return startEvery << min(t.asked, startSlow)
	}
	return t.lease / (2 * renewPart)
}

// askRenewal asks for our copies of majority jobs to run on, and for those of
// keep jobs to start; the one that leads them answers, which may be us. At first
// we ask whom we believe to be that one, and if it does not answer, everybody in
// sight.
func (c *Core) askRenewal() {
	if !c.renewalDue() {
		return
	}
	ask := map[mesh.NodeID][]mesh.AllocID{}
	vain := false
	for _, id := range slices.Sorted(maps.Keys(c.tend.copies)) {
		t := c.tend.copies[id]
		again := t.again()
		soon := t.asked == 0 && t.askAt <= c.now.Boot+again // one message for many copies
		if t.self || t.askAt > c.now.Boot && !soon {
			continue
		}
		for _, peer := range c.renewers(t) {
			ask[peer] = append(ask[peer], id)
		}
		vain = vain || t.asked > 0
		t.asked, t.askAt = t.asked+1, c.now.Boot+again
	}
	for _, peer := range slices.Sorted(maps.Keys(ask)) {
		c.send(peer, Message{Renew: &Renew{Allocs: ask[peer], Asked: c.now.Boot, Life: c.life, Vain: vain}})
	}
}

// askComer asks a peer that has come into sight, if we have asked in vain: it may
// be the one.
func (c *Core) askComer(id mesh.NodeID) {
	var ids []mesh.AllocID
	for _, copy := range slices.Sorted(maps.Keys(c.tend.copies)) {
		if t := c.tend.copies[copy]; t.asked > 0 && t.askAt < never && !t.self {
			ids = append(ids, copy)
		}
	}
	if len(ids) > 0 {
		c.send(id, Message{Renew: &Renew{Allocs: ids, Asked: c.now.Boot, Life: c.life}})
	}
}

func (c *Core) renewalDue() bool {
	for _, t := range c.tend.copies {
		if t.askAt <= c.now.Boot && !t.self {
			return true
		}
	}
	return false
}

// renewers are those who may lead a copy: whom we believe to do so, as long as we
// have not asked in vain.
func (c *Core) renewers(t *tended) []mesh.NodeID {
	inSight := func(id mesh.NodeID) bool {
		_, found := slices.BinarySearch(c.sync.inSight, id)
		return found || id == c.self
	}
	if t.asked == 0 && !inSight(t.by) {
		t.by = c.lead.leaders.Of(t.slot)
	}
	if t.asked == 0 && inSight(t.by) {
		return []mesh.NodeID{t.by}
	}
	return append(slices.Clone(c.sync.inSight), c.self)
}

// renewed starts the copies that a coordinator lets start, and puts off the
// dead-man's switches of those that have one. The time counts from when we
// asked: a late answer gives less. An answer to an earlier life counts for
// nothing, whose clock showed the same times.
func (c *Core) renewed(from mesh.NodeID, r *Renewed) {
	if r.For != "" && r.For != c.self {
		c.send(r.For, Message{Renewed: r})
		return
	}
	if r.Life != c.life {
		return
	}
	for _, id := range r.Allocs {
		t := c.tend.copies[id]
		switch {
		case t == nil || r.Asked > c.now.Boot:
			continue
		case t.waits:
			t.waits, t.askAt = false, never
			if a, ok := c.records.effective(id); ok {
				c.step(id, runner.Run{Fence: a.Fence})
			}
			continue
		case t.lease == 0:
			continue
		}
		if next := r.Asked + t.lease/renewPart; next >= t.askAt { // else an answer of old
			t.asked, t.askAt = 0, next
			if r.For == "" {
				t.by = from
			}
		}
		c.step(id, runner.Renew{Lease: r.Asked + t.lease - c.now.Boot})
	}
}

// reserve answers a coordinator that asks for room.
func (c *Core) reserve(from mesh.NodeID, a mesh.Alloc, ask uint64) {
	answer := &Reserved{Alloc: a.ID, Fence: a.Fence, Ask: ask}
	if c.ahead(a.Fence) {
		answer.Refusal = fmt.Sprintf("degraded fence %v is ahead of this node's clock: set the clock of %s, or ours",
			a.Fence, c.name(from))
	} else if grants, err := c.ledger.Reserve(a.Fence, a, c.now.Boot); err != nil {
		answer.Refusal = err.Error()
	} else {
		answer.Grants = grants
	}
	c.send(from, Message{Reserved: answer})
}

// ahead says whether a degraded fence, which is its coordinator's wall time,
// comes from a clock too far ahead of ours: it would shut out all that follow.
func (c *Core) ahead(f crdt.Fence) bool {
	return f.Epoch == 0 && f.Ballot > uint64(max(c.now.Wall.Add(crdt.MaxAhead).Unix(), 0))
}

// release gives up a reservation that did not become a decision. A copy that
// runs needs its room until it has ended, whatever is wanted of it, and what a
// later coordinator has reserved is not its predecessor's to give up.
func (c *Core) release(_ mesh.NodeID, r *Release) {
	if r.Fence.Compare(c.ledger.Fence(r.Job, r.Fence.Epoch > 0)) < 0 {
		return
	}
	a, ok := c.records.effective(r.Alloc)
	if ok && a.Node == c.self && a.Want == mesh.WantRun || c.tend.copies[r.Alloc] != nil {
		return
	}
	c.ledger.Release(r.Alloc)
}

func (t *tend) wake() time.Duration {
	at := t.settleAt
	for _, copy := range t.copies {
		at = min(at, copy.Wake(), copy.askAt)
	}
	return at
}
