package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"mn/mesh"
)

// A job with a schedule, triggers or parameters is a template: it has no copies, its runs do. A
// run is named after what it comes from, so to decide twice makes the same run. What has been
// decided is kept by the job's firings and by how far its times were gone through (mesh.Due):
// whoever decides next goes on from there, and does again what of it has got lost.

// Bounds of one look at a template.
const (
	// lateMax is how many times that have passed are looked at one by one; of more, the latest are.
	lateMax = 100
	// missedMax is how far times that were missed are counted.
	missedMax = 1000
	// underWayMax bounds the runs of a job that have not ended.
	underWayMax = 200
	// queuedMax bounds the times that wait for the run before them.
	queuedMax = 20
	// fireMax bounds the runs that are made in one step; those left have their turn in the next.
	fireMax = 50
	// slack is how much earlier than the template something may have happened that has it run: clocks
	// differ.
	slack = 5 * time.Second
)

// Template is what is known of a job of which only runs have copies.
type Template struct {
	Job         *mesh.JobView
	Runs        []mesh.RunView      // by name
	Firings     []mesh.Firing       // by name of the run
	Occurrences []mesh.Occurrence   // that are remembered, and of which some trigger may be, by id
	Exists      []mesh.OccurrenceID // all that are remembered, and that firings speak of, sorted
	// Taken says whether another job has a name that a run would have.
	Taken func(mesh.JobID) bool
	// Gone says whether a run was there, and was forgotten; nil: none was.
	Gone    func(*mesh.Origin) bool
	Now     time.Time
	Granted bool
}

// Firings is what should be done about a template: data, as a [Plan] is.
type Firings struct {
	// Fire says what is made of each time and occurrence. A run is made of what has started, if there
	// is none of its name.
	Fire   []mesh.Firing
	Cancel []Cancel      // runs that make room for others
	Forget []mesh.JobID  // runs that ended long ago
	Drop   []mesh.JobID  // firings, by run, on which nothing depends
	Due    mesh.Due      // how far the times are gone through then
	Moved  bool          // Due is another than before
	Wake   time.Duration // look again after this long; 0 if only news calls for it
}

// Cancel is a run that is to be given up.
type Cancel struct {
	Run    mesh.JobID
	Reason string
}

// Fire says what is to be done about a template. It depends on nothing but its argument.
func Fire(t *Template) Firings {
	f := &firer{
		Template: t, out: Firings{Due: mesh.Due{Job: t.Job.ID()}},
		runs: map[mesh.JobID]*mesh.RunView{}, fired: map[mesh.JobID]*mesh.Firing{},
	}
	if t.Job.Due != nil {
		f.out.Due = *t.Job.Due
	}
	for i := range t.Runs {
		f.runs[t.Runs[i].ID] = &t.Runs[i]
		if !t.Runs[i].Over {
			f.live = append(f.live, t.Runs[i].ID)
		}
	}
	for i := range t.Firings {
		f.fired[t.Firings[i].Run] = &t.Firings[i]
	}
	f.again()
	switch {
	case f.may():
		f.queue()
		f.times()
		f.occurrences()
	case (f.Job.Stopped || !f.Job.Job.Template()) && f.entitled():
		f.giveUp()
	}
	f.asked()
	f.forget()
	f.drop()
	return f.out
}

// firer works out what is done about a template.
type firer struct {
	*Template
	out     Firings
	runs    map[mesh.JobID]*mesh.RunView
	fired   map[mesh.JobID]*mesh.Firing
	live    []mesh.JobID  // runs that have not ended
	waiting []mesh.Firing // that are queued
}

// may says whether anything is made of the template where we are. While it is paused, only
// people have it run.
func (f *firer) may() bool {
	j := f.Job
	return j.Job.Template() && !j.Stopped && !j.Paused && f.entitled()
}

// entitled says whether anything may be decided about the job where we are.
func (f *firer) entitled() bool {
	r := &f.Job.Job.Recovery
	return f.Granted || r.Partition() == mesh.Eager && r.StopAfter == 0
}

// again makes once more what runs have got lost: the record of who decided came further than
// theirs.
func (f *firer) again() {
	var open []mesh.Begun
	for _, c := range f.out.Due.Open {
		o := f.origin(c.At)
		o.Version = c.Version
		run, there := f.runs[mesh.RunName(f.Job.ID(), &o)]
		if there && run.Over || !there && f.Gone != nil && f.Gone(&o) {
			continue
		}
		if !there && f.may() {
			started := f.out.Due.Started
			f.fire(o, mesh.FiringStarted, "")
			f.out.Due.Started = started // it is no other run
			if f.out.Fire[len(f.out.Fire)-1].Result != mesh.FiringStarted {
				continue
			}
		}
		open = append(open, c)
	}
	f.out.Due.Open = open
}

// origin is what the run of a time comes from.
func (f *firer) origin(at time.Time) mesh.Origin {
	return mesh.Origin{
		Job: f.Job.ID(), Version: f.Job.Number, Cause: mesh.CauseTime, Due: at.UTC(),
		Until: f.Job.Job.Schedule.Over(at),
	}
}

// fire notes what is made of something.
func (f *firer) fire(o mesh.Origin, result mesh.FiringResult, reason string) {
	run := mesh.RunName(f.Job.ID(), &o)
	if result == mesh.FiringStarted && f.runs[run] == nil {
		if f.Taken(run) {
			result, reason = mesh.FiringRefused, fmt.Sprintf("there is another job %q", run)
		} else {
			f.live = append(f.live, run)
		}
	}
	d := &f.out.Due
	switch result {
	case mesh.FiringStarted:
		d.Started++
	case mesh.FiringSkipped:
		d.Skipped++
	case mesh.FiringMissed:
		d.Missed++
	case mesh.FiringRefused:
		d.Refused++
	case mesh.FiringQueued:
	}
	f.out.Moved = true
	f.out.Fire = append(f.out.Fire, mesh.Firing{
		Job: f.Job.ID(), Run: run, Origin: o, Result: result, Reason: reason,
	})
}

// decided says whether something has been made of what a run would come from.
func (f *firer) decided(run mesh.JobID) bool { return f.fired[run] != nil || f.runs[run] != nil }

// full says whether as much is made in this step as may be, and has the rest follow.
func (f *firer) full() bool {
	if len(f.out.Fire) < fireMax {
		return false
	}
	f.wakeIn(time.Millisecond)
	return true
}

// unsay takes back what was said of a run in this step: something else is.
func (f *firer) unsay(run mesh.JobID) {
	f.out.Fire = slices.DeleteFunc(f.out.Fire, func(g mesh.Firing) bool { return g.Run == run })
}

func (f *firer) wakeIn(d time.Duration) {
	if f.out.Wake == 0 || d < f.out.Wake {
		f.out.Wake = max(d, time.Millisecond)
	}
}

// queue starts what waits for the runs before it, or gives it up.
func (f *firer) queue() {
	for i := range f.Firings {
		q := &f.Firings[i]
		switch {
		case q.Result != mesh.FiringQueued:
		case f.runs[q.Run] != nil: // who began it could not say so
			f.fire(q.Origin, mesh.FiringStarted, "")
		default:
			f.waiting = append(f.waiting, *q)
		}
	}
	slices.SortStableFunc(f.waiting, func(a, b mesh.Firing) int { return a.Origin.Due.Compare(b.Origin.Due) })
	rest := f.waiting[:0]
	for _, q := range f.waiting {
		until := q.Origin.Until
		switch {
		case !until.IsZero() && !f.Now.Before(until):
			f.fire(q.Origin, mesh.FiringSkipped, "its window was over before the run before it had ended")
		case len(f.live) == 0 && len(rest) == 0, f.Job.Job.Schedule.Overlaps() == mesh.OverlapAllow:
			f.begin(q.Origin)
		default:
			if !until.IsZero() {
				f.wakeIn(until.Sub(f.Now))
			}
			rest = append(rest, q)
		}
	}
	f.waiting = rest
}

// giveUp says of what waits that there will be no run: should the job be there again, what was due
// before is not.
func (f *firer) giveUp() {
	why := "the job was stopped while it waited"
	if !f.Job.Stopped {
		why = "the job has no schedule, trigger or parameters any more"
	}
	for i := range f.Firings {
		if q := &f.Firings[i]; q.Result == mesh.FiringQueued && f.runs[q.Run] == nil {
			f.fire(q.Origin, mesh.FiringSkipped, why)
		}
	}
}

// begin has something begin.
func (f *firer) begin(o mesh.Origin) {
	f.fire(o, mesh.FiringStarted, "")
	if o.Cause == mesh.CauseTime {
		f.out.Due.Open = append(f.out.Due.Open, mesh.Begun{At: o.Due, Version: o.Version})
	}
}

// due decides about a time that has come, or about what has happened, as those before it allow.
func (f *firer) due(o mesh.Origin) {
	before := ""
	if len(f.live) > 0 {
		before = fmt.Sprintf("run %s has not ended", f.live[0])
	} else if len(f.waiting) > 0 {
		before = fmt.Sprintf("run %s waits before it", f.waiting[0].Run)
	}
	overlap, room := f.Job.Job.Schedule.Overlaps(), queuedMax
	if overlap == mesh.OverlapForbid && f.madeUpFor(&o) { // one after the other
		overlap, room = mesh.OverlapQueue, max(queuedMax, f.Job.Job.Schedule.CatchUp())
	}
	switch {
	case len(f.live) >= underWayMax:
		f.fire(o, mesh.FiringSkipped, fmt.Sprintf("%d runs have not ended", len(f.live)))
	case before == "", overlap == mesh.OverlapAllow:
		f.begin(o)
	case overlap == mesh.OverlapReplace:
		f.replace(o.Due)
		f.wait(o, before)
	case overlap == mesh.OverlapQueue && len(f.waiting) < room:
		f.wait(o, before)
	case overlap == mesh.OverlapQueue:
		f.fire(o, mesh.FiringSkipped, fmt.Sprintf("%d others wait before it", len(f.waiting)))
	default:
		f.fire(o, mesh.FiringSkipped, before)
	}
}

// madeUpFor says whether a time was missed, and has a run all the same, as others have: it waits for
// theirs to end, where it would be left out had it come when it was due.
func (f *firer) madeUpFor(o *mesh.Origin) bool {
	return o.Cause == mesh.CauseTime && f.Job.Job.Schedule.Misses() == mesh.CatchUpAll &&
		o.Due.Before(f.Now.Add(-f.grace()))
}

// wait has something wait for the runs before it.
func (f *firer) wait(o mesh.Origin, before string) {
	f.fire(o, mesh.FiringQueued, before)
	f.waiting = append(f.waiting, f.out.Fire[len(f.out.Fire)-1])
}

// replace gives up what runs and what waits for the sake of a later time.
func (f *firer) replace(at time.Time) {
	when := at.UTC().Format(time.DateTime + " UTC")
	for _, run := range f.live {
		f.out.Cancel = append(f.out.Cancel, Cancel{run, "the run of " + when + " replaces it"})
	}
	for _, q := range f.waiting {
		f.unsay(q.Run)
		f.fire(q.Origin, mesh.FiringSkipped, "the run of "+when+" replaces it")
	}
	f.waiting = nil
}

// occurrences decides about what has happened.
func (f *firer) occurrences() {
	for i := range f.Occurrences {
		o := &f.Occurrences[i]
		origin := mesh.Origin{
			Job: f.Job.ID(), Version: f.Job.Number, Cause: mesh.CauseEvent, Due: o.At.UTC(), Occurrence: o.ID,
			Event: o.Event, Payload: o.Payload, Meta: o.Meta, Depth: o.Depth, Until: f.Job.Job.Schedule.Over(o.At),
		}
		if !f.triggered(o) || f.decided(mesh.RunName(f.Job.ID(), &origin)) {
			continue
		}
		if f.full() {
			return
		}
		switch fault := f.Job.Job.Parameters.Takes(o.Payload, o.Meta); {
		case origin.Depth > mesh.ChainMax:
			f.fire(origin, mesh.FiringRefused, fmt.Sprintf("it follows from %d runs, one after the other", o.Depth))
		case fault != nil:
			f.fire(origin, mesh.FiringRefused, fault.Text)
		default:
			f.due(origin)
		}
	}
}

// triggered says whether a trigger wants a run for what has happened. The end of a run never
// has its own job run, and what is older than the template, or than anybody remembers, nothing.
func (f *firer) triggered(o *mesh.Occurrence) bool {
	if o.Template == f.Job.ID() || !Since(f.Job, o.At) ||
		f.Now.Sub(o.At) >= mesh.OccurrenceAge {
		return false
	}
	triggers := f.Job.Job.Triggers
	return slices.ContainsFunc(triggers, func(t mesh.Trigger) bool { return t.Matches(o) })
}

// Since says whether a job may be triggered by what happened at an instant: not before it was there.
func Since(job *mesh.JobView, at time.Time) bool { return !at.Before(job.Scheduled.Add(-slack)) }

// asked proves what people have had run.
func (f *firer) asked() {
	for i := range f.Runs {
		r := &f.Runs[i]
		if r.Origin.Cause != mesh.CauseTime && f.fired[r.ID] == nil {
			f.fire(*r.Origin, mesh.FiringStarted, "")
		}
	}
}

// forget names the runs that have ended and are beyond those to keep.
func (f *firer) forget() {
	var over []*mesh.RunView
	for i := range f.Runs {
		if f.Runs[i].Over {
			over = append(over, &f.Runs[i])
		}
	}
	slices.SortStableFunc(over, func(a, b *mesh.RunView) int {
		return cmp.Or(a.Origin.Due.Compare(b.Origin.Due), cmp.Compare(a.ID, b.ID))
	})
	if !f.Granted && f.Job.Job.Recovery.Partition() != mesh.Eager {
		return
	}
	for _, r := range over[:max(len(over)-f.Job.Job.Schedule.Kept(), 0)] {
		open := slices.ContainsFunc(f.out.Due.Open, func(c mesh.Begun) bool { return c.At.Equal(r.Origin.Due) })
		if f.fired[r.ID] != nil && !open {
			f.out.Forget = append(f.out.Forget, r.ID)
		}
	}
}

// drop names the firings beyond those to keep on which nothing depends: whose run is forgotten,
// and whose occurrence is.
func (f *firer) drop() {
	var free []*mesh.Firing
	for i := range f.Firings {
		g := &f.Firings[i]
		_, there := slices.BinarySearch(f.Exists, g.Origin.Occurrence)
		if f.runs[g.Run] == nil && g.Result != mesh.FiringQueued && !(g.Origin.Cause == mesh.CauseEvent && there) {
			free = append(free, g)
		}
	}
	slices.SortStableFunc(free, func(a, b *mesh.Firing) int {
		return cmp.Or(a.Origin.Due.Compare(b.Origin.Due), cmp.Compare(a.Run, b.Run))
	})
	for _, g := range free[:max(len(free)-mesh.FiringsKept, 0)] {
		f.out.Drop = append(f.out.Drop, g.Run)
	}
}
