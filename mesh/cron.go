package mesh

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Expressions are read and gone through here: no library does what all nodes have to agree on. That of
// github.com/netresearch/go-cron, the nearest, runs a time twice that clocks show twice, and one that they
// leap over later than where they land; it has no "~", and may search for long what never comes.

// cron is when something is due, as an expression says: at the seconds of the days that its
// fields take, or each so often, or once.
type cron struct {
	// Bit n of a field is set if it takes n. Weekdays begin with Sunday, 0.
	second, minute, hour, day, month, weekday uint64
	// either: days and weekdays are both restricted, and it is due on the one as well as on the other.
	either bool

	every   int64     // seconds, in step with 1970; 0 for none
	instant time.Time // zero for none
	once    int64     // as wall clocks of the zone show it; 0 for none
}

// cronField is what a field of an expression may have.
type cronField struct {
	name        string
	least, most int
	names       []string // of the numbers from least on
}

var (
	seconds  = cronField{"second", 0, 59, nil}
	minutes  = cronField{"minute", 0, 59, nil}
	hours    = cronField{"hour", 0, 23, nil}
	days     = cronField{"day of the month", 1, 31, nil}
	months   = cronField{"month", 1, 12, strings.Fields("jan feb mar apr may jun jul aug sep oct nov dec")}
	weekdays = cronField{"day of the week", 0, 6, strings.Fields("sun mon tue wed thu fri sat")}
)

// cronNames are expressions that have a name.
var cronNames = map[string]string{
	"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
	"@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}

const (
	cronMax     = 200                       // bytes of an expression
	cronDaysMax = 9 * 366                   // that are searched: 29 February 2096 is followed by that of 2104
	dayH        = 28                        // the last day that "H" takes: every month has it
	everyMost   = int64(366 * 24 * 60 * 60) // seconds
	daySeconds  = 24 * 60 * 60
)

// onceLayouts are how "@at" says a time of the schedule's zone.
var onceLayouts = []string{"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02 15:04:05"}

// parseCron reads an expression of a job: what it leaves to chance depends on the job's name.
func parseCron(text string, job JobID) (*cron, error) {
	if len(text) > cronMax {
		return nil, fmt.Errorf("is %d bytes long, more than %d", len(text), cronMax)
	}
	word, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	if fields, ok := cronNames[word]; ok && rest == "" {
		text = fields
	} else if strings.HasPrefix(word, "@") {
		return parseSpecial(word, strings.TrimSpace(rest))
	}
	parts := strings.Fields(text)
	if len(parts) > 0 && strings.Contains(parts[0], "=") {
		return nil, fmt.Errorf("%q: say the zone with timezone", parts[0])
	}
	if len(parts) == 5 {
		parts = slices.Insert(parts, 0, "0")
	}
	if len(parts) != 6 {
		return nil, fmt.Errorf("has %s: want 5 (minute, hour, day, month, weekday), or 6 with the second before them",
			Counted(len(parts), "field", "fields"))
	}
	c := &cron{}
	for i, to := range []*uint64{&c.second, &c.minute, &c.hour, &c.day, &c.month, &c.weekday} {
		f := []*cronField{&seconds, &minutes, &hours, &days, &months, &weekdays}[i]
		mask, err := f.parse(parts[i], job)
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", f.name, parts[i], err)
		}
		*to = mask
	}
	c.either = c.day != days.all() && c.weekday != weekdays.all()
	return c, nil
}

// parseSpecial reads an expression that begins with an @ and has no fields.
func parseSpecial(word, rest string) (*cron, error) {
	switch word {
	case "@every":
		var d Duration
		if err := d.UnmarshalText([]byte(rest)); err != nil {
			return nil, err
		}
		every := int64(d.Std() / time.Second)
		if every < 1 || every > everyMost || d.Std()%time.Second != 0 {
			return nil, fmt.Errorf("%q: want whole seconds, from 1s to 366d", rest)
		}
		return &cron{every: every}, nil
	case "@at":
		if t, err := time.Parse(time.RFC3339, rest); err == nil {
			return &cron{instant: t.Truncate(time.Second)}, nil
		}
		for _, layout := range onceLayouts {
			if t, err := time.Parse(layout, rest); err == nil && t.Unix() > 0 {
				return &cron{once: t.Unix()}, nil
			}
		}
		return nil, fmt.Errorf(`%q is no time: want one such as "2026-12-24T18:00"`, rest)
	}
	return nil, fmt.Errorf("%q: known are @every, @at, @hourly, @daily, @midnight, @weekly, @monthly, @yearly, "+
		"@annually", word)
}

// all is the mask that takes everything.
func (f *cronField) all() uint64 { return f.span(f.least, f.most, 1) }

// span takes each so many of a range; a weekday 7 is 0.
func (f *cronField) span(from, to, step int) uint64 {
	var mask uint64
	for n := from; n <= to; n += step {
		at := n
		if f.names != nil && f.least == 0 {
			at %= 7
		}
		mask |= 1 << at
	}
	return mask
}

// parse reads a field: a list of numbers, ranges, and what is left to chance.
func (f *cronField) parse(text string, job JobID) (uint64, error) {
	var mask uint64
	for part := range strings.SplitSeq(text, ",") {
		more, err := f.part(part, job)
		if err != nil {
			return 0, err
		}
		mask |= more
	}
	return mask, nil
}

func (f *cronField) part(text string, job JobID) (uint64, error) {
	base, stepText, stepped := strings.Cut(text, "/")
	step := 1
	if stepped {
		n, err := strconv.Atoi(stepText)
		if err != nil || n < 1 || n > f.most {
			return 0, fmt.Errorf("step %q: want a number from 1 to %d", stepText, f.most)
		}
		step = n
	}
	from, to, chance, err := f.ends(base, stepped)
	switch {
	case err != nil:
		return 0, err
	case from > to:
		return 0, fmt.Errorf("%q runs backwards", base)
	case chance && stepped:
		return f.span(from+f.chance(job, min(step, to-from+1)), to, step), nil
	case chance:
		at := from + f.chance(job, to-from+1)
		return f.span(at, at, 1), nil
	}
	return f.span(from, to, step), nil
}

// ends are the first and the last number of a range, and whether it is left to chance which
// of them it is.
func (f *cronField) ends(text string, stepped bool) (from, to int, chance bool, err error) {
	from, to = f.least, f.most
	if inner, ok := strings.CutPrefix(text, "H("); ok && strings.HasSuffix(inner, ")") {
		text, chance = strings.TrimSuffix(inner, ")"), true
	}
	low, high, isRange := strings.Cut(text, "-")
	switch {
	case chance && !isRange:
		return 0, 0, false, fmt.Errorf(`"H(%s)": want a range, such as "H(0-29)"`, text)
	case text == "*", text == "?" && (f == &days || f == &weekdays):
		return from, to, false, nil
	case text == "H":
		if f == &days {
			to = dayH
		}
		return from, to, true, nil
	case strings.Contains(text, "~"):
		low, high, _ = strings.Cut(text, "~")
		chance = true
		if low != "" {
			from, err = f.number(low)
		}
		if high != "" && err == nil {
			to, err = f.number(high)
		}
		return from, to, chance, err
	case isRange:
		if from, err = f.number(low); err == nil {
			to, err = f.number(high)
		}
		if f == &weekdays && to == 0 && from > 0 {
			to = 7 // "fri-sun"
		}
		return from, to, chance, err
	}
	from, err = f.number(text)
	if to = from; stepped {
		to = max(f.most, from)
	}
	return from, to, false, err
}

// number reads a number of the field, or a name of one.
func (f *cronField) number(text string) (int, error) {
	if i := slices.Index(f.names, strings.ToLower(text)); i >= 0 {
		return f.least + i, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || text[0] < '0' || text[0] > '9' {
		want := fmt.Sprintf("a number from %d to %d", f.least, f.most)
		if f.names != nil {
			want += fmt.Sprintf(", or a name such as %q", f.names[0])
		}
		return 0, fmt.Errorf("%q: want %s", text, want)
	}
	if n < f.least || n > f.most && (f != &weekdays || n != 7) {
		return 0, fmt.Errorf("%d is not from %d to %d", n, f.least, f.most)
	}
	return n, nil
}

// chance is a number below n: always the same one for the field of a job, and another one for
// another job, so that jobs do not all begin at once.
func (f *cronField) chance(job JobID, n int) int {
	sum := sha256.Sum256([]byte(f.name + "\x00" + string(job)))
	return int(binary.BigEndian.Uint64(sum[:8]) % uint64(n))
}

// hourly says whether no hour of the day is left out: such an expression goes by the time that
// passes, and what wall clocks do does not matter to it.
func (c *cron) hourly() bool { return c.once == 0 && c.hour == hours.all() }

// find is the first time of wall clocks from one on and before another at which it is due. Those
// are seconds since 1970, as if the zone were UTC.
func (c *cron) find(from, to int64) (int64, bool) {
	if c.once != 0 {
		return c.once, from <= c.once && c.once < to
	}
	day := from / daySeconds
	if from%daySeconds < 0 {
		day--
	}
	clock := from - day*daySeconds
	for ; day*daySeconds < to; day, clock = day+1, 0 {
		date := time.Unix(day*daySeconds, 0).UTC()
		if c.month>>date.Month()&1 == 0 {
			day = time.Date(date.Year(), date.Month()+1, 1, 0, 0, 0, 0, time.UTC).Unix()/daySeconds - 1
			continue
		}
		if !c.takes(date) {
			continue
		}
		if at, ok := c.clock(int(clock)); ok {
			at := day*daySeconds + int64(at)
			return at, at < to
		}
	}
	return 0, false
}

// never says whether there is no such day.
func (c *cron) never() bool {
	if c.every > 0 || c.once != 0 || !c.instant.IsZero() {
		return false
	}
	_, comes := c.find(0, cronDaysMax*daySeconds)
	return !comes
}

// takes says whether a day of a month that it takes is one.
func (c *cron) takes(date time.Time) bool {
	day, weekday := c.day>>date.Day()&1 == 1, c.weekday>>date.Weekday()&1 == 1
	if c.either {
		return day || weekday
	}
	return day && weekday
}

// clock is the first second of a day from one on at which it is due.
func (c *cron) clock(from int) (int, bool) {
	hour, minute, second := from/3600, from/60%60, from%60
	minute0, second0 := bits.TrailingZeros64(c.minute), bits.TrailingZeros64(c.second)
	if c.hour>>hour&1 == 1 {
		if at, ok := bitFrom(c.second, second); ok && c.minute>>minute&1 == 1 {
			return hour*3600 + minute*60 + at, true
		}
		if at, ok := bitFrom(c.minute, minute+1); ok {
			return hour*3600 + at*60 + second0, true
		}
	}
	at, ok := bitFrom(c.hour, hour+1)
	return at*3600 + minute0*60 + second0, ok
}

// bitFrom is the first bit that is set, from one on.
func bitFrom(mask uint64, from int) (int, bool) {
	mask = mask >> from << from
	return bits.TrailingZeros64(mask), mask != 0
}
