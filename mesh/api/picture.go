package api

import (
	"cmp"
	"slices"
	"time"

	"mn/mesh"
)

// The JSON names below are a contract for scripts: none is renamed or removed,
// and none is left out when it has no value.

// JobRow is a job in a list.
type JobRow struct {
	ID          mesh.JobID     `json:"id"`
	Name        string         `json:"name"`
	Type        mesh.JobType   `json:"type"`
	Version     uint64         `json:"version"`
	Status      mesh.JobStatus `json:"status"`
	Count       int            `json:"count"`     // copies that should run, or of a paused job, will when it is resumed
	Running     int            `json:"running"`   // how many of these do
	Beside      int            `json:"beside"`    // further copies that run: another one is in the same place
	Completed   int            `json:"completed"` // copies, of work that has an end
	Skipped     int            `json:"skipped"`   // copies: what they come after has gone otherwise
	SubmittedAt time.Time      `json:"submitted_at"`
	Conflict    bool           `json:"conflict"` // a concurrent version lost to this one
	RunOf       mesh.JobID     `json:"run_of"`   // the job with the schedule or trigger; "" if it is no run
	Template    bool           `json:"template"` // only runs of it have copies
}

// Job is the state of a job.
type Job struct {
	JobRow
	Hash          string                 `json:"hash"`
	Reason        string                 `json:"reason"`
	Coordinator   string                 `json:"coordinator"` // name of the node that decides; "" if none is known
	CoordinatorID mesh.NodeID            `json:"coordinator_id"`
	Fence         string                 `json:"fence"` // epoch.ballot; epoch 0 is degraded
	OnPartition   mesh.OnPartition       `json:"on_partition"`
	Recovery      mesh.EffectiveRecovery `json:"recovery"`
	SubmittedBy   string                 `json:"submitted_by"`
	Conflicts     []string               `json:"conflicts"` // hashes of the versions that lost
	Groups        []GroupRow             `json:"groups"`
	Waits         []Wait                 `json:"waits"`   // copies that are wanted and do not run yet
	NextAt        *time.Time             `json:"next_at"` // when the first goes on; null if only news calls for it
	Allocations   []Alloc                `json:"allocations"`
	Policies      []CopyCount            `json:"policies"`   // what the copies have used up of them
	Deployment    *Deployment            `json:"deployment"` // of its content; null for one that has none
	Origin        *mesh.Origin           `json:"origin"`     // what a run comes from; null for what is no run
}

// GroupRow is a group of a job: how many copies should run, or will when the job is
// resumed, how many do, and what has become of the others.
type GroupRow struct {
	Group         string   `json:"group"`
	Tasks         []string `json:"tasks"`
	Count         int      `json:"count"`
	Running       int      `json:"running"`
	Beside        int      `json:"beside"` // further copies that run: of a version that comes or goes, or that move
	Completed     int      `json:"completed"`
	Skipped       int      `json:"skipped"`
	SkippedReason string   `json:"skipped_reason"`
}

// JobVersion is a version in the history of a job.
type JobVersion struct {
	mesh.JobVersion
	Node    string   `json:"node"`    // name of the peer that took it
	Current bool     `json:"current"` // the one that runs
	All     bool     `json:"all"`     // of a retry: what had completed runs again, too
	Tags    []string `json:"tags"`
}

// picture computes answers from a snapshot.
type picture struct{ Snapshot }

func (p picture) jobs() []JobRow {
	rows := make([]JobRow, 0, len(p.View.Jobs))
	for i := range p.View.Jobs {
		rows = append(rows, p.jobRow(i))
	}
	return rows
}

func (p picture) jobRow(i int) JobRow {
	j := &p.View.Jobs[i]
	row := JobRow{
		ID:          j.ID(),
		Name:        j.Job.Name,
		Type:        cmp.Or(j.Job.Type, mesh.Batch),
		Version:     j.Number,
		Status:      p.Outlooks[i].Status,
		SubmittedAt: j.At,
		Conflict:    len(j.Conflicts) > 0,
		Template:    j.Job.Template(),
	}
	if o := j.Job.Origin; o != nil {
		row.RunOf = o.Job
	}
	for _, g := range p.groups(i) {
		row.Count += g.Count
		row.Running += g.Running
		row.Beside += g.Beside
		row.Completed += g.Completed
		row.Skipped += g.Skipped
	}
	return row
}

func (p picture) job(id mesh.JobID) (Job, error) {
	i := slices.IndexFunc(p.View.Jobs, func(j mesh.JobView) bool { return j.ID() == id })
	if i < 0 {
		return Job{}, p.noJob(id)
	}
	j, o := &p.View.Jobs[i], p.Outlooks[i]
	job := Job{
		JobRow:        p.jobRow(i),
		Hash:          j.Hash,
		Reason:        o.Text,
		Coordinator:   p.nodeName(o.Coordinator),
		CoordinatorID: o.Coordinator,
		Fence:         o.Fence.String(),
		OnPartition:   j.Job.Recovery.Partition(),
		Recovery:      o.Recovery,
		SubmittedBy:   p.nodeName(j.By),
		Conflicts:     []string{},
		Groups:        p.groups(i),
		Waits:         append([]Wait{}, o.Waits...),
		Allocations:   p.allocRows(p.current(j), nil),
		Policies:      []CopyCount{},
		Origin:        j.Job.Origin,
	}
	if j.Deployment != nil {
		d := p.deployment(i)
		job.Deployment = &d
	}
	forRoom := func(w Wait) bool { return w.For == WaitsForRoom } // that is tried all the time
	if o.Wake > 0 && len(o.Waits) > 0 && !slices.ContainsFunc(o.Waits, forRoom) {
		at := p.View.Now.Add(o.Wake).UTC().Round(time.Second)
		job.NextAt = &at
	}
	for _, c := range j.Conflicts {
		job.Conflicts = append(job.Conflicts, c.Hash)
	}
	return job, nil
}

func (p picture) noJob(id mesh.JobID) error {
	f := mesh.Faultf(mesh.NotFound, "no job %q", id)
	if near := nearest(string(id), p.View.Jobs, func(j mesh.JobView) string { return j.Job.Name }); near != "" {
		return f.Hint("there is a job %q", near)
	}
	return f.Hint("mn job ls lists the jobs")
}

// groups are the groups of the i-th job.
func (p picture) groups(i int) []GroupRow {
	j := &p.View.Jobs[i]
	rows := []GroupRow{}
	for _, g := range j.Job.Groups() {
		done := p.Outlooks[i].Progress[g.Name]
		row := GroupRow{
			Group: g.Name, Count: p.Outlooks[i].Wanted[g.Name], Completed: done.Completed, Skipped: done.Skipped,
			SkippedReason: done.Reason,
		}
		if j.Paused && !j.Job.Type.PerNode() {
			row.Count = g.Count
		}
		for _, t := range g.Tasks {
			row.Tasks = append(row.Tasks, t.Name)
		}
		run := map[mesh.Seat]bool{}
		for _, a := range p.View.AllocsOf(j.ID()) {
			switch {
			case a.Group != g.Name || p.status(&a, a.State()) != string(mesh.Running):
			case run[a.Seat()]:
				row.Beside++
			default:
				run[a.Seat()] = true
				row.Running++
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func (p picture) history(id mesh.JobID, versions []mesh.JobVersion) []JobVersion {
	rows := make([]JobVersion, 0, len(versions))
	current := p.View.Job(id)
	for _, v := range versions {
		v.Verb = v.Did() // an earlier release did not keep it
		row := JobVersion{JobVersion: v, Node: p.nodeName(v.By), Tags: []string{}}
		row.All = v.Verb == mesh.VerbRetry && v.Since == 0
		if current != nil {
			row.Current = current.Hash == v.Hash && current.Number == v.Number
			for _, t := range current.Tags {
				if t.Hash == v.Hash {
					row.Tags = append(row.Tags, t.Name)
				}
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// nodeName is the name of a node, or the beginning of its id if we know none.
func (p picture) nodeName(id mesh.NodeID) string {
	if n := p.View.Node(id); n != nil && n.Name != "" {
		return n.Name
	}
	return id.Short()
}
