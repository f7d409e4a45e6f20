package mesh

import "time"

// Next is the first time after one at which the job is due, or zero if it never is again. Submitted
// is when the job was. All times are whole seconds. What a wall clock shows twice counts the first
// time; what it leaps over is due where it lands. A cron that takes every hour goes by the time that
// passes instead.
func (s *Schedule) Next(job JobID, after, submitted time.Time) time.Time {
	var next time.Time
	if s == nil {
		return next
	}
	sooner := func(t time.Time) {
		if t.After(after) && (next.IsZero() || t.Before(next)) {
			next = t.UTC()
		}
	}
	if !s.At.IsZero() {
		sooner(s.At.Truncate(time.Second))
	}
	if s.In > 0 {
		sooner(submitted.Add(s.In.Std()).Truncate(time.Second))
	}
	zone, err := Zone(s.Timezone)
	if err != nil {
		return next // no job has it: it would not be valid
	}
	for _, text := range s.Crons {
		if c, err := parseCron(text, job); err == nil {
			sooner(c.next(after, zone))
		}
	}
	return next
}

// next is the first time after one at which it is due, or zero.
func (c *cron) next(after time.Time, zone *time.Location) time.Time {
	from := after.Unix() + 1
	switch {
	case !c.instant.IsZero():
		return c.instant
	case c.every > 0:
		at := from + c.every - 1
		return time.Unix(at-(at%c.every+c.every)%c.every, 0)
	}
	limit := from + cronDaysMax*daySeconds
	s := stretchAt(from-foldMax, zone)
	for s.end < from {
		s = s.next(zone)
	}
	for ; from < limit; s = s.next(zone) {
		wall := from + s.offset
		if !c.hourly() {
			leapt := from == s.start && s.offset > s.before
			if _, missed := c.find(from+s.before, wall); leapt && missed {
				return time.Unix(from, 0)
			}
			wall = max(wall, s.start+s.before) // what came before this was shown already
		}
		if at, ok := c.find(wall, min(s.end, limit)+s.offset); ok {
			return time.Unix(at-s.offset, 0)
		}
		from = s.end
	}
	return time.Time{}
}

// stretch is a stretch of time in which a zone does not change its offset from UTC. All is in seconds.
type stretch struct{ start, end, offset, before int64 } // before: the offset until start

const (
	foldMax = 25 * 60 * 60   // seconds, by which no clock was ever put back
	eon     = int64(1) << 50 // seconds, further away than anything that is asked for
)

// stretchAt is the stretch that a time is in, as far as it matters for what comes after.
func stretchAt(at int64, zone *time.Location) stretch {
	t := time.Unix(at, 0).In(zone)
	_, end := t.ZoneBounds()
	_, offset := t.Zone()
	s := stretch{-eon, eon, int64(offset), int64(offset)}
	if !end.IsZero() {
		s.end = end.Unix()
	}
	if s.end <= at { // package time leaves out the last day of leap years, where it goes by a zone's rule
		s.end = at + daySeconds
	}
	return s
}

// next is the stretch after s. Where a stretch begins is taken from the one before it: package time
// does not always know.
func (s stretch) next(zone *time.Location) stretch {
	n := stretchAt(s.end, zone)
	n.start, n.before = s.end, s.offset
	return n
}
