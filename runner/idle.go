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

// load finds tasks that leave their devices idle for longer than their policies say.
func (c *Copy) load(in Load) {
	for _, t := range c.tasks {
		p := t.def.Idle
		if p == nil {
			continue
		}
		if t.status.State != mesh.Running || !c.rests(t, in.Busy) {
			c.busy(t)
			continue
		}
		if t.idling.looked == 0 || c.now.Boot-t.idling.looked > looksGap {
			t.idling.since = c.now.Boot
		}
		t.idling.looked = c.now.Boot
		if span := c.now.Boot - t.idling.since; span >= p.Span() && t.status.IdleSince.IsZero() {
			t.status.IdleSince = c.now.Wall.Add(-span)
			c.event(mesh.TaskIdle, t, p.String())
		}
	}
}

// rests says whether all devices that a task was given are idle by its policy.
func (c *Copy) rests(t *task, busy map[string]int) bool {
	if c.alloc.Grants == nil {
		return false
	}
	given := 0
	for _, g := range c.alloc.Grants.Devices {
		if g.Task != t.def.Name {
			continue
		}
		for _, d := range g.Given {
			given++
			if percent, known := busy[d.ID]; !known || percent >= t.def.Idle.Below() {
				return false
			}
		}
	}
	return given > 0
}

// busy takes notice that a task uses its devices, or has ended.
func (c *Copy) busy(t *task) {
	t.idling = idling{}
	if t.status.IdleSince.IsZero() {
		return
	}
	if t.status.State == mesh.Running {
		span := c.now.Wall.Sub(t.status.IdleSince).Round(time.Second)
		c.event(mesh.TaskIdle, t, fmt.Sprintf("uses its devices again, after %v", mesh.Duration(max(span, 0))))
	}
	t.status.IdleSince = time.Time{}
}
