package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mn/mesh"
)

// payloadShown is how much of a payload is shown; --json has all of it.
const payloadShown = 200

// showOrigin says what a run comes from, and what it was handed.
func (c *command) showOrigin(o *mesh.Origin) {
	if o == nil {
		return
	}
	due := o.Due.UTC().Format(time.RFC3339)
	switch o.Cause {
	case mesh.CauseTime:
		c.field("run of", "%s, due at %s", o.Job, due)
	case mesh.CauseEvent:
		c.field("run of", "%s, for event %s of %s, id %s", o.Job, o.Event, due, o.Occurrence)
	default:
		c.field("run of", "%s, asked for at %s", o.Job, due)
	}
	if len(o.Payload) > 0 {
		c.field("payload", "%s", mesh.Plain(string(o.Payload), payloadShown))
	}
	if len(o.Meta) > 0 {
		var parts []string
		for _, key := range slices.Sorted(maps.Keys(o.Meta)) {
			parts = append(parts, fmt.Sprintf("%s=%s", key, mesh.Plain(o.Meta[key], payloadShown)))
		}
		c.field("meta", "%s", strings.Join(parts, ", "))
	}
	if !o.Until.IsZero() {
		c.field("window", "until %s", o.Until.UTC().Format(time.RFC3339))
	}
}
