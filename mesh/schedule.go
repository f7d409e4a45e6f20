package mesh

import (
	"crypto/sha256"
	"encoding/json"
	"time"
)

// Overlap says what is done when a run is due and the one before has not ended.
type Overlap string

// The overlaps.
const (
	OverlapAllow   Overlap = "allow"   // both run
	OverlapForbid  Overlap = "forbid"  // the later one is left out
	OverlapQueue   Overlap = "queue"   // it runs when the earlier one has ended
	OverlapReplace Overlap = "replace" // the earlier one is cancelled
)

// Missed says what is done about times that have passed while nobody could decide, or
// the schedule was paused.
type Missed string

// The ways to treat what was missed.
const (
	MissedSkip Missed = "skip"
	CatchUpOne Missed = "catchup_one" // the latest of them
	CatchUpAll Missed = "catchup_all" // as many of the latest as CatchUpLimit
)

// WindowEnd says what becomes of a run when its window is over.
type WindowEnd string

// The ends of windows.
const (
	WindowCancels WindowEnd = "cancel"
	WindowLeaves  WindowEnd = "none"
)

// Schedule has a job run at certain times. Such a job has no copies of its own: each time makes a
// run, which is a job by itself, named after the job and the time.
type Schedule struct {
	// Crons are expressions of 5 or 6 fields, "@daily" and the like, or "@every 10m".
	Crons []string `json:"cron,omitempty" toml:"cron"`
	// Timezone is the IANA name of that in which Crons are meant; UTC if unset.
	Timezone string `json:"timezone,omitempty" toml:"timezone"`
	// At is when to run once; In is how long after the job was submitted.
	At time.Time `json:"at,omitzero" toml:"at"`
	In Duration  `json:"in,omitempty" toml:"in"`

	Overlap      Overlap  `json:"overlap,omitempty" toml:"overlap"`             // OverlapForbid if unset
	Missed       Missed   `json:"missed,omitempty" toml:"missed"`               // MissedSkip if unset
	CatchUpLimit int      `json:"catchup_limit,omitempty" toml:"catchup_limit"` // 10 if unset
	MissedGrace  Duration `json:"missed_grace,omitempty" toml:"missed_grace"`   // how late is not missed; 1m if unset
	// Window is for how long after its time a run may go on; 0 for ever.
	Window    Duration  `json:"window,omitempty" toml:"window"`
	WindowEnd WindowEnd `json:"window_end,omitempty" toml:"window_end"` // WindowCancels if unset
	// Keep is how many runs that have ended are kept; 20 if unset.
	Keep int `json:"keep,omitempty" toml:"keep"`
}

// Defaults of Schedule.
const (
	DefaultCatchUp     = 10
	DefaultMissedGrace = time.Minute
	DefaultKeep        = 20
)

// Timed says whether there is a time at which the job is due. Without one, a schedule only says how
// runs go that people and events ask for.
func (s *Schedule) Timed() bool {
	return s != nil && (len(s.Crons) > 0 || !s.At.IsZero() || s.In > 0)
}

// Overlaps is the effective Overlap. What nothing is said of and has no times is not held back: of
// events, each counts.
func (s *Schedule) Overlaps() Overlap {
	switch {
	case s != nil && s.Overlap != "":
		return s.Overlap
	case s.Timed():
		return OverlapForbid
	}
	return OverlapAllow
}

// Misses is the effective Missed.
func (s *Schedule) Misses() Missed {
	if s == nil || s.Missed == "" {
		return MissedSkip
	}
	return s.Missed
}

// CatchUp is how many of the times that were missed are made up for.
func (s *Schedule) CatchUp() int {
	switch {
	case s.Misses() == MissedSkip:
		return 0
	case s.Missed == CatchUpOne:
		return 1
	case s.CatchUpLimit == 0:
		return DefaultCatchUp
	}
	return s.CatchUpLimit
}

// Grace is the effective MissedGrace.
func (s *Schedule) Grace() time.Duration {
	if s == nil || s.MissedGrace == 0 {
		return DefaultMissedGrace
	}
	return s.MissedGrace.Std()
}

// Ends says whether a run is cancelled when its window is over.
func (s *Schedule) Ends() bool { return s != nil && s.Window > 0 && s.WindowEnd != WindowLeaves }

// Kept is the effective Keep.
func (s *Schedule) Kept() int {
	if s == nil || s.Keep == 0 {
		return DefaultKeep
	}
	return s.Keep
}

// Trigger has a job run each time something occurs. Such a job has no copies of its own, as one
// with a schedule.
type Trigger struct {
	Event string `json:"event" toml:"event"` // which kind of occurrence
	// Filter is what has to hold of it: by the dotted path of a value in its payload, or FilterSource.
	Filter map[string]Condition `json:"filter,omitempty" toml:"filter"`
	// Path is a pattern of files on the nodes, of FileAppeared alone.
	Path string `json:"path,omitempty" toml:"path"`
}

// Parameters say what a person or an occurrence may hand to a run, and has to.
type Parameters struct {
	Payload      ParameterRule `json:"payload,omitempty" toml:"payload"` // ParameterOptional if unset
	MetaRequired []string      `json:"meta_required,omitempty" toml:"meta_required"`
	MetaOptional []string      `json:"meta_optional,omitempty" toml:"meta_optional"`
}

// ParameterRule says whether something has to be handed over.
type ParameterRule string

// The rules.
const (
	ParameterOptional  ParameterRule = "optional"
	ParameterRequired  ParameterRule = "required"
	ParameterForbidden ParameterRule = "forbidden"
)

// The kinds of occurrences that the mesh tells by itself.
const (
	JobFinished     = "job_finished"
	JobHasFailed    = "job_failed"
	NodeHasJoined   = "node_joined"
	NodeIsLost      = "node_lost"
	ServiceCritical = "service_critical"
	DeviceFreed     = "device_freed"
	FileAppeared    = "file_appeared"
)

// OccurrenceID identifies something that has happened: what was told twice under one id has
// happened once.
type OccurrenceID string

// Occurrence is something that has happened, for which triggers may have jobs run: a person has
// said so, or the mesh has noticed.
type Occurrence struct {
	ID      OccurrenceID      `json:"id"`
	Event   string            `json:"event"`
	Source  string            `json:"source,omitempty"` // a job, a node, or what the person said
	Payload json.RawMessage   `json:"payload,omitempty"`
	Meta    map[string]string `json:"meta,omitempty"`
	By      NodeID            `json:"by"` // the peer that took it, or saw it
	At      time.Time         `json:"at"`
	// Template is the job of whose run it is the end: it never has that job run again.
	Template JobID `json:"template,omitempty"`
	Depth    int   `json:"depth,omitempty"` // how many runs it follows from, one after the other
}

// Cause is why a run is there.
type Cause string

// The causes.
const (
	CauseTime   Cause = "time"
	CauseEvent  Cause = "event"
	CausePerson Cause = "person"
)

// Origin is what a run came from. The job that it stands in is a run.
type Origin struct {
	Job        JobID             `json:"job"` // with the schedule or trigger
	Version    uint64            `json:"version"`
	Cause      Cause             `json:"cause"`
	Due        time.Time         `json:"due"`                  // when it was to run, or happened
	Occurrence OccurrenceID      `json:"occurrence,omitempty"` // or the key that a person gave to it
	Event      string            `json:"event,omitempty"`      // which kind of occurrence
	Payload    json.RawMessage   `json:"payload,omitempty"`
	Meta       map[string]string `json:"meta,omitempty"`
	Until      time.Time         `json:"until,omitzero"` // when its window is over, and it is cancelled
	Depth      int               `json:"depth,omitempty"`
}

// FiringResult is what was done when a job was due.
type FiringResult string

// The results.
const (
	FiringStarted FiringResult = "started"
	FiringQueued  FiringResult = "queued"  // it waits for the run before it
	FiringSkipped FiringResult = "skipped" // the run before it has not ended
	FiringMissed  FiringResult = "missed"  // nobody could decide in time
	FiringRefused FiringResult = "refused" // what it was handed does not fit
)

// Firing proves what was done when a job was due, by whom and by which right.
type Firing struct {
	Job         JobID        `json:"job"`
	Run         JobID        `json:"run"` // the name of the run, started or not
	Origin      Origin       `json:"origin"`
	Result      FiringResult `json:"result"`
	Reason      string       `json:"reason,omitempty"`
	Coordinator NodeID       `json:"coordinator"`
	At          time.Time    `json:"at"` // when it was decided
	// Times is how many times it stands for, of which Run is the last and First the first; 1 if zero.
	Times uint64    `json:"times,omitempty"`
	First time.Time `json:"first,omitzero"`
}

// Due is how far a coordinator has gone through the times at which a job is due: nothing up to
// Until is due again.
type Due struct {
	Job   JobID     `json:"job"`
	Until time.Time `json:"until"`
	// How many firings came to what, ever.
	Started     uint64 `json:"started,omitempty"`
	Skipped     uint64 `json:"skipped,omitempty"`
	Missed      uint64 `json:"missed,omitempty"`
	Refused     uint64 `json:"refused,omitempty"`
	Coordinator NodeID `json:"coordinator"`
	// Open are the times of which runs were begun that have not ended as far as is known: should the
	// record of one get lost, it is made again.
	Open []Begun `json:"open,omitempty"`
}

// Begun is a time of which a run was begun, and the version of its job.
type Begun struct {
	At      time.Time `json:"at"`
	Version uint64    `json:"version"`
}

// Bounds of the names of jobs that have runs, so that those have names, too.
const (
	runDue         = len("-20261128t020000z")
	templateMax    = 63 - runDue
	occurrenceHash = 7 // bytes of a hash, for 12 characters
)

// RunName is the name of the run that an origin has: by when it was due, or, if something else than
// the time has caused it, by what that was. The same always has the same name, so that whoever makes
// a run twice makes it once.
func RunName(job JobID, o *Origin) JobID {
	if o.Cause != CauseTime {
		h := sha256.New()
		hashText(h, string(o.Occurrence))
		return job + "-" + JobID(idText.EncodeToString(h.Sum(nil)[:occurrenceHash]))
	}
	layout := "20060102t1504z"
	if o.Due.Second() != 0 {
		layout = "20060102t150405z"
	}
	return job + "-" + JobID(o.Due.UTC().Format(layout))
}
