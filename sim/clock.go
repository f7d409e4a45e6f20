package sim

import (
	"time"

	"mn/mesh/core"
)

// million is the unit of rates and shares: parts per million.
const million = 1_000_000

// epoch is the wall time at which every run starts.
var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// clock is a machine's two clocks. Both run at the machine's own rate, which is
// off by some parts per million. The boot clock starts at a boot and is never
// set; the wall clock can be. No core ever sees true time.
type clock struct {
	since time.Duration // true time at which the parts below were right
	boot  time.Duration // the boot clock then
	wall  time.Duration // the wall clock then, since epoch
	ppm   int64         // how much faster than true time both run
}

// run is how far the clocks have gone since c.since.
func (c *clock) run(now time.Duration) time.Duration {
	true_ := now - c.since
	// In microseconds, so that a week at a rate that is far off fits.
	return true_ + time.Duration(int64(true_/time.Microsecond)*c.ppm/million)*time.Microsecond
}

// read is what the clocks show at a true instant.
func (c *clock) read(now time.Duration) core.Now {
	ran := c.run(now)
	return core.Now{Boot: c.boot + ran, Wall: epoch.Add(c.wall + ran)}
}

// settle makes now the instant at which the parts are right.
func (c *clock) settle(now time.Duration) {
	ran := c.run(now)
	c.since, c.boot, c.wall = now, c.boot+ran, c.wall+ran
}

// drift changes the rate from now on.
func (c *clock) drift(now time.Duration, ppm int) {
	c.settle(now)
	c.ppm = int64(ppm)
}

// set moves the wall clock to be off by that much from true time.
func (c *clock) set(now, off time.Duration) {
	c.settle(now)
	c.wall = now + off
}

// reboot starts the boot clock anew. A machine that was off for so long has not been on for
// longer.
func (c *clock) reboot(now, off time.Duration) {
	c.settle(now)
	c.boot = min(off, time.Second)
}

// when is the true instant at which the boot clock will show at, not before now.
func (c *clock) when(now, at time.Duration) time.Duration {
	left := at - c.boot - c.run(now)
	if left <= 0 {
		return now
	}
	micros := int64(left/time.Microsecond) * million / (million + c.ppm)
	when := now + time.Duration(micros+1)*time.Microsecond
	for c.boot+c.run(when) < at { // run rounds, too
		when += time.Microsecond
	}
	return when
}
