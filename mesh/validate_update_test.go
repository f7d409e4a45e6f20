package mesh

import (
	"testing"
	"time"
)

// TestUpdatePolicies: every key of [update] that says what cannot be is refused, with where and what to do;
// what is left out, and what must hold, is not.
func TestUpdatePolicies(t *testing.T) {
	after := func(d time.Duration) *Duration { m := Duration(d); return &m }
	for _, c := range []struct {
		name string
		set  func(j *Job, u *UpdatePolicy)
		want string // of the one fault, or "" for none
	}{
		{"nothing", func(*Job, *UpdatePolicy) {}, ""},
		{"strategy", func(_ *Job, u *UpdatePolicy) { u.Strategy = "big-bang" }, `update.strategy: has unsupported value "big-bang"; supported: "rolling", "canary", "blue-green"`},
		{"order", func(_ *Job, u *UpdatePolicy) { u.Order = "both" }, `update.order: has unsupported value "both"; supported: "start_first", "stop_first"`},
		{"check", func(_ *Job, u *UpdatePolicy) { u.HealthCheck = "hope" }, `update.health_check: has unsupported value "hope"; supported: "checks", "task_states"`},
		{"parallel", func(_ *Job, u *UpdatePolicy) { u.MaxParallel = 10_001 }, `update.max_parallel: must be from 1 to 10000, not 10001`},
		{"canary below 0", func(_ *Job, u *UpdatePolicy) { u.Strategy, u.Canary = Canary, -1 }, `update.canary: must be from 1 to 10000, not -1`},
		{"auto_promote without canaries", func(_ *Job, u *UpdatePolicy) { u.Strategy, u.Canary, u.AutoPromote = Canary, -1, true }, `update.canary: must be greater than 0 for auto_promote, not -1`},
		{"auto_promote of one canary", func(_ *Job, u *UpdatePolicy) { u.Strategy, u.AutoPromote = Canary, true }, ""},
		{"canaries of no canary", func(_ *Job, u *UpdatePolicy) { u.Canary = 2 }, `update.canary: counts canaries, and strategy "rolling" has none: want strategy "canary"`},
		{"auto_promote of nothing", func(_ *Job, u *UpdatePolicy) { u.AutoPromote = true }, `update.auto_promote: promotes what is hidden, and strategy "rolling" hides nothing: leave it out, or want "canary" or "blue-green"`},
		{"min_healthy", func(_ *Job, u *UpdatePolicy) { u.MinHealthy = after(-1) }, `update.min_healthy: must not be negative, as -1ns is`},
		{"healthy_deadline 0", func(_ *Job, u *UpdatePolicy) { u.HealthyDeadline = after(0) }, `update.healthy_deadline: must be greater than 0, not 0s`},
		{"progress_deadline 0", func(_ *Job, u *UpdatePolicy) { u.ProgressDeadline = after(0) }, `update.progress_deadline: must be greater than 0, not 0s`},
		{"a deadline that none keeps", func(_ *Job, u *UpdatePolicy) { u.HealthyDeadline = after(10 * time.Second) }, `update.healthy_deadline: must be greater than min_healthy, which is 10s, not 10s: no copy would be healthy in time`},
		{"start_first of what never is two", func(j *Job, u *UpdatePolicy) { j.Recovery.OnPartition, u.Order = Majority, StartFirst }, `update.order: starts new copies beside the old ones, and with on_partition = "majority" there are never two copies of an index: want "stop_first"`},
		{"stop_first of what never is two", func(j *Job, u *UpdatePolicy) { j.Recovery.OnPartition, u.Order = Majority, StopFirst }, ""},
		{"blue-green with a port", func(j *Job, u *UpdatePolicy) {
			j.Tasks[0].Ports, u.Strategy = []PortRequest{{Label: "http", Number: 80}}, BlueGreen
		}, `update.strategy: "blue-green" runs all new copies beside the old ones, and task "t" has port 80: want "rolling"`},
		{"blue-green with a free port", func(j *Job, u *UpdatePolicy) {
			j.Tasks[0].Ports, u.Strategy = []PortRequest{{Label: "http"}}, BlueGreen
		}, ""},
		{"blue-green with devices", func(j *Job, u *UpdatePolicy) { j.Tasks[0].Devices, u.Strategy = []DeviceRequest{{}}, BlueGreen }, `update.strategy: "blue-green" runs all new copies beside the old ones, and task "t" has devices of its own: want "rolling"`},
		{"blue-green that stops first", func(_ *Job, u *UpdatePolicy) { u.Strategy, u.Order = BlueGreen, StopFirst }, `update.order: stops old copies first, and "blue-green" runs all new ones beside them: leave it out`},
		{"canaries of a gang", func(j *Job, u *UpdatePolicy) { j.Gang, u.Strategy = true, Canary }, `update.strategy: "canary" replaces some copies before the others, and the copies of a gang share one fate: want "rolling"`},
		{"copies that never run", func(j *Job, _ *UpdatePolicy) { j.MaxRunning, j.Tasks[0].Count = 2, 3 }, "max_running: has only 2 of 3 copies run at a time, and a deployment succeeds when all are healthy: raise it, or leave update out"},
		{"copies that run", func(j *Job, _ *UpdatePolicy) { j.MaxRunning, j.Tasks[0].Count = 3, 3 }, ""},
		{"canaries on each node", func(j *Job, u *UpdatePolicy) { j.Type, u.Strategy = System, Canary }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := Job{
				Name: "j", Type: Service, Update: &UpdatePolicy{},
				Tasks: []Task{{Name: "t", Command: []string{"true"}}},
			}
			c.set(&j, j.Update)
			switch faults := j.Validate(); {
			case c.want == "" && len(faults) > 0:
				t.Errorf("it is refused: %v", faults)
			case c.want != "" && (len(faults) != 1 || faults[0].Error() != c.want):
				t.Errorf("got %v\nwant %v", faults, c.want)
			}
		})
	}
}

// TestUpdateDefaults: what an empty [update] comes to.
func TestUpdateDefaults(t *testing.T) {
	u := &UpdatePolicy{}
	if u.How() != Rolling || u.Parallel() != 1 || u.Canaries() != 0 || u.Healthy() != 10*time.Second ||
		u.HealthyIn() != 5*time.Minute || u.ProgressIn() != 10*time.Minute || u.Check() != ByChecks || u.Hides() ||
		u.AutoPromote || u.AutoRevert {
		t.Errorf("an empty policy is %+v", u)
	}
	if u.Strategy = Canary; u.Canaries() != 1 {
		t.Errorf("strategy canary without a number has %d canaries, not 1", u.Canaries())
	}
	j := Job{Type: Service, Update: u}
	if order, why := j.UpdateOrder(); order != StartFirst || why != "" {
		t.Errorf("the order is %s, as %q", order, why)
	}
}
