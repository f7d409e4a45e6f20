package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mn/mesh"
)

// each does something to every host of a blow, and undoes it for all at its end.
func (b *blow) each(do func(*host) (undo func())) func() {
	var undo []func()
	for _, h := range b.hosts {
		if u := do(h); u != nil {
			undo = append(undo, u)
		}
	}
	return func() {
		for _, u := range undo {
			u()
		}
	}
}

// fell ends a host's agent, or all of the machine: now, or in the middle of
// what it does next.
func (b *blow) fell(h *host, power bool) {
	h.w.clocks.fell(h)
	if h.agent != nil && b.dice.IntN(2) == 0 {
		h.doomed, h.power = true, power
		return
	}
	if power {
		h.cutPower()
	} else {
		h.kill()
	}
}

func kill(b *blow) func() {
	return b.each(func(h *host) func() {
		b.fell(h, false)
		return h.restart
	})
}

func power(b *blow) func() {
	return b.each(func(h *host) func() {
		b.fell(h, true)
		return h.restart
	})
}

// restart turns the machine on, if it is off, and starts its agent.
func (h *host) restart() {
	h.doomed = false
	if h.gone {
		return
	}
	h.powerOn()
	h.start()
}

// powerOn boots the machine if it is off.
func (h *host) powerOn() {
	if !h.on {
		h.clock.reboot(h.w.now, h.w.now-h.offAt)
		h.boot()
	}
}

// wipe is not done to so many voters that no majority of those who remember is
// left: then only a person could help, and that is another story.
func wipe(b *blow) func() {
	return b.each(func(h *host) func() {
		if !h.w.spares(h) {
			b.said = "spared, for the voters' sake"
			return nil
		}
		h.w.clocks.fell(h)
		h.lose()
		return h.replace
	})
}

// heir is the name of the machine that comes after one whose disk was lost.
func heir(name string) string { return name + "+" }

// lose ends the host for good.
func (h *host) lose() {
	var lost []*process
	for _, key := range sortedKeys(h.tasks) {
		lost = append(lost, h.tasks[key])
	}
	h.cutPower()
	h.w.noteLost(h, lost)
	h.gone = true
	h.past = append(h.past, h.disk)
	h.disk = newDisk()
}

// spares says whether the voters could do without a host for good: more than
// half of them would still remember what they promised.
func (w *world) spares(lost *host) bool {
	known := false // to somebody who is there
	for _, h := range w.members() {
		if h.agent == nil || h == lost {
			continue
		}
		known = true
		roster := h.agent.core.Roster()
		if roster.Seat(lost.self.ID) < 0 {
			continue
		}
		remember := 0
		for _, v := range roster.Voters {
			if o := w.byID[v.ID]; o != nil && o != lost && o.remembers() {
				remember++
			}
		}
		if remember < roster.Quorum() {
			return false
		}
	}
	return known
}

// remembers says whether a voter can be expected to know what it has promised.
func (h *host) remembers() bool { return !h.gone && !h.barred && !h.evicted && !h.disk.forgot() }

func restore(b *blow) func() {
	return b.each(func(h *host) func() {
		if h.backup == nil || !h.w.spares(h) {
			b.said = "spared"
			return nil
		}
		h.w.clocks.fell(h)
		h.cutPower()
		h.exposed = h.known.beyond(h.backup)
		h.past = append(h.past, h.disk)
		h.disk = h.backup.clone()
		h.restores = append(h.restores, span{h.backedUp, h.w.now})
		h.barred, h.w.restored = true, true
		return h.restart
	})
}

// lookAhead notes what each disk holds, and others have heard of by the time of a
// restore that is to come.
func (w *world) lookAhead() {
	for _, h := range w.members() {
		h.known = h.disk.clone()
	}
}

// span is the time that a disk has forgotten: from its backup to its return.
type span struct{ from, to time.Duration }

// backUp keeps a copy of each disk, as it is now.
func (w *world) backUp() {
	for _, h := range w.members() {
		h.backup, h.backedUp, h.known = h.disk.clone(), w.now, nil
	}
}

// restored says whether the host's disk has forgotten what it held at an instant.
func (h *host) restored(at time.Duration) bool {
	return slices.ContainsFunc(h.restores, func(s span) bool { return s.from <= at && at <= s.to })
}

func pause(b *blow) func() {
	return b.each(func(h *host) func() { return h.halt() })
}

func suspend(b *blow) func() {
	return b.each(func(h *host) func() { return h.sleep() })
}

// count raises a counter of a host while a fault lasts.
func count(n *int) func() {
	*n++
	return func() { *n-- }
}

func slow(b *blow) func()     { return b.each(func(h *host) func() { return count(&h.slow) }) }
func diskFull(b *blow) func() { return b.each(func(h *host) func() { return count(&h.full) }) }
func diskSlow(b *blow) func() { return b.each(func(h *host) func() { return count(&h.sluggish) }) }

// others are the hosts of a run that a blow does not hit.
func (b *blow) others() []*host {
	return slices.DeleteFunc(slices.Clone(b.w.hosts), func(h *host) bool { return slices.Contains(b.hosts, h) })
}

func cut(b *blow) func() { return b.w.network.part(between([][]*host{b.hosts, b.others()})) }

func mute(b *blow) func() {
	var links []link
	for _, from := range b.hosts {
		for _, to := range b.others() {
			links = append(links, link{from.place, to.place})
		}
	}
	return b.w.network.part(links)
}

func deaf(b *blow) func() {
	var links []link
	for _, to := range b.hosts {
		for _, from := range b.others() {
			links = append(links, link{from.place, to.place})
		}
	}
	return b.w.network.part(links)
}

// split parts the groups that the fault names, or two that are drawn. Nodes
// that are in no group see all of them.
func split(b *blow) func() {
	var groups [][]*host
	for _, part := range strings.Split(b.f.Who, "|") {
		words := strings.Fields(part)
		groups = append(groups, slices.DeleteFunc(b.w.members(), func(h *host) bool {
			return !slices.Contains(words, h.name)
		}))
	}
	if len(groups) < 2 {
		groups = b.draw()
	}
	names := make([]string, len(groups))
	b.hosts = nil
	for i, g := range groups {
		names[i] = who(g)
	}
	b.said = strings.Join(names, " | ")
	return b.w.network.part(between(groups))
}

// draw draws two or three groups; now and then somebody is in none, and so a
// bridge between them.
func (b *blow) draw() [][]*host {
	n := 2 + b.dice.IntN(2)
	groups := make([][]*host, n)
	for _, h := range b.w.members() {
		if at := b.dice.IntN(8 * n); at > 0 {
			groups[at%n] = append(groups[at%n], h)
		}
	}
	return groups
}

// flap cuts a host off and lets it back, again and again.
func flap(b *blow) func() {
	var mend func()
	over := false
	links := between([][]*host{b.hosts, b.others()})
	var turn func()
	turn = func() {
		if over {
			return
		}
		if mend == nil {
			mend = b.w.network.part(links)
		} else {
			mend()
			mend = nil
		}
		b.w.plan(b.dice.about(time.Second), turn)
	}
	turn()
	return func() {
		over = true
		if mend != nil {
			mend()
		}
	}
}

func loss(b *blow) func() {
	share := b.f.Share
	if share == 0 {
		share = Share(b.dice.IntN(million / 2))
	}
	b.hosts, b.said = nil, share.String()
	return b.w.network.worsen(Network{Loss: share, Duplicate: share / 4})
}

func delay(b *blow) func() {
	by := b.f.By.Std()
	if by == 0 {
		by = b.dice.about(100 * time.Millisecond)
	}
	late := b.f.Share
	if late == 0 {
		late = million / 50
	}
	b.hosts, b.said = nil, "up to "+by.Round(time.Millisecond).String()
	return b.w.network.worsen(Network{Jitter: mesh.Duration(by), Late: late})
}

func skew(b *blow) func() {
	by := b.f.By.Std()
	if by == 0 {
		early, late := b.dice.about(time.Minute), b.dice.about(time.Minute)
		by = early - late
	}
	b.said = by.Round(time.Millisecond).String()
	return b.each(func(h *host) func() {
		h.clock.set(h.w.now, by)
		return func() { h.clock.set(h.w.now, 0) }
	})
}

// driftMax is the bound on the rate of clocks, as leases have it, in parts per
// million.
const driftMax = 1000

func drift(b *blow) func() {
	ppm := b.f.PPM
	if ppm == 0 {
		ppm = []int{-driftMax, driftMax}[b.dice.IntN(2)]
	}
	b.said = fmt.Sprintf("%d ppm", ppm)
	return b.each(func(h *host) func() {
		was := int(h.clock.ppm)
		h.clock.drift(h.w.now, ppm)
		return func() { h.clock.drift(h.w.now, was) }
	})
}

func diskSpoilt(b *blow) func() {
	return b.each(func(h *host) func() {
		if !h.w.spares(h) {
			b.said = "spared, for the voters' sake"
			return nil
		}
		h.w.clocks.fell(h)
		h.kill()
		h.past = append(h.past, h.disk.clone())
		lost := h.disk.spoil(b.dice, million/4)
		h.spoilt = true
		b.said = fmt.Sprintf("%d records", lost)
		return h.restart
	})
}

func leave(b *blow) func() {
	return b.each(func(h *host) func() {
		if h.up() {
			h.gossip.leave()
		}
		h.w.clocks.fell(h)
		h.cutPower()
		return h.restart
	})
}

func quit(b *blow) func() {
	return b.each(func(h *host) func() {
		if h.up() {
			h.gossip.leave()
		}
		h.w.clocks.fell(h)
		h.kill()
		return h.restart
	})
}

func remove(b *blow) func() {
	b.each(func(h *host) func() {
		if !h.w.spares(h) {
			b.said = "spared, for the voters' sake"
			return nil
		}
		h.w.clocks.fell(h)
		h.lose()
		return nil
	})
	return nil
}

func enter(b *blow) func() {
	b.hosts = nil
	by := b.w.sponsors()
	if len(b.w.hosts) >= 2*b.w.scenario.Nodes+hostsMore || len(by) == 0 {
		b.said = "there are enough"
		return nil
	}
	h := b.w.newHost(fmt.Sprintf("n%d", len(b.w.hosts)+1), Machine{})
	b.hosts = []*host{h}
	b.w.join(h, pick(b.dice, by))
	return nil
}

// hostsMore bounds the machines that join while things go wrong.
const hostsMore = 8
