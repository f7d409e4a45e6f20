package mesh

import (
	"cmp"
	"fmt"
	"time"
)

// How is the effective Strategy.
func (u *UpdatePolicy) How() UpdateStrategy {
	if u == nil {
		return Rolling
	}
	return cmp.Or(u.Strategy, Rolling)
}

// Hides says whether new copies are not shown until they are promoted, as far as there can be two.
func (u *UpdatePolicy) Hides() bool { return u.How() != Rolling }

// Canaries is how many copies of each group come first.
func (u *UpdatePolicy) Canaries() int {
	switch u.How() {
	case Canary:
		return max(u.Canary, 1)
	case BlueGreen:
		return CopiesMax
	case Rolling:
	}
	return 0
}

// HealthyIn is the effective HealthyDeadline.
func (u *UpdatePolicy) HealthyIn() time.Duration {
	if u == nil || u.HealthyDeadline == nil {
		return DefaultHealthyDeadline
	}
	return u.HealthyDeadline.Std()
}

// ProgressIn is the effective ProgressDeadline.
func (u *UpdatePolicy) ProgressIn() time.Duration {
	if u == nil || u.ProgressDeadline == nil {
		return DefaultProgressDeadline
	}
	return u.ProgressDeadline.Std()
}

// Check is the effective HealthCheck.
func (u *UpdatePolicy) Check() HealthCheck {
	if u == nil {
		return ByChecks
	}
	return cmp.Or(u.HealthCheck, ByChecks)
}

// UpdateOrder is what comes first when a copy of the job is replaced, and why, if the job does not
// leave the choice.
func (j *Job) UpdateOrder() (order UpdateOrder, why string) {
	if why = j.single(); why != "" {
		return StopFirst, why
	}
	if u := j.Update; u != nil && u.Order != "" {
		return u.Order, ""
	}
	return StartFirst, ""
}

// single is why there cannot, or must not, be two copies of an index at a time, or "".
func (j *Job) single() string {
	switch p := j.Recovery.Partition(); {
	case j.Gang:
		return "the copies of a gang share one fate"
	case j.Type.PerNode():
		return fmt.Sprintf("a job of type %q has one copy on a node", j.Type)
	case p != Eager:
		return fmt.Sprintf("with on_partition = %q there are never two copies of an index", p)
	case j.MaxRunning > 0:
		return "max_running bounds how many copies there are"
	case j.Limit != nil:
		return fmt.Sprintf("limit %q bounds how many copies there are", clip(j.Limit.Key))
	}
	for i := range j.Tasks {
		if why := j.Tasks[i].single(); why != "" {
			return why
		}
	}
	return ""
}

// single is what a task needs that no two copies can have on one node, or "".
func (t *Task) single() string {
	for _, p := range t.Ports {
		if p.Number > 0 {
			return fmt.Sprintf("task %q has port %d", clip(t.Name), p.Number)
		}
	}
	for i := range t.Devices {
		if !t.Devices[i].Shared() {
			return fmt.Sprintf("task %q has devices of its own", clip(t.Name))
		}
	}
	if a, err := ParseArray(t.Array); t.Array != "" && err == nil && a.AtOnce > 0 {
		return fmt.Sprintf("array = %q bounds how many copies there are", clip(t.Array))
	}
	return ""
}

// SameWork says whether two versions of a job have the same groups, and copies of them run the same.
func SameWork(a, b *Job) bool {
	theirs := map[string]bool{}
	for _, g := range b.Groups() {
		theirs[g.Name] = true
	}
	groups := a.Groups()
	if len(groups) != len(theirs) || a.Type != b.Type {
		return false
	}
	for _, g := range groups {
		if !theirs[g.Name] || HashGroup(a, g.Name) != HashGroup(b, g.Name) {
			return false
		}
	}
	return true
}
