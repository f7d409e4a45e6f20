package mesh

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestZonesAreThoseOfTheProgram(t *testing.T) {
	t.Setenv("ZONEINFO", t.TempDir())
	for _, name := range []string{"", "UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+12"} {
		if _, err := Zone(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"Local", "Europe", "Europe/", "../etc/passwd", "europe/berlin", strings.Repeat("x", 999)} {
		if _, err := Zone(name); err == nil {
			t.Errorf("there is a zone %q", name)
		}
	}
	if n := len(Zones()); n < 400 {
		t.Errorf("got %d zones", n)
	}
}

// change is a time at which clocks are put forward or back.
type change struct{ at, before, after int64 }

// changes are those of all zones from 2020 to 2035, each with a zone that has it.
func changes(t *testing.T) map[change]*time.Location {
	all := map[change]*time.Location{}
	seen := map[uint32]bool{}
	first, last := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).Unix(), time.Date(2036, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	for _, name := range Zones() {
		sum := zoneFiles()[name].CRC32
		if seen[sum] {
			continue
		}
		seen[sum] = true
		zone, err := Zone(name)
		if err != nil {
			t.Fatal(err)
		}
		offset := func(at int64) int64 {
			_, is := time.Unix(at, 0).In(zone).Zone()
			return int64(is)
		}
		before := offset(first)
		for day := first; day < last; day += daySeconds {
			after := offset(day + daySeconds)
			if after == before {
				continue
			}
			low, high := day, day+daySeconds
			for high-low > 1 {
				if mid := (low + high) / 2; offset(mid) == before {
					low = mid
				} else {
					high = mid
				}
			}
			all[change{high, before, after}] = zone
			before = after
		}
	}
	return all
}

// expected is when something is due around a change, from each minute that wall clocks show or leap
// over there: brute force, and nothing of what Next does.
func (c change) expected(around int64, hourly bool, due func(hour, minute int) bool) []int64 {
	var all []int64
	first := (c.at - around + min(c.before, c.after)) / 60
	shown := make([]bool, (2*around+26*60*60)/60) // minutes of wall clocks, from the first on
	for at := c.at - around; at < c.at+around; at += 60 {
		offset := c.before
		if at >= c.at {
			offset = c.after
		}
		wall := (at + offset) / 60
		matches := due(int(wall/60%24), int(wall%60))
		if matches && (hourly || !shown[wall-first]) {
			all = append(all, at)
		}
		shown[wall-first] = true
	}
	for wall := (c.at + c.before) / 60; wall < (c.at+c.after)/60; wall++ {
		if !hourly && due(int(wall/60%24), int(wall%60)) {
			all = append(all, c.at)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// At each change of each zone from 2020 to 2035, what is due is due once in a gap and once in a fold.
func TestNextIsRightAtEachChangeOfEachZone(t *testing.T) {
	all := changes(t)
	if len(all) < 500 {
		t.Fatalf("got %d changes, want 500 at least", len(all))
	}
	for _, tt := range []struct {
		cron   string
		hourly bool
		due    func(hour, minute int) bool
	}{
		{"0 0 * * *", false, func(h, m int) bool { return h == 0 && m == 0 }},
		{"30 1 * * *", false, func(h, m int) bool { return h == 1 && m == 30 }},
		{"30 2 * * *", false, func(h, m int) bool { return h == 2 && m == 30 }},
		{"*/20 0-3,23 * * *", false, func(h, m int) bool { return (h < 4 || h == 23) && m%20 == 0 }},
		{"5,59 */2 * * *", false, func(h, m int) bool { return h%2 == 0 && (m == 5 || m == 59) }},
		{"*/15 * * * *", true, func(_, m int) bool { return m%15 == 0 }},
	} {
		c, err := parseCron(tt.cron, "a")
		if err != nil {
			t.Fatal(err)
		}
		const around = 6 * 60 * 60
		for at, zone := range all {
			want := at.expected(around, tt.hourly, tt.due)
			var got []int64
			for next := time.Unix(at.at-around-1, 0); ; {
				if next = c.next(next, zone); next.Unix() >= at.at+around {
					break
				}
				got = append(got, next.Unix())
			}
			if !slices.Equal(got, want) {
				t.Errorf("%q in %v around %v: got %v, want %v", tt.cron, zone, time.Unix(at.at, 0).UTC(), got, want)
			}
		}
	}
}

// Each day has its noon in each zone, also where package time knows a zone by its rule alone.
func TestNextIsRightWhereYearsEnd(t *testing.T) {
	for _, name := range Zones() {
		for _, day := range []time.Time{
			time.Date(2028, 12, 29, 12, 0, 0, 0, time.UTC), time.Date(2029, 12, 29, 12, 0, 0, 0, time.UTC),
			time.Date(2060, 12, 29, 12, 0, 0, 0, time.UTC),
		} {
			s := Schedule{Crons: []string{"0 12 * * *"}, Timezone: name}
			zone, err := Zone(name)
			if err != nil {
				t.Fatal(err)
			}
			at := time.Date(day.Year(), day.Month(), day.Day(), 12, 0, 0, 0, zone)
			for i := range 5 {
				want := time.Date(day.Year(), day.Month(), day.Day()+i+1, 12, 0, 0, 0, zone)
				if at = s.Next("a", at, at); !at.Equal(want) {
					t.Fatalf("%s: got %v, want %v", name, at.In(zone), want)
				}
			}
		}
	}
}

// someCron makes expressions.
func someCron() *rapid.Generator[string] {
	field := func(least, most int) *rapid.Generator[string] {
		number := rapid.Map(rapid.IntRange(least, most), func(n int) string { return strconv.Itoa(n) })
		return rapid.OneOf(rapid.Just("*"), rapid.Just("H"), number,
			rapid.Map(rapid.IntRange(1, most), func(n int) string { return "*/" + strconv.Itoa(n) }),
			rapid.Map(rapid.IntRange(least, most), func(n int) string { return strconv.Itoa(n) + "-" + strconv.Itoa(most) }))
	}
	return rapid.Custom(func(t *rapid.T) string {
		var parts []string
		if rapid.Bool().Draw(t, "with seconds") {
			parts = append(parts, field(0, 59).Draw(t, "second"))
		}
		parts = append(parts, field(0, 59).Draw(t, "minute"), field(0, 23).Draw(t, "hour"), field(1, 31).Draw(t, "day"),
			field(1, 12).Draw(t, "month"), field(0, 6).Draw(t, "weekday"))
		return strings.Join(parts, " ")
	})
}

func TestNextGoesOn(t *testing.T) {
	names := Zones()
	rapid.Check(t, func(t *rapid.T) {
		s := Schedule{
			Crons:    rapid.SliceOfN(someCron(), 1, 3).Draw(t, "crons"),
			Timezone: rapid.SampledFrom(names).Draw(t, "zone"),
		}
		at := time.Unix(rapid.Int64Range(0, 3e9).Draw(t, "at"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds"))
		next := s.Next("a", at, at)
		if next.IsZero() {
			return
		}
		if !next.After(at) || next.Nanosecond() != 0 {
			t.Fatalf("after %v: got %v", at, next)
		}
		between := at.Add(time.Duration(rapid.Int64Range(0, int64(next.Sub(at))-1).Draw(t, "between")))
		for range 2 {
			if again := s.Next("a", between, at); !again.Equal(next) {
				t.Fatalf("after %v: got %v, after %v: %v", at, next, between, again)
			}
		}
		if then := s.Next("a", next, at); !then.IsZero() && !then.After(next) {
			t.Fatalf("after %v: got %v", next, then)
		}
	})
}

// Whatever people write as an expression is read or refused, and if it is read it goes on.
func FuzzCron(f *testing.F) {
	for _, text := range []string{"0 2 * * *", "*/5 H(0-7)/2 1~3 jan-mar fri-sun", "@every 90s", "@at 2026-12-24T18:00", "@daily"} {
		f.Add(text, "nightly", int64(1_800_000_000))
	}
	zone, err := Zone("America/New_York")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text, job string, after int64) {
		c, err := parseCron(text, JobID(job))
		if err != nil {
			return
		}
		never := c.never()
		at := time.Unix(after%(1<<40), 0)
		next := c.next(at, zone)
		if once := c.once != 0 || !c.instant.IsZero(); !once && (next.IsZero() != never || !never && !next.After(at)) {
			t.Errorf("%q after %v: got %v, never is %v", text, at, next, never)
		}
	})
}
