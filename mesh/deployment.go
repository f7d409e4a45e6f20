package mesh

import "time"

// UpdateStrategy says how the copies of a service come to a new version.
type UpdateStrategy string

// The strategies of updates.
const (
	Rolling   UpdateStrategy = "rolling"    // some copies after the other
	Canary    UpdateStrategy = "canary"     // some beside the old ones first, hidden, until they are promoted
	BlueGreen UpdateStrategy = "blue-green" // all beside the old ones, hidden, until they are promoted
)

// UpdateOrder says what comes first when a copy is replaced.
type UpdateOrder string

// The orders of updates.
const (
	StartFirst UpdateOrder = "start_first" // the new copy is healthy before the old one stops
	StopFirst  UpdateOrder = "stop_first"  // the old copy has ended before the new one starts
)

// HealthCheck says by what a new copy counts as healthy.
type HealthCheck string

// The health checks of updates.
const (
	ByChecks HealthCheck = "checks"      // its tasks run, and its services pass
	ByStates HealthCheck = "task_states" // its tasks run
)

// UpdatePolicy says how a new version of the job takes the place of the one that runs: its
// deployment. MaxParallel and MinHealthy also bound what moves at a time when a node is drained.
type UpdatePolicy struct {
	Strategy    UpdateStrategy `json:"strategy,omitempty" toml:"strategy"` // Rolling if unset
	MaxParallel int            `json:"max_parallel,omitempty" toml:"max_parallel"`
	Canary      int            `json:"canary,omitempty" toml:"canary"`           // of a group; 1 if 0 and with Canary
	MinHealthy  *Duration      `json:"min_healthy,omitempty" toml:"min_healthy"` // for a new copy to count as well
	// HealthyDeadline is by when after its placement a new copy has to be healthy, ProgressDeadline
	// by when after the last one another has to be: else the deployment has failed.
	HealthyDeadline  *Duration   `json:"healthy_deadline,omitempty" toml:"healthy_deadline"`
	ProgressDeadline *Duration   `json:"progress_deadline,omitempty" toml:"progress_deadline"`
	HealthCheck      HealthCheck `json:"health_check,omitempty" toml:"health_check"` // ByChecks if unset
	// AutoPromote promotes as soon as all hidden copies are healthy; AutoRevert makes a version of
	// the content that ran before when a deployment has failed.
	AutoPromote bool        `json:"auto_promote,omitempty" toml:"auto_promote"`
	AutoRevert  bool        `json:"auto_revert,omitempty" toml:"auto_revert"`
	Order       UpdateOrder `json:"order,omitempty" toml:"order"` // StartFirst if unset, where that can be
}

// Defaults of UpdatePolicy.
const (
	DefaultMaxParallel      = 1
	DefaultMinHealthy       = 10 * time.Second
	DefaultHealthyDeadline  = 5 * time.Minute
	DefaultProgressDeadline = 10 * time.Minute
)

// Parallel is the effective MaxParallel.
func (u *UpdatePolicy) Parallel() int {
	if u == nil || u.MaxParallel == 0 {
		return DefaultMaxParallel
	}
	return u.MaxParallel
}

// Healthy is the effective MinHealthy.
func (u *UpdatePolicy) Healthy() time.Duration {
	if u == nil || u.MinHealthy == nil {
		return DefaultMinHealthy
	}
	return u.MinHealthy.Std()
}

// DeploymentState is how far a deployment has come.
type DeploymentState string

// The states of deployments. The last three are final.
const (
	Deploying         DeploymentState = "running"
	AwaitingPromotion DeploymentState = "awaiting_promotion" // all hidden copies are healthy, and a person has to say
	DeploymentPaused  DeploymentState = "paused"             // by a person
	Deployed          DeploymentState = "successful"
	DeploymentFailed  DeploymentState = "failed"
	VersionRecorded   DeploymentState = "version_recorded" // of batch work, which runs anew: nothing is rolled out
)

// Final says whether nothing more becomes of a deployment in this state.
func (s DeploymentState) Final() bool {
	return s == Deployed || s == DeploymentFailed || s == VersionRecorded
}

// Deployment is how far a version of a job has come to be what runs. There is one for each version
// that a job with an update policy was given. What its next step is follows from it and from
// what the copies are: whoever coordinates the job goes on with it.
type Deployment struct {
	Job     JobID  `json:"job"`
	Version uint64 `json:"version"`
	Hash    string `json:"hash"`           // of the version
	From    uint64 `json:"from,omitempty"` // the last version that was deployed before; 0 for none
	Stable  string `json:"from_hash,omitempty"`
	// Fresh: nothing of the job ran before, so that there is nothing to replace.
	Fresh bool            `json:"fresh,omitempty"`
	State DeploymentState `json:"status"`
	// Promoted: its copies are shown, and take the place of those of From.
	Promoted bool `json:"promoted,omitempty"`
	// Healthy is how many of its copies have been healthy, and Progress when one more was last.
	Healthy     int       `json:"healthy"`
	Began       time.Time `json:"began"`
	Progress    time.Time `json:"progress"`
	Ended       time.Time `json:"ended,omitzero"`
	Reason      string    `json:"reason,omitempty"` // why it is in its state
	Coordinator NodeID    `json:"coordinator"`      // that has written it; "" as long as none has
}

// Steering is what people want of a deployment, besides what its policy says.
type Steering struct {
	Job      JobID     `json:"job"`
	Version  uint64    `json:"version"`
	Hash     string    `json:"hash"`
	Paused   bool      `json:"paused,omitempty"`
	Promoted bool      `json:"promoted,omitempty"`
	Failed   bool      `json:"failed,omitempty"` // they give it up
	Reason   string    `json:"reason,omitempty"`
	By       NodeID    `json:"by"` // the peer that took it
	At       time.Time `json:"at"`
}
