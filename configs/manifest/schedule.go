package manifest

import (
	"maps"
	"slices"
	"time"

	"mn/mesh"
)

// schedule reads when the job runs: at times, once, or for events. That is said by a kind, or by what
// is there.
func (m *reader) schedule(o object) {
	if len(o.of) == 0 {
		return
	}
	if m.job.Type.Long() {
		o.notes.add("schedule: is for work that has an end, and a job of type %q has none: it is left out", m.job.Type)
		return
	}
	if on := o.truth("enabled"); on != nil && !*on {
		o.notes.add("%s: is false, and the job is due all the same: mn schedule pause has it wait", o.at("enabled"))
	}
	kind := o.text("kind")
	s := &mesh.Schedule{Missed: mesh.Missed(o.text("missed_policy")), MissedGrace: o.duration("missed_grace_ms")}
	if s.Missed == mesh.MissedSkip {
		s.Missed = ""
	}
	if n := o.count("catchup_limit"); n != nil && s.Missed == mesh.CatchUpAll {
		s.CatchUpLimit = *n
	}
	window := o.sub("window")
	s.Window = window.duration("duration_ms")
	if end := mesh.WindowEnd(window.text("end_action")); end != mesh.WindowCancels {
		s.WindowEnd = end
	}
	window.rest(nowhere)
	m.times(o, s)
	m.trigger(o, kind)
	// Of a manifest, runs for events do not overlap either.
	switch no := o.truth("prohibit_overlap"); {
	case no != nil && !*no:
		s.Overlap = mesh.OverlapAllow
	case !s.Timed():
		s.Overlap = mesh.OverlapForbid
	}
	m.job.Schedule = s
	o.rest(nowhere)
}

// times reads at which times the job is due.
func (m *reader) times(o object, s *mesh.Schedule) {
	if _, list := o.of["crons"].([]any); list {
		s.Crons = o.texts("crons")
	}
	if one := o.text("cron"); one != "" && len(s.Crons) == 0 {
		s.Crons = []string{one}
	}
	if zone := o.text("timezone", "time_zone"); zone != "" && zone != "UTC" && len(s.Crons) > 0 {
		s.Timezone = zone
		o.notes.add("%s: is gone by, where MirrorNeuron goes by UTC: look at what mn schedule next says",
			o.at("timezone"))
	}
	if at := o.text("run_at"); at != "" {
		t, err := time.Parse(time.RFC3339, at)
		if err != nil {
			o.wrong(o.at("run_at"), `time, such as "2026-12-24T18:00:00Z"`)
		}
		s.At = t
	}
	s.In = o.duration("delay_ms")
}

// trigger reads for which events the job runs, and what its runs take. Older manifests have that in the
// schedule itself.
func (m *reader) trigger(o object, kind string) {
	t := o.sub("trigger")
	if t.of == nil {
		t = o
	}
	event := t.text("event_type")
	if event == "" && t.path != o.path {
		event = t.text("type")
	}
	if event != "" || kind == "event" {
		trigger := mesh.Trigger{Event: event}
		filters := t.sub("filters")
		for _, key := range slices.Sorted(maps.Keys(filters.of)) {
			c, err := mesh.ConditionOf(filters.of[key])
			if err != nil {
				o.notes.add("%s: %v: it is left out, and the job runs for more events", filters.at(key), err)
				continue
			}
			if trigger.Filter == nil {
				trigger.Filter = map[string]mesh.Condition{}
			}
			trigger.Filter[key] = c
		}
		m.job.Triggers = []mesh.Trigger{trigger}
	}
	m.parameters(t)
	if t.path != o.path {
		t.rest(nowhere)
	}
	p := o.sub("parameterized")
	m.parameters(p)
	p.rest(nowhere)
}

// parameters reads what runs are handed.
func (m *reader) parameters(o object) {
	p := mesh.Parameters{
		Payload: mesh.ParameterRule(o.text("payload")), MetaRequired: o.texts("meta_required"),
		MetaOptional: o.texts("meta_optional"),
	}
	if p.Payload == mesh.ParameterOptional {
		p.Payload = ""
	}
	if p.Payload != "" || len(p.MetaRequired)+len(p.MetaOptional) > 0 {
		m.job.Parameters = &p
	}
}
