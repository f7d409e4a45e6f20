package core

import (
	"slices"

	"mn/mesh"
	"mn/runner"
)

// broughtFor notes what was fetched for a copy that has started here: another that needs the
// same starts sooner where it is. It says whether that is news. It is a guess, as caches give
// room back, and does no harm.
func (c *Core) broughtFor(a *mesh.Alloc) (changed bool) {
	_, g, ok := c.spec(*a)
	if !ok {
		return false
	}
	names := g.Fetches()
	if len(names) == 0 {
		return false
	}
	c.brought = slices.DeleteFunc(c.brought, func(name string) bool { return slices.Contains(names, name) })
	c.brought = append(c.brought, names...)
	c.brought = c.brought[max(len(c.brought)-mesh.FetchedMax, 0):]
	before := c.cfg.Self.Fetched
	c.cfg.Self.Fetched = slices.Sorted(slices.Values(c.brought))
	return !slices.Equal(before, c.cfg.Self.Fetched)
}

// startedHere is broughtFor for a copy of which something was seen.
func (c *Core) startedHere(o runner.Observation) {
	if o.Kind != runner.Started || o.Attempt > 1 {
		return
	}
	if a, ok := c.records.effective(o.Alloc); ok && c.broughtFor(&a.Alloc) {
		c.describe()
	}
}

// started says whether a task of a copy has started.
func started(s *mesh.Status) bool {
	return slices.ContainsFunc(tasksOf(s), func(t mesh.TaskStatus) bool { return !t.StartedAt.IsZero() })
}
