package core

import (
	"maps"
	"slices"
	"time"

	"mn/mesh"
	"mn/placement"
)

// The files of a job are kept by a few nodes that follow from their name, as long as there
// is a version that people may want to run again; by those that run it, they are fetched
// when they are needed. Nobody tells anybody: each node finds out by itself what it is to
// keep, and asks around for it.

// Share has others keep content that is to be a job's files. It is answered with Kept as
// soon as one of them does, or after a while.
type Share struct{ Tree string }

// share is a caller who waits for that.
type share struct {
	reply    Reply
	tree     string
	deadline time.Duration
}

const (
	shareWait = 20 * time.Second
	sharesMax = 256 // at once
)

// share asks those that are to keep it, so that they have it before it is promised to run.
func (c *Core) share(reply Reply, tree string) {
	to := c.keepersOf(tree)
	to = slices.DeleteFunc(to, func(id mesh.NodeID) bool { return id == c.self })
	if len(to) == 0 || len(c.keep.shares) >= sharesMax {
		c.reply(reply, 1)
		return
	}
	c.keep.shares = append(c.keep.shares, share{reply, tree, c.now.Boot + shareWait})
	c.keep.next = c.now.Boot
}

// shareDue asks again where nobody has answered, and answers those who have waited enough.
func (c *Core) shareDue() {
	c.keep.shares = slices.DeleteFunc(c.keep.shares, func(s share) bool {
		if s.deadline <= c.now.Boot {
			c.reply(s.reply, 1)
			return true
		}
		for _, id := range c.keepersOf(s.tree) {
			if id != c.self {
				c.send(id, Message{Hold: &Hold{Tree: s.tree}})
			}
		}
		c.keep.next = min(c.keep.next, s.deadline, c.now.Boot+keepEvery)
		return false
	})
}

// shared answers those who wait for a content that a peer has.
func (c *Core) shared(tree string) {
	c.keep.shares = slices.DeleteFunc(c.keep.shares, func(s share) bool {
		if s.tree == tree {
			c.reply(s.reply, 2)
		}
		return s.tree == tree
	})
}

// keepersOf are the nodes that are to keep the files of a job, of those in sight.
func (c *Core) keepersOf(tree string) []mesh.NodeID {
	nodes := slices.DeleteFunc(append(slices.Clone(c.sync.inSight), c.self), func(id mesh.NodeID) bool {
		return !c.admitted(id)
	})
	rank := placement.Rank("payload/"+tree, nodes)
	return rank[:min(len(rank), mesh.PayloadCopies)]
}

// Keepers are the other nodes that are to keep the files of a job, in no order. Who has taken
// them is not among them: that one has sent them already.
func (c *Core) Keepers(tree string) []mesh.NodeID {
	took := map[mesh.NodeID]bool{c.self: true}
	for id := range c.records.carriers {
		for _, v := range c.records.versions[id] {
			if p := v.Job.Payload; p != nil && p.Tree == tree {
				took[v.By] = true
			}
		}
	}
	return slices.DeleteFunc(c.keepersOf(tree), func(id mesh.NodeID) bool { return took[id] })
}

// versionsKept is of how many versions of a job, the latest ones, the files are kept.
const versionsKept = 3

// carried are the files that this node is to keep, and who has taken them first.
func (c *Core) carried() map[string]mesh.NodeID {
	want := map[string]mesh.NodeID{}
	if len(c.records.carriers) == 0 {
		return want
	}
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
			if v.By == c.self || slices.Contains(c.keepersOf(p.Tree), c.self) {
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
	maps.DeleteFunc(c.keep.failed, func(tree string, _ failed) bool { return want[tree] == "" })
	for _, tree := range slices.Sorted(maps.Keys(want)) {
		_, under := c.keep.fetching[tree]
		f := c.keep.failed[tree]
		if c.keep.have[tree] || under || len(c.keep.fetching) >= fetchMax || c.now.Boot < f.next {
			continue
		}
		c.keep.fetching[tree] = nil
		c.ready.Fetch = append(c.ready.Fetch, Fetch{tree, c.fetchFrom(tree, want[tree])})
	}
	c.tellFiles()
}

// fetchFrom is whom to ask for the files of a job, in this order: those that are to have them,
// too, and only then who has all of them, which is to send them about once.
func (c *Core) fetchFrom(tree string, whole mesh.NodeID) []mesh.NodeID {
	from := slices.DeleteFunc(c.keepersOf(tree), func(id mesh.NodeID) bool { return id == c.self || id == whole })
	return append(from, whole)
}

// tellFiles says which files of jobs are here: it is better for a copy not to have to wait for
// them.
func (c *Core) tellFiles() {
	here := slices.Sorted(maps.Keys(c.keep.have))
	here = here[:min(len(here), mesh.FilesMax)]
	if !slices.Equal(here, c.cfg.Self.Files) {
		c.cfg.Self.Files = here
		c.describe()
	}
}
