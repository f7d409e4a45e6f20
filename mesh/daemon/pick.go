package daemon

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mn/mesh"
)

// pick picks the task that is asked for from a picture.
func pick(view *mesh.View, w wish) (foundTask, error) {
	copies := slices.Clone(view.AllocsOf(w.job))
	if view.Job(w.job) == nil && len(copies) == 0 {
		return foundTask{}, noJob(w.job)
	}
	index := -1
	if w.index != "" {
		var err error
		if index, err = strconv.Atoi(w.index); err != nil || index < 0 {
			return foundTask{}, mesh.Faultf(mesh.Invalid, "index %q is not a whole number from 0", w.index)
		}
	}
	copies = slices.DeleteFunc(copies, func(a mesh.AllocView) bool {
		return w.alloc != "" && a.ID != w.alloc || index >= 0 && a.Index != index ||
			w.task != "" && !slices.Contains(taskNames(view, &a), w.task)
	})
	if len(copies) == 0 {
		return foundTask{}, noCopy(w)
	}
	// Those that run come first, by index; of those that have ended, the last first.
	ranks := rankAll(view, w.job)
	slices.SortStableFunc(copies, func(a, b mesh.AllocView) int {
		switch x, y := ranks[a.ID], ranks[b.ID]; {
		case x != y:
			return x - y
		case x >= copyEnded:
			return b.At.Compare(a.At)
		}
		return 0
	})
	a := copies[0]
	task := w.task
	if task == "" {
		var err error
		if task, err = onlyTask(view, &a, w); err != nil {
			return foundTask{}, err
		}
	}
	if w.runs {
		if err := notRunning(&a, task); err != nil {
			return foundTask{}, err
		}
	}
	return foundTask{alloc: a, task: task}, nil
}

func noCopy(w wish) error {
	what := ""
	if w.task != "" {
		what += fmt.Sprintf(" with a task %q", w.task)
	}
	if w.alloc != "" {
		what += fmt.Sprintf(" with the id %q", w.alloc)
	}
	if w.index != "" {
		what += " with the index " + w.index
	}
	return mesh.Faultf(mesh.NotFound, "job %q has no copy%s", w.job, what).Hint("mn job status %s", w.job)
}

// The ranks of copies, those first that come first.
const (
	copyRuns   = iota // where it can be reached, as all before copyAway
	copyLeaves        // it runs, and is to stop, or another takes its place
	copyWaits
	copyAway // it may run, out of sight: better said than passed over for one that has ended
	copyEnded
	copyGone // out of sight, and nobody counts on it any more
)

// rankAll ranks the copies of a job.
func rankAll(view *mesh.View, job mesh.JobID) map[mesh.AllocID]int {
	copies := view.AllocsOf(job)
	latest := map[mesh.Seat]int{} // generations that are to run, or have ended
	for i := range copies {
		if a := &copies[i]; a.Want == mesh.WantRun {
			latest[a.Seat()] = max(latest[a.Seat()], a.Generation)
		}
	}
	ranks := make(map[mesh.AllocID]int, len(copies))
	for i := range copies {
		a := &copies[i]
		ranks[a.ID] = rank(view, a, a.Want == mesh.WantStop || a.Generation < latest[a.Seat()])
	}
	return ranks
}

// rank is the rank of a copy that leaves, as another has its place, or does not.
func rank(view *mesh.View, a *mesh.AllocView, leaves bool) int {
	n := view.Node(a.Node)
	out := view.Forgot(a.Node) || n != nil && n.Evicted
	switch s := a.State(); {
	case !reached(view, a.Node) && (s.Final() || leaves || out):
		return copyGone
	case !reached(view, a.Node):
		return copyAway
	case s.Final():
		return copyEnded
	case s == mesh.Running && leaves:
		return copyLeaves
	case s == mesh.Running:
		return copyRuns
	}
	return copyWaits
}

// onlyTask is the task of a copy that has only one, or only one that runs.
func onlyTask(view *mesh.View, a *mesh.AllocView, w wish) (string, error) {
	names := taskNames(view, a)
	if w.runs && len(names) > 1 {
		names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return notRunning(a, n) != nil })
	}
	switch {
	case len(names) == 1:
		return names[0], nil
	case len(names) == 0:
		return "", notRunning(a, "")
	}
	return "", mesh.Faultf(mesh.Invalid, "a copy of job %q has the tasks %s", w.job, strings.Join(names, ", ")).
		Hint("name one: %s/%s", w.job, names[0])
}

// notRunning says why nothing can be run within a task, if so: "" is any of a copy.
func notRunning(a *mesh.AllocView, task string) error {
	state, reason := a.State(), a.Reason
	if a.Status != nil {
		reason = a.Status.Reason
		for _, t := range a.Status.Tasks {
			if t.Name == task {
				state, reason = t.State, t.Reason
			}
		}
	}
	if state == mesh.Running || state == mesh.Stopping {
		return nil
	}
	if reason != "" {
		reason = " (" + reason + ")"
	}
	f := mesh.Faultf(mesh.Conflict, "the task %q of copy %s does not run, it is %s%s", task, a.ID, state, reason)
	if task == "" {
		f.Text = fmt.Sprintf("no task of copy %s runs, it is %s%s", a.ID, state, reason)
	}
	switch {
	case state.Final():
		f.Hint("mn logs %s      says what it wrote", a.Job).Hint("mn fs ls %s     lists the files that it left", a.Job)
	case state == mesh.Pending, state == mesh.Starting:
		f.Hint("mn job status %s -w    says when it runs", a.Job)
	default:
		f.Hint("it starts again; mn job status %s says when", a.Job)
	}
	return f
}
