package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mn/crdt"
	"mn/mesh"
	"mn/mesh/core"
)

// faulty is the command of a version that does not come up, if a scenario has such a program.
const faulty = "broken"

// drawUpdate draws how the versions of a job take each other's place.
func (p *people) drawUpdate() *mesh.UpdatePolicy {
	least, healthy, progress := mesh.Duration(time.Second), mesh.Duration(20*time.Second), mesh.Duration(40*time.Second)
	u := &mesh.UpdatePolicy{
		Strategy:    pick(p.dice, []mesh.UpdateStrategy{mesh.Rolling, mesh.Canary, mesh.BlueGreen}),
		MaxParallel: p.dice.IntN(2) + 1, MinHealthy: &least, HealthyDeadline: &healthy, ProgressDeadline: &progress,
		HealthCheck: mesh.ByStates, AutoRevert: p.dice.IntN(2) == 0,
	}
	u.AutoPromote = u.Hides() && p.dice.IntN(2) == 0
	if u.How() != mesh.BlueGreen && p.dice.IntN(3) == 0 {
		u.Order = mesh.StopFirst
	}
	return u
}

// rolled makes a job one whose versions take each other's place step by step.
func (p *people) rolled(j, before *mesh.Job) {
	j.Update = p.drawUpdate()
	switch {
	case before != nil:
		j.Type = before.Type
	case p.dice.IntN(4) == 0:
		j.Type, j.Tasks[0].Count = mesh.System, 1
	default:
		j.Type = mesh.Service
	}
	if order, why := j.UpdateOrder(); order == mesh.StopFirst && why != "" && j.Update.How() == mesh.BlueGreen {
		j.Update.Strategy = mesh.Canary
	}
}

// change makes another content of a job: at times one that does not come up.
func (p *people) change(next *mesh.Job) {
	next.Tasks[0].Env = map[string]string{"RELEASE": fmt.Sprint(p.w.calls)}
	if p.w.scenario.People.Rolled {
		p.rolled(next, next)
		if p.dice.IntN(3) == 0 {
			next.Tasks[0].Command = []string{faulty}
		}
	}
}

// countedKinds are kinds of events that are counted whatever they say.
var countedKinds = map[mesh.EventKind]Name{
	mesh.DeploymentDone: RolledOut, mesh.DeploymentFailing: RollsFailed, mesh.DeploymentReverted: Reverted,
	mesh.DeploymentPromoted: Promoted, mesh.AllocReplaced: Replaced,
}

// steers are what people want of deployments, by request.
var steers = map[string]mesh.Steer{
	"promote": mesh.SteerPromote, "hold": mesh.SteerPause, "go-on": mesh.SteerResume, "give-up": mesh.SteerFail,
}

// steer says what people want of the deployment of a job.
func (p *people) steer(id mesh.JobID, verb mesh.Steer, h *host) {
	what := fmt.Sprintf("%s the deployment of %s", verb, id)
	p.w.tell(h, "people", "%s", what)
	p.ask(h, what, core.Steer{Job: id, Verb: verb}, func(r core.Reply) {
		if done, ok := r.Value.(core.Steered); ok && r.Fault == nil && !done.Unchanged {
			s := done.Steering
			p.kept(h, what, mesh.KeySteering(s.Job, s.Version, s.Hash), done.Copies)
		}
	})
}

// People hold what they have just begun within holdWithin, and go on with it about holdFor later.
const (
	holdWithin = 3 * time.Second
	holdFor    = 8 * time.Second
)

// holdSoon has people, at times, pause a rollout that they have just begun, and go on with it later.
func (p *people) holdSoon(id mesh.JobID, h *host) {
	if !p.w.scenario.People.Rolled || p.dice.IntN(3) > 0 {
		return
	}
	steer := func(in time.Duration, verb mesh.Steer) {
		p.w.plan(in, func() {
			if !p.still {
				p.steer(id, verb, h)
			}
		})
	}
	steer(p.dice.upTo(holdWithin), mesh.SteerPause)
	steer(holdWithin+p.dice.about(holdFor), mesh.SteerResume)
}

// goBack has a job go back to the version that was deployed before.
func (p *people) goBack(id mesh.JobID, h *host) {
	p.edits[id]++
	p.wrote[id]++
	what := "roll back " + string(id)
	p.w.tell(h, "people", "%s", what)
	p.ask(h, what, core.Rollback{Job: id}, func(r core.Reply) { p.submitted(h, what, r) })
}

// checkYields: of the copies of a job no more are down at a time for another version than max_parallel,
// by what was decided with a majority, none standing in, whoever has decided it. Those that belong to nodes are left to
// the plans: a node may be out of sight, or take no work any more.
func (w *world) checkYields(h *host, e *crdt.Entry) {
	var d mesh.Alloc
	if err := crdt.Decode(e.Value, &d); err != nil || d.Want != mesh.WantStop || !d.Yields || d.Target != "" {
		return
	}
	job := h.agent.core.View().Job(d.Job)
	if job != nil && job.Hides() && job.Before != nil && d.Version <= job.Before.Number {
		w.breach("held-is-held", "%s stops %s, which is shown, for version %d, which is not", h.name, d.ID, job.Number)
	}
	copy, ran := copyID{job: d.Job, task: d.Group, index: d.Index}, false
	for _, o := range w.hosts {
		for _, p := range o.tasks {
			if p.copy == copy && p.spec.Alloc != d.ID {
				return // another one stands in
			}
			ran = ran || p.spec.Alloc == d.ID
		}
	}
	down := w.yields[d.Job]
	if down[copy] != "" || !ran || strings.Contains(d.Reason, "has taken over") {
		return // nothing is lost with it, as far as can be known: what stood in may just have been lost
	}
	if down == nil {
		down = map[copyID]mesh.AllocID{}
		w.yields[d.Job] = down
	}
	down[copy] = d.ID
	w.counts.add(Yielded)
	if job == nil || w.restored || job.Deployment == nil {
		return
	}
	if job.Deployment.Fresh || job.Deployment.State == mesh.Deployed {
		delete(w.yields, d.Job) // nothing was deployed before, or nothing of that is wanted any more: all stops at once
		return
	}
	begun := slices.ContainsFunc(h.agent.core.View().AllocsOf(d.Job), func(a mesh.AllocView) bool {
		return a.Seat() == d.Seat() && a.Version >= job.Deployment.Version // and the step is only ended
	})
	if s := job.Steering; s != nil && (s.Paused || s.Failed) && !begun {
		w.breach("held-is-held", "%s stops %v for version %d, whose deployment is held, as it knows",
			h.name, copy, job.Deployment.Version)
	}
	if n, most := w.down(h, d.Job), job.Job.Update.Parallel(); n > most {
		w.breach("few-are-down", "%s stops %v: %d copies are down for another version, with max_parallel = %d",
			h.name, copy, n, most)
	}
}

// down counts the copies of a job that were stopped for another version, as a node knows: one that another has
// stopped on the far side of a cut runs, for all that is known on this one, and may do so in truth.
func (w *world) down(h *host, job mesh.JobID) int {
	down := maps.Clone(w.yields[job])
	for _, a := range h.agent.core.View().AllocsOf(job) {
		if c := (copyID{job: job, task: a.Group, index: a.Index}); down[c] == a.ID && a.Want == mesh.WantRun {
			delete(down, c)
		}
	}
	return len(down)
}
