package mesh

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"mn/crdt"
)

// nightly makes a good job one with a schedule.
func nightly(j *Job, crons ...string) *Schedule {
	j.Type, j.Schedule = Batch, &Schedule{Crons: crons}
	return j.Schedule
}

func TestValidateFindsWhatCannotBeDue(t *testing.T) {
	checkFaults(t, []spoiled{
		{"good", func(j *Job) { nightly(j, "0 2 * * *", "H H(0-7) * * *", "@every 10m").Timezone = "Asia/Kathmandu" }, ""},
		{"no time", func(j *Job) { nightly(j) }, "schedule: says no time: want cron, at or in"},
		{"no time, but a trigger", func(j *Job) { nightly(j).Overlap, j.Triggers = OverlapQueue, []Trigger{{Event: "x"}} }, ""},
		{"no time, but parameters", func(j *Job) { nightly(j).Keep, j.Parameters = 3, &Parameters{} }, ""},
		{
			"a service", func(j *Job) { nightly(j, "@daily"); j.Type, j.Triggers = Service, []Trigger{{Event: "x"}} },
			`schedule: is for work that has an end, and a job of type "service" has none: want type "batch" or "sysbatch"` + "\n" +
				`trigger: is for work that has an end, and a job of type "service" has none: want type "batch" or "sysbatch"`,
		},
		{
			"a long name", func(j *Job) { nightly(j, "@daily"); j.Name = strings.Repeat("x", templateMax+1) },
			"name: is 47 characters long, and its runs are named after it, with the time: want at most 46",
		},
		{
			"a run has a longer name", func(j *Job) {
				nightly(j, "@daily")
				j.Name, j.Origin = strings.Repeat("x", 63), &Origin{Job: "x", Cause: CauseTime}
			}, "",
		},
		{"zone", func(j *Job) { nightly(j, "@daily").Timezone = "Local" }, `schedule.timezone: no time zone "Local": want an IANA name, such as "Europe/Berlin"`},
		{"zone of nothing", func(j *Job) { nightly(j).At = time.Unix(1, 0); j.Schedule.Timezone = "UTC" }, "schedule.timezone: is that of cron, which is not there: leave it out"},
		{"at", func(j *Job) { nightly(j).At = time.Unix(-1, 0) }, "schedule.at: 1969-12-31T23:59:59Z is no time between 1970 and 9999"},
		{"in", func(j *Job) { nightly(j).In = Duration(time.Millisecond) }, "schedule.in: must be at least 1s, not 1ms"},
		{"grace", func(j *Job) { nightly(j, "@daily").MissedGrace = Duration(48 * time.Hour) }, "schedule.missed_grace: must be at most 24h, not 48h"},
		{"window", func(j *Job) { nightly(j, "@daily").Window = -1 }, "schedule.window: must not be negative, as -1ns is"},
		{"catch up", func(j *Job) { nightly(j, "@daily").CatchUpLimit = 101 }, "schedule.catchup_limit: must be from 1 to 100, not 101"},
		{"many crons", func(j *Job) { nightly(j, make([]string, 17)...) }, "schedule.cron: has 17 entries, more than 16"},
		{"many triggers", func(j *Job) { j.Type, j.Triggers = Batch, make([]Trigger, 17) }, "trigger: has 17 entries, more than 16"},
		{
			"many conditions", func(j *Job) {
				all := map[string]Condition{}
				for i := range 33 {
					all[strings.Repeat("x", i+1)] = Condition{Prefix: "y"}
				}
				j.Type, j.Triggers = Batch, []Trigger{{Event: "x", Filter: all}}
			}, "trigger.0.filter: has 33 conditions, more than 32",
		},
		{
			"conditions", func(j *Job) {
				j.Type, j.Triggers = Batch, []Trigger{{Event: "x", Filter: map[string]Condition{
					"a": {Is: make([]Value, 65)}, "b": {Prefix: strings.Repeat("x", 1025)}, ".": {Prefix: "x"},
				}}}
			},
			`trigger.0.filter..: "." leads to no value: want names with dots between them` + "\n" +
				"trigger.0.filter.a: has 65 values, more than 64\n" +
				"trigger.0.filter.b: has a value that is 1025 bytes long, more than 1024",
		},
		{
			"path", func(j *Job) {
				j.Type, j.Triggers = Batch, []Trigger{{Event: FileAppeared}, {Event: "x", Path: "/a"}, {Event: FileAppeared, Path: "/a/[", Filter: nil}, {Event: FileAppeared, Path: "/a/../b"}}
			},
			`trigger.0.path: is missing: say which files, such as "/srv/inbox/*.csv"` + "\n" +
				`trigger.1.path: is for event = "file_appeared": want a filter` + "\n" +
				`trigger.2.path: "/a/[" is no pattern of files: want an absolute path, with *, ? or [a-z] for what varies` + "\n" +
				`trigger.3.path: "/a/../b" is no pattern of files: want an absolute path, with *, ? or [a-z] for what varies`,
		},
		{"many parameters", func(j *Job) { j.Type, j.Parameters = Batch, &Parameters{MetaOptional: make([]string, 65)} }, "parameterized: names 65 meta, more than 64"},
	})
}

func TestCronSaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "has 0 fields: want 5 (minute, hour, day, month, weekday), or 6 with the second before them",
		"* * * * * * *":               "has 7 fields: want 5 (minute, hour, day, month, weekday), or 6 with the second before them",
		"TZ=UTC":                      `"TZ=UTC": say the zone with timezone`,
		"CRON_TZ=UTC * * * * *":       `"CRON_TZ=UTC": say the zone with timezone`,
		"60 * * * *":                  `minute "60": 60 is not from 0 to 59`,
		"* 24 * * *":                  `hour "24": 24 is not from 0 to 23`,
		"* * 0 * *":                   `day of the month "0": 0 is not from 1 to 31`,
		"* * * 13 *":                  `month "13": 13 is not from 1 to 12`,
		"* * * * 8":                   `day of the week "8": 8 is not from 0 to 6`,
		"* * * foo *":                 `month "foo": "foo": want a number from 1 to 12, or a name such as "jan"`,
		"-1 * * * *":                  `minute "-1": "": want a number from 0 to 59`,
		"+1 * * * *":                  `minute "+1": "+1": want a number from 0 to 59`,
		"30-10 * * * *":               `minute "30-10": "30-10" runs backwards`,
		"1-5/99 * * * *":              `minute "1-5/99": step "99": want a number from 1 to 59`,
		"*/0 * * * *":                 `minute "*/0": step "0": want a number from 1 to 59`,
		"? * * * *":                   `minute "?": "?": want a number from 0 to 59`,
		"1,,2 * * * *":                `minute "1,,2": "": want a number from 0 to 59`,
		"H(5) * * * *":                `minute "H(5)": "H(5)": want a range, such as "H(0-29)"`,
		"50~10 * * * *":               `minute "50~10": "50~10" runs backwards`,
		"@every":                      `duration "": want a number with a unit, such as "30s" or "10m"`,
		"@every 1500ms":               `"1500ms": want whole seconds, from 1s to 366d`,
		"@every -1m":                  `"-1m": want whole seconds, from 1s to 366d`,
		"@at noon":                    `"noon" is no time: want one such as "2026-12-24T18:00"`,
		"@daily 5":                    `"@daily": known are @every, @at, @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually`,
		strings.Repeat("1,", 101):     "is 202 bytes long, more than 200",
		"* * * * *" + "\t\n  ":        "",
		"  0  0  1  *  ?  ":           "",
		"9223372036854775808 * * * *": `minute "9223372036854775808": "9223372036854775808": want a number from 0 to 59`,
	} {
		got := ""
		if _, err := parseCron(text, "a"); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q:\ngot  %s\nwant %s", text, got, want)
		}
	}
}

// What is left to chance is the same each time, within its range, and another for other jobs.
func TestChanceFollowsFromTheName(t *testing.T) {
	for text, among := range map[string]string{
		"H H * * *": "* * * * *", "H(10-19) * * * *": "10-19 * * * *", "10~19 * * * *": "10-19 * * * *",
		"~5 * * * *": "0-5 * * * *", "55~ * * * *": "55-59 * * * *", "~ * * * *": "* * * * *",
		"0 0 H * *": "0 0 1-28 * *", "0 0 * * H": "0 0 * * 0-6", "H/20 * * * *": "* * * * *",
		"H H H H * *": "* * * 1-28 * *",
	} {
		within, err := parseCron(among, "")
		if err != nil {
			t.Fatal(err)
		}
		seen := map[cron]bool{}
		for _, job := range []JobID{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
			c, err := parseCron(text, job)
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			again, _ := parseCron(text, job)
			if *c != *again {
				t.Errorf("%q is not always the same", text)
			}
			if c.minute&^within.minute|c.hour&^within.hour|c.day&^within.day|c.weekday&^within.weekday != 0 {
				t.Errorf("%q of job %s is not within %q", text, job, among)
			}
			seen[*c] = true
		}
		if len(seen) < 3 {
			t.Errorf("%q: 10 jobs have %d times", text, len(seen))
		}
	}
	c, err := parseCron("H/20 * * * *", "nightly")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for m := c.minute; m != 0; m &= m - 1 {
		n++
	}
	if n != 3 {
		t.Errorf("H/20: got %d minutes, want 3", n)
	}
}

func TestOneTimesComeOnce(t *testing.T) {
	submitted := time.Date(2026, 11, 28, 12, 0, 0, 123, time.UTC)
	s := Schedule{At: time.Date(2026, 11, 28, 13, 0, 0, 5, time.FixedZone("", 3600)), In: Duration(10 * time.Minute)}
	first := s.Next("a", submitted.Add(-time.Hour), submitted)
	second := s.Next("a", first, submitted)
	if !first.Equal(time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)) || first.Location() != time.UTC {
		t.Errorf("got %v first", first)
	}
	if want := time.Date(2026, 11, 28, 12, 10, 0, 0, time.UTC); !second.Equal(want) {
		t.Errorf("got %v, want %v", second, want)
	}
	if third := s.Next("a", second, submitted); !third.IsZero() {
		t.Errorf("got %v, want none", third)
	}
	if none := (*Schedule)(nil).Next("a", submitted, submitted); !none.IsZero() {
		t.Errorf("got %v of no schedule", none)
	}
}

func TestRunNamesAreNamesAndTellRunsApart(t *testing.T) {
	job := JobID(strings.Repeat("x", templateMax))
	due := time.Date(2026, 11, 28, 2, 0, 0, 0, time.FixedZone("", -5*3600))
	seen := map[JobID]bool{}
	for _, o := range []Origin{
		{Cause: CauseTime, Due: due},
		{Cause: CauseTime, Due: due.Add(time.Second)},
		{Cause: CauseEvent, Occurrence: "a", Due: due},
		{Cause: CausePerson, Occurrence: "b", Due: due},
	} {
		name := RunName(job, &o)
		if !ValidName(string(name)) || seen[name] || name != RunName(job, &o) {
			t.Errorf("got the name %q", name)
		}
		seen[name] = true
	}
	if got := RunName("nightly", &Origin{Cause: CauseTime, Due: due}); got != "nightly-20261128t0700z" {
		t.Errorf("got %q", got)
	}
}

func TestDefaultsOfSchedules(t *testing.T) {
	timed := &Schedule{Crons: []string{"@daily"}}
	all := &Schedule{Missed: CatchUpAll, CatchUpLimit: 3, MissedGrace: Duration(time.Hour), Keep: 5, Window: 1, WindowEnd: WindowLeaves, Overlap: OverlapReplace}
	for _, c := range []struct {
		s       *Schedule
		overlap Overlap
		missed  Missed
		catchUp int
		grace   time.Duration
		keep    int
		ends    bool
	}{
		{nil, OverlapAllow, MissedSkip, 0, time.Minute, 20, false},
		{&Schedule{Window: 1}, OverlapAllow, MissedSkip, 0, time.Minute, 20, true},
		{timed, OverlapForbid, MissedSkip, 0, time.Minute, 20, false},
		{&Schedule{Missed: CatchUpOne}, OverlapAllow, CatchUpOne, 1, time.Minute, 20, false},
		{&Schedule{Missed: CatchUpAll}, OverlapAllow, CatchUpAll, 10, time.Minute, 20, false},
		{all, OverlapReplace, CatchUpAll, 3, time.Hour, 5, false},
	} {
		if c.s.Overlaps() != c.overlap || c.s.Misses() != c.missed || c.s.CatchUp() != c.catchUp ||
			c.s.Grace() != c.grace || c.s.Kept() != c.keep || c.s.Ends() != c.ends {
			t.Errorf("%+v: got %v, %v, %v, %v, %v, %v", c.s, c.s.Overlaps(), c.s.Misses(), c.s.CatchUp(), c.s.Grace(),
				c.s.Kept(), c.s.Ends())
		}
	}
}

// A filter is the same after it has been a record, and after it has been JSON.
func TestFiltersTravel(t *testing.T) {
	const text = `{"a":"x","b":["x","1"],"c":{"prefix":"/d/"},"d":{"is":["x"],"contains":"x"},"e":[]}`
	var f, decoded map[string]Condition
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		t.Fatal(err)
	}
	b, err := crdt.Encode(Trigger{Event: "x", Filter: f})
	if err != nil {
		t.Fatal(err)
	}
	var tr Trigger
	if err := crdt.Decode(b, &tr); err != nil {
		t.Fatal(err)
	}
	for _, filter := range []map[string]Condition{f, tr.Filter} {
		if got, _ := json.Marshal(filter); string(got) != text {
			t.Errorf("got %s", got)
		}
	}
	for _, wrong := range []string{`{"a":null}`, `{"a":{}}`, `{"a":{"prefix":1}}`, `{"a":{"prefix":""}}`, `{"a":{"x":"y"}}`, `{"a":[[]]}`, `{"a":{"is":[{}]}}`} {
		if json.Unmarshal([]byte(wrong), &decoded) == nil {
			t.Errorf("takes %s", wrong)
		}
	}
}
