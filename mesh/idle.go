package mesh

import (
	"fmt"
	"time"
)

// IdlePolicy says what is done about a task that leaves its devices idle.
type IdlePolicy struct {
	// GPUBelow is how busy a device is at least, in percent of the time, that is not idle; 5 if
	// unset. It is idle for the task only if all that it was given are.
	GPUBelow int `json:"gpu_below,omitempty" toml:"gpu_below"`
	// For is how long they have to be idle, all of that time; an hour if unset.
	For    Duration   `json:"for,omitempty" toml:"for"`
	Action IdleAction `json:"action,omitempty" toml:"action"` // IdleWarn if unset
}

// IdleAction is what becomes of a job whose copies leave their devices idle.
type IdleAction string

// The actions, from the mildest to the strictest. Beyond the first, each acts as a person's
// command would, once no copy of the job has a use for its devices.
const (
	IdleWarn  IdleAction = "warn"  // it is told
	IdlePause IdleAction = "pause" // as mn job pause
	IdleStop  IdleAction = "stop"  // as mn job stop
)

var idleActions = []IdleAction{IdleWarn, IdlePause, IdleStop}

// Defaults and bounds of the policy. Devices are looked at every 15 s.
const (
	DefaultIdleBelow = 5
	DefaultIdleFor   = time.Hour
	idleForMin       = 30 * time.Second
	idleForMax       = 30 * 24 * time.Hour
)

// Below is the effective GPUBelow.
func (p *IdlePolicy) Below() int {
	if p.GPUBelow == 0 {
		return DefaultIdleBelow
	}
	return p.GPUBelow
}

// Span is the effective For.
func (p *IdlePolicy) Span() time.Duration {
	if p.For == 0 {
		return DefaultIdleFor
	}
	return p.For.Std()
}

// Does is the effective Action; of no policy, too.
func (p *IdlePolicy) Does() IdleAction {
	if p == nil || p.Action == "" {
		return IdleWarn
	}
	return p.Action
}

// String is what a task has done that the policy is about.
func (p *IdlePolicy) String() string {
	return fmt.Sprintf("has used its devices for less than %d %% of the time for %v", p.Below(), Duration(p.Span()))
}

func (v *validator) idle(t *Task) {
	p := t.Idle
	if p == nil {
		return
	}
	if len(t.Devices) == 0 {
		v.fault("is about the devices of the task, and it asks for none").at("idle")
	}
	if p.GPUBelow < 0 || p.GPUBelow > percentMax {
		v.fault("must be from 1 to %d, not %d", percentMax, p.GPUBelow).at("idle", "gpu_below")
	}
	if p.For != 0 {
		v.duration(p.For, idleForMin, idleForMax, "idle", "for")
	}
	oneOf(v, p.Action, idleActions, "idle", "action")
}
