package core

import (
	"maps"
	"slices"

	"mn/mesh"
	"mn/placement"
)

// The files of a job are kept by a few nodes that follow from their name, as long as there
// is a version that people may want to run again; by those that run it, they are fetched
// when they are needed. Nobody tells anybody: each node finds out by itself what it is to
// keep, and asks around for it.

// versionsKept is of how many versions of a job, the latest ones, the files are kept.
const versionsKept = 3

// carried are the files that this node is to keep, and who has taken them first.
func (c *Core) carried() map[string]mesh.NodeID {
	want := map[string]mesh.NodeID{}
	if len(c.records.carriers) == 0 {
		return want
	}
	nodes := slices.DeleteFunc(append(slices.Clone(c.sync.inSight), c.self), func(id mesh.NodeID) bool {
		return !c.admitted(id)
	})
	for _, id := range slices.Sorted(maps.Keys(c.records.carriers)) {
		job, ok := c.records.job(id)
		if !ok {
			continue
		}
		for _, v := range c.records.versions[id] {
			p := v.Job.Payload
			named := slices.ContainsFunc(job.Tags, func(t mesh.Tag) bool { return t.Hash == v.Hash })
			if p == nil || want[p.Tree] != "" || !named && v.Number+versionsKept <= job.Number {
				continue
			}
			rank := placement.Rank("payload/"+p.Tree, nodes)
			if slices.Contains(rank[:min(len(rank), mesh.PayloadCopies)], c.self) {
				want[p.Tree] = v.By
			}
		}
	}
	for id := range c.tend.copies { // what runs here may have to start again
		if a, ok := c.records.effective(id); ok {
			if v, _, ok := c.spec(a.Alloc); ok && v.Job.Payload != nil {
				want[v.Job.Payload.Tree] = v.By
			}
		}
	}
	return want
}

// carry fetches what this node is to keep and does not have, a few at a time.
func (c *Core) carry() {
	want := c.carried()
	if len(c.records.carriers) > 0 {
		c.keep.next = c.now.Boot + keepEvery // others may come into sight, or go
	}
	maps.DeleteFunc(c.keep.have, func(tree string, _ bool) bool { return want[tree] == "" })
	for _, tree := range slices.Sorted(maps.Keys(want)) {
		_, under := c.keep.fetching[tree]
		if c.keep.have[tree] || under || len(c.keep.fetching) >= fetchMax {
			continue
		}
		c.keep.fetching[tree] = nil
		c.ready.Fetch = append(c.ready.Fetch, Fetch{tree, []mesh.NodeID{want[tree]}})
	}
}
