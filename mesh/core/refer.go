package core

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"

	"mn/health"
	"mn/mesh"
	"mn/placement"
	"mn/runner"
)

// referral is what a copy here is told of what its tasks' texts refer to.
type referral struct {
	seat     string // of the copy
	services []mesh.ServiceRef
	back     bool // it was here before this agent
	told     *runner.Around
	known    map[instance]bool // those that it was told of
}

// instance names an instance of a service.
type instance struct {
	service string
	alloc   mesh.AllocID
	task    string
}

// newReferral is nil for a copy whose texts refer to nothing that may change.
func newReferral(copy *runner.Copy, a *mesh.Alloc, back bool) *referral {
	services, node := copy.Refers()
	if len(services) == 0 && !node {
		return nil
	}
	return &referral{seat: string(a.Job) + "/" + a.Seat().String(), services: services, back: back}
}

// stirAround notes that what copies here refer to may have changed.
func (c *Core) stirAround(t touched) {
	if t.nodes || t.spec || len(c.records.dealings.offers[t.job]) > 0 {
		c.tend.stirred = true
	}
}

// tellCopies tells the copies here what has changed around them, and says whether anything has.
func (c *Core) tellCopies() bool {
	if !c.tend.stirred {
		return false
	}
	c.tend.stirred = false
	var names []string
	var ids []mesh.AllocID
	for id, t := range c.tend.copies {
		if t.refers == nil {
			continue
		}
		ids = append(ids, id)
		for _, s := range t.refers.services {
			names = append(names, s.Name)
		}
	}
	if len(ids) == 0 {
		return false
	}
	slices.Sort(ids)
	slices.Sort(names)
	all := c.catalog(slices.Compact(names))
	told := false
	for _, id := range ids {
		told = c.tellCopy(id, all) || told
	}
	return told
}

// tellFirst tells a copy that is about to start what is around it.
func (c *Core) tellFirst(id mesh.AllocID) {
	t := c.tend.copies[id]
	if t == nil || t.refers == nil {
		return
	}
	var names []string
	for _, s := range t.refers.services {
		names = append(names, s.Name)
	}
	c.tellCopy(id, c.catalog(names))
}

// tellCopy tells a copy what is around it, if it has not heard of that. One that was here before this agent
// is left alone until we have had time to see the others: it is not to start again for want of them.
func (c *Core) tellCopy(id mesh.AllocID, all []health.Instance) bool {
	t := c.tend.copies[id]
	if t.refers.back && !c.waited() {
		return false
	}
	in, known := c.around(t, all)
	if t.refers.told != nil && reflect.DeepEqual(*t.refers.told, in) {
		return false
	}
	t.refers.told, t.refers.known = &in, known
	c.step(id, in)
	return true
}

// catalog is where the services of these names are.
func (c *Core) catalog(names []string) []health.Instance {
	jobs := map[mesh.JobID]struct{}{}
	for _, name := range names {
		maps.Copy(jobs, c.records.dealings.by[name])
	}
	v := &mesh.View{Self: c.self, Now: c.now.Wall, Nodes: c.nodes()}
	for _, job := range slices.Sorted(maps.Keys(jobs)) {
		v.Allocs = append(v.Allocs, c.records.allocsOf(job)...)
	}
	all := slices.DeleteFunc(health.Catalog(v), func(i health.Instance) bool {
		return !slices.Contains(names, i.Service)
	})
	for i := range all {
		if n := v.Node(all[i].Node); n != nil && n.Unread && n.Liveness == mesh.Alive && !n.Evicted {
			all[i].Hidden = cmp.Or(unhealthy(&all[i]), notRead)
		}
	}
	return all
}

// notRead is why an instance is hidden of which we know only what was said before: its node has come into
// sight a moment ago, or this one slept.
const notRead = "not read"

func unhealthy(i *health.Instance) string {
	if i.Health != mesh.Passing {
		return string(i.Health)
	}
	return ""
}

// around is what is around a copy, and the instances among it. What it was told before of an instance of
// which nothing is read yet still stands.
func (c *Core) around(t *tended, all []health.Instance) (runner.Around, map[instance]bool) {
	self := c.records.node(c.self)
	in := runner.Around{
		Address: self.Address, Pool: cmp.Or(self.Pool, mesh.DefaultPool), OS: self.OS, Arch: self.Arch,
		Labels: self.Labels, Services: map[mesh.ServiceRef]runner.Instances{},
	}
	if at, err := netip.ParseAddrPort(self.Address); err == nil {
		in.Address = at.Addr().String()
	}
	known := map[instance]bool{}
	for _, ref := range t.refers.services {
		var tags []string
		if ref.Tag != "" {
			tags = []string{ref.Tag}
		}
		standing := slices.Clone(all)
		for i := range standing {
			if s := &standing[i]; s.Hidden == notRead && t.refers.known[instanceOf(s)] {
				s.Hidden = ""
			}
		}
		found := health.Usable(standing, ref.Name, tags)
		if len(found) == 0 {
			continue
		}
		var places runner.Instances
		for i := range found {
			known[instanceOf(&found[i])] = true
			places.All = append(places.All, runner.Place{Address: found[i].Address, Port: found[i].Port})
		}
		places.First = places.All[c.nearest(t, found)]
		in.Services[ref] = places
	}
	return in, known
}

func instanceOf(i *health.Instance) instance { return instance{i.Service, i.Alloc, i.Task} }

// nearest is the instance that a copy goes to: one on its own node if there is any; and of several the one
// that ranks first for its seat, so that copies are spread over them, and few move when one comes or goes.
func (c *Core) nearest(t *tended, found []health.Instance) int {
	best, bestRank := 0, uint64(0)
	bestHere := false
	for i := range found {
		here, r := found[i].Node == c.self, rank(t.refers.seat, &found[i])
		if i == 0 || here && !bestHere || here == bestHere && r > bestRank {
			best, bestRank, bestHere = i, r, here
		}
	}
	return best
}

// rank is how much an instance is a copy's, by rendezvous hashing.
func rank(seat string, i *health.Instance) uint64 {
	return placement.Weight(seat, fmt.Sprintf("%s/%s[%d]/%s@%s", i.Job, i.Group, i.Index, i.Task, i.Node))
}
