package sim

import (
	"slices"
	"time"

	"mn/mesh"
)

// Program is what some tasks run that do not behave as Tasks says. It is named by the
// first word of their command.
type Program struct {
	Name string        `toml:"name"`
	Work mesh.Duration `toml:"work"` // about how long an attempt runs until it ends by itself; 0: for ever
	Fail Share         `toml:"fail"` // of attempts end with exit code 1, the others with 0
	// Saves is about how often it is saved, if its task has a checkpoint. Then Work is all
	// that it has to do: an attempt goes on from what was saved.
	Saves mesh.Duration `toml:"saves"`
	// Its services fail until an attempt has run for up to Boots, and then about every Flips, until they
	// are well again as long after. Of these times they hang in a share, and of those that are not well
	// when faults end a share stays so.
	Boots   mesh.Duration `toml:"boots"`
	Flips   mesh.Duration `toml:"flips"`
	Hangs   Share         `toml:"hangs"`
	Lasting Share         `toml:"lasting"`
}

// program is what a task of a job runs, or nil if it does what all others do.
func (p *process) program(job *mesh.Job) *Program {
	if job == nil {
		return nil
	}
	if len(p.spec.Command) > 0 && p.spec.Command[0] == faulty {
		return p.h.w.scenario.program(&mesh.Task{Command: p.spec.Command})
	}
	i := slices.IndexFunc(job.Tasks, func(t mesh.Task) bool { return t.Name == p.spec.Task })
	if i < 0 {
		return nil
	}
	return p.h.w.scenario.program(&job.Tasks[i])
}

func (s *Scenario) program(t *mesh.Task) *Program {
	for i := range s.Programs {
		if len(t.Command) > 0 && t.Command[0] == s.Programs[i].Name {
			return &s.Programs[i]
		}
	}
	return nil
}

// play plans the end that an attempt of a program comes to by itself. What it does is
// drawn for each attempt apart, so that it does not depend on what others do.
func (p *process) play(g *Program) {
	if g.Work == 0 {
		return
	}
	dice := chanceOf(p.h.w.options.Seed, "program "+p.key, uint64(p.h.place), uint64(p.spec.Attempt))
	code := 0
	if dice.hits(g.Fail) {
		code = crashed
	}
	takes := dice.about(g.Work.Std())
	if g.Saves > 0 {
		takes = max(g.Work.Std()-p.done, 0)
	}
	p.in(takes, func() { p.exit(code, 0) })
}

// mayFail says whether copies of a job may fail for good.
func (w *world) mayFail(job *mesh.Job) bool {
	return w.scenario.Tasks.fails() || job.Timeout > 0 || slices.ContainsFunc(job.Tasks, func(t mesh.Task) bool {
		g := w.scenario.program(&t)
		return g != nil && g.Work > 0 || t.Timeout > 0 || slices.ContainsFunc(t.Services, restarts)
	})
}

// restarts says whether a task is restarted when the checks of a service fail.
func restarts(s mesh.ServiceDef) bool { return s.Restart != nil }

// mayEnd says whether tasks of a job may be stopped though people want them, and no
// other copy stands in.
func (w *world) mayEnd(job *mesh.Job) bool {
	return w.mayFail(job) || job.Gang || slices.ContainsFunc(job.Tasks, func(t mesh.Task) bool {
		return t.Lifecycle != "" || len(t.Requires) > 0
	})
}

// run has people submit a job of those that the scenario has for later, under a name of
// its own.
func (p *people) run(h *host) {
	later := p.w.scenario.Later
	if len(later) == 0 || len(p.ran) >= laterMax {
		return
	}
	job := clone(&later[p.dice.IntN(len(later))])
	job.Name += "-" + string('a'+rune(len(p.ran)/26)) + string('a'+rune(len(p.ran)%26))
	p.ran = append(p.ran, mesh.JobID(job.Name))
	p.submit(job, h)
}

// force has people have a job begin, of those that they have run, without what it requires.
func (p *people) force(h *host) {
	ids := slices.DeleteFunc(slices.Clone(p.ran), func(id mesh.JobID) bool { return len(p.jobs[id].Requires) == 0 })
	if len(ids) == 0 {
		return
	}
	id := pick(p.dice, ids)
	p.w.services.forced[id] = true
	p.submit(p.jobs[id], h)
}

// laterMax bounds how many jobs people submit in this way.
const laterMax = 200

// ofLater is one of the jobs that people have submitted while things went wrong.
func (p *people) ofLater() mesh.JobID {
	if len(p.ran) == 0 {
		return ""
	}
	return pick(p.dice, p.ran)
}

// goesOn says whether a batch job has not come to its end, where it has to at last.
func (w *world) goesOn(job *mesh.Job, status mesh.JobStatus) bool {
	return w.resting && len(w.scenario.Programs) > 0 && !job.Type.Long() &&
		status != mesh.JobCompleted && status != mesh.JobFailed && status != mesh.JobPaused
}

// drifted is how much two clocks may differ over a time.
func drifted(d time.Duration) time.Duration { return d / (1000 * 1000 / driftMax / 2) }
