package core

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"mn/crdt"
	"mn/mesh"
)

// What has happened is a record that any peer makes: of one id there is one, so what two peers
// tell at once has happened once. Coordinators of jobs with triggers make runs of it (fire.go). It
// is forgotten by the coordinator of its own id's slot, when it is too old to have anything run;
// until then what was made of it is remembered, too.

// occurDueEvery is how often a coordinator looks for what can be forgotten.
const occurDueEvery = time.Minute

// emit takes what somebody says has happened.
func (c *Core) emit(call Emit) (reply any, none crdt.Entry, f *mesh.Fault) {
	o := call.Occurrence
	if o.ID == "" {
		o.ID = mesh.OccurrenceID(fmt.Sprintf("%016x", c.cfg.Rand.Uint64()))
	}
	if o.Built() {
		return nil, none, mesh.Faultf(mesh.Invalid, "%q is said by the mesh itself", o.Event).
			Hint("choose another name for the event")
	}
	if f := o.Check(); f != nil {
		return nil, none, f
	}
	if known, ok := c.records.course.occurred[o.ID]; ok {
		if known.Event != o.Event {
			return nil, none, mesh.Faultf(mesh.Conflict, "the id %q is that of an event %q", o.ID, known.Event).
				Hint("choose another id")
		}
		same := handedSame(known.Payload, o.Payload) && maps.Equal(known.Meta, o.Meta)
		return Emitted{Occurrence: known, Unchanged: true, Differs: !same}, none, nil
	}
	key := mesh.KeyOccurred(o.ID)
	switch {
	case c.replica.Gone(key):
		return nil, none, mesh.Faultf(mesh.Conflict, "an event with the id %q has happened, and is forgotten", o.ID).
			Hint("choose another id")
	case len(c.records.course.occurred) >= mesh.OccurrencesMax:
		return nil, none, mesh.Faultf(mesh.Unavailable, "%d events are remembered, and no more fit",
			len(c.records.course.occurred)).Hint("emit it again in some minutes: the oldest are forgotten")
	}
	o.By, o.At, o.Template, o.Depth = c.self, c.now.Wall.UTC(), "", 0
	if f := fits(key, o); f != nil {
		return nil, none, f
	}
	return Emitted{Occurrence: o}, c.told(&o), nil
}

// handedSame says whether two payloads are the same JSON, however it is laid out.
func handedSame(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	if json.Compact(&x, a) != nil || json.Compact(&y, b) != nil {
		return len(a)+len(b) == 0
	}
	return bytes.Equal(x.Bytes(), y.Bytes())
}

// told writes what has happened.
func (c *Core) told(o *mesh.Occurrence) crdt.Entry {
	text := fmt.Sprintf("%s, id %s", o.Event, o.ID)
	if o.Source != "" {
		text += ", from " + o.Source
	}
	c.event(mesh.Event{Kind: mesh.EventEmitted, Text: text})
	return c.put(mesh.KeyOccurred(o.ID), o, crdt.Fence{})
}

// occur tells what the mesh itself has noticed, if some job waits for it. What is told already, or
// so old that nothing would follow, is not told again.
func (c *Core) occur(o mesh.Occurrence) {
	key := mesh.KeyOccurred(o.ID)
	_, known := c.records.course.occurred[o.ID]
	if known || !c.awaited(&o) || c.replica.Gone(key) || c.now.Wall.Sub(o.At) >= mesh.OccurrenceAge ||
		len(c.records.course.occurred) >= mesh.OccurrencesMax || fits(key, o) != nil || c.out != "" {
		return
	}
	o.By = c.self
	c.told(&o)
}

// Wanted says whether a job has a trigger of such an event: nobody else looks for it.
func (c *Core) Wanted(event string) bool { return len(c.records.course.triggered[event]) > 0 }

// Occurrences are what has happened and is remembered, the oldest first.
func (c *Core) Occurrences() []mesh.Occurrence {
	all := make([]mesh.Occurrence, 0, len(c.records.course.occurred))
	for _, o := range c.records.course.occurred {
		all = append(all, o)
	}
	slices.SortFunc(all, earlier)
	return all
}

func earlier(a, b mesh.Occurrence) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) }

// occurDue forgets what is too old to have anything run, and the oldest of what is too much.
func (c *Core) occurDue() {
	if c.now.Boot < c.fired.next {
		return
	}
	c.fired.next = c.now.Boot + occurDueEvery
	all := c.Occurrences()
	for i, o := range all {
		old := c.now.Wall.Sub(o.At) >= mesh.OccurrenceAge
		if !old && len(all)-i <= mesh.OccurrencesKept {
			return
		}
		slot := mesh.SlotOf(mesh.JobID(o.ID))
		if fence, granted, ok := c.right(slot); ok && granted && c.informed(slot) && (old || !c.undecided(&o)) {
			c.drop(mesh.KeyOccurred(o.ID), fence)
		}
	}
}

// occurWake is when occurDue has something to do.
func (c *Core) occurWake() time.Duration {
	if len(c.records.course.occurred) == 0 {
		return never
	}
	return c.fired.next
}

// undecided says whether a job may still have a run of what has happened.
func (c *Core) undecided(o *mesh.Occurrence) bool {
	for id := range c.records.course.triggered[o.Event] {
		run := mesh.RunName(id, &mesh.Origin{Cause: mesh.CauseEvent, Occurrence: o.ID})
		job, ok := c.records.job(id)
		if _, fired := c.records.course.fired[id][run]; ok && job.Job.Template() && !job.Stopped && !fired &&
			slices.ContainsFunc(job.Job.Triggers, func(t mesh.Trigger) bool { return t.Matches(o) }) {
			return true
		}
	}
	return false
}
