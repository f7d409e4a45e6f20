package core

import (
	"maps"
	"slices"

	"mn/mesh"
	"mn/runner"
)

// watch has the services checked that a copy offers, and no others.
func (c *Core) watch(id mesh.AllocID, t *tended) {
	now := map[string]int{}
	for _, o := range t.Offers() {
		now[o.Task] = o.Attempt
		if t.watched[o.Task] != o.Attempt {
			c.ready.Watch = append(c.ready.Watch, Watch{id, o})
		}
	}
	for _, task := range slices.Sorted(maps.Keys(t.watched)) {
		if now[task] == 0 {
			c.ready.Watch = append(c.ready.Watch, Watch{id, runner.Offer{Task: task}})
		}
	}
	t.watched = now
}
