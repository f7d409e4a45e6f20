//go:build mntestclock

package supervise

import (
	"sync/atomic"
	"time"

	"mn/health/clock"
)

// lookEvery is how often an alarm looks at the test clock, which nobody can
// wait for.
const lookEvery = 10 * time.Millisecond

// alarm goes off at an instant since boot, by the test clock.
type alarm struct{ at atomic.Int64 }

func newAlarm() (*alarm, error) { return &alarm{}, nil }

func (a *alarm) set(at time.Duration) error {
	a.at.Store(int64(at))
	return nil
}

func (a *alarm) wait() error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for range look.C {
		if clock.Boot() >= time.Duration(a.at.Load()) {
			break
		}
	}
	return nil
}
