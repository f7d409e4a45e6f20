package api

import (
	"cmp"
	"slices"

	"mn/mesh"
)

// Limit is a job's part in a limit that it shares with others.
type Limit struct {
	Key     string     `json:"key"`
	Job     mesh.JobID `json:"job"`
	Max     int        `json:"max"`     // by this job; 0 if its current version does not name the limit
	Held    int        `json:"held"`    // permits of its copies
	Waiting int        `json:"waiting"` // copies that wait for one
}

// limits are the shared limits, by key and job: of jobs that name them and may run, and
// of those that have permits all the same.
func (p picture) limits() []Limit {
	rows := []Limit{}
	row := func(key string, job mesh.JobID) *Limit {
		at := slices.IndexFunc(rows, func(l Limit) bool { return l.Key == key && l.Job == job })
		if at < 0 {
			at, rows = len(rows), append(rows, Limit{Key: key, Job: job})
		}
		return &rows[at]
	}
	for i := range p.View.Jobs {
		job := &p.View.Jobs[i]
		if l := job.Job.Limit; l != nil && !job.Stopped && !ended(p.Outlooks[i].Status) {
			r := row(l.Key, job.ID())
			r.Max, r.Waiting = l.Max, p.Outlooks[i].Limited
		}
	}
	for _, one := range p.View.Permits {
		r := row(one.Key, one.Job)
		r.Held++
		if job := p.View.Job(one.Job); job != nil && job.Job.Limit != nil && job.Job.Limit.Key == one.Key {
			r.Max = job.Job.Limit.Max
		}
	}
	slices.SortFunc(rows, func(a, b Limit) int { return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Job, b.Job)) })
	return rows
}

// ended says whether a job has nothing more to run, until a new version.
func ended(s mesh.JobStatus) bool {
	return s == mesh.JobCompleted || s == mesh.JobFailed || s == mesh.JobStopped || s == mesh.JobCancelled
}
