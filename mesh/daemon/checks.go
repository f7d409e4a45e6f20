package daemon

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"mn/health"
	"mn/health/probe"
	"mn/mesh"
	"mn/mesh/core"
	"mn/runner"
	"mn/runner/frames"
)

// Bounds of the checks of a node.
const (
	probesMax  = 1024 // checks that run at a time
	withinMax  = 4    // of them, commands within one task: people need places there, too
	scriptsMax = 32   // commands besides one of each task, which waits for no other task's
	outputMax  = 4 << 10
)

// checks is the loop that has the services of tasks checked. What it decides is decided by
// [health.Machine]; all checks that are due run at once, so that none waits for another that hangs.
type checks struct {
	machine *health.Machine
	clock   func() core.Now
	probe   func(ctx context.Context, p *health.Probe) (fault string)
	tell    func(core.Event)
	hint    func([]health.Change, time.Time) // to all nodes, by gossip

	places  chan struct{}
	scripts chan struct{} // what is in it is a command besides the one that its task may run at any time

	mu     sync.Mutex
	watch  []core.Watch // to be taken
	ended  []endedProbe // to be taken
	within map[health.Of]*commandPlaces
	news   chan struct{} // has room for one
}

type endedProbe struct {
	id    uint64
	fault string
}

func newChecks(
	clock func() core.Now, probe func(context.Context, *health.Probe) string, tell func(core.Event),
	hint func([]health.Change, time.Time),
) *checks {
	return &checks{
		machine: health.New(newRand()), clock: clock, probe: probe, tell: tell, hint: hint,
		places: make(chan struct{}, probesMax), scripts: make(chan struct{}, scriptsMax),
		within: map[health.Of]*commandPlaces{}, news: make(chan struct{}, 1),
	}
}

// set has what an attempt of a task offers checked from now on. It does not wait.
func (c *checks) set(w core.Watch) {
	c.mu.Lock()
	c.watch = append(c.watch, w)
	c.mu.Unlock()
	c.wake()
}

func (c *checks) wake() {
	select {
	case c.news <- struct{}{}:
	default: // somebody has said so already
	}
}

// run checks until ctx ends, and waits for the checks that run then.
func (c *checks) run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.news:
		case <-timer.C:
		}
		now := c.now()
		c.take(now)
		for _, p := range c.machine.Due(now) {
			running.Go(func() { c.check(ctx, p) })
		}
		changes := c.machine.Changes(now)
		if len(changes) > 0 {
			c.hint(changes, now.Wall)
		}
		for _, ch := range changes {
			c.tell(core.Checked{Alloc: ch.Alloc, Checked: runner.Checked{
				Task: ch.Task, Attempt: ch.Attempt, Services: ch.Services, Restart: ch.Restart,
			}})
		}
		timer.Stop()
		if next, any := c.machine.Next(); any {
			timer.Reset(max(next-c.now().Boot, tickMin))
		}
	}
}

func (c *checks) now() health.Now {
	now := c.clock()
	return health.Now{Boot: now.Boot, Wall: now.Wall}
}

// take takes what has come.
func (c *checks) take(now health.Now) {
	c.mu.Lock()
	watch, ended := c.watch, c.ended
	c.watch, c.ended = nil, nil
	c.mu.Unlock()
	for _, w := range watch {
		of := health.Of{Alloc: w.Alloc, Task: w.Task}
		if len(w.Services) == 0 {
			c.machine.Forget(of)
			c.mu.Lock()
			delete(c.within, of)
			c.mu.Unlock()
			continue
		}
		started := now.Boot - max(now.Wall.Sub(w.Started), 0)
		c.machine.Watch(health.Target{
			Of: of, Attempt: w.Attempt, Started: started, Services: w.Services, Known: w.Known,
		}, now)
	}
	for _, e := range ended {
		c.machine.Ended(e.id, e.fault, now)
	}
}

// check runs one check. The time that it waits for a place is not its own.
func (c *checks) check(ctx context.Context, p health.Probe) {
	kinds := [][]chan struct{}{{c.places}}
	if p.Check.Kind() == mesh.CheckScript {
		w := c.placesWithin(p.Of)
		kinds = [][]chan struct{}{{w.all}, {w.first, c.scripts}, {c.places}}
	}
	for _, places := range kinds {
		leave, ok := enter(ctx, places)
		if !ok {
			return
		}
		defer leave()
	}
	fault := c.probe(ctx, &p)
	if ctx.Err() != nil {
		return // it was ended by the agent's end, which says nothing of the service
	}
	c.mu.Lock()
	c.ended = append(c.ended, endedProbe{p.ID, fault})
	c.mu.Unlock()
	c.wake()
}

// enter takes a place of the first that has one, or of the second if there are two.
func enter(ctx context.Context, places []chan struct{}) (leave func(), ok bool) {
	first, second := places[0], places[len(places)-1]
	select {
	case first <- struct{}{}: // rather than one that others need, too
		return func() { <-first }, true
	default:
	}
	select {
	case first <- struct{}{}:
		return func() { <-first }, true
	case second <- struct{}{}:
		return func() { <-second }, true
	case <-ctx.Done():
		return nil, false
	}
}

// commandPlaces are those for commands within a task: for all of them, and for the one that waits for no
// other task's.
type commandPlaces struct{ all, first chan struct{} }

func (c *checks) placesWithin(of health.Of) *commandPlaces {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.within[of] == nil {
		c.within[of] = &commandPlaces{make(chan struct{}, withinMax), make(chan struct{}, 1)}
	}
	return c.within[of]
}

// prober makes what runs the checks of this node.
func (d *daemon) prober() *probe.Prober {
	return &probe.Prober{Host: d.net.Addr().Addr().String(), Script: d.script, Sick: d.sick}
}

// script runs a command within a task, and returns how it has ended and the last that it has said.
func (d *daemon) script(ctx context.Context, of health.Of, argv, env []string) (code int, output string, err error) {
	conn, err := d.driver.Join(of.Alloc, of.Task, runner.Command{Command: argv, Env: env})
	if err != nil {
		return 0, "", err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close() //nolint:errcheck // nothing of it is written
	if err := frames.Write(conn, frames.Closed, nil); err != nil {
		return 0, "", fmt.Errorf("run the check: %w", err)
	}
	return listen(conn)
}

// listen hears what a command says until it has ended.
func listen(from io.Reader) (code int, output string, err error) {
	var last []byte
	for r := frames.NewReader(from); ; {
		kind, payload, err := r.Next()
		if err != nil {
			return 0, "", fmt.Errorf("run the check: %w", err)
		}
		switch kind {
		case frames.Stdout, frames.Stderr:
			last = append(last, payload...)
			last = last[max(0, len(last)-outputMax):]
		case frames.Exit:
			code, err := strconv.Atoi(string(payload))
			return code, string(last), err
		case frames.Failed:
			return 0, "", fmt.Errorf("run the check: %s", payload)
		}
	}
}

// sick says why a device that a task was given cannot be used, or "".
func (d *daemon) sick(ctx context.Context, of health.Of) (why string) {
	var claim mesh.Claim
	var devices []mesh.Device
	err := d.loop.look(ctx, func(c *core.Core) {
		all := c.Claims()
		if i := slices.IndexFunc(all, func(c mesh.Claim) bool { return c.Alloc == of.Alloc }); i >= 0 {
			claim = all[i]
		}
		devices = c.Devices()
	})
	if err != nil {
		return "this node does not answer in time"
	}
	for _, g := range claim.Devices {
		if g.Task != of.Task {
			continue
		}
		for _, given := range g.Given {
			i := slices.IndexFunc(devices, func(d mesh.Device) bool { return d.ID == given.ID })
			switch {
			case i < 0:
				return fmt.Sprintf("%s %s is gone", cmp.Or(g.Kind, mesh.GPU), given.ID)
			case devices[i].Sick != "":
				return fmt.Sprintf("%s %s is sick: %s", cmp.Or(g.Kind, mesh.GPU), given.ID, devices[i].Sick)
			}
		}
	}
	return ""
}
