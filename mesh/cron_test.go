package mesh

import (
	"strings"
	"testing"
	"time"
)

// times are the next n times of an expression.
func times(t *testing.T, cron, zone, after string, n int) string {
	t.Helper()
	s := Schedule{Crons: strings.Split(cron, "; "), Timezone: zone}
	at, err := time.Parse(time.RFC3339, after)
	if err != nil {
		t.Fatal(err)
	}
	loc, err := Zone(zone)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for range n {
		if at = s.Next("nightly", at, at); at.IsZero() {
			return strings.Join(append(all, "never"), ", ")
		}
		all = append(all, at.In(loc).Format("Mon 02 Jan 2006 15:04:05 -0700"))
	}
	return strings.Join(all, ", ")
}

func TestCronFindsTheNextTimes(t *testing.T) {
	const ny, lordHowe = "America/New_York", "Australia/Lord_Howe"
	for _, c := range []struct{ name, cron, zone, after, want string }{
		{"in its zone", "0 2 * * *", ny, "2026-11-28T12:00:00Z", "Sun 29 Nov 2026 02:00:00 -0500"},
		{"strictly after", "0 2 * * *", "", "2026-11-28T02:00:00Z", "Sun 29 Nov 2026 02:00:00 +0000"},
		{"lists, ranges and steps", "5,10-14/2,50/7 3 * * *", "", "2026-11-28T02:00:00Z", "Sat 28 Nov 2026 03:05:00 +0000, Sat 28 Nov 2026 03:10:00 +0000, Sat 28 Nov 2026 03:12:00 +0000, Sat 28 Nov 2026 03:14:00 +0000, Sat 28 Nov 2026 03:50:00 +0000, Sat 28 Nov 2026 03:57:00 +0000, Sun 29 Nov 2026 03:05:00 +0000"},
		{"six fields", "*/20 0 0 * * *", "", "2026-11-28T00:00:20Z", "Sat 28 Nov 2026 00:00:40 +0000, Sun 29 Nov 2026 00:00:00 +0000"},
		{"names", "0 0 * FEB-mar Mon", "", "2026-11-28T00:00:00Z", "Mon 01 Feb 2027 00:00:00 +0000"},
		{"Sunday is 7 and 0", "0 0 * * 7", "", "2026-11-28T00:00:00Z", "Sun 29 Nov 2026 00:00:00 +0000, Sun 06 Dec 2026 00:00:00 +0000"},
		{"to Sunday", "0 0 * * fri-sun", "", "2026-11-26T00:00:00Z", "Fri 27 Nov 2026 00:00:00 +0000, Sat 28 Nov 2026 00:00:00 +0000, Sun 29 Nov 2026 00:00:00 +0000, Fri 04 Dec 2026 00:00:00 +0000"},
		{"to 7", "0 0 * * 5-7", "", "2026-11-28T00:00:00Z", "Sun 29 Nov 2026 00:00:00 +0000"},
		{"day or weekday", "0 0 13 * FRI", "", "2026-11-10T00:00:00Z", "Fri 13 Nov 2026 00:00:00 +0000, Fri 20 Nov 2026 00:00:00 +0000, Fri 27 Nov 2026 00:00:00 +0000, Fri 04 Dec 2026 00:00:00 +0000, Fri 11 Dec 2026 00:00:00 +0000, Sun 13 Dec 2026 00:00:00 +0000"},
		{"any weekday", "0 0 13 * ?", "", "2026-11-14T00:00:00Z", "Sun 13 Dec 2026 00:00:00 +0000"},
		{"several", "0 6 * * *; 0 5 * * 1; @weekly", "", "2026-11-28T06:00:00Z", "Sun 29 Nov 2026 00:00:00 +0000, Sun 29 Nov 2026 06:00:00 +0000, Mon 30 Nov 2026 05:00:00 +0000, Mon 30 Nov 2026 06:00:00 +0000"},
		{"each hour", "@hourly", "", "2026-11-28T06:00:00Z", "Sat 28 Nov 2026 07:00:00 +0000"},
		{"each day", "@daily; @midnight", "", "2026-11-28T06:00:00Z", "Sun 29 Nov 2026 00:00:00 +0000, Mon 30 Nov 2026 00:00:00 +0000"},
		{"each month", "@monthly", "", "2026-11-28T06:00:00Z", "Tue 01 Dec 2026 00:00:00 +0000"},
		{"each year", "@yearly; @annually", "", "2026-11-28T06:00:00Z", "Fri 01 Jan 2027 00:00:00 +0000, Sat 01 Jan 2028 00:00:00 +0000"},
		{"so often", "@every 10m", "", "2026-11-28T06:01:00Z", "Sat 28 Nov 2026 06:10:00 +0000, Sat 28 Nov 2026 06:20:00 +0000"},
		{"so often, before 1970", "@every 1d", "", "1969-12-30T06:01:00Z", "Wed 31 Dec 1969 00:00:00 +0000, Thu 01 Jan 1970 00:00:00 +0000, Fri 02 Jan 1970 00:00:00 +0000"},
		{"once", "@at 2026-12-24T18:00:00+01:00", "", "2026-11-28T06:00:00Z", "Thu 24 Dec 2026 17:00:00 +0000, never"},
		{"once in its zone", "@at 2026-12-24 18:00", ny, "2026-11-28T06:00:00Z", "Thu 24 Dec 2026 18:00:00 -0500, never"},
		{"once in a gap", "@at 2027-03-14T02:10", ny, "2026-11-28T06:00:00Z", "Sun 14 Mar 2027 03:00:00 -0400, never"},
		{"leap days", "0 0 29 2 *", "", "2026-11-28T06:00:00Z", "Tue 29 Feb 2028 00:00:00 +0000, Sun 29 Feb 2032 00:00:00 +0000"},
		{"leap days around a year that is none", "0 0 29 2 *", ny, "2096-03-01T06:00:00Z", "Fri 29 Feb 2104 00:00:00 -0500"},
		{"no such day", "0 0 31 2 *", "", "2026-11-28T06:00:00Z", "never"},
		{"days that some months lack", "0 0 31 * *", "", "2026-11-28T06:00:00Z", "Thu 31 Dec 2026 00:00:00 +0000, Sun 31 Jan 2027 00:00:00 +0000, Wed 31 Mar 2027 00:00:00 +0000"},

		{"a gap", "30 2 * * *", ny, "2027-03-13T12:00:00Z", "Sun 14 Mar 2027 03:00:00 -0400, Mon 15 Mar 2027 02:30:00 -0400"},
		{"a gap, where several are due", "*/10 2,3 * * *", ny, "2027-03-14T06:59:00Z", "Sun 14 Mar 2027 03:00:00 -0400, Sun 14 Mar 2027 03:10:00 -0400"},
		{"a gap, where it lands on another", "0 2,3 * * *", ny, "2027-03-14T06:59:59Z", "Sun 14 Mar 2027 03:00:00 -0400, Mon 15 Mar 2027 02:00:00 -0400"},
		{"a gap at midnight", "0 0 * * *", "America/Santiago", "2026-09-05T12:00:00Z", "Sun 06 Sep 2026 01:00:00 -0300, Mon 07 Sep 2026 00:00:00 -0300"},
		{"half a gap", "15 2 * * *", lordHowe, "2026-10-03T12:00:00Z", "Sun 04 Oct 2026 02:30:00 +1100, Mon 05 Oct 2026 02:15:00 +1100"},
		{"a gap of a day", "0 12 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z", "Thu 29 Dec 2011 12:00:00 -1000, Sat 31 Dec 2011 00:00:00 +1400, Sat 31 Dec 2011 12:00:00 +1400"},
		{"each hour around a gap", "30 * * * *", ny, "2027-03-14T06:00:00Z", "Sun 14 Mar 2027 01:30:00 -0500, Sun 14 Mar 2027 03:30:00 -0400"},
		{"a fold", "30 1 * * *", ny, "2026-10-31T12:00:00Z", "Sun 01 Nov 2026 01:30:00 -0400, Mon 02 Nov 2026 01:30:00 -0500"},
		{"a fold, asked within", "30 1 * * *", ny, "2026-11-01T06:10:00Z", "Mon 02 Nov 2026 01:30:00 -0500"},
		{"a fold, its end", "0 2 * * *", ny, "2026-10-31T12:00:00Z", "Sun 01 Nov 2026 02:00:00 -0500"},
		{"half a fold", "45 1 * * *", lordHowe, "2027-04-03T00:00:00Z", "Sun 04 Apr 2027 01:45:00 +1100, Mon 05 Apr 2027 01:45:00 +1030"},
		{"each hour around a fold", "0 * * * *", ny, "2026-11-01T04:30:00Z", "Sun 01 Nov 2026 01:00:00 -0400, Sun 01 Nov 2026 01:00:00 -0500, Sun 01 Nov 2026 02:00:00 -0500"},
	} {
		n := strings.Count(c.want, ", ") + 1
		if got := times(t, c.cron, c.zone, c.after, n); got != c.want {
			t.Errorf("%s: %q after %s:\ngot  %s\nwant %s", c.name, c.cron, c.after, got, c.want)
		}
	}
}
