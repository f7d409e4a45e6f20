package mesh

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Bounds of what runs come from.
const (
	// OccurrenceAge is for how long what has happened is remembered, and may have jobs run.
	OccurrenceAge = 24 * time.Hour
	// OccurrencesMax is how much of it at most: above OccurrencesKept, what is oldest goes earlier.
	OccurrencesMax  = 2000
	OccurrencesKept = 500
	// ChainMax is how many runs may follow from each other's ends.
	ChainMax = 8
	// FiringsKept is how many firings of a job are kept besides those that something depends on.
	FiringsKept = 100
)

// RunView is a run of a job as a view shows it.
type RunView struct {
	ID      JobID
	Version uint64    // of its own
	Origin  *Origin   // what it came from
	Status  JobStatus // as far as it is known here
	Over    bool      // it has ended, and nothing of it runs any more
}

// Built says whether it is the mesh that says so, and nobody else.
func (o *Occurrence) Built() bool {
	switch o.Event {
	case JobFinished, JobHasFailed, NodeHasJoined, NodeIsLost, ServiceCritical, DeviceFreed, FileAppeared:
		return true
	}
	return false
}

// Run is the first version of a run of v, but for its hash: the same whoever makes it, and when.
func (v *JobVersion) Run(o *Origin) JobVersion {
	job := v.Job
	job.Name = string(RunName(JobID(v.Job.Name), o))
	job.Schedule, job.Triggers, job.Origin = nil, nil, o
	return JobVersion{Job: job, Number: 1, Verb: VerbRun, At: o.Due.UTC(), By: v.By}
}

// Over is when the window of a run is over that was due at an instant; zero for never.
func (s *Schedule) Over(due time.Time) time.Time {
	if !s.Ends() {
		return time.Time{}
	}
	return due.Add(time.Duration(s.Window)).UTC()
}

// NotBegun says that what was counted as a run that began was refused: there will be none.
func (d *Due) NotBegun(o *Origin) {
	d.Started, d.Refused = d.Started-min(d.Started, 1), d.Refused+1
	d.Open = slices.DeleteFunc(d.Open, func(b Begun) bool { return o.Cause == CauseTime && b.At.Equal(o.Due) })
}

// WhenDue names all that says when the job is due, and nothing else.
func (j *Job) WhenDue() string {
	text, err := json.Marshal(struct {
		Schedule *Schedule
		Triggers []Trigger
	}{j.Schedule, j.Triggers})
	if err != nil {
		panic("mesh: a schedule cannot be encoded: " + err.Error())
	}
	return string(text)
}

// MayBeRun says whether a job's name is one that a run could have.
func MayBeRun(id JobID) bool {
	at := strings.LastIndexByte(string(id), '-')
	if at < 1 {
		return false
	}
	end := string(id[at+1:])
	if len(end) == idText.EncodedLen(occurrenceHash) {
		return true
	}
	return slices.ContainsFunc(runLayouts, func(layout string) bool {
		_, err := time.Parse(layout, end)
		return err == nil
	})
}

// runLayouts are how the names of runs say when they were due.
var runLayouts = []string{"20060102t1504z", "20060102t150405z"}
