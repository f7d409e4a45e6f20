package mesh

import "fmt"

// Safety says what happens if a task is run a second time. A task without a word
// about it is safe.
type Safety struct {
	SafeToRetry *bool `json:"safe_to_retry,omitempty" toml:"safe_to_retry"`
	Idempotent  *bool `json:"idempotent,omitempty" toml:"idempotent"`
	// IdempotencyKey is what others know a second run by.
	IdempotencyKey   string      `json:"idempotency_key,omitempty" toml:"idempotency_key"`
	SideEffects      SideEffects `json:"side_effects,omitempty" toml:"side_effects"`
	RequiresApproval bool        `json:"requires_approval,omitempty" toml:"requires_approval"`
	Unsafe           bool        `json:"unsafe,omitempty" toml:"unsafe"`
}

// SideEffects says what a task changes outside of itself.
type SideEffects string

// The side effects. All but none are unsafe to have twice.
const (
	EffectsNone     SideEffects = "none"
	EffectsExternal SideEffects = "external" // it acts on what others own
	EffectsWrite    SideEffects = "write"    // it changes data that is kept
	EffectsUnsafe   SideEffects = "unsafe"
)

// Mark is the first mark by which a task is unsafe to run again without a person's
// word, as it stands in the job file; "" if it is safe. Marks that say that it is
// safe do not weigh against one that says that it is not.
func (s *Safety) Mark() string {
	no := func(b *bool) bool { return b != nil && !*b }
	switch {
	case s == nil:
		return ""
	case s.Unsafe:
		return "unsafe = true"
	case s.RequiresApproval:
		return "requires_approval = true"
	case no(s.SafeToRetry):
		return "safe_to_retry = false"
	case no(s.Idempotent):
		return "idempotent = false"
	case s.SideEffects != "" && s.SideEffects != EffectsNone:
		return fmt.Sprintf("side_effects = %q", s.SideEffects)
	}
	return ""
}

// Hazard is the first of the tasks that is marked unsafe, or nil.
func Hazard(tasks []Task) *Task {
	for i := range tasks {
		if tasks[i].Safety.Mark() != "" {
			return &tasks[i]
		}
	}
	return nil
}

// HasBegun says whether the task was ever ordered to start: it may have run since.
func (t *TaskStatus) HasBegun() bool {
	switch t.State {
	case Starting, Running, Backoff, Complete:
		return true
	}
	return t.Restarts > t.Looks || !t.StartedAt.IsZero() || !t.FirstStart.IsZero()
}

// Began says whether a task of that name was ever ordered to start.
func (s *Status) Began(task string) bool {
	for i := range s.Tasks {
		if s.Tasks[i].Name == task && s.Tasks[i].HasBegun() {
			return true
		}
	}
	return false
}
