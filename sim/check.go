package sim

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"mn/crdt"
	"mn/mesh"
	"mn/mesh/core"
	"mn/placement/lease"
	"mn/placement/reconcile"
)

// checker remembers what the invariants need; glossary.go says what they are.
type checker struct {
	holders [mesh.Slots]holding
	before  [mesh.Slots]crdt.Fence // what the node held that takes a step, before it
	rosters map[uint64]string
	decided map[mesh.JobID]crdt.Fence
	buried  map[string]crdt.Entry // the highest tombstone of each key
	fences  map[copyID]uint64
	lastRan map[copyID]map[int]time.Duration // when some copy was last known to run, by host
	done    map[copyID]bool                  // a copy of batch work that has ended well
	digests map[summary]crdt.Digest          // by what was seen
	dice    chance
}

// holding is who was last seen to hold a slot.
type holding struct {
	h     *host
	agent *agent
	fence crdt.Fence
	since time.Duration
	step  int        // of the agent, which took it
	past  crdt.Fence // under which it was held before
}

// last is the highest fence that anything can have been done under. What a node takes in
// a step and forgets in a crash, as the step was never written, is none.
func (l *holding) last() crdt.Fence {
	if l.h != nil && l.h.agent != l.agent && l.agent.kept < l.step {
		return l.past
	}
	return l.fence
}

// holds says whether it still does, of a slot.
func (l *holding) holds(s mesh.Slot) bool {
	if l.h == nil || l.h.agent != l.agent {
		return false
	}
	_, held := l.agent.core.Held(l.h.now(), s)
	return held
}

func newChecker() *checker {
	return &checker{
		rosters: map[uint64]string{}, decided: map[mesh.JobID]crdt.Fence{},
		buried: map[string]crdt.Entry{}, fences: map[copyID]uint64{}, lastRan: map[copyID]map[int]time.Duration{},
		done: map[copyID]bool{}, digests: map[summary]crdt.Digest{},
	}
}

// lookBefore notes what a node holds before a step: the step may decide, and then
// take the slot anew or give it back.
func (w *world) lookBefore(h *host) {
	clear(w.checker.before[:])
	for s, fence := range h.agent.core.Holdings(h.now()) {
		w.checker.before[s] = fence
	}
}

// checkStep looks at a core after a step.
func (w *world) checkStep(h *host, r *core.Ready) {
	for _, e := range inOrderOfWriting(r) {
		w.checkStamp(h, e)
		if e.Dot.Origin != string(h.self.ID) || e.Dot.Seq <= h.lastWrite {
			continue // another's, or given back to a disk that had lost it
		}
		if kind := mesh.Kind(e.Key); !e.Deleted && (kind == mesh.PrefixAlloc || kind == mesh.PrefixDegraded) {
			w.checkSurplus(h, e)
		}
		w.noteRuns(h, e)
		if mesh.Kind(e.Key) == mesh.PrefixAlloc && !e.Deleted && !w.restored {
			w.checkDecision(h, e)
			w.checkYields(h, e)
		}
	}
	w.noteDecisions(h, r)
	w.noteOrders(h, r)
	w.checkStatuses(h, r)
	w.checkHolds(h, r)
	h.lastWrite = max(h.lastWrite, r.Keep.NextSeq-1)
	w.checkHolders(h)
	w.checkRoster(h)
	w.checkSealed(h, r)
	for _, e := range r.Events {
		w.countEvent(&e)
		if e.Kind == mesh.NodeOut {
			w.checkOut(h, r)
		}
	}
}

// checkStamp: what somebody else wrote by a clock far ahead of a node's own is not
// taken over, unless it goes by its fence.
func (w *world) checkStamp(h *host, e *crdt.Entry) {
	latest := h.now().Wall.Add(crdt.MaxAhead).UnixMilli()
	if e.Dot.Origin != string(h.self.ID) && e.Fence.IsZero() && e.Stamp.Wall > latest {
		w.breach("no-clock-owns-the-future", "%s takes over %q of %s, which is %v ahead of its clock",
			h.name, e.Key, e.Dot.Origin, time.Duration(e.Stamp.Wall-h.now().Wall.UnixMilli())*time.Millisecond)
	}
}

// checkHolders: what a node holds now, nobody else does. The holds of others
// only end without a step of theirs, so whoever begins to hold is looked at.
func (w *world) checkHolders(h *host) {
	now := h.now()
	for s, fence := range h.agent.core.Holdings(now) {
		was := &w.checker.holders[s]
		if was.agent == h.agent && was.fence == fence {
			continue
		}
		if was.h != nil && was.h != h && was.h.agent == was.agent {
			if f, held := was.agent.core.Held(was.h.now(), s); held {
				w.breach("one-holder", "slot %d is held by %s under %v and by %s under %v",
					s, was.h.name, f, h.name, fence)
			}
		}
		if fence.Compare(was.last()) <= 0 {
			w.breach("fences-grow", "slot %d was held by %s under %v, and is by %s under %v",
				s, was.h.name, was.fence, h.name, fence)
		}
		if was.h != nil && was.h != h {
			w.counts.add(Takeovers)
		}
		w.clocks.taken(w.now, s, h)
		*was = holding{h, h.agent, fence, w.now, h.agent.steps, was.last()}
	}
}

// checkRoster: an epoch has one roster, whoever knows it. Forced ones aside.
func (w *world) checkRoster(h *host) {
	r := h.agent.core.Roster()
	if r.Epoch == h.epoch || r.Epoch == 0 {
		return
	}
	h.epoch = r.Epoch
	text := voters(r)
	was, known := w.checker.rosters[r.Epoch]
	switch {
	case !known:
		w.checker.rosters[r.Epoch] = text
		w.counts.add(Rosters)
	case was != text && r.Forced == "":
		w.breach("one-successor", "roster epoch %d is %s, and on %s it is %s", r.Epoch, was, h.name, text)
	}
}

func voters(r lease.Roster) string {
	ids := make([]string, len(r.Voters))
	for i, v := range r.Voters {
		ids[i] = string(v.ID)
	}
	return strings.Join(ids, " ")
}

// checkCommit looks at what a node has made durable.
func (w *world) checkCommit(h *host, r *core.Ready) {
	for i := range r.Keep.Put {
		e := &r.Keep.Put[i]
		tomb, buried := w.checker.buried[e.Key]
		switch {
		case e.Deleted && h.barred: // nobody takes it from a disk that was restored
		case e.Deleted:
			if !buried || e.Compare(&tomb) > 0 {
				w.checker.buried[e.Key] = *e
			}
		case buried && e.Compare(&tomb) < 0 && w.knew(h, &tomb):
			w.breach("nothing-comes-back", "%s has %q again, which was deleted", h.name, e.Key)
		}
	}
}

// knew says whether a host's disk had seen a tombstone: who has not may hold
// what it deletes, until it hears of it.
func (w *world) knew(h *host, tomb *crdt.Entry) bool {
	return h.disk.seen.Has(tomb.Dot)
}

// checkDecision: who decides about a job holds its slot at this instant, and the
// fences of decisions grow in the order in which they are made. (They may become
// durable in another: a disk can be slow.)
func (w *world) checkDecision(h *host, e *crdt.Entry) {
	var a mesh.Alloc
	if err := crdt.Decode(e.Value, &a); err != nil {
		w.breach("decodes", "%s has written %q, which cannot be read: %v", h.name, e.Key, err)
		return
	}
	slot := mesh.SlotOf(a.Job)
	fence, held := h.agent.core.Held(h.now(), slot)
	if (!held || fence != a.Fence) && w.checker.before[slot] != a.Fence {
		w.breach("decided-by-holder", "%s decides about %s under %v, and holds slot %d under %v: %v",
			h.name, a.ID, a.Fence, slot, fence, held)
	}
	if last := w.checker.decided[a.Job]; a.Fence.Compare(last) < 0 {
		w.breach("decisions-in-order", "%s decides about %s under %v after a decision under %v",
			h.name, a.ID, a.Fence, last)
	}
	w.checker.decided[a.Job] = a.Fence
}

// exclusive says whether the job of a task promises that it never runs twice.
func (w *world) exclusive(id copyID) bool {
	job := w.people.job(id.job)
	return job != nil && (job.Recovery.Partition() != mesh.Eager || id.node != "")
}

// checkStart looks at a task that has begun to run.
func (w *world) checkStart(p *process) {
	w.tell(p.h, "task", "%v starts, fence %d", p.copy, p.fence)
	w.clocks.started(w.now, p.copy)
	w.spans.begin(w.now, p.h, Runs, "%v", p.copy)
	w.checkFits(p.h)
	w.checkGrants(p.h)
	w.checkOnce(p)
	if !w.exclusive(p.copy) {
		return
	}
	w.checkAlone(p)
	if last := w.checker.fences[p.copy]; p.fence < last && !degraded(p.fence) {
		w.breach("fences-of-tasks", "%v starts on %s with fence %d after one with %d",
			p.copy, p.h.name, p.fence, last)
	}
	w.checker.fences[p.copy] = max(w.checker.fences[p.copy], p.fence)
}

// degraded says whether a fence is of a coordinator without voters: these are
// below all others, so that a task's writes lose to those of a granted one.
func degraded(fence uint64) bool { return fence < crdt.Fence{Epoch: 1}.Number() }

// checkAlone: no other process runs the same copy of a task that must be alone.
func (w *world) checkAlone(p *process) {
	for _, h := range w.hosts {
		if h.asleep > 0 && h != p.h {
			continue // frozen: it runs nothing, and its switches fire when it wakes
		}
		for _, o := range h.tasks {
			if o == p || o.copy != p.copy {
				continue
			}
			if h.waking(o) || p.h.waking(p) {
				w.counts.add(Overlaps)
				continue
			}
			w.breach("one-copy", "%v runs on %s (pid %d, since %v) and on %s (pid %d)",
				p.copy, h.name, o.pid, o.since, p.h.name, p.pid)
		}
	}
}

// watchdog is how late a supervisor may act on a lease that ended while its
// machine slept, plus its task's grace: the overlap that nobody can avoid.
const watchdog = 2 * time.Second

// waking says whether a task is one whose lease ended while its machine slept,
// and that is about to be stopped for it.
func (h *host) waking(p *process) bool {
	return p.until > 0 && h.wokenAt > 0 && h.now().Boot >= p.until &&
		h.w.now <= h.wokenAt+watchdog+p.spec.Grace
}

// checkWake looks at what runs on a machine that slept, once the time has
// passed in which its switches fire.
func (w *world) checkWake(h *host) {
	w.plan(watchdog+mesh.DefaultKillGrace+time.Second, func() {
		for _, key := range sortedKeys(h.tasks) {
			if p := h.tasks[key]; w.exclusive(p.copy) && h.asleep == 0 {
				w.checkAlone(p)
			}
		}
	})
}

// checkFits: what runs on a node is within its capacity.
func (w *world) checkFits(h *host) {
	var used mesh.Resources
	for _, p := range h.tasks {
		used = used.Add(p.spec.Resources)
	}
	if lacks := h.self.Capacity.Lacks(used); lacks != "" {
		w.breach("fits", "the tasks on %s need more than it has: %s", h.name, lacks)
	}
}

// standIn is how long ago another copy may have run for a stop to be no mistake:
// it was seen to run when the stop was decided.
const standIn = time.Minute

// checkStop: a task that people want is not stopped unless another copy of it
// is there. Only for jobs that nobody has changed, and tasks that do not fail.
func (w *world) checkStop(p *process) {
	job := w.people.job(p.copy.job)
	if p.asked != "agent" || !w.people.untouched(p.copy.job) || w.mayEnd(job) ||
		job.Recovery.Partition() == mesh.Majority || p.h.barred || p.h.evicted {
		return
	}
	if d := w.deeds.decided[p.spec.Alloc]; p.h.drained() || d != nil && d.drained { // and it was long until it knew
		w.counts.add(Drained)
		return
	}
	if d := w.deeds.decided[p.spec.Alloc]; d != nil && d.yields && job.Preemptible {
		w.counts.add(Preempted)
		return
	}
	if w.checker.done[p.copy] { // and it was long until others knew
		w.counts.add(SurplusStopped)
		return
	}
	for _, h := range w.hosts {
		for _, o := range h.tasks {
			if o != p && o.copy == p.copy {
				w.counts.add(SurplusStopped)
				return
			}
		}
	}
	for place, at := range w.checker.lastRan[p.copy] {
		if place != p.h.place && w.now-at < standIn {
			return
		}
	}
	if job.Recovery.Partition() == mesh.Eager && w.movedFrom(p) {
		return
	}
	w.breach("not-for-nothing", "%v is stopped on %s though no other copy of it runs",
		p.copy, p.h.name)
}

// movedFrom says whether a copy that is stopped was placed elsewhere by a later
// decision, of somebody who did not know that it runs: it starts there.
func (w *world) movedFrom(p *process) bool {
	a, ok := p.h.agent.core.Alloc(p.spec.Alloc)
	return ok && a.Node != p.h.self.ID && a.Want == mesh.WantRun
}

// checkSecond makes the checks that are too costly for every step.
func (w *world) checkSecond() {
	running := w.running()
	if len(running) == 0 {
		return
	}
	if w.checker.dice.Rand == nil {
		w.checker.dice = chanceOf(w.options.Seed, "checks")
	}
	h := pick(w.checker.dice, running)
	w.checkPlans(h)
	for _, h := range running {
		if len(running) <= samplesMax || w.checker.dice.IntN(len(running)) < samplesMax {
			w.checkCopy(h)
		}
	}
}

// samplesMax is how many copies are looked at each second.
const samplesMax = 10

// checkCopy: copies that have seen the same writes are equal. What a disk has
// lost is the exception, until it is repaired.
func (w *world) checkCopy(h *host) {
	seen, digest, loose := h.agent.core.Copy()
	_, _, waiting := h.agent.core.Digest()
	if h.agent.busy || loose || len(waiting) > 0 || h.spoilt || w.restored {
		return // not durable yet; or what waits aside has beaten what was seen before it
	}
	key := summaryOf(seen)
	was, known := w.checker.digests[key]
	if known && was != digest {
		w.breach("same-seen-same-data", "%s has seen %s, and differs from a node that had seen the same", h.name, seen)
	}
	w.checker.digests[key] = digest
}

// summary is the hash of what was seen.
type summary [sha256.Size]byte

func summaryOf(seen crdt.Seen) summary {
	var b []byte
	for _, origin := range seen.Origins() {
		k := seen[origin]
		b = append(append(b, origin...), 0)
		b = binary.AppendUvarint(binary.AppendUvarint(b, k.Head), uint64(len(k.Gaps)))
		for _, g := range k.Gaps {
			b = binary.AppendUvarint(binary.AppendUvarint(b, g.From), g.To)
		}
	}
	return sha256.Sum256(b)
}

// checkPlans: what a node would do about each job is nothing that no plan may
// ever do.
func (w *world) checkPlans(h *host) {
	c := h.agent.core
	v := c.View()
	for i := range v.Jobs {
		plan := c.Plan(&v.Jobs[i])
		if err := reconcile.Check(plan, c.View()); err != nil {
			w.breach("plans-are-sane", "%s, about job %s: %v\n%v", h.name, v.Jobs[i].ID(), err, &plan)
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
