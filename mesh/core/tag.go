package core

import (
	"fmt"
	"maps"
	"slices"

	"mn/crdt"
	"mn/mesh"
)

// tag gives a name to a version of a job, or takes it away.
func (c *Core) tag(call Tag) (reply any, none crdt.Entry, f *mesh.Fault) {
	job, exists := c.records.job(call.Job)
	if !exists {
		return nil, none, mesh.Faultf(mesh.NotFound, "no job %q", call.Job).Hint("mn job ls")
	}
	before, had := c.records.tags[call.Job][call.Name]
	if call.Remove {
		if !had {
			return nil, none, mesh.Faultf(mesh.NotFound, "no version of job %q is tagged %q", call.Job, call.Name).
				Hint("mn job history %s", call.Job)
		}
		c.event(mesh.Event{
			Kind: mesh.JobTagged, Job: call.Job,
			Text: fmt.Sprintf("version %d is not tagged %q any more", before.Version, call.Name),
		})
		return Tagged{Tag: before}, c.drop(mesh.KeyTag(call.Job, call.Name), crdt.Fence{}), nil
	}
	if f := mesh.CheckTag(call.Name); f != nil {
		return nil, none, f
	}
	v, err := mesh.FindVersion(c.records.history(call.Job), &job, call.Version)
	if err != nil {
		return nil, none, mesh.FaultOf(err)
	}
	next := mesh.Tag{
		Job: call.Job, Name: call.Name, Version: v.Number, Hash: v.Hash, By: c.self, At: c.now.Wall.UTC(),
	}
	switch {
	case had && before.Hash == v.Hash:
		return Tagged{Tag: before, Unchanged: true}, none, nil
	case !had && len(c.records.tags[call.Job]) >= mesh.TagsMax:
		return nil, none, mesh.Faultf(mesh.Conflict, "job %q has %d tags, and no more fit", call.Job, mesh.TagsMax).
			Hint("mn job tag %s --remove TAG", call.Job)
	}
	c.event(mesh.Event{
		Kind: mesh.JobTagged, Job: call.Job, Text: fmt.Sprintf("version %d is tagged %q", v.Number, call.Name),
	})
	return Tagged{Tag: next, Before: before.Version}, c.put(mesh.KeyTag(call.Job, call.Name), next, crdt.Fence{}), nil
}

// tagsOf are the tags of a job, by name.
func (r *records) tagsOf(id mesh.JobID) []mesh.Tag {
	var tags []mesh.Tag
	for _, name := range slices.Sorted(maps.Keys(r.tags[id])) {
		tags = append(tags, r.tags[id][name])
	}
	return tags
}
