package mesh

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// JobType says how long a job's work lasts and where its copies go.
type JobType string

// The job types.
const (
	Service  JobType = "service"  // runs until stopped; any exit is restarted
	Batch    JobType = "batch"    // runs to completion
	System   JobType = "system"   // one copy on every eligible node
	SysBatch JobType = "sysbatch" // one copy on every eligible node, to completion
)

// PerNode says whether the type's work runs once on each node that can run it.
func (t JobType) PerNode() bool { return t == System || t == SysBatch }

// Long says whether the type's work is meant to run until it is stopped.
func (t JobType) Long() bool { return t == Service || t == System }

// Job is what a person wants to run: one TOML file.
type Job struct {
	Name     string   `json:"name" toml:"name"`
	Type     JobType  `json:"type" toml:"type"`
	Strategy Strategy `json:"strategy,omitempty" toml:"strategy"`
	Priority int      `json:"priority,omitempty" toml:"priority"` // 1..100, 50 if unset
	// Preemptible: its copies may be stopped to make room for work of a higher priority.
	Preemptible bool     `json:"preemptible,omitempty" toml:"preemptible"`
	Timeout     Duration `json:"timeout,omitempty" toml:"timeout"` // of a copy; 0 for none
	// MaxRunning is how many copies may run at once, of all groups; 0 for all.
	MaxRunning int `json:"max_running,omitempty" toml:"max_running"`
	// Limit is shared with other jobs: see [SharedLimit].
	Limit *SharedLimit `json:"limit,omitempty" toml:"limit"`
	// Gang: the copies are placed all together or not at all, and share one fate.
	Gang bool              `json:"gang,omitempty" toml:"gang"`
	Meta map[string]string `json:"meta,omitempty" toml:"meta"`
	// After names jobs that this one comes after, and AfterRule with which outcomes.
	After       []string  `json:"after,omitempty" toml:"after"`
	AfterRule   AfterRule `json:"after_rule,omitempty" toml:"after_rule"`
	AfterQuorum int       `json:"after_quorum,omitempty" toml:"after_quorum"`
	// Pool is that of the nodes that run it: DefaultPool if unset, AnyPool for all.
	Pool        string       `json:"pool,omitempty" toml:"pool"`
	Constraints []Constraint `json:"constraint,omitempty" toml:"constraint"`
	Affinities  []Affinity   `json:"affinity,omitempty" toml:"affinity"`
	Spreads     []SpreadOver `json:"spread,omitempty" toml:"spread"`
	// IncludeLate: a sysbatch job also runs on nodes admitted after it was submitted;
	// true if unset.
	IncludeLate *bool             `json:"include_late,omitempty" toml:"include_late"`
	Recovery    Recovery          `json:"recovery" toml:"recovery"`
	Restart     *RestartPolicy    `json:"restart,omitempty" toml:"restart"`
	Reschedule  *ReschedulePolicy `json:"reschedule,omitempty" toml:"reschedule"`
	Update      *UpdatePolicy     `json:"update,omitempty" toml:"update"`
	// Schedule, Triggers and Parameters make a job of which only runs have copies; Origin is set for
	// such a run, and by nobody else.
	Schedule   *Schedule   `json:"schedule,omitempty" toml:"schedule"`
	Triggers   []Trigger   `json:"trigger,omitempty" toml:"trigger"`
	Parameters *Parameters `json:"parameterized,omitempty" toml:"parameterized"`
	Origin     *Origin     `json:"origin,omitempty" toml:"-"`
	// Services are offered by each copy that has their port, or are external; Requires has to be there
	// before a copy starts.
	Services []ServiceDef  `json:"service,omitempty" toml:"service"`
	Requires []ServiceNeed `json:"requires_service,omitempty" toml:"requires_service"`
	Tasks    []Task        `json:"task" toml:"task"`
	Payload  *Payload      `json:"payload,omitempty" toml:"-"` // what came with the file
}

// Template says whether the job has no copies of its own: its runs do.
func (j *Job) Template() bool {
	return j.Origin == nil && (j.Schedule != nil || len(j.Triggers) > 0 || j.Parameters != nil)
}

// Late is the effective IncludeLate.
func (j *Job) Late() bool { return j.IncludeLate == nil || *j.IncludeLate }

// Strategy says which of the nodes that fit is the best.
type Strategy string

// The strategies.
const (
	Binpack Strategy = "binpack" // fill a node before the next (the default)
	Spread  Strategy = "spread"  // even out the copies and the load
)

// Lifecycle says when a task runs within its copy. A main task, which does the
// copy's work, has none.
type Lifecycle string

// The lifecycles.
const (
	Prestart Lifecycle = "prestart" // to completion, before the main tasks start
	Sidecar  Lifecycle = "sidecar"  // for as long as a main task runs
	Poststop Lifecycle = "poststop" // to completion, when all others have ended
)

// Task is one program of a job. Tasks with the same group are placed together.
type Task struct {
	Name      string    `json:"name" toml:"name"`
	Group     string    `json:"group,omitempty" toml:"group"` // its own name if unset
	Count     int       `json:"count,omitempty" toml:"count"` // 1 if unset; equal within a group
	Array     string    `json:"array,omitempty" toml:"array"` // in place of Count: see [ParseArray]
	Lifecycle Lifecycle `json:"lifecycle,omitempty" toml:"lifecycle"`
	// After names groups, or tasks of them, that the task's group comes after, and
	// AfterRule with which outcomes; equal within a group.
	After       []string  `json:"after,omitempty" toml:"after"`
	AfterRule   AfterRule `json:"after_rule,omitempty" toml:"after_rule"`
	AfterQuorum int       `json:"after_quorum,omitempty" toml:"after_quorum"`

	Driver    string            `json:"driver,omitempty" toml:"driver"`
	Isolation Isolation         `json:"isolation,omitempty" toml:"isolation"`
	Command   []string          `json:"command,omitempty" toml:"command"` // of a container, the image's if unset
	Dir       string            `json:"dir,omitempty" toml:"dir"`         // absolute; the task's own folder if unset
	User      string            `json:"user,omitempty" toml:"user"`
	Env       map[string]string `json:"env,omitempty" toml:"env"`
	// StopSignal asks the task to end; if unset it is SIGTERM, or what the image of a container wants.
	StopSignal string   `json:"stop_signal,omitempty" toml:"stop_signal"`
	KillGrace  Duration `json:"kill_grace,omitempty" toml:"kill_grace"` // from that to SIGKILL; 5s if unset
	// WarnSignal comes WarnBefore ahead of it, where that can be; none if unset.
	WarnSignal string `json:"warn_signal,omitempty" toml:"warn_signal"`
	// WarnBefore is how long nobody is sent to the task any more before it is asked to end; 10s with a
	// warning, 0 without.
	WarnBefore Duration        `json:"warn_before,omitempty" toml:"warn_before"`
	Timeout    Duration        `json:"timeout,omitempty" toml:"timeout"` // 0 for none
	Resources  Resources       `json:"resources" toml:"resources"`
	Ports      []PortRequest   `json:"port,omitempty" toml:"port"`
	Devices    []DeviceRequest `json:"device,omitempty" toml:"device"`
	Idle       *IdlePolicy     `json:"idle,omitempty" toml:"idle"` // about Devices
	// Constraints and Affinities are the group's, besides the job's.
	Constraints []Constraint   `json:"constraint,omitempty" toml:"constraint"`
	Affinities  []Affinity     `json:"affinity,omitempty" toml:"affinity"`
	Volumes     []Volume       `json:"volume,omitempty" toml:"volume"`
	Container   *Container     `json:"container,omitempty" toml:"container"` // of ContainerDriver alone
	Restart     *RestartPolicy `json:"restart,omitempty" toml:"restart"`     // instead of the job's
	// SuccessExitCodes are those that count as completion; 0 alone if unset.
	SuccessExitCodes []int             `json:"success_exit_codes,omitempty" toml:"success_exit_codes"`
	Safety           *Safety           `json:"safety,omitempty" toml:"safety"`
	Checkpoint       *CheckpointPolicy `json:"checkpoint,omitempty" toml:"checkpoint"`
	Artifacts        []Artifact        `json:"artifact,omitempty" toml:"artifact"`
	Python           *Python           `json:"python,omitempty" toml:"python"`
	Templates        []Template        `json:"template,omitempty" toml:"template"`
	// Outputs are patterns of the files in the task's own folder that are kept when it has ended.
	Outputs []string `json:"outputs,omitempty" toml:"outputs"`
	// Services are what the task offers; Requires has to be on the node that runs it.
	Services []ServiceDef  `json:"service,omitempty" toml:"service"`
	Requires []ServiceNeed `json:"requires_service,omitempty" toml:"requires_service"`
	// KeepLogs says whether the end of the task's log is kept on other nodes: nil is true.
	KeepLogs *bool `json:"keep_logs,omitempty" toml:"keep_logs"`
}

// Succeeds says whether a run to completion that ends with this exit code has
// done its work.
func (t *Task) Succeeds(code int) bool {
	if len(t.SuccessExitCodes) == 0 {
		return code == 0
	}
	return slices.Contains(t.SuccessExitCodes, code)
}

// group is the name of the task's group.
func (t *Task) group() string {
	if t.Group == "" {
		return t.Name
	}
	return t.Group
}

// DefaultDriver starts the tasks that name no driver.
const DefaultDriver = "exec"

// Group is the tasks of a job that are placed together, in file order.
type Group struct {
	Name      string
	Count     int
	Array     Array // of Count indexes, or of none
	Tasks     []Task
	Resources Resources // of one copy, all tasks together

	Pool        string       // of the nodes that may run it
	Constraints []Constraint // on these nodes, the job's and the tasks'
	Apart       []Apart      // from other copies
	Affinities  []Affinity
	Spreads     []SpreadOver

	FirstRank int // of its copies, in a gang
	GangSize  int // copies of all groups; 0 if the job is no gang

	After       []string // the groups that it comes after
	AfterRule   AfterRule
	AfterQuorum int
}

// ContentOf is what the copy at a place of the group runs, if hash is that of the
// group ([HashGroup]).
func (g *Group) ContentOf(hash string, place int) string {
	if place < g.Array.Len() {
		hash += ":" + strconv.Itoa(g.Array.At(place))
	}
	if g.GangSize > 0 {
		hash += fmt.Sprintf("@%d/%d", g.FirstRank+place, g.GangSize)
	}
	return hash
}

// Groups are the job's groups, in the order in which their first tasks stand.
func (j *Job) Groups() []Group {
	var groups []Group
	at := map[string]int{}
	for _, t := range j.Tasks {
		name := t.group()
		i, ok := at[name]
		if !ok {
			i = len(groups)
			at[name] = i
			groups = append(groups, t.ofGroup(name))
			j.where(&groups[i])
		}
		groups[i].Tasks = append(groups[i].Tasks, t)
		groups[i].Resources = groups[i].Resources.Add(t.Resources)
		relations, fit := apart(t.Constraints, false)
		groups[i].Apart = append(groups[i].Apart, relations...)
		groups[i].Constraints = append(groups[i].Constraints, fit...)
		groups[i].Affinities = append(groups[i].Affinities, t.Affinities...)
	}
	j.order(groups)
	j.ranks(groups)
	return groups
}

// where fills in what the job says of the nodes of each of its groups.
func (j *Job) where(g *Group) {
	g.Pool = cmp.Or(j.Pool, DefaultPool)
	relations, fit := apart(j.Constraints, true)
	g.Apart, g.Constraints = relations, fit
	g.Affinities, g.Spreads = slices.Clone(j.Affinities), j.Spreads
}

// ofGroup is the group of which t is the first task, without any task. An array
// that cannot be read has one copy, and is found by validation.
func (t *Task) ofGroup(name string) Group {
	g := Group{Name: name, Count: max(t.Count, 1)}
	if t.Array == "" {
		return g
	}
	if a, err := ParseArray(t.Array); err == nil {
		g.Count, g.Array = a.Len(), a
	}
	return g
}

// Copies is how many copies the job wants, of all its groups together.
func (j *Job) Copies() int {
	n := 0
	for _, g := range j.Groups() {
		n += min(g.Count, CopiesMax+1) // so that the sum of absurd counts does not wrap
	}
	return n
}

// Group is the group of that name, and whether the job has one.
func (j *Job) Group(name string) (Group, bool) {
	for _, g := range j.Groups() {
		if g.Name == name {
			return g, true
		}
	}
	return Group{}, false
}

// JobVersion is one version of a job as a person submitted it. Versions are
// never changed, and all are kept. A version names the one it was made from:
// two that were made from the same one are a conflict, which is shown; the one
// that [JobVersion.Wins] runs meanwhile.
type JobVersion struct {
	Job     Job       `json:"job"`
	Number  uint64    `json:"version"`           // 1 for the first
	Hash    string    `json:"hash"`              // of the content; tells concurrent versions apart
	Parent  string    `json:"parent,omitempty"`  // hash of the version it replaces
	Stopped bool      `json:"stopped,omitempty"` // the job should not run
	Paused  bool      `json:"paused,omitempty"`  // nor for now; it goes on where it was
	Verb    Verb      `json:"verb,omitempty"`    // what a person did
	Reason  string    `json:"reason,omitempty"`  // why, as they said
	At      time.Time `json:"submitted_at"`
	By      NodeID    `json:"by"` // the peer that took it
	// Forced: a person has it begin though services may be missing that it requires.
	Forced bool `json:"forced,omitempty"`

	// Since is the number of the version from which on completed work counts, Anew
	// that from which on failures and moves do; 0: this version's own. They are never
	// greater than Number, and all versions from Since on have the same content, but
	// for how many copies they want.
	Since uint64 `json:"since,omitempty"`
	Anew  uint64 `json:"anew,omitempty"`
}

// Wins says whether v runs rather than o, where both are current: the higher
// number, then the later submission, then the greater hash.
func (v *JobVersion) Wins(o *JobVersion) bool {
	if v.Number != o.Number {
		return v.Number > o.Number
	}
	if !v.At.Equal(o.At) {
		return v.At.After(o.At)
	}
	return v.Hash > o.Hash
}

// JobStatus is the state of a job as a whole.
type JobStatus string

// The job states. Completed, failed, stopped and cancelled are final until a new
// version.
const (
	JobPending   JobStatus = "pending"   // not all copies are running yet
	JobRunning   JobStatus = "running"   // all copies run, have completed, or wait for others to do so
	JobCompleted JobStatus = "completed" // batch: all copies completed, but for those that need not
	JobFailed    JobStatus = "failed"    // a copy failed for good, and no later group answers for it
	JobStopped   JobStatus = "stopped"   // a person stopped it
	JobCancelled JobStatus = "cancelled" // batch: a person gave up its work
	JobPausing   JobStatus = "pausing"   // a person paused it, and copies still stop
	JobPaused    JobStatus = "paused"    // a person paused it, or a failure waits for one
)
