package sim

import (
	"slices"
	"time"

	"mn/health"
	"mn/mesh"
	"mn/mesh/core"
	"mn/runner"
)

// condition is how the services of a task really are, which no core can see.
type condition uint8

const (
	well  condition = iota // checks pass
	fails                  // they fail at once
	hangs                  // they are never answered
)

// String is the condition for the story.
func (c condition) String() string { return [...]string{"are well", "fail", "hang"}[c] }

// Bounds of the model of services.
const (
	probeTakes = 50 * time.Millisecond // up to which a check takes that is answered
	mendsIn    = 10 * time.Second      // up to which services take to be well when faults have ended
)

// checks is the loop that has the services of a node's tasks checked, as the daemon's. What it decides
// is decided by [health.Machine]. It ends with its agent, and stands still with it.
type checks struct {
	h       *host
	a       *agent
	machine *health.Machine
	dice    chance
	turns   int // numbers the planned turns: only the last one counts
}

// watch has what an attempt of a task offers checked from now on, or no longer.
func (h *host) watch(a *agent, x core.Watch) {
	if a.checks == nil {
		of := []uint64{uint64(h.place), uint64(h.starts)}
		a.checks = &checks{
			h: h, a: a, machine: health.New(chanceOf(h.w.options.Seed, "checks", of...).Rand),
			dice: chanceOf(h.w.options.Seed, "probes", of...),
		}
	}
	c, of := a.checks, health.Of{Alloc: x.Alloc, Task: x.Task}
	if now := c.now(); len(x.Services) == 0 {
		c.machine.Forget(of)
	} else {
		c.machine.Watch(health.Target{
			Of: of, Attempt: x.Attempt, Started: now.Boot - max(now.Wall.Sub(x.Started), 0),
			Services: x.Services, Known: x.Known,
		}, now)
	}
	c.turnAt(c.now().Boot)
}

func (c *checks) now() health.Now {
	now := c.h.now()
	return health.Now{Boot: now.Boot, Wall: now.Wall}
}

// turnAt plans the next turn.
func (c *checks) turnAt(boot time.Duration) {
	c.turns++
	n := c.turns
	c.h.w.at(c.h.clock.when(c.h.w.now, max(boot, c.now().Boot+tickMin)), func() {
		if c.h.agent == c.a && c.turns == n {
			c.h.whenUp(c.turn)
		}
	})
}

// turn runs the checks that are due, and tells what services have come to: gossip at once, and the core,
// which writes it down.
func (c *checks) turn() {
	now := c.now()
	for _, p := range c.machine.Due(now) {
		c.probe(&p)
	}
	changes := c.machine.Changes(now)
	if len(changes) > 0 {
		c.h.gossip.say(hintOf(changes, now.Wall))
	}
	for i := range changes {
		ch := &changes[i]
		c.h.w.checkUnwell(c.h, ch)
		c.h.tell(core.Checked{Alloc: ch.Alloc, Checked: runner.Checked{
			Task: ch.Task, Attempt: ch.Attempt, Services: ch.Services, Restart: ch.Restart,
		}})
	}
	if next, any := c.machine.Next(); any {
		c.turnAt(next)
	}
}

// hintOf is what is said by gossip of changes.
func hintOf(changes []health.Change, at time.Time) core.Hinted {
	said := core.Hinted{At: at.Truncate(time.Millisecond)} // as it is encoded
	for _, ch := range changes {
		for i := range ch.Services {
			key := mesh.KeyOf(ch.Alloc, ch.Task, ch.Services[i].Name)
			if ch.Services[i].Health == mesh.Passing {
				said.Pass = append(said.Pass, key)
			} else {
				said.Fail = append(said.Fail, key)
			}
		}
	}
	return said
}

// probe runs one check: it ends as the services are when it begins, and that is heard when the agent goes on.
func (c *checks) probe(check *health.Probe) {
	h, id := c.h, check.ID
	takes, fault := c.dice.upTo(probeTakes)+h.lag(), ""
	p := h.tasks[string(check.Of.Alloc)+"/"+check.Of.Task]
	switch {
	case p == nil:
		fault = "nobody is there"
	case p.condition() == fails:
		fault = "it does not work"
	case p.condition() == hangs:
		takes, fault = check.Check.Limit(), "timed out"
		h.w.counts.add(ChecksHung)
	}
	of := *check
	h.w.plan(takes, func() {
		if h.agent == c.a {
			h.whenUp(func() {
				h.w.noteProbe(p, &of, fault)
				c.machine.Ended(id, fault, c.now())
				c.turn()
			})
		}
	})
}

// condition is how the services of the task are now.
func (p *process) condition() condition {
	if p.h.sick > 0 && p.is == well {
		return p.h.ails
	}
	return p.is
}

// fare has the services of a task fail and be well again, as its program wants it. Each attempt draws
// apart, as [process.play] does.
func (p *process) fare() {
	g := p.program(p.h.w.people.job(p.copy.job))
	if g == nil || g.Flips == 0 && g.Boots == 0 {
		return
	}
	dice := chanceOf(p.h.w.options.Seed, "fares "+p.key, uint64(p.h.place), uint64(p.spec.Attempt))
	p.is = fails
	p.in(dice.upTo(g.Boots.Std()), func() {
		p.become(well)
		p.flipLater(g, dice)
	})
}

func (p *process) flipLater(g *Program, dice chance) {
	if g.Flips == 0 {
		return
	}
	p.in(dice.about(g.Flips.Std()), func() {
		switch {
		case p.h.w.resting:
			return
		case p.h.w.from == 0: // nothing goes wrong yet
			p.flipLater(g, dice)
			return
		}
		next := well
		if p.is == well {
			next = fails
			if dice.hits(g.Hangs) {
				next = hangs
			}
		}
		p.become(next)
		p.flipLater(g, dice)
	})
}

// become is the moment at which the services of a task change.
func (p *process) become(c condition) {
	if p.is == c {
		return
	}
	p.is = c
	p.h.w.changes++
	p.h.w.counts.add(Flipped)
	p.h.w.tell(p.h, "task", "the services of %v %v", p.copy, c)
}

// mend has services be well when faults have ended, but for those that stay as they are.
func (w *world) mend() {
	for _, h := range w.hosts {
		for _, key := range sortedKeys(h.tasks) {
			p := h.tasks[key]
			if p.is == well {
				continue
			}
			dice := chanceOf(w.options.Seed, "mends "+p.key, uint64(h.place))
			if g := p.program(w.people.job(p.copy.job)); !dice.hits(g.Lasting) {
				p.in(dice.upTo(mendsIn), func() { p.become(well) })
			}
		}
	}
}

// sicken has the services of all tasks of some machines fail, or hang.
func sicken(b *blow) func() {
	ails := pick(b.dice, []condition{fails, hangs})
	b.said = "they " + ails.String()
	return b.each(func(h *host) func() {
		h.ails = ails
		h.sick++
		return func() {
			h.sick--
			h.w.changes++
		}
	})
}

// offered are the services that a process offers as long as it runs.
func (p *process) offered() []mesh.ServiceDef {
	job := p.h.w.people.job(p.copy.job)
	d := p.h.w.deeds.decided[p.spec.Alloc]
	if job == nil || d == nil {
		return nil
	}
	return job.Offered(&d.Alloc, p.spec.Task)
}

// offers says whether a service that is needed is really to be had on a host: of another job, by a process
// that is so.
func (h *host) offers(need *mesh.ServiceNeed, but mesh.JobID, so func(*process) bool) bool {
	for _, p := range h.tasks {
		if p.copy.job != but && so(p) &&
			slices.ContainsFunc(p.offered(), func(s mesh.ServiceDef) bool { return need.Met(&s) }) {
			return true
		}
	}
	return false
}

func running(p *process) bool { return !p.dying }

func working(p *process) bool { return !p.dying && p.condition() == well }
