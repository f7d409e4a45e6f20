package daemon

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"mn/health/inventory"
	"mn/mesh"
	"mn/mesh/core"
	"mn/placement"
	"mn/runner"
)

const (
	// portsEvery is how often it is looked on which ports programs listen. One counts when
	// it was seen twice: what comes and goes at once is in nobody's way.
	portsEvery = 10 * time.Second
	// foreignMax is how many ports of other programs are told; the highest are left out.
	foreignMax = 256
)

// equip tells the core what is on this machine besides what it was begun with, now and
// whenever that changes.
func (d *daemon) equip(ctx context.Context) {
	found := make(chan inventory.State)
	watch := d.watchDevices(ctx, found)
	defer watch.Close()
	engines := make(chan mesh.Engine)
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() {
		d.engine.Watch(ctx, d.driver.Has, func(e mesh.Engine) {
			select {
			case engines <- e:
			case <-ctx.Done():
			}
		})
	})
	look := time.NewTicker(portsEvery)
	defer look.Stop()
	now := core.Inventory{Programs: programs(), Closed: closedAbove(filepath.Dir(d.allocs()))}
	var seen []mesh.Port
	known := false // what devices there are
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-found:
			for _, fault := range s.Faults {
				d.log.Warn("not all of the devices are known", "why", fault)
			}
			now.Devices, known = s.Devices, true
		case e := <-engines:
			now.Engine, now.Drivers = &e, []string{mesh.DefaultDriver}
			if e.Lacks == "" {
				now.Drivers = []string{mesh.ContainerDriver, mesh.DefaultDriver} // sorted
			}
		case <-look.C:
			ports := d.foreign(ctx)
			both := slices.DeleteFunc(slices.Clone(ports), func(p mesh.Port) bool { return !slices.Contains(seen, p) })
			seen = ports
			has, closed := programs(), closedAbove(filepath.Dir(d.allocs()))
			if slices.Equal(both, now.Foreign) && slices.Equal(has, now.Programs) && closed == now.Closed {
				continue
			}
			now.Foreign, now.Programs, now.Closed = both, has, closed
		case p := <-d.taken: // so that it is not given out again at once
			now.Foreign, seen = among(now.Foreign, p), append(slices.Clone(seen), p)
		}
		if known {
			d.loop.tell(now)
		}
	}
}

// watchDevices looks after this machine's devices, and tells what there is.
func (d *daemon) watchDevices(ctx context.Context, found chan<- inventory.State) *inventory.Watch {
	var over inventory.Overuse
	heard := 0 // devices whose drivers have said how busy they are
	return inventory.Start(inventory.Config{
		Sources: inventory.Sources(d.cfg.Listed()),
		Ours: inventory.Ours{
			Process: d.owns, Device: func(id string) bool { return d.holds(ctx, id) },
			User: inventory.Runs(os.DirFS("/")),
		},
		Looked: func(uses []inventory.Use, busy map[string]int) {
			d.overuse(ctx, &over, uses)
			if last := heard; last+len(busy) > 0 {
				heard = len(busy)
				d.loop.tell(core.Worked{Load: runner.Load{Busy: busy}})
			}
		},
		Tell: func(s inventory.State) {
			select {
			case found <- s:
			case <-ctx.Done():
			}
		},
	})
}

// among adds a port to sorted ones.
func among(all []mesh.Port, p mesh.Port) []mesh.Port {
	if at, found := slices.BinarySearchFunc(all, p, placement.ComparePorts); !found {
		return slices.Insert(slices.Clone(all), at, p)
	}
	return all
}

// programs are those on this machine that tasks may need before they start.
func programs() []string {
	return slices.DeleteFunc(slices.Clone(mesh.Programs), func(name string) bool {
		_, err := exec.LookPath(name)
		return err != nil
	})
}

// pulls tells people how it goes with the image of a task.
func (d *daemon) pulls(alloc mesh.AllocID, _, text string) {
	ctx, done := context.WithTimeout(context.Background(), pullsTimeout)
	defer done()
	_ = d.loop.look(ctx, func(c *core.Core) {
		a, _ := c.Alloc(alloc)
		d.loop.perform.tell([]mesh.Event{{
			Kind: mesh.ImagePulled, At: time.Now(), Node: d.self.ID, Job: a.Job, Alloc: alloc, Text: text,
		}})
	})
}

// pullsTimeout bounds how long the loop is waited for, to tell people something.
const pullsTimeout = 5 * time.Second

// overGrace is how long a task has to end that has more of a device than it was given.
const overGrace = 10 * time.Second

// overuse warns of tasks that have more of a device than they were given, and ends those
// that keep it: what they take they take from others.
func (d *daemon) overuse(ctx context.Context, over *inventory.Overuse, uses []inventory.Use) {
	var claims []mesh.Claim
	d.claims(ctx, func(c mesh.Claim) { claims = append(claims, c) })
	for _, e := range over.Look(claims, uses, d.driver.Owner) {
		text := e.String()
		if e.Last {
			d.driver.Fail(e.Alloc, e.Task, text, overGrace)
		}
		if !e.First {
			continue
		}
		_ = d.loop.look(ctx, func(c *core.Core) { // so that it comes between other events
			a, _ := c.Alloc(e.Alloc)
			d.loop.perform.tell([]mesh.Event{{
				Kind: mesh.DeviceOverused, At: time.Now(), Node: d.self.ID, Job: a.Job, Alloc: e.Alloc,
				Text: fmt.Sprintf("task %s %s: it is stopped unless it gives that back", e.Task, text),
			}})
		})
	}
}

// owns says whether a process belongs to a task.
func (d *daemon) owns(pid int) bool {
	_, _, ok := d.driver.Owner(pid)
	return ok
}

// holds says whether a copy here has a device.
func (d *daemon) holds(ctx context.Context, id string) bool {
	held := false
	d.claims(ctx, func(c mesh.Claim) {
		for _, g := range c.Devices {
			held = held || slices.ContainsFunc(g.Given, func(given mesh.GivenDevice) bool { return given.ID == id })
		}
	})
	return held
}

// claims visits what copies here were granted.
func (d *daemon) claims(ctx context.Context, each func(mesh.Claim)) {
	_ = d.loop.look(ctx, func(c *core.Core) {
		for _, claim := range c.Claims() {
			each(claim)
		}
	})
}

// listens says whether a program listens on a port that a task is about to have, and if so has it known.
func (d *daemon) listens(p mesh.Port) bool {
	all, err := inventory.Ports(os.DirFS("/"))
	if err != nil || !slices.Contains(all, p) {
		return false // who cannot look finds out when it listens
	}
	select {
	case d.taken <- p:
	default: // several at once: the others are seen at the next look
	}
	return true
}

// foreign are the ports in use that no copy here was granted. UDP ports that the kernel gives
// out by itself are not among them: whoever asks somebody something has one for a moment.
func (d *daemon) foreign(ctx context.Context) []mesh.Port {
	all, err := inventory.Ports(os.DirFS("/"))
	if err != nil {
		d.log.Warn("ports in use are not told", "why", err)
		return nil
	}
	ours := map[mesh.Port]bool{}
	d.claims(ctx, func(c mesh.Claim) {
		for i := range c.Ports {
			ours[c.Ports[i].Port()] = true
		}
	})
	all = slices.DeleteFunc(all, func(p mesh.Port) bool {
		return ours[p] || p.Transport == mesh.UDP && p.Number > mesh.DynamicPortMax
	})
	slices.SortFunc(all, placement.ComparePorts)
	return all[:min(len(all), foreignMax)]
}
