package core

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"mn/crdt"
	"mn/mesh"
	"mn/placement/reconcile"
)

// A job of which only runs have copies is planned by its coordinator as any job is, and what
// reconcile.Fire says is carried out here: a run is a job by itself, so all that holds for jobs
// holds for runs, and what was decided about a time or an occurrence is a Firing. Nothing rests on
// who decides: a run's name and content follow from what it comes from, so whoever makes it makes
// the same record.

// underWayMost bounds the runs that people may have under way of a job.
const underWayMost = 500

// fired is what this node knows of templates besides the records.
type fired struct {
	over map[mesh.JobID]mesh.RunView // runs that have ended, until a record about one changes
	next time.Duration               // when to look for occurrences that can be forgotten
}

func newFired(now time.Duration) fired {
	return fired{over: map[mesh.JobID]mesh.RunView{}, next: now + occurDueEvery}
}

// runs are those of a job, by name.
func (c *Core) runs(id mesh.JobID) []mesh.RunView {
	var all []mesh.RunView
	for _, run := range slices.Sorted(maps.Keys(c.records.course.runs[id])) {
		if v, known := c.fired.over[run]; known {
			all = append(all, v)
			continue
		}
		job, ok := c.records.job(run)
		if !ok || job.Job.Origin == nil {
			continue
		}
		v := mesh.RunView{ID: run, Version: job.Number, Origin: job.Job.Origin}
		v.Status = reconcile.Job(c.scene(&job), &job, nil, true).Status
		switch v.Status {
		case mesh.JobCompleted, mesh.JobFailed, mesh.JobStopped, mesh.JobCancelled:
			if v.Over = !c.lives(run) && len(c.pending(run)) == 0; v.Over {
				c.fired.over[run] = v
			}
		}
		all = append(all, v)
	}
	return all
}

// Firings are what was made of the times and occurrences at which a job was due, the oldest first.
func (c *Core) Firings(id mesh.JobID) []mesh.Firing {
	all := slices.Collect(maps.Values(c.records.course.fired[id]))
	slices.SortFunc(all, func(a, b mesh.Firing) int {
		return cmp.Or(a.Origin.Due.Compare(b.Origin.Due), cmp.Compare(a.Run, b.Run))
	})
	return all
}

// fire carries out what is to be done about a job of which runs are or were made.
func (c *Core) fire(job *mesh.JobView, fence crdt.Fence, granted bool) {
	id := job.ID()
	if !job.Job.Template() && len(c.records.course.runs[id]) == 0 {
		return
	}
	out := reconcile.Fire(c.template(job, granted))
	for i := range out.Fire {
		started := out.Fire[i].Result == mesh.FiringStarted
		if c.fireOne(job, &out.Fire[i], fence, granted); started && out.Fire[i].Result != mesh.FiringStarted {
			out.Due.NotBegun(&out.Fire[i].Origin)
		}
	}
	for _, cancel := range out.Cancel {
		c.cancel(cancel.Run, cancel.Reason)
	}
	if granted && out.Moved || granted && len(out.Due.Open) != len(c.openOf(id)) {
		out.Due.Coordinator = c.self
		c.put(mesh.KeyDue(id), out.Due, fence)
	}
	for _, run := range out.Forget {
		c.forgetRun(run, fence, granted)
	}
	if granted {
		for _, run := range out.Drop {
			c.drop(mesh.KeyFired(id, run), fence)
		}
	}
	if out.Wake > 0 {
		c.wakeJob(id, out.Wake)
	}
}

func (c *Core) openOf(id mesh.JobID) []mesh.Begun { return c.records.course.due[id].Open }

// template is what is known of a job of which runs are or were made.
func (c *Core) template(job *mesh.JobView, granted bool) *reconcile.Template {
	id := job.ID()
	t := &reconcile.Template{
		Job: job, Runs: c.runs(id), Firings: slices.Collect(maps.Values(c.records.course.fired[id])),
		Now: c.now.Wall, Granted: granted, Taken: func(run mesh.JobID) bool { return c.nameTaken(id, run) },
	}
	t.Gone = func(o *mesh.Origin) bool {
		next := c.runOf(job, o)
		return c.replica.Gone(mesh.KeyJob(mesh.JobID(next.Job.Name), next.Number, next.Hash))
	}
	slices.SortFunc(t.Firings, func(a, b mesh.Firing) int { return cmp.Compare(a.Run, b.Run) })
	for i := range t.Firings {
		o := t.Firings[i].Origin.Occurrence
		if _, there := c.records.course.occurred[o]; there && t.Firings[i].Origin.Cause == mesh.CauseEvent {
			t.Exists = append(t.Exists, o)
		}
	}
	slices.Sort(t.Exists)
	if len(job.Job.Triggers) > 0 {
		for _, o := range c.records.course.occurred {
			if slices.ContainsFunc(job.Job.Triggers, func(t mesh.Trigger) bool { return t.Event == o.Event }) {
				t.Occurrences = append(t.Occurrences, o)
			}
		}
		slices.SortFunc(t.Occurrences, earlier)
	}
	return t
}

// nameTaken says whether there is a job of a run's name that is no run of a job.
func (c *Core) nameTaken(of, run mesh.JobID) bool {
	other, ok := c.records.job(run)
	return ok && (other.Job.Origin == nil || other.Job.Origin.Job != of)
}

// fireOne writes down what is made of a time or an occurrence, and makes its run.
func (c *Core) fireOne(job *mesh.JobView, f *mesh.Firing, fence crdt.Fence, granted bool) {
	if f.Result == mesh.FiringStarted && len(c.records.versions[f.Run]) == 0 {
		_, fault := c.makeRun(job, &f.Origin, "")
		if fault != nil {
			f.Result, f.Reason = mesh.FiringRefused, fault.Text
		}
	}
	f.Coordinator, f.At = c.self, c.now.Wall.UTC()
	text := fmt.Sprintf("run %s: %s", f.Run, f.Result)
	if f.Reason != "" {
		text += ": " + f.Reason
	}
	c.event(mesh.Event{Kind: mesh.JobFired, Job: f.Job, Fence: fence, Text: text})
	key := mesh.KeyFired(f.Job, f.Run)
	switch e, there := c.replica.Get(key); {
	case granted:
		c.put(key, f, fence)
	case !there || e.Fence.IsZero():
		c.put(key, f, crdt.Fence{})
	}
}

// runOf is the run that comes from something, of the version of the job that it says. Its first version
// is named by the run alone: two sides of a split that are told of one event may be told at different
// times, or with other payloads, and it is one run, of which the work is done once and which is forgotten
// once.
func (c *Core) runOf(job *mesh.JobView, o *mesh.Origin) mesh.JobVersion {
	of := &job.JobVersion
	if o.Version != of.Number {
		history := c.records.history(job.ID())
		at := slices.IndexFunc(history, func(v mesh.JobVersion) bool { return v.Number == o.Version })
		if at >= 0 && history[at].Job.Template() {
			of = &history[at]
		}
	}
	next := of.Run(o)
	next.Hash = versionHash(next.Number, next.Parent, "run "+next.Job.Name)
	return next
}

// makeRun makes the run that comes from something. One that was there, and was forgotten, is not
// made again.
func (c *Core) makeRun(job *mesh.JobView, o *mesh.Origin, reason string) (e crdt.Entry, f *mesh.Fault) {
	next := c.runOf(job, o)
	next.Reason = reason
	key := mesh.KeyJob(mesh.JobID(next.Job.Name), next.Number, next.Hash)
	if f := fits(key, next); f != nil {
		return e, f
	}
	if c.replica.Gone(key) {
		return e, nil
	}
	return c.put(key, next, crdt.Fence{}), nil
}

// cancel gives up the work of a run, if it has not been ended.
func (c *Core) cancel(run mesh.JobID, reason string) {
	job, ok := c.records.job(run)
	if !ok || job.Stopped {
		return
	}
	next := job.Next(mesh.VerbCancel)
	next.Reason = reason
	if _, _, f := c.version(next); f != nil {
		c.event(mesh.Event{Kind: mesh.JobFired, Job: run, Text: "it cannot be cancelled: " + f.Text})
	}
}

// forgetRun removes the versions of a run that has ended. What else is known of it, the
// coordinator of its own slot forgets (forgetRest). Without a majority only what was decided
// without one is forgotten.
func (c *Core) forgetRun(run mesh.JobID, fence crdt.Fence, granted bool) {
	if !granted {
		fence = crdt.Fence{}
		for _, a := range c.records.allocsOf(run) {
			if _, decided := c.records.granted[a.ID]; decided {
				return
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.records.versions[run])) {
		c.drop(key, fence)
	}
}

// forgetRest removes what is left of a job of which there is no version any more: its copies
// have ended.
func (c *Core) forgetRest(id mesh.JobID, fence crdt.Fence, granted bool) {
	if len(c.records.versions[id]) > 0 || c.lives(id) {
		return
	}
	for _, a := range slices.Clone(c.records.allocsOf(id)) {
		if _, decided := c.records.granted[a.ID]; decided || granted {
			c.forget(a.ID, granted, fence)
		} else {
			c.drop(mesh.KeyDegraded(a.ID), crdt.Fence{})
		}
	}
	for name := range maps.Clone(c.records.tags[id]) {
		c.drop(mesh.KeyTag(id, name), crdt.Fence{})
	}
	if _, queued := c.records.queued[id]; queued && granted {
		c.drop(mesh.KeyQueued(id), fence)
	}
}

// expire cancels a run whose window is over.
func (c *Core) expire(job *mesh.JobView, plan *reconcile.Plan) {
	if plan.Expired != "" {
		c.cancel(job.ID(), plan.Expired)
	}
}

// runNow makes a run that a person wants. It needs nobody's leave but the job's: a run of a key is
// the same on whichever peer it is asked for.
func (c *Core) runNow(call RunNow) (reply any, none crdt.Entry, f *mesh.Fault) {
	job, ok := c.records.job(call.Job)
	switch {
	case !ok:
		return nil, none, mesh.Faultf(mesh.NotFound, "no job %q", call.Job).Hint("mn schedule ls")
	case job.Job.Origin != nil:
		return nil, none, mesh.Faultf(mesh.Invalid, "%q is a run of %q", call.Job, job.Job.Origin.Job).
			Hint("mn schedule run-now %s makes another run", job.Job.Origin.Job)
	case !job.Job.Template():
		return nil, none, mesh.Faultf(mesh.Invalid, "job %q has no schedule, trigger or parameters: it runs by itself",
			call.Job).Hint("mn job retry --all %s runs all of it again", call.Job)
	case job.Stopped:
		plan, _, _ := c.Outlook(&job)
		return nil, none, noLongerDue(call.Job, plan.Status)
	}
	if call.ID == "" {
		call.ID = fmt.Sprintf("%016x", c.cfg.Rand.Uint64())
	} else if !mesh.ValidName(call.ID) {
		return nil, none, mesh.Faultf(mesh.Invalid, "%q is no id: want 1 to 63 letters, digits, '-', '_' and '.', "+
			"beginning with a letter or digit", mesh.Plain(call.ID, 80))
	}
	if f := job.Job.Parameters.Takes(call.Payload, call.Meta); f != nil {
		return nil, none, f
	}
	now := c.now.Wall.UTC().Truncate(time.Second)
	o := mesh.Origin{
		Job: call.Job, Version: job.Number, Cause: mesh.CausePerson, Due: now,
		Occurrence: mesh.OccurrenceID("run-now/" + call.ID), Payload: call.Payload, Meta: call.Meta,
		Until: job.Job.Schedule.Over(now),
	}
	run := mesh.RunName(call.Job, &o)
	known, fired := c.records.course.fired[call.Job][run]
	switch {
	case c.nameTaken(call.Job, run):
		return nil, none, mesh.Faultf(mesh.Conflict, "there is another job %q", run).Hint("choose another --id")
	case fired || len(c.records.versions[run]) > 0:
		was := known.Origin
		if other, ok := c.records.job(run); ok && other.Job.Origin != nil {
			was = *other.Job.Origin
		}
		same := handedSame(was.Payload, o.Payload) && maps.Equal(was.Meta, o.Meta)
		return RunMade{Run: run, Unchanged: true, Differs: !same}, none, nil
	case len(c.records.course.runs[call.Job]) >= underWayMost:
		return nil, none, mesh.Faultf(mesh.Unavailable, "job %q has %d runs: no more fit", call.Job,
			len(c.records.course.runs[call.Job])).Hint("wait until some have ended")
	}
	e, f := c.makeRun(&job, &o, call.Reason)
	if f != nil {
		return nil, none, f
	}
	text := "run now: " + string(run)
	if call.Reason != "" {
		text += ": " + call.Reason
	}
	c.event(mesh.Event{Kind: mesh.JobFired, Job: call.Job, Text: text})
	return RunMade{Run: run}, e, nil
}
