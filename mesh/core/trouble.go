package core

import (
	"fmt"
	"strings"
	"time"

	"mn/mesh"
	"mn/runner"
)

// A node on which nothing can be started any more, as its disk is broken or it has no
// processes left, looks idle, and so would be given one copy after the other. It takes itself
// out for a while: what runs there runs on. Only what is the node's fault counts, and only
// for several jobs, as one alone may ask for too much.

const (
	troubleJobs  = 3                // of which starts have failed in a row, and nothing was started between
	troubleFor   = 10 * time.Minute // within this time
	quarantineOf = 5 * time.Minute  // how long it takes no work; twice as long each time in a row
	quarantineAt = time.Hour        // at most
	whyMax       = 200              // bytes of the reason
)

// trouble is what has gone wrong with starting tasks here.
type trouble struct {
	failed map[mesh.JobID]time.Duration // when a start failed last, since one went well
	times  int                          // of quarantine in a row
	until  time.Duration                // of the present one; never if there is none
	since  time.Time
}

func newTrouble() trouble {
	return trouble{failed: map[mesh.JobID]time.Duration{}, until: never}
}

// startSeen takes notice of how a start went. The first that fails after a quarantine begins
// another.
func (c *Core) startSeen(o runner.Observation) {
	a, ok := c.records.effective(o.Alloc)
	t := &c.trouble
	switch {
	case !ok:
	case o.Kind == runner.Started:
		clear(t.failed)
		t.times = 0
		c.takeWork("a task could be started")
	case o.Kind == runner.StartFailed && o.Broken && t.until == never:
		t.failed[a.Job] = c.now.Boot
		for job, at := range t.failed {
			if at+troubleFor < c.now.Boot {
				delete(t.failed, job)
			}
		}
		if len(t.failed) >= troubleJobs || t.times > 0 {
			c.quarantine(o.Err)
		}
	}
}

// quarantine has this node take no work for a while.
func (c *Core) quarantine(why string) {
	t := &c.trouble
	span := min(quarantineOf<<min(t.times, 8), quarantineAt)
	t.times++
	t.until, t.since = c.now.Boot+span, c.now.Wall
	clear(t.failed)
	why = strings.ToValidUTF8(why[:min(len(why), whyMax)], "")
	c.cfg.Self.Quarantined = why
	c.event(mesh.Event{
		Kind: mesh.NodeQuarantined, Peer: c.self,
		Text: fmt.Sprintf("takes no work for %v, as nothing can be started: %s", span, why),
	})
	c.describe()
}

// takeWork ends the quarantine, if there is one.
func (c *Core) takeWork(why string) {
	if c.trouble.until == never {
		return
	}
	c.trouble.until = never
	c.cfg.Self.Quarantined = ""
	c.event(mesh.Event{Kind: mesh.NodeReleased, Peer: c.self, Text: "takes work again: " + why})
	c.describe()
}

// troubleDue ends the quarantine when its time is over, or when people have said since that
// the node is to take work.
func (c *Core) troubleDue() {
	if c.trouble.until == never {
		return
	}
	a := c.records.admin[c.self]
	switch {
	case c.trouble.until <= c.now.Boot:
		c.takeWork("its time is over")
	case a.Mode == mesh.InService && a.At.After(c.trouble.since):
		c.trouble.times = 0
		c.takeWork("people want it to")
	}
}
