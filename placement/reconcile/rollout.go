package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"mn/mesh"
)

// A service or system job with an update policy comes to a new version step by step: its deployment.
// Nothing is remembered of that but how far it has come (mesh.Deployment), and what people want of it
// (mesh.Steering); which step is next follows from these and from the copies. A step is that it is a
// seat's turn to have the new version:
//
//	not its turn     the seat is one of the version before, in all that this plan does: what is lost of it
//	                 is replaced by that version, and drains move it
//	its turn         start_first  the new copy is placed beside the old one, which stops when it is well
//	                 stop_first   the old copy stops, and the new one is placed then
//	hidden beside    until they are promoted canaries, and all copies of a blue-green deployment, are a
//	                 second seat beside the old one: neither takes the place of the other
//
// At most update.max_parallel seats are between two copies at a time; those that are down anyway come
// first, as nothing is lost with them, and one that waits for a node out of sight is left alone. A paused
// deployment takes no step, and ends those that it has begun; one that has failed goes back on those that
// have not come to a new copy alone. Without a
// majority of the voters the copies of eager jobs go on step by step, but nobody is promoted by itself,
// and nothing fails or has succeeded: that is recorded, and a record needs the majority.
//
// Groups that are new are placed at once, with start_first beside those that are no more, which stop when
// all has succeeded: blue-green for what is new. A first version, and one of a job that was stopped, is
// placed at once. Copies that a version leaves as they are take no part.

// rollout is what a plan makes of the deployment of its job.
type rollout struct {
	order mesh.UpdateOrder
	hides bool   // what is new is not shown yet, and takes no place
	holds string // why it takes no step, or ""
	turns []*turn
	aside []*seat // filled beside those that the job wants
}

// turn is a seat that the deployment is about, or that it wants as well.
type turn struct {
	seat     *seat // of the version
	next     *seat // that may have a copy of the version: seat, or one beside it; nil if it is not its turn
	had      bool  // the version before has such a seat
	replaces bool  // there is, or was, something that the version changes
	begun    bool  // its turn has come
	lives    bool  // a copy of the version does, or is about to
	seen     bool  // and it is in sight
	moved    bool  // a copy of it was stopped for another version
	away     bool  // what may run of it is out of sight
	serves   bool  // an old copy runs, for all that is known
	well     time.Duration
}

// roll finds which seats have their turn, before what is known of them is sorted.
func (p *planner) roll() {
	d := p.job.Deployment
	if d == nil || !p.job.Job.Type.Long() || p.job.Paused || p.job.Torn || d.State == mesh.VersionRecorded {
		return
	}
	r := &rollout{hides: p.job.Hides()}
	r.order, _ = p.job.Job.UpdateOrder()
	p.rolls = r
	r.holds = p.holds()
	for _, s := range p.seatsAll {
		r.turns = append(r.turns, p.turnOf(s))
	}
	if d.State == mesh.Deployed || d.Fresh || p.job.Job.Gang {
		return
	}
	switch failed := d.State == mesh.DeploymentFailed; {
	case r.hides && !failed:
		p.besides()
	default:
		p.inTurns(failed)
	}
	p.keepGroups()
}

// holds is why the deployment takes no step now, or "".
func (p *planner) holds() string {
	d, s := p.job.Deployment, p.job.Steering
	switch {
	case d.State == mesh.DeploymentFailed:
		return "it has failed"
	case s != nil && s.Failed:
		return "a person has given it up"
	case s != nil && s.Paused:
		return "a person has paused it"
	}
	return cmp.Or(p.comesLater, p.plan.Unready)
}

// turnOf finds what a seat has of the version, and of those before it.
func (p *planner) turnOf(s *seat) *turn {
	t := &turn{seat: s, next: s, well: never}
	before := p.beforeOf(s.Seat)
	t.had = before != nil
	t.replaces = t.had && before.content != s.content
	var yielded bool
	for _, a := range s.copies {
		f := p.fate(a)
		t.moved = t.moved || a.Yields
		runs := a.Want == mesh.WantRun && (f.is == here || f.is == away)
		switch {
		case a.Content == s.content && runs && f.is == here:
			t.begun, t.lives, t.seen, t.well = true, true, true, min(t.well, p.well(a))
		case a.Content == s.content:
			t.begun, t.lives = t.begun || runs || p.ofDeployment(a), t.lives || runs
		case runs:
			t.replaces = true
			t.away = t.away || f.is == away
			t.serves = t.serves || a.State() == mesh.Running
			yielded = false
		case a.Want == mesh.WantStop:
			yielded = a.Yields
		}
	}
	if next := p.pending[s.Seat]; next != nil && next.Content == s.content {
		t.begun, t.lives, t.seen = true, true, true
	}
	t.begun = t.begun || yielded || !t.replaces
	if t.serves && !t.seen && p.rolls.order == mesh.StopFirst && !p.rolls.hides {
		t.begun = false // the step was taken where we cannot see: here it is the old copy that would go down for it
	}
	return t
}

// ofDeployment says whether a copy was placed for the version that is deployed.
func (p *planner) ofDeployment(a *mesh.AllocView) bool {
	return a.Version >= p.job.Deployment.Version && p.job.CameFrom(a.Version, a.Hash)
}

// beforeOf is a seat as the version that was deployed before has it, or nil.
func (p *planner) beforeOf(id mesh.Seat) *seat {
	v := p.job.Before
	if v == nil || p.job.Deployment.Fresh || v.Job.Type.PerNode() != (id.Target != "") {
		return nil
	}
	g, ok := v.Job.Group(id.Group)
	if !ok || id.Target == "" && id.Index >= g.Count {
		return nil
	}
	hash, known := p.hashes[g.Name]
	if !known {
		hash = mesh.HashGroup(&v.Job, g.Name)
		p.hashes[g.Name] = hash
	}
	return &seat{Seat: id, group: g, content: g.ContentOf(hash, id.Index), of: v, copies: p.copies[id]}
}

// besides has the hidden copies of an unpromoted deployment be placed beside the old ones.
func (p *planner) besides() {
	r := p.rolls
	left := map[string]int{}
	for _, t := range r.turns {
		if t.replaces && t.begun {
			left[t.seat.Group]--
		}
	}
	for _, t := range r.turns {
		if !t.replaces || !t.had {
			continue // it is placed in its own seat
		}
		fresh := *t.seat
		mayBegin := r.holds == "" && left[t.seat.Group]+p.job.Job.Update.Canaries() > 0
		if t.next = nil; t.begun || mayBegin {
			if !t.begun {
				left[t.seat.Group]--
			}
			fresh.copies, t.seat.copies = nil, nil
			for _, a := range p.copies[fresh.Seat] {
				if a.Content == fresh.content {
					fresh.copies = append(fresh.copies, a)
				} else {
					t.seat.copies = append(t.seat.copies, a)
				}
			}
			t.next = &fresh
			r.aside = append(r.aside, &fresh)
		}
		p.goesOnAs(t)
	}
}

// inTurns has seats replaced by max_parallel at a time. What has failed keeps the old copies that there are.
func (p *planner) inTurns(failed bool) {
	r := p.rolls
	var waiting []*turn
	between := 0
	begun := map[string]int{}
	for _, t := range r.turns {
		switch {
		case p.bound(t.seat) != "", !t.replaces && !t.moved:
		case failed && (t.had && (r.hides || !t.lives) || p.oldLives(t.seat)), !t.begun && (t.away || failed):
			p.goesOnAs(t)
			continue
		case !t.begun:
			waiting = append(waiting, t)
		default:
			if t.replaces {
				begun[t.seat.Group]++
			}
			if t.well > 0 {
				between++
			}
		}
		t.seat.beside = r.order == mesh.StartFirst
	}
	slices.SortStableFunc(waiting, func(a, b *turn) int { return cmp.Compare(serving(a), serving(b)) })
	for _, t := range waiting {
		first := p.job.Promoted() || begun[t.seat.Group] < p.job.Job.Update.Canaries()
		if r.holds != "" || between >= p.job.Job.Update.Parallel() || !first {
			p.goesOnAs(t)
			continue
		}
		between++
		begun[t.seat.Group]++
	}
}

// serving sorts what runs behind what does not.
func serving(t *turn) int {
	if t.serves {
		return 1
	}
	return 0
}

func (p *planner) oldLives(s *seat) bool {
	return slices.ContainsFunc(s.copies, func(a *mesh.AllocView) bool {
		f := p.fate(a)
		return a.Content != s.content && a.Want == mesh.WantRun && (f.is == here || f.is == away)
	})
}

// goesOnAs makes a seat one of the version that it has: that of the old copy which lives in it, if it is
// not the one that was deployed before.
func (p *planner) goesOnAs(t *turn) {
	if t.next == t.seat {
		t.next = nil
	}
	is := p.beforeOf(t.seat.Seat)
	var other *mesh.AllocView
	for _, a := range t.seat.copies {
		if a.Content == t.seat.content || a.Want != mesh.WantRun || p.fate(a).is != here {
			continue
		}
		if is != nil && a.Content == is.content {
			other = nil
			break
		}
		if a.Placed != nil {
			other = a
		}
	}
	if other != nil {
		g, ok := other.Placed.Group(other.Group)
		if ok {
			v := &mesh.JobVersion{Job: *other.Placed, Number: other.Version, Hash: other.Hash}
			is = &seat{Seat: t.seat.Seat, group: g, content: other.Content, of: v}
		}
	}
	if t.seat.late = true; is != nil {
		is.copies = t.seat.copies
		*t.seat = *is
	}
}

// keepGroups keeps what the version wants no more until all of it has succeeded, but for a seat that
// had its turn and was then scaled away.
func (p *planner) keepGroups() {
	r, v := p.rolls, p.job.Before
	if v == nil || r.order != mesh.StartFirst {
		return
	}
	for _, g := range v.Job.Groups() {
		for i := range g.Count {
			id := mesh.Seat{Group: g.Name, Index: i}
			if s := p.beforeOf(id); s != nil && !p.wanted[id] && !slices.ContainsFunc(s.copies, p.ofDeployment) {
				p.wanted[id] = true
				r.aside = append(r.aside, s)
			}
		}
	}
}

// fillAside decides what becomes of the seats beside those that the job wants. They do not count for
// how many of it run.
func (p *planner) fillAside() {
	if p.rolls == nil {
		return
	}
	was := p.tally
	for _, s := range p.rolls.aside {
		p.sort(s)
		p.fill(s)
	}
	p.tally = was
}

// replace has a copy take the place of one before it, which goes on until it is well.
func (p *planner) replace(s *seat) {
	old := p.chosen(s, s.stale)
	was := p.tally
	switch {
	case len(s.live) > 0:
		next := p.chosen(s, s.live)
		p.keepOne(s)
		wait := p.well(next)
		if wait == 0 && !p.leftAlone() {
			p.yield(s.stale, "version %d: the copy on %s has taken over", p.job.Number, p.nodeName(next.Node))
			return
		}
		if p.draining(old.Node) && p.leaves(old) && !p.leftAlone() {
			p.giveWay(old, next)
		}
		if !p.running(old) {
			return
		}
	case p.pending[s.Seat] != nil:
	case s.busy != "":
		p.wakeIn(s.wake)
	default:
		placed := len(p.plan.Place)
		p.refill(s)
		if len(p.plan.Place) == placed && slices.ContainsFunc(s.stale, p.leaves) {
			p.tally = was
			p.leavesAsBefore(s)
			return
		}
	}
	p.tally = was
	p.tally.live(p, old)
}

// giveWay has an old copy on a node that is drained leave it at the deadline, whatever becomes of the copy
// that is to take its place.
func (p *planner) giveWay(old, next *mesh.AllocView) {
	left := p.view.Node(old.Node).Admin.Deadline.Sub(p.view.Now)
	if left > 0 {
		p.drained(old, mesh.DrainMigrate, "until the copy of version %d on %s is healthy",
			p.job.Number, p.nodeName(next.Node))
		p.wakeIn(left)
		return
	}
	p.stopToLeave(old)
	p.drained(old, mesh.DrainMigrate, "stops: the deadline is over")
}

// leavesAsBefore has old copies that have to leave their node do so as what they are: there is no room
// for one of the version to take their place.
func (p *planner) leavesAsBefore(s *seat) {
	is := &seat{Seat: s.Seat, group: s.group, content: s.content, copies: s.copies}
	p.goesOnAs(&turn{seat: is})
	for _, a := range s.stale {
		if a.Content == is.content {
			is.live = append(is.live, a)
		} else {
			is.stale = append(is.stale, a)
		}
	}
	p.fill(is)
}

// yield stops copies for one of another version.
func (p *planner) yield(copies []*mesh.AllocView, format string, args ...any) {
	p.stop(copies, format, args...)
	for i := len(p.plan.Stop) - len(copies); i < len(p.plan.Stop); i++ {
		p.plan.Stop[i].Yields = true
	}
}

// well is 0 if a copy is healthy by what the update policy says, for as long as it says; else how long
// that takes yet, or never.
func (p *planner) well(a *mesh.AllocView) time.Duration {
	wait := p.healthy(a)
	if wait == never || p.job.Job.Update.Check() != mesh.ByChecks {
		return wait
	}
	for i := range a.Status.Tasks {
		t := &a.Status.Tasks[i]
		if t.State != mesh.Running {
			continue
		}
		if len(t.Services) < len(p.job.Job.Offered(&a.Alloc, t.Name)) {
			return never
		}
		need := p.job.Job.Update.Healthy()
		for _, s := range t.Services {
			if s.Health != mesh.Passing {
				return never
			}
			wait = max(wait, min(need-p.view.Now.Sub(s.Since), need))
		}
	}
	return wait
}

// unwell is why a copy is not healthy, in words.
func (p *planner) unwell(a *mesh.AllocView) string {
	switch {
	case a.Status == nil:
		return "it has not begun"
	case !p.running(a):
		return cause(a)
	}
	for i := range a.Status.Tasks {
		for _, s := range a.Status.Tasks[i].Services {
			if p.job.Job.Update.Check() == mesh.ByChecks && s.Health != mesh.Passing {
				return s.Text()
			}
		}
	}
	return fmt.Sprintf("it was not so for min_healthy = %v", mesh.Duration(p.job.Job.Update.Healthy()))
}

// version is that of which a seat is.
func (p *planner) version(s *seat) *mesh.JobVersion {
	if s.of != nil {
		return s.of
	}
	return &p.job.JobVersion
}

// twice says whether a copy for that place is planned already, of another version.
func (p *planner) twice(s *seat) bool {
	if p.rolls == nil || len(p.rolls.aside) == 0 {
		return false
	}
	return slices.ContainsFunc(p.plan.Place, func(pl Placement) bool { return pl.Alloc.Seat() == s.Seat })
}

// goesOnText is why a copy of an earlier version is placed.
func (p *planner) goesOnText(s *seat) string {
	return fmt.Sprintf("version %d goes on until it is the turn of version %d", s.of.Number, p.job.Number)
}

// isOld says whether what lives in a seat besides what is wanted there is of another content.
func (p *planner) isOld(s *seat) bool { return len(s.stale) > 0 && s.stale[0].Content != s.content }

// heldWhy is why what there was of the job before goes on for now, or "": a gang is replaced as a whole.
func (p *planner) heldWhy() string {
	if p.job.Job.Gang && p.rolls != nil && p.plan.Unready == "" {
		return p.rolls.holds
	}
	return p.plan.Unready
}
