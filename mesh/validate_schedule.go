package mesh

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of what makes runs.
const (
	cronsMax       = 16
	triggersMax    = 16
	catchUpMax     = 100
	missedGraceMax = 24 * time.Hour
	keepMax        = 200
	parametersMax  = 64
	lastYear       = 9999
)

// template: what has runs has an end, and a name that leaves room for theirs.
func (v *validator) template(j *Job) {
	if !j.Template() {
		return
	}
	for _, of := range []struct {
		key string
		set bool
	}{{"schedule", j.Schedule != nil}, {"trigger", len(j.Triggers) > 0}, {"parameterized", j.Parameters != nil}} {
		if of.set && j.Type.Long() {
			v.fault("is for work that has an end, and a job of type %q has none: want type %q or %q",
				j.Type, Batch, SysBatch).at(of.key)
		}
	}
	if len(j.Name) > templateMax {
		v.fault("is %d characters long, and its runs are named after it, with the time: want at most %d",
			len(j.Name), templateMax).at("name")
	}
	if s := j.Schedule; s != nil {
		v.schedule(j, s)
	}
	if len(j.Triggers) > triggersMax {
		v.fault("has %d entries, more than %d", len(j.Triggers), triggersMax).at("trigger")
		return
	}
	for i := range j.Triggers {
		v.prefix = []string{"trigger", strconv.Itoa(i)}
		v.trigger(&j.Triggers[i])
	}
	v.prefix = nil
	v.parameters(j.Parameters)
}

func (v *validator) schedule(j *Job, s *Schedule) {
	if !s.Timed() && len(j.Triggers) == 0 && j.Parameters == nil {
		v.fault("says no time: want cron, at or in").at("schedule")
	}
	zone := s.Timezone
	if _, err := Zone(zone); err != nil {
		v.fault("%v", err).at("schedule", "timezone")
		zone = ""
	} else if zone != "" && len(s.Crons) == 0 {
		v.fault("is that of cron, which is not there: leave it out").at("schedule", "timezone")
	}
	v.crons(j, s.Crons)
	if y := s.At.UTC().Year(); !s.At.IsZero() && (s.At.Unix() <= 0 || y > lastYear) {
		v.fault("%s is no time between 1970 and %d", s.At.Format(time.RFC3339), lastYear).at("schedule", "at")
	}
	if s.In != 0 {
		v.duration(s.In, time.Second, timeoutMax, "schedule", "in")
	}
	oneOf(v, s.Overlap, overlaps, "schedule", "overlap")
	oneOf(v, s.Missed, misseds, "schedule", "missed")
	oneOf(v, s.WindowEnd, windowEnds, "schedule", "window_end")
	switch {
	case s.CatchUpLimit < 0 || s.CatchUpLimit > catchUpMax:
		v.fault("must be from 1 to %d, not %d", catchUpMax, s.CatchUpLimit).at("schedule", "catchup_limit")
	case s.CatchUpLimit > 0 && s.Missed != CatchUpAll:
		v.fault("is for missed = %q: leave it out", CatchUpAll).at("schedule", "catchup_limit")
	}
	if s.MissedGrace != 0 {
		v.duration(s.MissedGrace, time.Second, missedGraceMax, "schedule", "missed_grace")
	}
	if s.Window != 0 {
		v.duration(s.Window, time.Second, timeoutMax, "schedule", "window")
	} else if s.WindowEnd != "" {
		v.fault("is the end of the window, which is not there: want window, or leave it out").
			at("schedule", "window_end")
	}
	if s.Keep < 0 || s.Keep > keepMax {
		v.fault("must be from 1 to %d, not %d", keepMax, s.Keep).at("schedule", "keep")
	}
}

func (v *validator) crons(j *Job, crons []string) {
	if len(crons) > cronsMax {
		v.fault("has %d entries, more than %d", len(crons), cronsMax).at("schedule", "cron")
		return
	}
	for i, text := range crons {
		c, err := parseCron(text, JobID(j.Name))
		switch {
		case err != nil:
			v.fault("%q: %v", clip(text), err).at("schedule", "cron", strconv.Itoa(i))
		case c.never():
			v.fault("%q never comes: none of its months has such a day", clip(text)).
				at("schedule", "cron", strconv.Itoa(i))
		}
	}
}

func (v *validator) trigger(t *Trigger) {
	v.name("the kind of event", t.Event, "event")
	switch appeared := t.Event == FileAppeared; {
	case appeared && t.Path == "":
		v.fault("is missing: say which files, such as \"/srv/inbox/*.csv\"").at("path")
	case t.Path == "":
	case !appeared:
		v.fault("is for event = %q: want a filter", FileAppeared).at("path")
	case !path.IsAbs(t.Path) || path.Clean(t.Path) != t.Path || len(t.Path) > filterPathMax || badPattern(t.Path):
		v.fault("%q is no pattern of files: want an absolute path, with *, ? or [a-z] for what varies",
			clip(t.Path)).at("path")
	}
	if len(t.Filter) > filterMax {
		v.fault("has %d conditions, more than %d", len(t.Filter), filterMax).at("filter")
		return
	}
	for _, key := range slices.Sorted(maps.Keys(t.Filter)) {
		v.condition(key, t.Filter[key], "filter", key)
	}
}

func badPattern(pattern string) bool {
	_, err := path.Match(pattern, "")
	return err != nil
}

func (v *validator) condition(key string, c Condition, at ...string) {
	if len(key) > filterPathMax || slices.Contains(strings.Split(key, "."), "") {
		v.fault("%q leads to no value: want names with dots between them", clip(key)).at(at...)
	}
	if len(c.Is) == 0 && c.Prefix == "" && c.Contains == "" {
		v.fault("holds of nothing: want a value, or contains, is or prefix").at(at...)
	}
	if len(c.Is) > conditionMax {
		v.fault("has %d values, more than %d", len(c.Is), conditionMax).at(at...)
		return
	}
	for _, text := range slices.Concat(c.Is, []Value{Value(c.Prefix), Value(c.Contains)}) {
		if len(text) > conditionBytes {
			v.fault("has a value that is %d bytes long, more than %d", len(text), conditionBytes).at(at...)
		}
	}
}

func (v *validator) parameters(p *Parameters) {
	if p == nil {
		return
	}
	oneOf(v, p.Payload, parameterRules, "parameterized", "payload")
	if n := len(p.MetaRequired) + len(p.MetaOptional); n > parametersMax {
		v.fault("names %d meta, more than %d", n, parametersMax).at("parameterized")
		return
	}
	seen := map[string]bool{}
	for _, list := range []struct {
		key   string
		names []string
	}{{"meta_required", p.MetaRequired}, {"meta_optional", p.MetaOptional}} {
		for i, name := range list.names {
			v.name("the name of a meta", name, "parameterized", list.key, strconv.Itoa(i))
			if seen[name] {
				v.fault("%q is there twice", clip(name)).at("parameterized", list.key, strconv.Itoa(i))
			}
			seen[name] = true
		}
	}
}

// scheduleLimits adds those of what makes runs.
func scheduleLimits(all map[string]Limit) {
	maps.Copy(all, map[string]Limit{
		"schedule.cron":                 {Most: cronsMax},
		"schedule.overlap":              {OneOf: texts(overlaps)},
		"schedule.missed":               {OneOf: texts(misseds)},
		"schedule.catchup_limit":        {Least: 1, Most: catchUpMax},
		"schedule.window_end":           {OneOf: texts(windowEnds)},
		"schedule.keep":                 {Least: 1, Most: keepMax},
		"trigger":                       {Most: triggersMax},
		"trigger.event":                 {Pattern: namePattern},
		"trigger.filter":                {Most: filterMax},
		"trigger.path":                  {Pattern: dirPattern},
		"parameterized.payload":         {OneOf: texts(parameterRules)},
		"parameterized.meta_required":   {Most: parametersMax},
		"parameterized.meta_required[]": {Pattern: namePattern},
		"parameterized.meta_optional":   {Most: parametersMax},
		"parameterized.meta_optional[]": {Pattern: namePattern},
	})
}
