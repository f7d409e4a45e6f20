// Package reconcile says what should be done next about a job: which copies to
// place, which to stop, and when to look again.
//
// [Job] is a pure function of one node's picture of the mesh, so whoever may
// decide about a job comes to the same plan from the same picture, and a plan
// is data that can be printed, checked ([Check]) and refused. Moves after a
// failure, the loss of a node, a new version and a changed count are rules in
// this one plan, a file each, and not loops of their own that could race.
//
// It does not say who may decide (placement/lease) nor where a copy fits
// (placement), and it carries nothing out.
//
// Invariants of every plan:
//
//  1. Never a second copy of an index, unless the first is out of sight and the
//     job has chosen (on_partition) to have another then.
//  2. Of several copies of one index that live in sight, exactly one stays: at once
//     if there must never be two, else when one is known to run.
//  3. A copy is never stopped for being out of sight, but for those of majority
//     jobs, which have stopped by themselves before they are told to, and those of
//     gangs that go on without them.
//  4. An index of a batch job that has completed is not run again, until a version
//     that says so, but with the rest of its gang.
//  5. What is marked unsafe and may have run is not run again, until a person says so.
package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"mn/mesh"
	"mn/placement"
)

// Bounds and rhythms of planning.
const (
	// placeMax bounds the placements of a job that are on their way at a time: each plan
	// looks at all copies, so a thousand that come in few batches cost few plans. A gang
	// is placed whole, and is smaller.
	placeMax = 512
	// retryBlocked is when a copy that fitted nowhere is tried again, should no
	// news have come until then.
	retryBlocked = 5 * time.Second
	// retryQueued is when copies beyond placeMax have their turn.
	retryQueued = time.Second
	// retryPermit is when it is said again which permits are needed, and which are not.
	retryPermit = time.Second
)

// Job is the difference between what a job should have running and what it has,
// as a plan. It depends on nothing but its arguments.
//
// Pending are the placements of this job that are on their way; what they use
// is counted in the view already. Granted says whether voters granted the
// caller's right to decide: without it, the job's on_partition says how much
// is decided at all.
func Job(v *mesh.View, job *mesh.JobView, pending []mesh.Alloc, granted bool) Plan {
	p := newPlanner(v, job, pending, granted)
	p.count()
	p.shared = p.permits()
	if !job.Stopped && !job.Job.Template() {
		p.groups = inOrder(job.Job.Groups())
		for _, g := range p.groups {
			p.group(g)
		}
		p.plan.Unready = p.unready()
		p.comesLater = cmp.Or(p.preceded(), p.plan.Unready)
		p.roll()
		for _, s := range p.seatsAll {
			p.sort(s)
		}
	}
	if job.Job.Gang {
		p.gang(p.seatsAll)
	} else {
		p.budget()
		p.fillInTurn()
		p.fillAside()
	}
	p.stopSurplus()
	p.permit()
	p.forget()
	p.conclude()
	p.concludeRoll()
	p.expire()
	return p.plan
}

// planner works out the plan of one job.
type planner struct {
	view      *mesh.View // a copy, to which the usage of planned copies is added
	job       *mesh.JobView
	partition mesh.OnPartition
	policy    mesh.EffectiveReschedule
	granted   bool
	since     mesh.Ancestor    // from which on completed work counts
	anew      mesh.Ancestor    // from which on failures and moves do
	gap       bool             // the record of one of these is not here yet
	allocs    []mesh.AllocView // of the job
	copies    map[mesh.Seat][]*mesh.AllocView
	wanted    map[mesh.Seat]bool
	seatsAll  []*seat       // that are wanted
	movable   int           // how many more copies may be on their way between two nodes
	stoppable int           // and how many may stop before there is another
	turn      time.Duration // until one more copy is well, if that can be told
	pending   map[mesh.Seat]*mesh.Alloc
	tight     map[mesh.Seat]int // groups that fit nowhere, or not on a node: their place in plan.Blocked
	waiting   map[Waiting]int
	places    places
	shared    permits
	groups    []mesh.Group       // in the order of planning
	passages  map[string]passage // of the groups so far
	outcomes  map[string]outcome
	needs     map[string][]mesh.ServiceNeed // of groups, on the nodes of their copies
	// comesLater is why the job may not begin yet, or "".
	comesLater string
	tally      tally
	unserved   *unserved         // nodes that get no copy for want of a service; nil for none
	rolls      *rollout          // nil without one
	hashes     map[string]string // of groups, as of the version that was deployed before
	plan       Plan
}

func newPlanner(v *mesh.View, job *mesh.JobView, pending []mesh.Alloc, granted bool) *planner {
	p := &planner{
		job:       job,
		partition: job.Job.Recovery.Partition(),
		policy:    mesh.RescheduleFor(&job.Job),
		granted:   granted,
		allocs:    v.AllocsOf(job.ID()),
		copies:    map[mesh.Seat][]*mesh.AllocView{},
		wanted:    map[mesh.Seat]bool{},
		pending:   map[mesh.Seat]*mesh.Alloc{},
		tight:     map[mesh.Seat]int{},
		waiting:   map[Waiting]int{},
		hashes:    map[string]string{},
		passages:  map[string]passage{},
		outcomes:  map[string]outcome{},
		plan:      Plan{Job: job.ID(), Version: job.Number, Granted: granted, Wanted: map[string]int{}},
	}
	p.line()
	p.needed()
	work := *v
	work.Nodes = slices.Clone(v.Nodes)
	work.Allocs = slices.Clone(p.allocs)
	for i := range pending {
		p.pending[pending[i].Seat()] = &pending[i]
		work.Allocs = append(work.Allocs, mesh.AllocView{Alloc: pending[i]})
	}
	p.view = &work
	for i := range p.allocs {
		a := &p.allocs[i]
		p.copies[a.Seat()] = append(p.copies[a.Seat()], a)
	}
	if job.Job.Gang {
		for _, copies := range p.copies {
			slices.SortStableFunc(copies, func(a, b *mesh.AllocView) int { return rollOf(a).compare(rollOf(b)) })
		}
	}
	return p
}

// line finds the versions from which on outcomes count. As long as the record of
// one is on its way here, nothing that ended before the current version does.
func (p *planner) line() {
	since, known := p.job.SinceWhen()
	anew, both := p.job.AnewWhen()
	if p.gap = !known || !both; p.gap {
		since, anew = p.job.Ancestor(), p.job.Ancestor()
	}
	p.since, p.anew = since, anew
}

// group finds the seats of a group, and what is known of each.
func (p *planner) group(g mesh.Group) {
	hash := mesh.HashGroup(&p.job.Job, g.Name)
	for _, id := range p.seats(g) {
		if !p.job.Paused {
			p.wanted[id] = true
			p.plan.Wanted[g.Name]++
		}
		s := &seat{Seat: id, group: g, content: g.ContentOf(hash, id.Index), copies: p.copies[id]}
		p.tally.wanted++
		p.seatsAll = append(p.seatsAll, s)
	}
}

// seat is one index of a group, with what is known of its copies.
type seat struct {
	mesh.Seat
	group   mesh.Group
	content string
	copies  []*mesh.AllocView // all, by generation
	of      *mesh.JobVersion  // that its next copy is of; the job's own if nil
	beside  bool              // a copy starts beside the one in whose place it is
	late    bool              // it is not its turn to have the job's version

	live  []*mesh.AllocView // in sight, meant to run, of the wanted content
	stale []*mesh.AllocView // in sight, meant to run, of another content, to be retried, or too early
	gone  []*mesh.AllocView // meant to run, out of sight for so long that they count no more
	done  *mesh.AllocView   // has completed the work
	lost  *mesh.AllocView   // away, and a person has to say that it does not run any more
	busy  string            // why a copy that may still run bars another
	wake  time.Duration     // when that may be over; 0 if only news can tell
}

// sort tells the copies of a seat apart.
func (p *planner) sort(s *seat) {
	for _, a := range s.copies {
		fate := p.fate(a)
		switch fate.is {
		case ended:
			if p.completed(a, s) {
				s.done = a
			}
		case gone:
			if a.Want == mesh.WantRun {
				s.gone = append(s.gone, a)
			}
		case away:
			s.busy, s.wake = fate.why, fate.wake
			if fate.review {
				s.lost = a
			}
		case here:
			switch {
			case a.Want == mesh.WantStop:
				s.busy = "the copy before it is stopping on " + p.nodeName(a.Node)
				if p.leaves(a) {
					p.drained(a, mesh.DrainMigrate, "is stopping")
				}
			case p.dead(a):
				p.condemn(s, a, deadText)
			case p.forsaken(a):
				p.condemn(s, a, forsakenText)
			case p.preempted(a) != "":
				p.makeRoom(s, a, p.preempted(a))
			case a.Content != s.content, p.worn(a):
				s.stale = append(s.stale, a)
			default:
				s.live = append(s.live, a)
			}
		}
	}
}

// fill decides what becomes of a seat.
func (p *planner) fill(s *seat) {
	switch {
	case p.job.Paused:
		if s.done != nil {
			p.tally.done++
		}
	case s.done != nil:
		p.stop(s.live, "a copy on %s has completed the work", p.nodeName(s.done.Node))
		p.stop(s.stale, "a copy on %s has completed the work", p.nodeName(s.done.Node))
		p.tally.done++
	case s.late && len(s.stale) > 0 && len(s.live) == 0: // by which version it goes is not known here
		p.tally.live(p, s.stale[0])
	case s.beside && p.isOld(s) && (p.mayReplace() || len(s.live) > 0):
		p.replace(s)
	case len(s.live) > 0:
		p.retire(s)
		p.keepOne(s)
	case p.pending[s.Seat] != nil:
		if !p.leftAlone() {
			p.retire(s)
		}
		p.tally.starting++
	case len(s.stale) > 0 && !p.mayReplace():
		p.tally.live(p, s.stale[0])
	case p.heldBack(s):
	case len(s.stale) > 0:
		p.retire(s)
		next := fmt.Sprintf("version %d follows", p.job.Number)
		if p.passages[s.Group] == vain {
			next = "is skipped"
		}
		p.wait(s, next+" when the copy before it has stopped")
	case p.bound(s) != "":
		p.tally.awaited++
		p.waitFor(s, p.bound(s))
	case s.lost != nil:
		p.lost(s)
	case s.busy != "":
		p.wait(s, s.busy)
		p.wakeIn(s.wake)
	default:
		p.refill(s)
	}
}

// mayReplace says whether the partition that we are in allows us to put a copy
// in the place of one that runs.
func (p *planner) mayReplace() bool {
	return !p.job.Torn && (p.granted || p.partition == mesh.Eager && p.job.Job.Recovery.StopAfter == 0)
}

// leftAlone says whether the copies of an eager job stop by themselves where we are, and none
// is stopped for another that could not run for long either.
func (p *planner) leftAlone() bool { return p.partition == mesh.Eager && !p.mayReplace() }

// place proposes a copy for a seat, if our right to decide goes so far and a
// node has room.
func (p *planner) place(s *seat, replaces *mesh.AllocView, reason string, avoid map[mesh.NodeID]string) {
	if p.keptBack(s) {
		return
	}
	if why := p.barred(); why != "" {
		p.wait(s, why)
		return
	}
	if p.comesLater != "" {
		p.queue(s, p.comesLater)
		return
	}
	if why := p.limited(s.group); why != "" {
		p.queue(s, why)
		p.wakeIn(p.places.wake)
		return
	}
	if len(p.pending)+len(p.plan.Place) >= placeMax || p.twice(s) {
		p.tally.starting++
		p.wakeIn(retryQueued)
		return
	}
	a := p.next(s, replaces, reason)
	room := mesh.Seat{Group: s.Group, Target: s.Target}
	if s.of != nil {
		room.Index = -1 // as of another version
	}
	if at, ok := p.tight[room]; ok {
		p.plan.Blocked[at].Copies++
		p.plan.Blocked[at].Room = min(p.plan.Blocked[at].Copies, p.left(s.group))
		p.tally.blocked++
		return
	}
	choice := p.choose(s, a.ID, avoid)
	if len(choice.Candidates) == 0 {
		p.tight[room] = len(p.plan.Blocked)
		p.plan.Blocked = append(p.plan.Blocked,
			Blocked{Alloc: a.ID, Seat: s.Seat, Copies: 1, Room: 1, Choice: choice})
		p.tally.blocked++
		p.wakeIn(retryBlocked)
		return
	}
	p.propose(a, choice)
	p.tally.starting++
}

// propose proposes a copy for the best of the nodes that can take it.
func (p *planner) propose(a mesh.Alloc, choice placement.Choice) {
	p.plan.Place = append(p.plan.Place, Placement{Alloc: a, Choice: choice})
	p.places.take(a.Group)
	p.shared.taken++
	p.take(choice.Candidates[0].Node, a)
}

// choose is where a copy for a seat can go. Those before it in the seat are in nobody's way:
// they have ended, count no more, or are to leave.
func (p *planner) choose(s *seat, id mesh.AllocID, avoid map[mesh.NodeID]string) placement.Choice {
	v, related := p.view, len(s.group.Apart)+len(s.group.Spreads) > 0
	if related && len(s.copies) > 0 {
		others := *p.view
		others.Allocs = slices.DeleteFunc(slices.Clone(others.Allocs), func(a mesh.AllocView) bool {
			return a.Seat() == s.Seat
		})
		v = &others
	}
	job := &p.version(s).Job
	if s.Target != "" {
		return placement.PlaceOn(v, job, s.group, s.Target)
	}
	choice := placement.Place(v, job, s.group, string(id), avoid)
	if len(s.group.Apart) > 0 && len(choice.Candidates) > 1 && p.open() > 1 {
		choice.Candidates = choice.Candidates[:1] // another copy's choice may be the second
	}
	return choice
}

// open is how many seats are to get a copy, or are about to.
func (p *planner) open() int {
	n := 0
	for _, s := range p.seatsAll {
		if len(s.live) == 0 && s.done == nil {
			n++
		}
	}
	return n
}

// barred is why we may not place a copy: we do not know yet what of the job has
// completed; or without voters behind us, the other side of a split may have
// placed one that we cannot know of, also where every copy that we know is dead.
func (p *planner) barred() string {
	if p.gap || p.job.Torn {
		return fmt.Sprintf("waits for the records of the versions before version %d", p.job.Number)
	}
	switch {
	case p.mayReplace():
		return ""
	case p.partition == mesh.Eager:
		return fmt.Sprintf("stop_after = %v: nothing starts without a majority of the voters",
			p.job.Job.Recovery.StopAfter)
	}
	return `on_partition = "` + string(p.partition) + `" waits for a majority of the voters`
}

// next is the copy that comes after all those of its seat.
func (p *planner) next(s *seat, replaces *mesh.AllocView, reason string) mesh.Alloc {
	generation := 0
	for _, a := range p.copies[s.Seat] {
		generation = max(generation, a.Generation+1)
	}
	v := p.version(s)
	a := mesh.Alloc{
		ID:         mesh.AllocIDOf(p.job.ID(), v.Number, s.Seat, generation),
		Job:        p.job.ID(),
		Version:    v.Number,
		Hash:       v.Hash,
		Content:    s.content,
		Group:      s.Group,
		Index:      s.Index,
		Target:     s.Target,
		Generation: generation,
		Want:       mesh.WantRun,
		Reason:     reason,
		Resources:  s.group.Resources,
		Grants:     s.group.Asks(),
		Resume:     p.resume(s),
	}
	if replaces != nil {
		a.Replaces = replaces.ID
	}
	return a
}

// take counts a planned copy as placed, for the plan's next choices.
func (p *planner) take(id mesh.NodeID, a mesh.Alloc) {
	n := p.view.Node(id)
	n.Used = placement.Take(n, &a)
	a.Node = id
	p.view.Allocs = append(p.view.Allocs, mesh.AllocView{Alloc: a})
}

// stop decides that copies stop, for a reason.
func (p *planner) stop(copies []*mesh.AllocView, format string, args ...any) {
	for _, a := range copies {
		p.plan.Stop = append(p.plan.Stop, Stop{Alloc: a.ID, Node: a.Node, Reason: fmt.Sprintf(format, args...)})
	}
}

// wait notes that a seat stays empty for a reason.
func (p *planner) wait(s *seat, reason string) {
	p.tally.waiting++
	p.waitFor(s, reason)
}

// queue notes that a seat has to wait until others are done.
func (p *planner) queue(s *seat, reason string) {
	p.tally.queued++
	p.waitFor(s, reason)
}

func (p *planner) waitFor(s *seat, reason string) {
	key := Waiting{Seat: mesh.Seat{Group: s.Group}, Reason: reason}
	at, ok := p.waiting[key]
	if !ok {
		at = len(p.plan.Waiting)
		p.waiting[key] = at
		p.plan.Waiting = append(p.plan.Waiting, Waiting{Seat: s.Seat, Reason: reason})
	}
	p.plan.Waiting[at].Copies++
}

// wakeIn has the job planned again after d at the latest.
func (p *planner) wakeIn(d time.Duration) {
	if d > 0 && (p.plan.Wake == 0 || d < p.plan.Wake) {
		p.plan.Wake = d
	}
}

// nodeName is what people call a node.
func (p *planner) nodeName(id mesh.NodeID) string {
	if n := p.view.Node(id); n != nil && n.Name != "" {
		return n.Name
	}
	return id.Short()
}
