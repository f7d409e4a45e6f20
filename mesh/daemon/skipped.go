package daemon

import (
	"fmt"
	"slices"
	"strings"

	"mn/mesh"
	"mn/mesh/api"
	"mn/placement/reconcile"
)

// came is what has become of the copies of a group, as far as it counts for those after it.
type came struct{ wanted, done, failed, skipped int }

func (c came) over() bool      { return c.wanted > 0 && c.done+c.failed+c.skipped >= c.wanted }
func (c came) succeeded() bool { return c.wanted > 0 && c.done >= c.wanted }

// is what a group that comes after one is told of it.
func (c came) is() string {
	switch {
	case c.succeeded():
		return "has completed"
	case c.failed > 0:
		return "has failed"
	case c.over():
		return "is skipped"
	}
	return "has not ended"
}

// comings are how far the groups of a job have come, by name. A plan says what is yet to
// be done about a group, and a copy what was done: of a group of which neither says
// anything, and which comes after others, nothing will be.
func comings(view *mesh.View, job *mesh.JobView, plan *reconcile.Plan) map[string]came {
	planned := map[string]bool{}
	for _, p := range plan.Place {
		planned[p.Alloc.Group] = true
	}
	for _, w := range waits(view, plan) {
		planned[w.Group] = true
	}
	all := map[string]came{}
	groups := job.Job.Groups()
	for range groups { // one at least is settled each time, whatever their order
		for i := range groups {
			g := &groups[i]
			if _, settled := all[g.Name]; settled || slices.ContainsFunc(g.After, func(name string) bool {
				_, settled := all[name]
				return !settled
			}) {
				continue
			}
			c, there := tallied(view, job, g)
			c.wanted = plan.Wanted[g.Name]
			if len(g.After) > 0 && !there && !planned[g.Name] && !job.Stopped && !job.Paused && !begins(g, all) {
				c.skipped = c.wanted
			}
			all[g.Name] = c
		}
	}
	return all
}

// tallied counts the seats of a group, and says whether there is any copy that counts.
func tallied(view *mesh.View, job *mesh.JobView, g *mesh.Group) (c came, there bool) {
	since, known := job.SinceWhen()
	if !known {
		since = job.Ancestor()
	}
	hash := mesh.HashGroup(&job.Job, g.Name)
	last := map[mesh.Seat]mesh.AllocState{}
	for _, a := range view.AllocsOf(job.ID()) {
		ofLine := a.Version >= since.Number && job.CameFrom(a.Version, a.Hash)
		same := a.Content == g.ContentOf(hash, a.Index)
		ended := a.State().Final()
		surplus := a.Target == "" && a.Index >= g.Count
		if a.Group != g.Name || surplus || !ofLine && ended && !(same && a.Status.At.After(since.At)) {
			continue
		}
		there = true
		if last[a.Seat()] != mesh.Complete {
			last[a.Seat()] = a.State()
		}
	}
	for _, state := range last {
		switch state {
		case mesh.Complete:
			c.done++
		case mesh.Failed, mesh.TimedOut:
			c.failed++
		}
	}
	return c, there
}

// begins says whether a group's rule holds: the copies of one that has just begun are on
// their way.
func begins(g *mesh.Group, all map[string]came) bool {
	over, succeeded, failed := 0, 0, 0
	for _, name := range g.After {
		c := all[name]
		if c.over() {
			over++
		}
		if c.succeeded() {
			succeeded++
		}
		if c.failed > 0 {
			failed++
		}
	}
	ended := over == len(g.After)
	switch g.AfterRule {
	case mesh.AllDone:
		return ended
	case mesh.OneSuccess:
		return succeeded > 0
	case mesh.OneDone:
		return over > 0
	case mesh.OneFailed:
		return failed > 0
	case mesh.NoneFailed:
		return ended && failed == 0 && succeeded > 0
	case mesh.QuorumSuccess:
		return succeeded >= g.AfterQuorum
	case mesh.AllSuccess:
	}
	return succeeded == len(g.After)
}

// progressOf is how far the groups of a job have come, and why what is skipped is.
func progressOf(view *mesh.View, job *mesh.JobView, plan *reconcile.Plan) map[string]api.GroupProgress {
	if job.Job.Type.Long() {
		return nil
	}
	all := comings(view, job, plan)
	out := map[string]api.GroupProgress{}
	for _, g := range job.Job.Groups() {
		c := all[g.Name]
		p := api.GroupProgress{Completed: c.done, Skipped: c.skipped}
		if c.skipped > 0 {
			var why []string
			for _, name := range g.After {
				why = append(why, fmt.Sprintf("%q %s", name, all[name].is()))
			}
			rule := string(g.AfterRule)
			if g.AfterRule == mesh.QuorumSuccess {
				rule = fmt.Sprintf("%s of %d", rule, g.AfterQuorum)
			}
			p.Reason = fmt.Sprintf("after_rule %s cannot come true: %s", rule, strings.Join(why, ", "))
		}
		out[g.Name] = p
	}
	return out
}
