package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"mn/mesh"
)

// The copies of a gang are placed all together or not at all, and share one fate.
// All of them are of one generation, the latest of any seat, and it is whole as
// long as each seat's copy of it runs, is about to, may run out of sight, or has
// completed. When one has failed for good, is lost so that another would take its
// place, was stopped, or is of another content, all are stopped; once nothing of
// the job may run any more, the next generation is placed, of all seats, or none is:
// after a failure under the reschedule policy, counted once. What has completed is run again with
// the others. A node that is drained loses the gang as a whole, too.
//
// So there are never copies of two generations that run, unless the job's choice
// for partitions accepts two copies of a seat; and as every side of a split goes on
// from the same generation to the next, with the same ids, one of the two gangs
// stays when they meet: that of the later granted decisions. If a side has gone on with
// another version of the job, the gangs have ids of their own, and that of the later version stays.

// gang decides what becomes of all seats of a gang.
func (p *planner) gang(seats []*seat) {
	switch why := p.broken(seats); {
	case p.job.Paused:
		unfinished := func(s *seat) bool { return s.done == nil || s.done != s.last() }
		if !slices.ContainsFunc(seats, unfinished) {
			p.tally.done += len(seats)
		}
	case len(p.pending) > 0:
		p.tally.starting += len(seats)
	case why == "":
		if why = p.drainGang(seats); why != "" {
			p.disband(seats, why)
			return
		}
		p.hold(seats)
	case p.gangHeldBack(seats):
	case p.places.all > 0:
		p.disband(seats, why)
	default:
		p.muster(seats, why)
	}
}

// gangStops begins the reason for which each copy of a gang is stopped, when the
// gang is not whole any more.
const gangStops = "the gang stops: "

// broken is why a gang is not whole, or "". A failure is told first: others are its
// consequence.
func (p *planner) broken(seats []*seat) string {
	latest := latestRoll(seats)
	if s, a := p.fallen(seats, latest); a != nil {
		return p.failure(s, a)
	}
	for _, s := range seats {
		if why := p.breaks(s, latest); why != "" {
			return why
		}
	}
	return ""
}

func (p *planner) failure(s *seat, a *mesh.AllocView) string {
	return fmt.Sprintf("%v failed on %s: %s", s.Seat, p.nodeName(a.Node), cause(a))
}

// roll is which of a job's gangs a copy belongs to.
type roll struct {
	generation int
	version    uint64
}

func rollOf(a *mesh.AllocView) roll { return roll{a.Generation, a.Version} }

func (r roll) compare(o roll) int {
	return cmp.Or(cmp.Compare(r.generation, o.generation), cmp.Compare(r.version, o.version))
}

// latestRoll is that of the gang: the latest of any seat, of generation -1 if there is none.
func latestRoll(seats []*seat) roll {
	latest := roll{generation: -1}
	for _, s := range seats {
		for _, a := range s.copies {
			if r := rollOf(a); r.compare(latest) > 0 {
				latest = r
			}
		}
	}
	return latest
}

// breaks is why a gang is not whole for what its copy in a seat is, or "".
func (p *planner) breaks(s *seat, latest roll) string {
	wanted := fmt.Sprintf("version %d %s it", p.job.Number, p.does())
	if len(s.copies) == 0 || rollOf(s.last()) != latest {
		return wanted
	}
	a := s.last()
	fate := p.fate(a)
	over := a.Want == mesh.WantStop || fate.is == ended
	switch {
	case a == s.done:
		return ""
	case a.Content != s.content:
		return fmt.Sprintf("version %d changes %v", p.job.Number, s.Seat)
	case p.beginsAnew(a) != nil:
		return said(fmt.Sprintf("a person has %v begin anew", s.Seat), p.beginsAnew(a))
	case p.worn(a):
		return fmt.Sprintf("version %d retries %v", p.job.Number, s.Seat)
	case over && a.Version != p.job.Number:
		return wanted
	case a.Want == mesh.WantStop:
		return strings.TrimPrefix(a.Reason, gangStops)
	case over:
		return fmt.Sprintf("%v has stopped on %s", s.Seat, p.nodeName(a.Node))
	case fate.is == gone:
		return fmt.Sprintf("%v is lost: %s", s.Seat, fate.why)
	}
	return ""
}

// last is the copy of the latest generation.
func (s *seat) last() *mesh.AllocView { return s.copies[len(s.copies)-1] }

// hold keeps a gang that is whole. Earlier copies that have come back into sight
// have nothing to do with it.
func (p *planner) hold(seats []*seat) {
	for _, s := range seats {
		p.end(s.copies[:len(s.copies)-1], "a later gang has taken the place of this one")
		a := s.last()
		switch fate := p.fate(a); {
		case a == s.done:
			p.tally.done++
		case fate.is == away && fate.review:
			s.lost, s.busy = a, fate.why
			p.lost(s)
		case fate.is == away:
			p.wait(s, fate.why)
			p.wakeIn(fate.wake)
		default:
			p.tally.live(p, a)
		}
	}
}

// disband stops a gang that is not whole, and waits until nothing of the job may
// run any more.
func (p *planner) disband(seats []*seat, why string) {
	stops := gangStops + why
	lives := func(a *mesh.AllocView) bool { return !a.State().Final() }
	if !slices.ContainsFunc(seats, func(s *seat) bool { return slices.ContainsFunc(s.copies, lives) }) {
		stops = "waits until all else of the job has stopped"
	}
	if s := p.forsakenOf(seats); s != nil && p.barred() == "" {
		for _, s := range seats {
			p.end(s.copies, gangStops+"%s", why)
		}
		p.tally.failed += len(seats)
		p.tally.because(s.short() + ": " + s.busy + "; " + said(forsakenText, s.lost.Verdict))
		return
	}
	for _, s := range seats {
		reason := stops
		bar := p.barred()
		switch {
		case bar != "" && len(s.live) > 0:
			p.tally.live(p, s.live[0])
			continue
		case bar != "":
			reason = bar
		default:
			p.end(s.copies, gangStops+"%s", why)
		}
		switch {
		case bar == "" && s.lost != nil && !p.dead(s.lost): // nobody but a person knows what runs of it
			p.lost(s)
			continue
		case s.busy != "":
			reason = s.busy
		}
		p.wait(s, reason)
	}
	p.wakeIn(p.places.wake)
}

// forsakenOf is the seat of a gang whose copy is out of sight and was given up by a person, or nil.
func (p *planner) forsakenOf(seats []*seat) *seat {
	for _, s := range seats {
		if s.lost != nil && p.forsaken(s.lost) {
			return s
		}
	}
	return nil
}

// end stops those of some copies that are meant to run and have not ended, in sight
// or not: none of them may come back beside a later one.
func (p *planner) end(copies []*mesh.AllocView, format string, args ...any) {
	for _, a := range copies {
		if a.Want == mesh.WantRun && !a.State().Final() {
			p.stop([]*mesh.AllocView{a}, format, args...)
		}
	}
}

// muster plans the next generation of a gang of which nothing may run.
func (p *planner) muster(seats []*seat, why string) {
	latest := latestRoll(seats)
	if s, failed := p.fallen(seats, latest); failed != nil {
		if why = p.movesGang(seats, s, failed, why); why == "" {
			return
		}
	}
	if bar := cmp.Or(p.barred(), p.comesLater); bar != "" {
		p.waitAll(seats, bar)
		return
	}
	p.placeGang(seats, latest.generation+1, why)
}

// movesGang is why a gang of which a copy has failed is placed again now, or "": it waits,
// or is given up.
func (p *planner) movesGang(seats []*seat, s *seat, failed *mesh.AllocView, why string) string {
	v := p.word(failed, mesh.ReviewFailed)
	if p.forsaken(failed) {
		v = failed.Verdict
	}
	switch {
	case v != nil && v.Approve:
		return why + "; " + said("a person approved it", v)
	case v != nil:
		p.tally.failed += len(seats)
		p.tally.because(why + "; " + said(forsakenText, v))
		return ""
	}
	moves := p.gangMoves(seats, failed.Status.At)
	if end := p.exhausted(s, failed, moves); end != "" {
		p.giveUpGang(len(seats), failed, why, end)
		return ""
	}
	delay := p.policy.Delays.After(moves + 1)
	if left := min(delay-p.view.Now.Sub(failed.Status.At), delay); left > 0 {
		p.waitAll(seats, fmt.Sprintf("%s; the gang moves after %v", why, mesh.Duration(delay)))
		p.fails(failed, why, "the gang's move "+p.ofMoves(moves+1), left)
		p.wakeIn(left)
		return ""
	}
	return why + "; move " + p.ofMoves(moves+1)
}

func (p *planner) waitAll(seats []*seat, reason string) {
	for _, s := range seats {
		p.wait(s, reason)
	}
}

// fallen is the first copy of a gang that has failed, with its seat.
func (p *planner) fallen(seats []*seat, of roll) (*seat, *mesh.AllocView) {
	var at *seat
	var first *mesh.AllocView
	for _, s := range seats {
		for _, a := range s.copies {
			if rollOf(a) == of && p.failed(a, s) && (first == nil || a.Status.At.Before(first.Status.At)) {
				at, first = s, a
			}
		}
	}
	return at, first
}

// gangMoves counts the generations that were placed because the one before had
// failed, within the policy's interval before the instant at.
func (p *planner) gangMoves(seats []*seat, at time.Time) int {
	placed := map[int]time.Time{}
	failed := map[int]bool{}
	for _, s := range seats {
		for _, a := range s.copies {
			placed[a.Generation] = a.At
			failed[a.Generation] = failed[a.Generation] || p.failed(a, s)
		}
	}
	window := mesh.Window{Interval: p.policy.Interval}
	for generation := range latestRoll(seats).generation + 1 {
		if when, ok := placed[generation]; ok && failed[generation-1] {
			window.Add(when.Sub(at))
		}
	}
	return window.Count(0)
}

// placeGang proposes a copy for each seat, or none.
func (p *planner) placeGang(seats []*seat, generation int, reason string) {
	places, blocked := p.arrange(seats, generation, reason)
	if blocked != nil {
		p.plan.Blocked = append(p.plan.Blocked, *blocked)
		p.tally.blocked += len(seats)
		p.wakeIn(retryBlocked)
		return
	}
	p.plan.Place = places
	for _, s := range seats {
		p.end(s.copies, gangStops+"%s", reason)
	}
	p.tally.starting += len(seats)
}

// arrange finds a node for each copy of a gang, the best where those before it have
// taken their room; or the first that fits nowhere, and how many would. Of a group of which
// one does not fit, no other does.
func (p *planner) arrange(seats []*seat, generation int, reason string) ([]Placement, *Blocked) {
	var places []Placement
	var master string
	var blocked *Blocked
	full := map[string]bool{}
	for rank, s := range seats {
		if full[s.Group] {
			continue
		}
		var before *mesh.AllocView
		if len(s.copies) > 0 {
			before = s.last()
		}
		a := p.next(s, before, reason)
		a.Generation = generation
		a.ID = mesh.AllocIDOf(p.job.ID(), p.job.Number, s.Seat, generation)
		choice := p.choose(s, a.ID, p.failedNodes(s))
		if len(choice.Candidates) == 0 {
			full[s.Group] = true
			if blocked == nil {
				blocked = &Blocked{Alloc: a.ID, Seat: s.Seat, Copies: len(seats), Choice: choice, Gang: true}
			}
			continue
		}
		best := choice.Candidates[0].Node
		if rank == 0 {
			master = p.view.Node(best).Host()
		}
		choice.Candidates = choice.Candidates[:1] // what all are told rests on where the first goes
		a.Gang = &mesh.Gang{Rank: rank, Size: len(seats), Master: master}
		places = append(places, Placement{Alloc: a, Choice: choice})
		p.take(best, a)
	}
	if blocked != nil {
		blocked.Fit = len(places)
		return nil, blocked
	}
	return places, nil
}

// drainGang is why a gang that is whole has to stop and begin elsewhere, as some of
// its copies have to leave their node, or "". It stays as long as there is no room
// for all of it, its own counted.
func (p *planner) drainGang(seats []*seat) string {
	var leaving []*mesh.AllocView
	var first *seat
	late := false
	for _, s := range seats {
		for _, a := range s.live {
			if p.leaves(a) {
				leaving, first = append(leaving, a), cmp.Or(first, s)
				if p.draining(a.Node) {
					left := p.view.Node(a.Node).Admin.Deadline.Sub(p.view.Now)
					late = late || left <= 0
					p.wakeIn(left)
				}
			}
		}
	}
	if len(leaving) == 0 {
		return ""
	}
	action, why := p.gangMayMove(seats, first, leaving[0], late)
	for _, a := range leaving {
		p.drained(a, action, "%s", why)
	}
	if action != mesh.DrainMigrate {
		return ""
	}
	return p.whyLeaves(leaving[0])
}

// gangMayMove is what becomes of a gang that has to leave a node. What a person says of
// the first of its copies there goes for all.
func (p *planner) gangMayMove(seats []*seat, s *seat, first *mesh.AllocView, late bool) (mesh.DrainAction, string) {
	if !p.job.Job.Type.Long() && !late {
		return mesh.DrainWaiting, "waits for its end, or for the deadline"
	}
	if action, why := p.asks(s, first); why != "" {
		return action, why
	}
	if bar := p.barred(); bar != "" {
		return mesh.DrainWaiting, bar
	}
	for _, s := range seats {
		if s.busy != "" { // it could not begin elsewhere before that is over
			return mesh.DrainWaiting, fmt.Sprintf("%v: %s", s.Seat, s.busy)
		}
	}
	trial, view := *p, *p.view
	view.Nodes, view.Allocs = slices.Clone(view.Nodes), slices.Clone(view.Allocs)
	trial.view = &view
	for _, s := range seats {
		for _, a := range s.live {
			n := view.Node(a.Node)
			n.Used = n.Used.Without(&a.Alloc)
		}
	}
	if _, blocked := trial.arrange(seats, latestRoll(seats).generation+1, ""); blocked != nil {
		p.wakeIn(retryBlocked)
		return mesh.DrainBlocked, blocked.Why()
	}
	return mesh.DrainMigrate, "the gang stops, and starts again elsewhere"
}
