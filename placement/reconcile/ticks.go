package reconcile

import (
	"fmt"
	"slices"
	"time"

	"mn/mesh"
)

// times decides about the times that have come since the last look, in order. What nobody could
// decide in time was missed, and the schedule says what becomes of that.
func (f *firer) times() {
	s := f.Job.Job.Schedule
	if !s.Timed() || f.full() {
		return
	}
	from := f.from()
	late := f.late(from)
	for _, at := range late.times {
		if f.full() {
			return
		}
		o := f.origin(at)
		if !f.decided(mesh.RunName(f.Job.ID(), &o)) {
			f.due(o)
		}
		f.moveTo(at)
	}
	if next := f.next(latest(f.out.Due.Until, from)); !next.IsZero() {
		f.wakeIn(next.Sub(f.Now))
	}
}

// next is the first time after an instant.
func (f *firer) next(after time.Time) time.Time {
	return f.Job.Job.Schedule.Next(f.Job.ID(), after, f.Job.Scheduled)
}

// from is the instant up to which the times are gone through. A side without a majority cannot
// say so but by its firings: of those whose time is not long ago, one may be missing.
func (f *firer) from() time.Time {
	from := latest(f.out.Due.Until, f.Job.Scheduled)
	var fired []time.Time
	for i := range f.Firings {
		if g := &f.Firings[i]; g.Origin.Cause == mesh.CauseTime {
			fired = append(fired, g.Origin.Due)
		}
	}
	if len(fired) == 0 {
		return from
	}
	slices.SortFunc(fired, time.Time.Compare)
	last := fired[len(fired)-1]
	back := last.Add(-f.grace())
	if n := len(fired); n >= lateMax { // those before may have been forgotten
		back = latest(back, fired[n-lateMax])
	}
	return latest(from, back)
}

func (f *firer) grace() time.Duration { return f.Job.Job.Schedule.Grace() }

// moveTo says that a time was decided about.
func (f *firer) moveTo(at time.Time) {
	if at.After(f.out.Due.Until) {
		f.out.Due.Until, f.out.Moved = at.UTC(), true
	}
}

// late is the times that have come and of which something is to be made, once those that were
// missed are told.
func (f *firer) late(from time.Time) passed {
	p := f.passed(from, f.Now)
	limit := f.Now.Add(-f.grace())
	n := 0
	for n < len(p.times) && (p.times[n].Before(limit) || f.windowOver(p.times[n])) {
		n++
	}
	n -= min(n, f.caughtUp(p.times[:n]))
	if len(p.times)-n > lateMax {
		n = len(p.times) - lateMax
	}
	f.missed(p, n)
	p.times = p.times[n:]
	return p
}

func (f *firer) windowOver(at time.Time) bool {
	until := f.Job.Job.Schedule.Over(at)
	return !until.IsZero() && !f.Now.Before(until)
}

// caughtUp is how many of the latest of the times that were missed are made up for. Those whose
// window is over are not.
func (f *firer) caughtUp(missed []time.Time) int {
	most := min(f.Job.Job.Schedule.CatchUp(), lateMax)
	n := 0
	for n < min(most, len(missed)) && !f.windowOver(missed[len(missed)-1-n]) {
		n++
	}
	return n
}

// missed tells of the first n of the times that have passed, and of those before them, that
// nothing is made of them. One firing stands for all: there may be very many.
func (f *firer) missed(p passed, n int) {
	var last time.Time
	count, first := p.before, p.first
	for _, at := range p.times[:n] {
		o := f.origin(at)
		if f.decided(mesh.RunName(f.Job.ID(), &o)) { // where there was no majority
			f.moveTo(at)
			continue
		}
		if count == 0 {
			first = at
		}
		count, last = count+1, at
	}
	switch {
	case last.IsZero() && p.before == 0:
		return
	case last.IsZero():
		last = first
	}
	const why = "no node could decide in time, or it was paused"
	reason := why
	if count > 1 {
		reason = fmt.Sprintf("%d times from %s on: %s", count, first.UTC().Format(time.DateTime+" UTC"), why)
		if p.before == missedMax {
			reason = "at least " + reason
		}
	}
	f.fire(f.origin(last), mesh.FiringMissed, reason)
	f.out.Due.Missed += uint64(count - 1)
	g := &f.out.Fire[len(f.out.Fire)-1]
	if count > 1 {
		g.Times, g.First = uint64(count), first.UTC()
	}
	f.moveTo(last)
}

// passed is times that have passed: the latest, and how many before them, as far as that is
// counted, with the first.
type passed struct {
	times  []time.Time
	before int
	first  time.Time
}

// passed finds the times after one instant and not after another. A schedule may have been off for
// a year: so no more than missedMax are gone through, and of more, the latest are looked for.
func (f *firer) passed(from, to time.Time) passed {
	var p passed
	at := f.next(from)
	for !at.IsZero() && !at.After(to) {
		if len(p.times) == missedMax {
			p.before, p.first = missedMax, p.times[0]
			p.times = f.lastOf(at.Add(-1), to)
			return p
		}
		p.times = append(p.times, at)
		at = f.next(at)
	}
	return p
}

// lastOf is the last of the times after one instant and not after another, at most lateMax of them:
// found by halving the span, in some thousand steps however long it is.
func (f *firer) lastOf(from, to time.Time) []time.Time {
	after := func(at time.Time) []time.Time { // one more than wanted at most
		var times []time.Time
		for at = f.next(at); !at.IsZero() && !at.After(to) && len(times) <= lateMax; at = f.next(at) {
			times = append(times, at)
		}
		return times
	}
	if all := after(from); len(all) <= lateMax {
		return all
	}
	low, high := from, to
	for high.Sub(low) > time.Millisecond {
		if middle := low.Add(high.Sub(low) / 2); len(after(middle)) > lateMax {
			low = middle
		} else {
			high = middle
		}
	}
	return after(high)
}
