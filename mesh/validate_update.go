package mesh

// The values of update policies.
var (
	updateStrategies = []UpdateStrategy{Rolling, Canary, BlueGreen}
	updateOrders     = []UpdateOrder{StartFirst, StopFirst}
	healthChecks     = []HealthCheck{ByChecks, ByStates}
)

func (v *validator) update(j *Job) {
	u := j.Update
	if u == nil {
		return
	}
	oneOf(v, u.Strategy, updateStrategies, "update", "strategy")
	oneOf(v, u.Order, updateOrders, "update", "order")
	oneOf(v, u.HealthCheck, healthChecks, "update", "health_check")
	if u.MaxParallel < 0 || u.MaxParallel > CopiesMax {
		v.fault("must be from 1 to %d, not %d", CopiesMax, u.MaxParallel).at("update", "max_parallel")
	}
	switch {
	case u.AutoPromote && u.How() == Canary && u.Canary < 0:
		v.fault("must be greater than 0 for auto_promote, not %d", u.Canary).at("update", "canary")
	case u.Canary < 0 || u.Canary > CopiesMax:
		v.fault("must be from 1 to %d, not %d", CopiesMax, u.Canary).at("update", "canary")
	case u.Canary > 0 && u.How() != Canary:
		v.fault("counts canaries, and strategy %q has none: want strategy %q", u.How(), Canary).at("update", "canary")
	}
	if u.AutoPromote && !u.Hides() {
		v.fault("promotes what is hidden, and strategy %q hides nothing: leave it out, or want %q or %q",
			Rolling, Canary, BlueGreen).at("update", "auto_promote")
	}
	v.deadlines(u)
	v.sideBySide(j)
	copies := 0
	for _, g := range j.Groups() {
		copies += g.Count
	}
	if j.Type == Service && j.MaxRunning > 0 && j.MaxRunning < copies {
		v.fault("has only %d of %d copies run at a time, and a deployment succeeds when all are healthy: "+
			"raise it, or leave update out", j.MaxRunning, copies).at("max_running")
	}
}

// deadlines: what nothing can keep is none.
func (v *validator) deadlines(u *UpdatePolicy) {
	if u.MinHealthy != nil {
		v.duration(*u.MinHealthy, 0, policyMax, "update", "min_healthy")
	}
	for _, d := range []struct {
		key string
		is  *Duration
	}{{"healthy_deadline", u.HealthyDeadline}, {"progress_deadline", u.ProgressDeadline}} {
		switch {
		case d.is == nil:
		case *d.is <= 0:
			v.fault("must be greater than 0, not %v", *d.is).at("update", d.key)
		case d.is.Std() <= u.Healthy():
			v.fault("must be greater than min_healthy, which is %v, not %v: no copy would be healthy in time",
				Duration(u.Healthy()), *d.is).at("update", d.key)
		default:
			v.duration(*d.is, 0, policyMax, "update", d.key)
		}
	}
}

// sideBySide: what has to run beside the old copies must be able to.
func (v *validator) sideBySide(j *Job) {
	u := j.Update
	if !j.Type.Long() {
		return // it is not rolled out
	}
	why := j.single()
	switch {
	case u.Order == StartFirst && why != "":
		v.fault("starts new copies beside the old ones, and %s: want %q", why, StopFirst).at("update", "order")
	case u.How() == BlueGreen && why != "":
		v.fault("%q runs all new copies beside the old ones, and %s: want %q", BlueGreen, why, Rolling).
			at("update", "strategy")
	case u.How() == BlueGreen && u.Order == StopFirst:
		v.fault("stops old copies first, and %q runs all new ones beside them: leave it out", BlueGreen).
			at("update", "order")
	case u.How() == Canary && j.Gang:
		v.fault("%q replaces some copies before the others, and %s: want %q", Canary, why, Rolling).
			at("update", "strategy")
	}
}
