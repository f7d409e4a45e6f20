package core

import (
	"maps"
	"slices"
	"time"

	"mn/health"
	"mn/mesh"
	"mn/placement/reconcile"
)

// What copies offer matters to jobs that need it: for where their copies are placed, and for
// whether they may begin. So the records keep which jobs offer a service, and which need one;
// a mesh in which none does pays nothing.

// dealings are which jobs offer services, and which need them, by some version of theirs.
type dealings struct {
	offers map[mesh.JobID]map[string]struct{} // by job, the names of what it offers
	by     map[string]map[mesh.JobID]struct{} // by name, the jobs that offer it
	needs  map[string]map[mesh.JobID]struct{} // by name, the jobs that need it
}

func newDealings() dealings {
	return dealings{
		offers: map[mesh.JobID]map[string]struct{}{},
		by:     map[string]map[mesh.JobID]struct{}{},
		needs:  map[string]map[mesh.JobID]struct{}{},
	}
}

// take notes what a version of a job offers and needs.
func (d *dealings) take(j *mesh.Job) {
	id := mesh.JobID(j.Name)
	for _, name := range j.OfferedNames() {
		enter(d.offers, id, name)
		enter(d.by, name, id)
	}
	for _, name := range j.NeededNames() {
		enter(d.needs, name, id)
	}
}

// drop forgets a job of which no version is left.
func (d *dealings) drop(j *mesh.Job) {
	id := mesh.JobID(j.Name)
	delete(d.offers, id)
	for _, name := range j.OfferedNames() {
		delete(d.by[name], id)
	}
	for _, name := range j.NeededNames() {
		delete(d.needs[name], id)
	}
}

func enter[K, V comparable](m map[K]map[V]struct{}, k K, v V) {
	if m[k] == nil {
		m[k] = map[V]struct{}{}
	}
	m[k][v] = struct{}{}
}

// offers adds to a view the services of some names, as copies offer them as far as we know.
func (c *Core) offers(v *mesh.View, names []string) {
	jobs := map[mesh.JobID]struct{}{}
	for _, name := range names {
		maps.Copy(jobs, c.records.dealings.by[name])
	}
	if len(jobs) == 0 {
		return
	}
	of := mesh.View{Self: v.Self, Now: v.Now, Nodes: v.Nodes}
	for _, id := range slices.Sorted(maps.Keys(jobs)) {
		versions := map[string]*mesh.Job{}
		for _, a := range c.records.allocsOf(id) {
			switch {
			case !a.State().Final():
			case v.Now.Sub(a.Status.At) > reconcile.FollowAfter:
				continue // long gone
			default:
				a.Placed = c.records.placed(&a.Alloc, versions)
			}
			of.Allocs = append(of.Allocs, a)
		}
	}
	v.Offers = health.Offers(&of)
}

// needed are the names of the services that a job needs, and those before it that wait for room.
func (c *Core) needed(job *mesh.Job) []string {
	names := job.NeededNames()
	for _, q := range c.queue() {
		names = append(names, q.Spec.NeededNames()...)
	}
	return names
}

// supplied wakes the jobs that need what a job offers: something has become of its copies, or
// of what they offer. Many changes at about the same time cost one look.
func (c *Core) supplied(by mesh.JobID) {
	for name := range c.records.dealings.offers[by] {
		needs := c.records.dealings.needs[name]
		for id := range needs {
			c.wakeJob(id, roomPause+time.Duration(len(needs))*roomEach)
		}
	}
}

// readOffers compares data with the nodes whose copies offer what a job needs: as long as we
// have not, it counts as if they did not.
func (c *Core) readOffers(v *mesh.View) {
	for i := range v.Offers {
		if o := &v.Offers[i]; !o.Usable && o.Ended.IsZero() {
			c.read(o.Node)
		}
	}
}
