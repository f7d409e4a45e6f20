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
	for s := stretchAt(after, zone); from < limit; s = stretchAt(time.Unix(s.end, 0), zone) {
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

// eon is further away than anything that is asked for, in seconds.
const eon = int64(1) << 50

// stretchAt is the stretch that a time is in, or the part of it that is of its year: package time
// tells no more where it goes by a zone's rule, and of a leap year leaves out the last day.
func stretchAt(t time.Time, zone *time.Location) stretch {
	start, end := t.In(zone).ZoneBounds()
	_, offset := t.In(zone).Zone()
	s := stretch{-eon, eon, int64(offset), int64(offset)}
	if !end.IsZero() {
		if s.end = end.Unix(); s.end <= t.Unix() {
			s.end = t.Unix() + daySeconds
		}
	}
	if !start.IsZero() {
		_, before := start.Add(-1).In(zone).Zone()
		s.start, s.before = start.Unix(), int64(before)
	}
	return s
}
