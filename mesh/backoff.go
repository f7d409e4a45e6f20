package mesh

import (
	"slices"
	"time"
)

// Delays says how long to wait before the next of several attempts.
type Delays struct {
	Base     time.Duration
	Function DelayFunction
	Max      time.Duration // a Max below Base counts as Base
}

// After is the delay before the n-th attempt, n counted from 1. It never
// exceeds Max, however large n is.
func (d Delays) After(n int) time.Duration {
	delay, limit := max(d.Base, 0), max(d.Max, d.Base, 0)
	if delay == 0 || d.Function != Exponential && d.Function != Fibonacci {
		return delay
	}
	before := time.Duration(0) // the delay before this one, for Fibonacci
	for range n - 1 {
		if d.Function == Exponential {
			before = delay
		}
		if before > limit-delay {
			return limit
		}
		before, delay = delay, before+delay
	}
	return delay
}

// WindowMax bounds how many attempts a [Window] remembers, and so how many a
// policy may allow.
const WindowMax = 50

// Window counts attempts within a sliding interval. Instants are durations
// since any origin that stays the same; they may be negative.
type Window struct {
	Interval time.Duration
	times    []time.Duration // sorted, at most WindowMax
}

// Add takes notice of an attempt at the instant at.
func (w *Window) Add(at time.Duration) {
	i, _ := slices.BinarySearch(w.times, at)
	w.times = slices.Insert(w.times, i, at)
	if len(w.times) > WindowMax {
		w.times = slices.Delete(w.times, 0, len(w.times)-WindowMax)
	}
}

// Count is the number of attempts that are within the interval before now. An
// attempt leaves the window when it is exactly an interval old.
func (w *Window) Count(now time.Duration) int { return len(w.times) - w.first(now) }

// Opens is how long it takes from now until the oldest counted attempt leaves
// the window; 0 if none is counted.
func (w *Window) Opens(now time.Duration) time.Duration {
	i := w.first(now)
	if i == len(w.times) {
		return 0
	}
	return w.times[i] + w.Interval - now
}

// first is the index of the oldest attempt that still counts.
func (w *Window) first(now time.Duration) int {
	for i, at := range w.times {
		if now-at < w.Interval {
			return i
		}
	}
	return len(w.times)
}

// EffectiveRestart is a restart policy with nothing left open.
type EffectiveRestart struct {
	Enabled  bool
	Attempts int // within Interval
	Interval time.Duration
	Delays   Delays
	Mode     RestartMode
}

// EffectiveReschedule is a reschedule policy with nothing left open.
type EffectiveReschedule struct {
	Enabled   bool
	Unlimited bool // Attempts does not bound the moves; Interval still counts them for Delays
	Attempts  int  // within Interval
	Interval  time.Duration
	Delays    Delays
}

// Moves says whether work may go to another node by itself in this mode.
func (m RecoveryMode) Moves() bool { return m != LocalRestart && m != ManualRecover }

// ReviewFor says whether a copy that has failed for good leaves its job paused,
// for a person to look at it, rather than failed.
func ReviewFor(job *Job) bool {
	switch job.Recovery.Mode {
	case ManualRecover:
		return true
	case LocalRestart:
		return job.Type.Long()
	}
	return false
}

// Defaults of the restart and reschedule policies, by type of job.
const (
	restartAttempts    = 3
	restartDelay       = time.Second
	restartMaxDelay    = 30 * time.Second
	restartInterval    = 10 * time.Minute // service
	restartIntervalRun = 24 * time.Hour   // batch

	rescheduleDelay       = 5 * time.Second
	rescheduleMaxDelay    = 5 * time.Minute
	rescheduleInterval    = time.Hour      // service: moves within it lengthen the delay
	rescheduleIntervalRun = 24 * time.Hour // batch
	rescheduleAttempts    = 1              // batch
)

// RestartFor is the policy for restarts of a task on its node: the task's own,
// else the job's, over the defaults of the job's type and recovery mode.
func RestartFor(job *Job, task *Task) EffectiveRestart {
	e := EffectiveRestart{
		Enabled:  job.Recovery.Mode != ManualRecover,
		Attempts: restartAttempts,
		Interval: restartIntervalRun,
		Delays:   Delays{restartDelay, Exponential, restartMaxDelay},
		Mode:     RestartFail,
	}
	if job.Type.Long() {
		e.Interval = restartInterval
		if job.Recovery.Mode == LocalRestart {
			e.Mode = RestartDelay
		}
	}
	p := job.Restart
	if task != nil && task.Restart != nil {
		p = task.Restart
	}
	if p == nil {
		return e
	}
	set(&e.Enabled, p.Enabled)
	set(&e.Attempts, p.Attempts)
	setUnlessZero(&e.Interval, p.Interval.Std())
	setUnlessZero(&e.Mode, p.Mode)
	e.Delays.set(p.Delay, p.DelayFunction, p.MaxDelay)
	return e
}

// RescheduleFor is the policy for moves of a failed copy: the job's, over the
// defaults of its type. Modes that never move work have none, whatever the job
// says. Attempts without a word about unlimited bound the moves.
func RescheduleFor(job *Job) EffectiveReschedule {
	e := EffectiveReschedule{
		Enabled:  job.Recovery.Mode.Moves(),
		Attempts: rescheduleAttempts,
		Interval: rescheduleIntervalRun,
		Delays:   Delays{rescheduleDelay, Constant, rescheduleMaxDelay},
	}
	if job.Type.Long() {
		e.Unlimited = true
		e.Interval = rescheduleInterval
		e.Delays = Delays{rescheduleDelay, Exponential, rescheduleMaxDelay}
	}
	p := job.Reschedule
	if p == nil || !e.Enabled {
		return e
	}
	if p.Attempts != nil {
		e.Attempts, e.Unlimited = *p.Attempts, false
	}
	set(&e.Enabled, p.Enabled)
	set(&e.Unlimited, p.Unlimited)
	setUnlessZero(&e.Interval, p.Interval.Std())
	e.Delays.set(p.Delay, p.DelayFunction, p.MaxDelay)
	return e
}

func (d *Delays) set(base Duration, function DelayFunction, limit Duration) {
	setUnlessZero(&d.Base, base.Std())
	setUnlessZero(&d.Function, function)
	setUnlessZero(&d.Max, limit.Std())
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

func setUnlessZero[T comparable](to *T, from T) {
	var zero T
	if from != zero {
		*to = from
	}
}
