package reconcile

import (
	"fmt"
	"maps"

	"mn/mesh"
)

// What no plan may be for how the copies of a job follow each other, and hang
// together.

// withinBounds: nothing is placed beyond max_running, the shared limit or the limit of
// an array, beside all that may run.
func (c *checker) withinBounds() error {
	all, of := len(c.p.Place), map[string]int{}
	for _, pl := range c.p.Place {
		of[pl.Alloc.Group]++
	}
	placed := maps.Clone(of)
	for _, a := range c.v.AllocsOf(c.p.Job) {
		if !a.State().Final() && c.mayLive(&a) != "" {
			all++
			of[a.Group]++
		}
	}
	if limit := c.job.Job.MaxRunning; limit > 0 && all > limit && len(c.p.Place) > 0 {
		return fmt.Errorf("brings the job to %d copies, with max_running = %d", all, limit)
	}
	if limit := c.job.Job.Limit; limit != nil && len(c.p.Place) > 0 {
		for _, p := range c.v.Permits {
			if p.Key == limit.Key && p.Job != c.p.Job {
				all++
			}
		}
		if all > limit.Max {
			return fmt.Errorf("brings all jobs to %d copies, with limit %q = %d", all, limit.Key, limit.Max)
		}
	}
	for _, g := range c.job.Job.Groups() {
		if g.Array.AtOnce > 0 && of[g.Name] > g.Array.AtOnce && placed[g.Name] > 0 {
			return fmt.Errorf("brings group %q to %d copies, of which %d may run at once",
				g.Name, of[g.Name], g.Array.AtOnce)
		}
	}
	return nil
}

// inTurn: no copy is placed before what its group's rule asks for has come about,
// as far as it shows in the copies of those that it comes after.
func (c *checker) inTurn() error {
	for _, pl := range c.p.Place {
		g, _ := c.job.Job.Group(pl.Alloc.Group)
		all, succeeded, failed, ended := len(g.After), 0, 0, 0
		for _, name := range g.After {
			complete, broken, runs := c.became(name)
			if complete {
				succeeded++
			}
			if broken {
				failed++
			}
			if !runs {
				ended++
			}
		}
		ok := map[mesh.AfterRule]bool{
			"": true, mesh.AllSuccess: succeeded == all, mesh.AllDone: ended == all, mesh.OneSuccess: succeeded > 0,
			mesh.OneDone: ended > 0, mesh.OneFailed: failed > 0, mesh.NoneFailed: ended == all && succeeded > 0,
			mesh.QuorumSuccess: succeeded >= g.AfterQuorum,
		}
		if !ok[g.AfterRule] {
			return fmt.Errorf("places %s[%d] before its turn: of %d groups %d have succeeded, %d failed, %d ended",
				g.Name, pl.Alloc.Index, all, succeeded, failed, ended)
		}
	}
	return nil
}

// became says of a group whether each of its seats has a copy that has completed,
// whether any copy has failed or was given up, and whether one runs where none has completed.
func (c *checker) became(group string) (complete, failed, runs bool) {
	g, _ := c.job.Job.Group(group)
	complete = true
	for i := range g.Count {
		done, lives := false, false
		for _, a := range c.v.AllocsOf(c.p.Job) {
			if a.Group != group || a.Index != i {
				continue
			}
			n := c.v.Node(a.Node)
			done = done || a.State() == mesh.Complete
			givenUp := a.Verdict != nil && !a.Verdict.Approve
			failed = failed || a.State() == mesh.Failed || a.State() == mesh.TimedOut || givenUp
			lives = lives || !a.State().Final() && n != nil && n.Liveness == mesh.Alive
		}
		complete, runs = complete && done, runs || lives && !done
	}
	return complete, failed, runs
}

// gangIsWhole: the copies of a gang are placed all together, as one generation,
// beside nothing else of the job that may run, and told the same; and those in
// sight are stopped all together.
func (c *checker) gangIsWhole() error {
	if !c.job.Job.Gang {
		return nil
	}
	stays, stopped := map[roll]bool{}, map[roll]bool{}
	for _, a := range c.v.AllocsOf(c.p.Job) {
		if len(c.p.Place) > 0 && !a.State().Final() && c.mayLive(&a) != "" {
			return fmt.Errorf("places a gang while %s may live: %s", a.ID, c.mayLive(&a))
		}
		n := c.v.Node(a.Node)
		lives := a.Want == mesh.WantRun && !a.State().Final() && n != nil && n.Liveness == mesh.Alive
		if c.wants(a.Seat()) && lives {
			r := rollOf(&a)
			stays[r], stopped[r] = stays[r] || !c.stops[a.ID], stopped[r] || c.stops[a.ID]
			if stays[r] && stopped[r] {
				return fmt.Errorf("stops a part of the gang of generation %d", a.Generation)
			}
		}
	}
	size := c.job.Job.Copies()
	if n := len(c.p.Place); n != 0 && n != size {
		return fmt.Errorf("places %d copies of a gang of %d", n, size)
	}
	for rank, pl := range c.p.Place {
		master := c.v.Node(c.p.Place[0].Choice.Candidates[0].Node).Host()
		want := mesh.Gang{Rank: rank, Size: size, Master: master}
		if g := pl.Alloc.Gang; g == nil || *g != want || len(pl.Choice.Candidates) != 1 ||
			pl.Alloc.Generation != c.p.Place[0].Alloc.Generation {
			return fmt.Errorf("tells %s, generation %d, that it is %+v, want %+v",
				pl.Alloc.ID, pl.Alloc.Generation, g, want)
		}
	}
	return nil
}
