package reconcile

import (
	"fmt"
	"slices"

	"mn/mesh"
)

// What no plan may be for a job that comes to a new version step by step.

// rolls says whether the job is on its way from one version to another.
func (c *checker) rolls() bool {
	d := c.job.Deployment
	return d != nil && !d.Fresh && d.State != mesh.Deployed && c.job.Job.Type.Long() && !c.job.Job.Gang
}

// besides says whether copies of two versions may run in a seat.
func (c *checker) besides() bool {
	order, _ := c.job.Job.UpdateOrder()
	return c.rolls() && order == mesh.StartFirst
}

// earlier says whether a placement is of a version that the job comes from: the one that was deployed
// before, or one of which a copy lives.
func (c *checker) earlier(a *mesh.Alloc) bool {
	if !c.rolls() || a.Version >= c.job.Number {
		return false
	}
	b := c.job.Before
	return b != nil && b.Number == a.Version && b.Hash == a.Hash ||
		slices.ContainsFunc(c.v.AllocsOf(c.p.Job), func(o mesh.AllocView) bool {
			return o.Seat() == a.Seat() && o.Version == a.Version && o.Hash == a.Hash && o.Content == a.Content
		})
}

// was says whether the version that was deployed before has a seat.
func (c *checker) was(id mesh.Seat) bool {
	if !c.rolls() || c.job.Stopped || c.job.Paused || c.job.Before == nil {
		return false
	}
	g, ok := c.job.Before.Job.Group(id.Group)
	return ok && (id.Target != "") == c.job.Job.Type.PerNode() && (id.Target != "" || id.Index < g.Count)
}

// lives says whether a copy in sight is to run after the plan.
func (c *checker) lives(a *mesh.AllocView) bool {
	n := c.v.Node(a.Node)
	return a.Want == mesh.WantRun && !a.State().Final() && n != nil && n.Liveness == mesh.Alive && !c.stops[a.ID]
}

// inStep: what is paused, or was given up, begins no step: nothing of the version comes to a seat that
// has a copy of another and has had none of it, and no such copy stops for it.
func (c *checker) inStep() error {
	s := c.job.Steering
	if !c.rolls() || s == nil || !s.Paused && !s.Failed {
		return nil
	}
	had := map[mesh.Seat]bool{}
	for _, a := range c.v.AllocsOf(c.p.Job) {
		had[a.Seat()] = had[a.Seat()] || a.Content == c.content(a.Seat()) || a.Yields
	}
	for _, a := range c.v.AllocsOf(c.p.Job) {
		if at := slices.IndexFunc(c.p.Stop, func(s Stop) bool { return s.Alloc == a.ID }); at >= 0 &&
			c.p.Stop[at].Yields && !had[a.Seat()] {
			return fmt.Errorf("stops %v for a deployment that is held", a.Seat())
		}
		for _, pl := range c.p.Place {
			if pl.Alloc.Seat() == a.Seat() && pl.Alloc.Content == c.content(a.Seat()) && c.lives(&a) && !had[a.Seat()] {
				return fmt.Errorf("places %v beside %s for a deployment that is held", a.Seat(), a.ID)
			}
		}
	}
	return nil
}

// hiddenBesides: as long as copies of the version are hidden, none of the version before stops for them.
func (c *checker) hiddenBesides() error {
	if !c.rolls() || !c.job.Hides() || c.job.Before == nil {
		return nil
	}
	for _, s := range c.p.Stop {
		if a := c.alloc(s.Alloc); s.Yields && a.Version <= c.job.Before.Number {
			return fmt.Errorf("stops %v, which is shown, for one that is hidden", a.Seat())
		}
	}
	return nil
}

// fewDown: no copy that runs stops for the version, if max_parallel seats have nothing that runs for it.
func (c *checker) fewDown() error {
	if !c.rolls() {
		return nil
	}
	runs, yields := map[mesh.Seat]bool{}, map[mesh.Seat]bool{}
	stops := false
	taken := c.taken()
	for _, a := range c.v.AllocsOf(c.p.Job) {
		id := a.Seat()
		running := a.State() == mesh.Running && a.Want == mesh.WantRun
		runs[id] = runs[id] || running && c.lives(&a)
		if !c.wants(id) || a.Content == c.content(id) {
			continue
		}
		at := slices.IndexFunc(c.p.Stop, func(s Stop) bool { return s.Alloc == a.ID })
		yields[id] = at >= 0 && c.p.Stop[at].Yields || at < 0 && a.Yields
		stops = stops || running && yields[id] && at >= 0 && !taken[id]
	}
	down := 0
	for id := range yields {
		if yields[id] && !runs[id] && c.hasNode(id) {
			down++
		}
	}
	if most := c.job.Job.Update.Parallel(); stops && down > most {
		return fmt.Errorf("has %d copies down at a time for version %d, with max_parallel = %d",
			down, c.job.Number, most)
	}
	return nil
}

// taken are the seats in which the old copy has to stop first, and that have one of the version already: whoever
// has placed that knew that the other had ended.
func (c *checker) taken() map[mesh.Seat]bool {
	taken := map[mesh.Seat]bool{}
	if order, _ := c.job.Job.UpdateOrder(); order != mesh.StopFirst {
		return taken
	}
	for _, a := range c.v.AllocsOf(c.p.Job) {
		if id := a.Seat(); a.Content == c.content(id) && c.lives(&a) {
			taken[id] = true
		}
	}
	return taken
}

// hasNode says whether a seat is not bound to a node that is out of sight, or takes no new work: there
// the copy is missing for the node's sake, and comes with it. What such a node had before it was drained counts
// for no rollout after. A node back in sight that has yet to say what runs there does count: a seat of it
// that has begun is between two copies until it is known to have come to the new one.
func (c *checker) hasNode(id mesh.Seat) bool {
	if id.Target == "" {
		return true
	}
	n := c.v.Node(id.Target)
	return n != nil && n.Liveness == mesh.Alive && n.Eligible
}

// content is what the version has run in a seat, or "".
func (c *checker) content(id mesh.Seat) string {
	g, ok := c.job.Job.Group(id.Group)
	if !ok {
		return ""
	}
	return g.ContentOf(mesh.HashGroup(&c.job.Job, g.Name), id.Index)
}

// goesOn says whether a copy of another version lives in the seat of one, after the plan.
func (c *checker) goesOn(a *mesh.AllocView) bool {
	return c.rolls() && slices.ContainsFunc(c.v.AllocsOf(c.p.Job), func(o mesh.AllocView) bool {
		return o.Seat() == a.Seat() && o.Content != a.Content && c.lives(&o)
	})
}
