package sim

import (
	"fmt"
	"maps"
	"slices"

	"mn/mesh"
)

// checkShared: of all jobs with one limit there are never more copies at once than it allows.
func (w *world) checkShared(l *life) {
	limit := l.job.Limit
	if limit == nil {
		return
	}
	all := 0
	for _, id := range slices.Sorted(maps.Keys(w.deeds.jobs)) {
		for _, o := range w.alive(id) {
			if o.job.Limit != nil && o.job.Limit.Key == limit.Key && !o.late() {
				all++
			}
		}
	}
	if all > limit.Max {
		w.breach("shared-limit", "%d copies run under limit %q = %d, with that of %s on %s",
			all, limit.Key, limit.Max, l.place.job, l.h.name)
	}
	if all == limit.Max {
		w.counts.add(LimitReached)
	}
}

// permitsAreHeld says which permit under a shared limit no copy needs any more, or "".
func (w *world) permitsAreHeld(members []*host) string {
	v := members[0].agent.core.View()
	for _, p := range v.Permits {
		allocs := v.AllocsOf(p.Job)
		i := slices.IndexFunc(allocs, func(a mesh.AllocView) bool { return a.ID == p.Alloc })
		if i < 0 || allocs[i].State().Final() {
			w.doubt = w.unmoved(members[0], members[0].agent)
			return fmt.Sprintf("%s has a permit under limit %q, and does not run", p.Alloc, p.Key)
		}
	}
	return ""
}
