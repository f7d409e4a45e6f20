package reconcile

import (
	"fmt"
	"maps"
	"slices"

	"mn/mesh"
)

// Check says what is wrong with a plan, if it is one that no plan for this view
// may ever be. It is written without the planner's rules in mind, for tests and
// the simulator to hold the planner against.
func Check(p Plan, v *mesh.View) error {
	c := checker{p: p, v: v, job: v.Job(p.Job), stops: map[mesh.AllocID]bool{}}
	if c.job == nil {
		return fmt.Errorf("plan for job %q, which is not in the view", p.Job)
	}
	checks := []func() error{
		c.stopsAreOfUse, c.placesAreWanted, c.placesFit, c.neverTwo, c.neverAgain, c.oneStays, c.forgetsAreOver,
		c.withinBounds, c.inTurn, c.gangIsWhole, c.servedWhereItIs, c.readyToBegin,
		c.inStep, c.hiddenBesides, c.fewDown,
	}
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

type checker struct {
	p     Plan
	v     *mesh.View
	job   *mesh.JobView
	stops map[mesh.AllocID]bool
}

// stopsAreOfUse: only copies that are meant to run are stopped, once, with a
// reason.
func (c *checker) stopsAreOfUse() error {
	for _, s := range c.p.Stop {
		a := c.alloc(s.Alloc)
		switch {
		case a == nil:
			return fmt.Errorf("stops %s, which is no copy of job %q", s.Alloc, c.p.Job)
		case a.Want != mesh.WantRun && !(a.Degraded && c.p.Granted) || a.State().Final():
			return fmt.Errorf("stops %s again", s.Alloc)
		case c.stops[s.Alloc]:
			return fmt.Errorf("stops %s twice", s.Alloc)
		case s.Reason == "":
			return fmt.Errorf("stops %s without a reason", s.Alloc)
		}
		c.stops[s.Alloc] = true
	}
	return nil
}

// placesAreWanted: copies are placed only for indexes that the job wants, each
// once, as the next generation, under the id that everyone would give it.
func (c *checker) placesAreWanted() error {
	seen := map[mesh.Seat]bool{}
	if len(c.p.Place) > placeMax {
		return fmt.Errorf("places %d copies at once, more than %d", len(c.p.Place), placeMax)
	}
	for _, pl := range c.p.Place {
		a := &pl.Alloc
		id := mesh.AllocIDOf(a.Job, a.Version, a.Seat(), a.Generation)
		switch {
		case !c.wants(a.Seat()) && !c.was(a.Seat()):
			return fmt.Errorf("places %s[%d], which the job does not want", a.Group, a.Index)
		case seen[a.Seat()]:
			return fmt.Errorf("places %s[%d] twice", a.Group, a.Index)
		case a.ID != id || a.Job != c.p.Job || (a.Version != c.job.Number || a.Hash != c.job.Hash) && !c.earlier(a):
			return fmt.Errorf("places %s[%d] under a false name", a.Group, a.Index)
		case a.Want != mesh.WantRun || a.Reason == "" || a.Node != "":
			return fmt.Errorf("places %s[%d] half made", a.Group, a.Index)
		}
		seen[a.Seat()] = true
		for _, o := range c.v.AllocsOf(c.p.Job) {
			if o.Seat() == a.Seat() && o.Generation >= a.Generation {
				return fmt.Errorf("places %s[%d] as generation %d after %d",
					a.Group, a.Index, a.Generation, o.Generation)
			}
		}
	}
	return nil
}

// placesFit: candidates are in sight, take work, and have room for all copies
// whose first candidate they are.
func (c *checker) placesFit() error {
	used := map[mesh.NodeID]mesh.Resources{}
	for _, pl := range c.p.Place {
		if len(pl.Choice.Candidates) == 0 {
			return fmt.Errorf("places %s[%d] nowhere", pl.Alloc.Group, pl.Alloc.Index)
		}
		for i, cand := range pl.Choice.Candidates {
			if t := pl.Alloc.Target; t != "" && t != cand.Node {
				return fmt.Errorf("places %s, which is for %s, on %s", pl.Alloc.ID, t, cand.Node)
			}
			n := c.v.Node(cand.Node)
			if n == nil || n.Liveness != mesh.Alive || !n.Eligible || n.Role == mesh.Witness {
				return fmt.Errorf("places %s[%d] on %s, which takes no work", pl.Alloc.Group, pl.Alloc.Index, cand.Node)
			}
			if i > 0 {
				continue
			}
			used[n.ID] = used[n.ID].Add(pl.Alloc.Resources)
			if lacks := n.Capacity.Sub(n.Used.Resources).Lacks(used[n.ID]); lacks != "" {
				return fmt.Errorf("fills %s beyond its capacity: %s", n.ID, lacks)
			}
		}
	}
	return nil
}

// neverTwo: no copy is placed beside one that lives in sight, and none beside
// one out of sight unless the job accepts that or has waited long enough.
func (c *checker) neverTwo() error {
	for _, pl := range c.p.Place {
		for _, o := range c.v.AllocsOf(c.p.Job) {
			if o.Seat() != pl.Alloc.Seat() || o.State().Final() {
				continue
			}
			if pl.Alloc.Replaces == o.ID && c.leaves(&o) && c.twoWhileItMoves() {
				continue
			}
			if o.Content != pl.Alloc.Content && c.besides() {
				continue
			}
			if why := c.mayLive(&o); why != "" {
				return fmt.Errorf("places %s[%d] while %s may live: %s", o.Group, o.Index, o.ID, why)
			}
		}
		if partition := c.job.Job.Recovery.Partition(); !c.p.Granted && partition != mesh.Eager {
			return fmt.Errorf("places a copy of a %s job without a majority", partition)
		}
	}
	return nil
}

// mayLive is why a copy that has not ended counts against another.
func (c *checker) mayLive(o *mesh.AllocView) string {
	r := c.job.Job.Recovery
	n := c.v.Node(o.Node)
	switch {
	case vouched(o) && o.Verdict.Approve && (n == nil || n.Liveness != mesh.Alive):
	case n == nil && !c.v.Forgot(o.Node) && (r.Partition() == mesh.Keep || !r.Mode.Moves()):
		return "nothing is known of its node"
	case n == nil && r.Partition() != mesh.Majority:
	case r.Partition() == mesh.Majority && o.Placed == nil:
		return "nobody knows by which version it goes"
	case n == nil && o.Unrenewed < o.Placed.Recovery.TaskLease():
		return "it may have been renewed"
	case n == nil:
	case n.Liveness == mesh.Alive:
		return "it is in sight"
	case o.Target != "":
		return "it is bound to its node"
	case !r.Mode.Moves():
		return "the job's work never moves"
	case r.Partition() == mesh.Keep:
		return "nobody knows that it is dead"
	case r.Partition() == mesh.Majority && o.Placed.Recovery.Partition() != mesh.Majority:
		return "it does not stop by itself"
	case r.Partition() == mesh.Majority &&
		min(n.LostFor, o.Unrenewed) < o.Placed.Recovery.TaskLease()+mesh.DefaultKillGrace:
		return "its lease may not have run out"
	case n.LostFor < r.Lost() && !n.GivenUp:
		return "its node is out of sight only just now"
	}
	return ""
}

// oneStays: of copies of the wanted content that live in sight, one is not
// stopped, unless the seat is done or not wanted. One that waits for its restart
// may give way to a retry.
func (c *checker) oneStays() error {
	stays, stopped, done := map[mesh.Seat]int{}, map[mesh.Seat]int{}, map[mesh.Seat]bool{}
	leaving, runs := map[mesh.Seat]int{}, map[mesh.Seat]bool{}
	groups, hashes := map[string]mesh.Group{}, map[string]string{}
	for _, g := range c.job.Job.Groups() {
		groups[g.Name], hashes[g.Name] = g, mesh.HashGroup(&c.job.Job, g.Name)
	}
	wanted := func(a *mesh.AllocView) string {
		g := groups[a.Group]
		return g.ContentOf(hashes[a.Group], a.Index)
	}
	for _, a := range c.v.AllocsOf(c.p.Job) {
		id := a.Seat()
		n := c.v.Node(a.Node)
		done[id] = done[id] || a.State() == mesh.Complete && !c.job.Job.Type.Long()
		runs[id] = runs[id] || c.job.Job.Recovery.Partition() != mesh.Eager || a.Content == wanted(&a) &&
			a.State() == mesh.Running && n != nil && n.Liveness == mesh.Alive && !n.Unread && a.Status.Boot == n.Boot
		switch {
		case !c.wants(id) || a.Want != mesh.WantRun || a.State().Final():
		case n == nil || n.Liveness != mesh.Alive || n.Unread || unsaid(&a, n):
			if c.stops[a.ID] && !done[id] && c.job.Job.Recovery.Partition() != mesh.Majority && !c.job.Job.Gang &&
				!vouched(&a) {
				return fmt.Errorf("stops %s, which is only out of sight", a.ID)
			}
		case a.Content != wanted(&a), vouched(&a) && c.stops[a.ID]:
		case c.stops[a.ID] && c.makesRoom(a.ID):
		case c.stops[a.ID] && len(groups[a.Group].After) > 0 && (a.Hash != c.job.Hash || !begunAtAll(&a)): // too early
		case c.job.Verb == mesh.VerbRetry && c.stops[a.ID] && a.State() == mesh.Backoff &&
			waitedAt(a.Status, c.job.At) && !works(a.Status):
		case c.stops[a.ID] && unrestored(&a) != nil && c.answered(&a): // it runs nothing, and begins anew
		case c.stops[a.ID] && c.goesOn(&a): // its version has failed to take the place of another
		case c.leaves(&a) && c.stops[a.ID] && (!c.twoWhileItMoves() || c.bounded()):
		case c.leaves(&a) && !c.stops[a.ID]:
			leaving[id]++
		case c.stops[a.ID]:
			stopped[id]++
		default:
			stays[id]++
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(done), mesh.Seat.Compare) {
		switch {
		case stopped[id] > 0 && stays[id]+leaving[id] == 0 && !done[id] && !c.job.Job.Gang:
			return fmt.Errorf("stops all %d live copies of %s[%d]", stopped[id], id.Group, id.Index)
		case runs[id] && (stays[id] > 1 || leaving[id] > 1) && !c.cutOff():
			return fmt.Errorf("lets %d copies of %s[%d] live", stays[id], id.Group, id.Index)
		}
	}
	return nil
}

// makesRoom says whether a copy may be stopped for others that come first.
func (c *checker) makesRoom(id mesh.AllocID) bool {
	return c.job.Job.Preemptible && slices.ContainsFunc(c.v.Queue, func(q mesh.QueueView) bool {
		return q.Priority > c.job.Job.Rank() && slices.Contains(q.Preempts, id)
	})
}

// cutOff says whether copies of the job stop by themselves, and nothing is decided about them.
func (c *checker) cutOff() bool { return c.job.Job.Recovery.StopAfter > 0 && !c.p.Granted }

// leaves says whether a copy is to leave its node, which is drained.
func (c *checker) leaves(a *mesh.AllocView) bool {
	n := c.v.Node(a.Node)
	return n != nil && n.Admin.Mode == mesh.Draining || a.Target == "" && c.unserved(a)
}

// bounded says whether one more copy may be one too many.
func (c *checker) bounded() bool {
	return c.job.Job.MaxRunning > 0 ||
		slices.ContainsFunc(c.job.Job.Groups(), func(g mesh.Group) bool { return g.Array.AtOnce > 0 })
}

// twoWhileItMoves says whether a copy that is to leave goes on until the next is well.
func (c *checker) twoWhileItMoves() bool {
	return c.job.Job.Type == mesh.Service && c.job.Job.Recovery.Partition() == mesh.Eager
}

// forgetsAreOver: what is forgotten has ended, and is not the last of its seat.
func (c *checker) forgetsAreOver() error {
	for _, id := range c.p.Forget {
		a := c.alloc(id)
		if a == nil || !a.State().Final() {
			return fmt.Errorf("forgets %s, which has not ended", id)
		}
		last := !slices.ContainsFunc(c.v.AllocsOf(c.p.Job), func(o mesh.AllocView) bool {
			return o.Seat() == a.Seat() && o.ID != id && o.Generation >= a.Generation
		})
		if last {
			return fmt.Errorf("forgets %s, the last of %s[%d]", id, a.Group, a.Index)
		}
	}
	return nil
}

func (c *checker) alloc(id mesh.AllocID) *mesh.AllocView {
	for _, a := range c.v.AllocsOf(c.p.Job) {
		if a.ID == id {
			return &a
		}
	}
	return nil
}

// wants says whether the job wants a copy for the seat.
func (c *checker) wants(id mesh.Seat) bool {
	g, ok := c.job.Job.Group(id.Group)
	perNode := c.job.Job.Type.PerNode()
	return ok && !c.job.Stopped && !c.job.Paused && perNode == (id.Target != "") && (perNode || id.Index < g.Count)
}
