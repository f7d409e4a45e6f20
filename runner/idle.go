package runner

import (
	"fmt"
	"time"

	"mn/mesh"
)

// Load is how much of the last moment the devices of the node have been at work: in percent,
// by their ids. Those are missing whose drivers do not say.
type Load struct{ Busy map[string]int }

func (Load) input() {}

// looksGap is how long after a look at the devices another counts as the next one: of the
// time between, nothing is known if the machine slept or its driver did not answer.
const looksGap = 2 * time.Minute

// idling is what is known of a task whose devices are idle.
type idling struct {
	since  time.Duration // since boot
	looked time.Duration // the latest look; 0 if they are not idle
}

// load finds tasks that leave their devices idle for longer than their policies say. Of a
// look that says nothing of their devices, nothing follows.
func (c *Copy) load(in Load) {
	for _, t := range c.tasks {
		p := t.def.Idle
		if p == nil {
			continue
		}
		if t.status.State != mesh.Running {
			t.idling, t.status.IdleSince = idling{}, time.Time{}
			continue
		}
		idle, known := c.rests(t, in.Busy)
		switch {
		case !known:
			continue
		case !idle:
			c.busy(t)
			continue
		case t.idling.looked == 0 || c.now.Boot-t.idling.looked > looksGap:
			t.idling.since, t.status.IdleSince = c.now.Boot, time.Time{}
		}
		t.idling.looked = c.now.Boot
		if span := c.now.Boot - t.idling.since; span >= p.Span() && t.status.IdleSince.IsZero() {
			t.status.IdleSince = c.now.Wall.Add(-span)
			c.event(mesh.TaskIdle, t, p.String())
		}
	}
}

// rests says whether all devices that a task was given are idle by its policy, if that is
// known.
func (c *Copy) rests(t *task, busy map[string]int) (idle, known bool) {
	if c.alloc.Grants == nil {
		return false, false
	}
	given, said := 0, 0
	for _, g := range c.alloc.Grants.Devices {
		if g.Task != t.def.Name {
			continue
		}
		for _, d := range g.Given {
			given++
			percent, known := busy[d.ID]
			if known && percent >= t.def.Idle.Below() {
				return false, true
			}
			if known {
				said++
			}
		}
	}
	return true, given > 0 && said == given
}

// busy takes notice that a task uses its devices.
func (c *Copy) busy(t *task) {
	t.idling = idling{}
	if t.status.IdleSince.IsZero() {
		return
	}
	span := c.now.Wall.Sub(t.status.IdleSince).Round(time.Second)
	c.event(mesh.TaskIdle, t, fmt.Sprintf("uses its devices again, after %v", mesh.Duration(max(span, 0))))
	t.status.IdleSince = time.Time{}
}
