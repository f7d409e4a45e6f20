package mesh

import "time"

// RecoveryMode says what may happen by itself to work that was lost.
type RecoveryMode string

// The recovery modes.
const (
	Auto           RecoveryMode = "auto"
	ClusterRecover RecoveryMode = "cluster_recover" // restart here, then move
	LocalRestart   RecoveryMode = "local_restart"   // restart here only
	ManualRecover  RecoveryMode = "manual_recover"  // a person decides
)

// OnPartition is the job's choice for the time when nodes cannot see each other.
type OnPartition string

// The choices: see design section 5 in ARCHITECTURE.md for what each promises.
const (
	Eager    OnPartition = "eager"    // at least one copy wherever there are nodes
	Majority OnPartition = "majority" // never two; one again with a majority
	Keep     OnPartition = "keep"     // never two; what runs is never stopped
)

// Choice says which of several copies of the same work stays, of those that run, once
// their nodes see each other again.
type Choice string

// The choices.
const (
	KeepOriginal    Choice = "keep_original"    // the first that was placed
	KeepReplacement Choice = "keep_replacement" // the last
	LongestRunning  Choice = "longest_running"
	BestScore       Choice = "best_score"    // that on the node which placement ranks best
	KeepFurthest    Choice = "keep_furthest" // that with the latest checkpoint
)

// Recovery is the job's choice of what happens when its work is lost.
type Recovery struct {
	Mode        RecoveryMode `json:"mode,omitempty" toml:"mode"`
	OnPartition OnPartition  `json:"on_partition,omitempty" toml:"on_partition"`
	LostAfter   *Duration    `json:"lost_after,omitempty" toml:"lost_after"` // from a node's failure to its replacement
	Lease       Duration     `json:"lease,omitempty" toml:"lease"`           // majority: how long a copy runs unrenewed
	StopAfter   Duration     `json:"stop_after,omitempty" toml:"stop_after"` // eager: how long a copy runs cut off
	Reconcile   Choice       `json:"reconcile,omitempty" toml:"reconcile"`   // eager: which of two copies stays
}

// Defaults of Recovery. A node is declared failed by gossip only after its own
// suspicion time; LostAfter comes on top, for a short blip not to move work.
const (
	DefaultLostAfter  = time.Second
	DefaultLease      = 15 * time.Second
	DefaultKillGrace  = 5 * time.Second
	DefaultWarnBefore = 10 * time.Second
	// DefaultPoststop is how long a poststop task may run: it must not keep the
	// room of a copy that has ended.
	DefaultPoststop = time.Minute
)

// Partition is the effective choice: eager for cluster_recover, keep for the
// modes that never move work.
func (r Recovery) Partition() OnPartition {
	switch {
	case r.OnPartition != "":
		return r.OnPartition
	case r.Mode == LocalRestart || r.Mode == ManualRecover:
		return Keep
	}
	return Eager
}

// Stays is the effective Reconcile.
func (r Recovery) Stays() Choice {
	if r.Reconcile == "" {
		return KeepOriginal
	}
	return r.Reconcile
}

// Lost is the effective LostAfter.
func (r Recovery) Lost() time.Duration {
	if r.LostAfter == nil {
		return DefaultLostAfter
	}
	return r.LostAfter.Std()
}

// TaskLease is the effective Lease.
func (r Recovery) TaskLease() time.Duration {
	if r.Lease == 0 {
		return DefaultLease
	}
	return r.Lease.Std()
}

// Switch is how long a copy runs unless somebody puts off its dead-man's switch: for a
// majority job its coordinator, which is TaskLease; for an eager job with StopAfter its own
// node, as long as that sees a majority of the voters. 0 if it has no switch.
func (r Recovery) Switch() time.Duration {
	if r.Partition() == Majority {
		return r.TaskLease()
	}
	return r.StopAfter.Std()
}

// EffectiveRecovery is what a job's recovery mode comes to among the nodes that there
// are, and why.
type EffectiveRecovery struct {
	Requested RecoveryMode `json:"requested"`
	Effective RecoveryMode `json:"effective"` // never Auto
	Degraded  bool         `json:"degraded"`  // ClusterRecover was requested, and cannot be had
	Reason    string       `json:"reason"`
}

// DelayFunction says how the delay grows from one attempt to the next.
type DelayFunction string

// The delay functions: base; base·2^(n-1); base·fib(n).
const (
	Constant    DelayFunction = "constant"
	Exponential DelayFunction = "exponential"
	Fibonacci   DelayFunction = "fibonacci"
)

// RestartMode says what follows when the attempts are used up.
type RestartMode string

// The restart modes.
const (
	RestartFail  RestartMode = "fail"  // the copy failed here; rescheduling decides
	RestartDelay RestartMode = "delay" // wait for the window to pass, then go on
)

// RestartPolicy bounds restarts of a task on its node: at most Attempts within
// a sliding Interval. Attempts are counted when the recovery starts.
type RestartPolicy struct {
	Attempts      *int          `json:"attempts,omitempty" toml:"attempts"`
	Interval      Duration      `json:"interval,omitempty" toml:"interval"`
	Delay         Duration      `json:"delay,omitempty" toml:"delay"`
	DelayFunction DelayFunction `json:"delay_function,omitempty" toml:"delay_function"`
	MaxDelay      Duration      `json:"max_delay,omitempty" toml:"max_delay"`
	Mode          RestartMode   `json:"mode,omitempty" toml:"mode"`
	Enabled       *bool         `json:"enabled,omitempty" toml:"enabled"`
}

// ReschedulePolicy bounds moves of a failed copy to another node.
type ReschedulePolicy struct {
	Attempts      *int          `json:"attempts,omitempty" toml:"attempts"`
	Interval      Duration      `json:"interval,omitempty" toml:"interval"`
	Delay         Duration      `json:"delay,omitempty" toml:"delay"`
	DelayFunction DelayFunction `json:"delay_function,omitempty" toml:"delay_function"`
	MaxDelay      Duration      `json:"max_delay,omitempty" toml:"max_delay"`
	Unlimited     *bool         `json:"unlimited,omitempty" toml:"unlimited"`
	Enabled       *bool         `json:"enabled,omitempty" toml:"enabled"`
}
