package api

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"mn/crdt"
	"mn/mesh"
)

// ScheduleStatus says whether runs are made of a job.
type ScheduleStatus string

// The states of schedules and triggers.
const (
	ScheduleActive    ScheduleStatus = "active"
	SchedulePaused    ScheduleStatus = "paused"
	ScheduleStopped   ScheduleStatus = "stopped"   // as good as deleted: the job and its versions are kept
	ScheduleCompleted ScheduleStatus = "completed" // it is never due again
)

// upcomingMax is how many of the next times are told of a schedule.
const upcomingMax = 5

// Schedule is a job of which only runs have copies: for times, for events, or for people.
type Schedule struct {
	ID         mesh.JobID       `json:"id"`
	Name       string           `json:"name"`
	Type       mesh.JobType     `json:"type"`
	Version    uint64           `json:"version"`
	Status     ScheduleStatus   `json:"status"`
	Schedule   *mesh.Schedule   `json:"schedule"`
	Triggers   []mesh.Trigger   `json:"triggers"`
	Parameters *mesh.Parameters `json:"parameterized"`
	Since      time.Time        `json:"since"` // when it was made as it is
	Next       *time.Time       `json:"next"`  // null if no time is known
	Last       *Run             `json:"last"`  // the run that was made last; null for none
	Running    int              `json:"running"`
	Started    uint64           `json:"started"` // how many firings came to what, ever
	Skipped    uint64           `json:"skipped"`
	Missed     uint64           `json:"missed"`
	Refused    uint64           `json:"refused"`
}

// ScheduleDetail is one, with its runs that are kept.
type ScheduleDetail struct {
	Schedule
	Reason      string      `json:"reason"`
	Coordinator string      `json:"coordinator"` // name of the node that decides; "" if none is known
	Upcoming    []time.Time `json:"upcoming"`    // the next times
	Runs        []Run       `json:"runs"`        // the latest first
}

// Run is a job that was made of one with a schedule or trigger.
type Run struct {
	ID         mesh.JobID        `json:"id"`
	Cause      mesh.Cause        `json:"cause"`
	Due        time.Time         `json:"due"`
	Occurrence mesh.OccurrenceID `json:"occurrence"` // that it is for, or the key that a person gave
	Version    uint64            `json:"version"`    // of the job that it was made of
	Status     mesh.JobStatus    `json:"status"`
}

// Fired is a firing as the backend knows it.
type Fired struct {
	mesh.Firing
	Fence crdt.Fence // under which it was decided; epoch 0 is degraded
}

// Firing is what was made of a time or an event, by whom and by which right.
type Firing struct {
	Run           mesh.JobID        `json:"run"`
	Cause         mesh.Cause        `json:"cause"`
	Due           time.Time         `json:"due"`
	Occurrence    mesh.OccurrenceID `json:"occurrence"`
	Result        mesh.FiringResult `json:"result"`
	Reason        string            `json:"reason"`
	Times         uint64            `json:"times"`          // for how many times it stands
	Status        mesh.JobStatus    `json:"status"`         // of the run now; "" if there is none
	Coordinator   string            `json:"coordinator"`    // name of the node that decided
	CoordinatorID mesh.NodeID       `json:"coordinator_id"` // and its id
	Fence         string            `json:"fence"`          // epoch.ballot; epoch 0 is degraded
	At            time.Time         `json:"at"`             // when it was decided
}

// RunNowRequest asks for a run of a job, whether it is due or not.
type RunNowRequest struct {
	Job     mesh.JobID        `json:"job"`
	Payload json.RawMessage   `json:"payload,omitempty"`
	Meta    map[string]string `json:"meta,omitempty"`
	ID      string            `json:"id,omitempty"`     // of one there is one run, however often it is asked for
	Reason  string            `json:"reason,omitempty"` // kept with the run, for people
}

// RunMade is what came of that.
type RunMade struct {
	Job      mesh.JobID `json:"job"`
	Run      mesh.JobID `json:"run"`
	Changed  bool       `json:"changed"` // false: there was such a run already
	Warnings []string   `json:"warnings"`
}

// EmitRequest says that something has happened.
type EmitRequest struct {
	Event   string            `json:"event"`
	Payload json.RawMessage   `json:"payload,omitempty"`
	Meta    map[string]string `json:"meta,omitempty"`
	Source  string            `json:"source,omitempty"`
	ID      string            `json:"id,omitempty"` // what is said twice under one has happened once
}

// Emitted is what came of that.
type Emitted struct {
	ID       mesh.OccurrenceID `json:"id"`
	Event    string            `json:"event"`
	Changed  bool              `json:"changed"`  // false: it was known already
	Triggers []mesh.JobID      `json:"triggers"` // the jobs of which a run is made for it
	Warnings []string          `json:"warnings"`
}

// Occurrence is something that has happened, and is remembered.
type Occurrence struct {
	mesh.Occurrence
	Node string       `json:"node"` // name of the peer that took it, or saw it
	Runs []mesh.JobID `json:"runs"` // those that are kept
}

// schedules are the jobs of which only runs have copies, by name.
func (p picture) schedules() []Schedule {
	rows := []Schedule{}
	runs := p.runs()
	for i := range p.View.Jobs {
		if j := &p.View.Jobs[i]; j.Job.Template() {
			rows = append(rows, p.schedule(i, runs[j.ID()]))
		}
	}
	return rows
}

// runs are those of all jobs, the latest first.
func (p picture) runs() map[mesh.JobID][]Run {
	all := map[mesh.JobID][]Run{}
	for i := range p.View.Jobs {
		j := &p.View.Jobs[i]
		if o := j.Job.Origin; o != nil {
			all[o.Job] = append(all[o.Job], Run{
				ID: j.ID(), Cause: o.Cause, Due: o.Due, Occurrence: o.Occurrence, Version: o.Version,
				Status: p.Outlooks[i].Status,
			})
		}
	}
	for _, runs := range all {
		slices.SortFunc(runs, func(a, b Run) int { return cmp.Or(b.Due.Compare(a.Due), cmp.Compare(a.ID, b.ID)) })
	}
	return all
}

// over says whether a run has ended.
func (r *Run) over() bool {
	switch r.Status {
	case mesh.JobCompleted, mesh.JobFailed, mesh.JobStopped, mesh.JobCancelled:
		return true
	}
	return false
}

func (p picture) schedule(i int, runs []Run) Schedule {
	j := &p.View.Jobs[i]
	row := Schedule{
		ID: j.ID(), Name: j.Job.Name, Type: cmp.Or(j.Job.Type, mesh.Batch), Version: j.Number, Status: ScheduleActive,
		Schedule: j.Job.Schedule, Triggers: listed(j.Job.Triggers), Parameters: j.Job.Parameters, Since: j.Scheduled,
	}
	switch {
	case j.Stopped:
		row.Status = ScheduleStopped
	case j.Paused:
		row.Status = SchedulePaused
	case p.Outlooks[i].Status == mesh.JobCompleted:
		row.Status = ScheduleCompleted
	}
	if d := j.Due; d != nil {
		row.Started, row.Skipped, row.Missed, row.Refused = d.Started, d.Skipped, d.Missed, d.Refused
	}
	if next := p.upcoming(j, row.Status, 1); len(next) > 0 {
		row.Next = &next[0]
	}
	for k := range runs {
		if !runs[k].over() {
			row.Running++
		}
	}
	if len(runs) > 0 {
		row.Last = &runs[0]
	}
	return row
}

// upcoming are the next times at which a job is due, if it is.
func (p picture) upcoming(j *mesh.JobView, is ScheduleStatus, most int) []time.Time {
	times := []time.Time{}
	if is != ScheduleActive || !j.Job.Schedule.Timed() {
		return times
	}
	for at := p.View.Now; len(times) < most; {
		if at = j.Job.Schedule.Next(j.ID(), at, j.Scheduled); at.IsZero() {
			break
		}
		times = append(times, at)
	}
	return times
}

func (p picture) scheduleDetail(id mesh.JobID) (ScheduleDetail, error) {
	i, err := p.template(id)
	if err != nil {
		return ScheduleDetail{}, err
	}
	runs := p.runs()[id]
	d := ScheduleDetail{
		Schedule: p.schedule(i, runs), Reason: p.Outlooks[i].Text, Runs: listed(runs),
		Coordinator: p.nodeName(p.Outlooks[i].Coordinator),
	}
	d.Upcoming = p.upcoming(&p.View.Jobs[i], d.Status, upcomingMax)
	return d, nil
}

// template finds a job of which only runs have copies.
func (p picture) template(id mesh.JobID) (int, error) {
	i := slices.IndexFunc(p.View.Jobs, func(j mesh.JobView) bool { return j.ID() == id })
	switch {
	case i < 0:
		f := mesh.Faultf(mesh.NotFound, "no schedule or trigger %q", id)
		if near := nearest(string(id), p.schedules(), func(s Schedule) string { return s.Name }); near != "" {
			return 0, f.Hint("there is one called %q", near)
		}
		return 0, f.Hint("mn schedule ls; mn trigger ls")
	case p.View.Jobs[i].Job.Origin != nil:
		return 0, mesh.Faultf(mesh.Invalid, "%q is a run of %q", id, p.View.Jobs[i].Job.Origin.Job).
			Hint("mn job status %s", id)
	case !p.View.Jobs[i].Job.Template():
		return 0, mesh.Faultf(mesh.Invalid, "job %q has no schedule, trigger or parameters", id).
			Hint("mn schedule create FILE gives it one")
	}
	return i, nil
}

// firings are what the backend says was made of times and events, the latest first.
func (p picture) firings(id mesh.JobID, fired []Fired) []Firing {
	rows := []Firing{}
	status := map[mesh.JobID]mesh.JobStatus{}
	for _, r := range p.runs()[id] {
		status[r.ID] = r.Status
	}
	for i := range fired {
		f := &fired[i]
		rows = append(rows, Firing{
			Run: f.Run, Cause: f.Origin.Cause, Due: f.Origin.Due, Occurrence: f.Origin.Occurrence, Result: f.Result,
			Reason: f.Reason, Times: max(f.Times, 1), Status: status[f.Run], Coordinator: p.nodeName(f.Coordinator),
			CoordinatorID: f.Coordinator, Fence: f.Fence.String(), At: f.At,
		})
	}
	slices.SortFunc(rows, func(a, b Firing) int { return cmp.Or(b.Due.Compare(a.Due), cmp.Compare(a.Run, b.Run)) })
	return rows
}

// occurrences are what has happened, with the runs that it caused.
func (p picture) occurrences(all []mesh.Occurrence) []Occurrence {
	runs := map[mesh.OccurrenceID][]mesh.JobID{}
	for i := range p.View.Jobs {
		if o := p.View.Jobs[i].Job.Origin; o != nil && o.Cause == mesh.CauseEvent {
			runs[o.Occurrence] = append(runs[o.Occurrence], p.View.Jobs[i].ID())
		}
	}
	rows := make([]Occurrence, 0, len(all))
	for _, o := range slices.Backward(all) {
		rows = append(rows, Occurrence{Occurrence: o, Node: p.nodeName(o.By), Runs: listed(runs[o.ID])})
	}
	return rows
}

// triggeredBy are the jobs of which runs are made for what has happened.
func (p picture) triggeredBy(o *mesh.Occurrence) []mesh.JobID {
	ids := []mesh.JobID{}
	for i := range p.View.Jobs {
		j := &p.View.Jobs[i]
		matches := slices.ContainsFunc(j.Job.Triggers, func(t mesh.Trigger) bool { return t.Matches(o) })
		if matches && j.Job.Template() && !j.Stopped && !j.Paused {
			ids = append(ids, j.ID())
		}
	}
	return ids
}

func (s *Server) routeSchedules(b Backend) {
	serve(s, callSchedules, reads(b, func(p picture, _ none) ([]Schedule, error) { return p.schedules(), nil }))
	serve(s, callSchedule, reads(b, func(p picture, r jobRef) (ScheduleDetail, error) {
		return p.scheduleDetail(r.Job)
	}))
	serve(s, callAudit, func(ctx context.Context, r jobRef) ([]Firing, error) {
		snap, err := b.Snapshot(ctx)
		if err != nil {
			return nil, err
		}
		if _, err := (picture{snap}).template(r.Job); err != nil {
			return nil, err
		}
		fired, err := b.Firings(ctx, r.Job)
		return picture{snap}.firings(r.Job, fired), err
	})
	serve(s, callRunNow, func(ctx context.Context, r RunNowRequest) (RunMade, error) {
		made, err := b.RunNow(ctx, r)
		made.Warnings = listed(made.Warnings)
		return made, err
	})
	serve(s, callEmit, func(ctx context.Context, r EmitRequest) (Emitted, error) {
		o := mesh.Occurrence{
			ID: mesh.OccurrenceID(r.ID), Event: r.Event, Source: r.Source, Payload: r.Payload, Meta: r.Meta,
		}
		done, err := b.Emit(ctx, o)
		if err != nil {
			return Emitted{}, err
		}
		done.Warnings, done.Triggers = listed(done.Warnings), listed(done.Triggers)
		if !done.Changed {
			return done, nil
		}
		snap, err := b.Snapshot(ctx)
		done.Triggers = picture{snap}.triggeredBy(&o)
		return done, err
	})
	serve(s, callOccurrences, func(ctx context.Context, _ none) ([]Occurrence, error) {
		all, err := b.Occurrences(ctx)
		if err != nil {
			return nil, err
		}
		snap, err := b.Snapshot(ctx)
		return picture{snap}.occurrences(all), err
	})
}

// Schedules lists the jobs of which only runs have copies.
func (c *Client) Schedules(ctx context.Context) ([]Schedule, error) {
	return do(ctx, c, callSchedules, none{})
}

// WatchSchedules calls each with the list now and after every change.
func (c *Client) WatchSchedules(ctx context.Context, each func([]Schedule) error) error {
	return watchCall(ctx, c, callSchedules, none{}, each)
}

// Schedule is one of them, with its runs.
func (c *Client) Schedule(ctx context.Context, id mesh.JobID) (ScheduleDetail, error) {
	return do(ctx, c, callSchedule, jobRef{id})
}

// WatchSchedule calls each with one of them now and after every change.
func (c *Client) WatchSchedule(ctx context.Context, id mesh.JobID, each func(ScheduleDetail) error) error {
	return watchCall(ctx, c, callSchedule, jobRef{id}, each)
}

// Audit is what was made of the times and events at which a job was due.
func (c *Client) Audit(ctx context.Context, id mesh.JobID) ([]Firing, error) {
	return do(ctx, c, callAudit, jobRef{id})
}

// RunNow has a run made of a job.
func (c *Client) RunNow(ctx context.Context, r RunNowRequest) (RunMade, error) {
	return do(ctx, c, callRunNow, r)
}

// Emit says that something has happened.
func (c *Client) Emit(ctx context.Context, r EmitRequest) (Emitted, error) {
	return do(ctx, c, callEmit, r)
}

// Occurrences are what has happened and is remembered, the latest first.
func (c *Client) Occurrences(ctx context.Context) ([]Occurrence, error) {
	return do(ctx, c, callOccurrences, none{})
}
