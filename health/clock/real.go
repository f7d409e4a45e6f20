//go:build !mntestclock

package clock

import "time"

// Boot is the time since boot, suspension included.
func Boot() time.Duration { return kernel() }

// Wall is the time of day.
func Wall() time.Time { return time.Now() }

// Environ is what a child process needs in its environment to have the same
// clocks.
func Environ() []string { return nil }
