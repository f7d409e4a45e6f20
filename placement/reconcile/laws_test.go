package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mn/mesh"
)

// drawJob draws a version of the toy job; the name stays, and whether there may ever be two.
func drawJob(t *rapid.T, partition mesh.OnPartition) mesh.Job {
	job := mesh.Job{
		Name:     "lab",
		Type:     rapid.SampledFrom([]mesh.JobType{mesh.Service, mesh.Batch, mesh.System, mesh.SysBatch}).Draw(t, "type"),
		Strategy: rapid.SampledFrom([]mesh.Strategy{mesh.Binpack, mesh.Spread}).Draw(t, "strategy"),
		Recovery: mesh.Recovery{OnPartition: partition},
	}
	if partition == mesh.Eager {
		job.Recovery.Reconcile = rapid.SampledFrom(choices).Draw(t, "reconcile")
	}
	if partition != mesh.Eager && rapid.Bool().Draw(t, "other lease") {
		job.Recovery.OnPartition = rapid.SampledFrom([]mesh.OnPartition{mesh.Majority, mesh.Keep}).Draw(t, "choice")
		job.Recovery.Lease = mesh.Duration(time.Minute)
	}
	if rapid.Bool().Draw(t, "capped") {
		job.MaxRunning = rapid.IntRange(1, 6).Draw(t, "max_running")
	}
	if partition != mesh.Eager && rapid.Bool().Draw(t, "shares") {
		job.Limit = &mesh.SharedLimit{Key: "storage", Max: rapid.IntRange(1, 6).Draw(t, "limit")}
	}
	names := []string{"a", "b", "c"}
	for i, name := range names[:rapid.IntRange(1, 3).Draw(t, "groups")] {
		task := mesh.Task{
			Name:      name,
			Count:     rapid.IntRange(1, 4).Draw(t, "count"),
			Command:   []string{"run", fmt.Sprint(rapid.IntRange(1, 2).Draw(t, "content"))},
			Resources: mesh.Resources{Memory: mesh.Bytes(rapid.IntRange(0, 2).Draw(t, "memory")) * mesh.GiB},
		}
		if rapid.IntRange(0, 2).Draw(t, "saved") == 0 {
			task.Checkpoint = &mesh.CheckpointPolicy{}
		}
		if job.Type == mesh.Batch {
			drawOrder(t, &task, names[:i])
		}
		job.Tasks = append(job.Tasks, task)
	}
	ordered := slices.ContainsFunc(job.Tasks, func(t mesh.Task) bool { return len(t.After) > 0 })
	drawNeeds(t, &job)
	if job.MaxRunning == 0 && job.Limit == nil && !ordered && !job.Type.PerNode() {
		job.Gang = rapid.IntRange(0, 2).Draw(t, "gang") == 0
	}
	return job
}

// drawOrder draws which of the groups before a task it comes after.
func drawOrder(t *rapid.T, task *mesh.Task, before []string) {
	for _, name := range before {
		if rapid.Bool().Draw(t, "after") {
			task.After = append(task.After, name)
		}
	}
	if len(task.After) == 0 {
		return
	}
	task.AfterRule = rapid.SampledFrom([]mesh.AfterRule{
		"", mesh.AllSuccess, mesh.AllDone, mesh.OneSuccess, mesh.OneDone, mesh.OneFailed, mesh.NoneFailed,
		mesh.QuorumSuccess,
	}).Draw(t, "after_rule")
	if task.AfterRule == mesh.QuorumSuccess {
		task.AfterQuorum = rapid.IntRange(1, len(task.After)).Draw(t, "after_quorum")
	}
}

// drawCopy draws one of the copies in a state that its node can still change.
func (w *world) drawCopy(t *rapid.T) *toyCopy {
	var ids []mesh.AllocID
	for _, id := range slices.Sorted(maps.Keys(w.copies)) {
		c := w.copies[id]
		if n := w.nodes[c.view.Node]; n.view.Liveness == mesh.Alive && c.view.State() == mesh.Running {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return w.copies[rapid.SampledFrom(ids).Draw(t, "copy")]
}

// disturb lets something happen to the world.
func (w *world) disturb(t *rapid.T, partition mesh.OnPartition) {
	ids := slices.Sorted(maps.Keys(w.nodes))
	n := w.nodes[rapid.SampledFrom(ids).Draw(t, "node")]
	switch rapid.IntRange(0, 16).Draw(t, "what happens") {
	case 8, 9, 10:
		w.drawAdmin(t, n)
	case 0:
		if n.view.Liveness == mesh.Alive {
			w.sight(n, mesh.Lost, 0)
		}
	case 1:
		w.kill(n)
	case 2:
		w.sight(n, mesh.Alive, 0)
	case 3:
		w.submit(drawJob(t, partition), rapid.IntRange(0, 9).Draw(t, "stopped") == 0)
	case 4:
		if c := w.drawCopy(t); c != nil {
			w.report(c, mesh.Failed)
		}
	case 5:
		if c := w.drawCopy(t); c != nil && !w.job.Job.Type.Long() {
			w.report(c, mesh.Complete)
		}
	case 6:
		verbs := []mesh.Verb{mesh.VerbPause, mesh.VerbResume, mesh.VerbRetry, mesh.VerbCancel}
		w.act(rapid.SampledFrom(verbs).Draw(t, "verb"), rapid.Bool().Draw(t, "all"), "")
	case 12:
		if c := w.drawCopy(t); c != nil {
			w.drawSaved(t, c)
		}
	case 14, 15:
		w.drawOffer(t, n)
	case 13:
		open := slices.DeleteFunc(w.plan(true).Reviews, func(r mesh.Review) bool { return r.Kind == mesh.ReviewLost })
		if len(open) > 0 {
			w.verdict(rapid.SampledFrom(open).Draw(t, "review"), rapid.Bool().Draw(t, "approve"))
		}
	default:
		w.advance(rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, 30 * time.Second}).Draw(t, "for"))
	}
}

// drawSaved has a copy save its work, or look for what was saved in vain.
func (w *world) drawSaved(t *rapid.T, c *toyCopy) {
	if rapid.Bool().Draw(t, "unrestored") {
		_ = w.copyCommand(c, "unrestored", nil)
		return
	}
	number := uint64(1)
	for _, p := range (&planner{job: &w.job}).saved(&c.view, c.view.Group) {
		number = max(number, p.Seq+1)
	}
	on := []string{string(c.view.Node), "other"}
	w.saves(c, number, on[:rapid.IntRange(1, 2).Draw(t, "nodes")])
}

// drawAdmin has people want something of a node.
func (w *world) drawAdmin(t *rapid.T, n *toyNode) {
	mode := rapid.SampledFrom([]mesh.AdminMode{mesh.InService, mesh.Maintenance, mesh.Draining}).Draw(t, "mode")
	deadline := rapid.SampledFrom([]time.Duration{0, time.Minute}).Draw(t, "deadline")
	w.administer(n, mode, deadline, rapid.Bool().Draw(t, "system"))
}

// TestNeverWhatMustNotBe drives a small mesh through losses, returns, crashes,
// failures and new versions: no plan is ever one that must not be, the same
// view gives the same plan, and jobs that chose never to have two never have.
func TestNeverWhatMustNotBe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		partition := rapid.SampledFrom([]mesh.OnPartition{mesh.Eager, mesh.Majority, mesh.Keep}).Draw(t, "partition")
		w := drawWorld(t, partition)
		for range rapid.IntRange(5, 40).Draw(t, "steps") {
			w.disturb(t, partition)
			granted := rapid.IntRange(0, 3).Draw(t, "granted") > 0
			p := w.plan(granted)
			if err := Check(p, w.view()); err != nil {
				t.Fatalf("the plan %v\n%s", err, w.picture(p))
			}
			if again := w.plan(granted); again.String() != p.String() {
				t.Fatalf("the same view gave two plans:\n%s\n%s", w.picture(p), w.picture(again))
			}
			w.apply(p)
			if rapid.Bool().Draw(t, "settle") {
				w.settle()
			}
			w.wakes(t, granted)
			for seat, n := range w.running() {
				if n > 1 && (partition != mesh.Eager || seat.Target != "") {
					t.Fatalf("%d copies of %v run, with on_partition = %s", n, seat, partition)
				}
			}
		}
	})
}

// wakes: a plan that does nothing, and waits for a time, says so. Until then, or for ever
// if it waits for none, no time that passes gives it anything to do.
func (w *world) wakes(t *rapid.T, granted bool) {
	p := w.plan(granted)
	if !p.Empty() {
		return
	}
	quiet := 3 * time.Hour
	if p.Wake > 0 {
		quiet = p.Wake - time.Millisecond
	}
	v := w.view()
	v.Now = v.Now.Add(quiet)
	for i := range v.Nodes {
		if n := &v.Nodes[i]; n.Liveness != mesh.Alive {
			n.LostFor += quiet
		}
	}
	for i := range v.Allocs {
		v.Allocs[i].Unrenewed += quiet
	}
	if later := Job(v, &v.Jobs[0], nil, granted); !later.Empty() {
		t.Fatalf("nobody looks again in time at\n%s\nwhich has become, after %v,\n%s", w.picture(p), quiet, w.picture(later))
	}
}

// TestEndsWhereTheJobWants disturbs a mesh, then leaves it alone: plans carried
// out in turn end with exactly the copies that the job wants, and with nothing
// more to do.
func TestEndsWhereTheJobWants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		partition := rapid.SampledFrom([]mesh.OnPartition{mesh.Eager, mesh.Majority, mesh.Keep}).Draw(t, "partition")
		w := drawWorld(t, partition)
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			w.disturb(t, partition)
			w.apply(w.plan(rapid.Bool().Draw(t, "granted")))
			if rapid.Bool().Draw(t, "settle") {
				w.settle()
			}
		}
		job := drawJob(t, partition)
		job.Update = &mesh.UpdatePolicy{MaxParallel: rapid.IntRange(1, 3).Draw(t, "parallel")}
		job.MaxRunning, job.Limit = 0, nil
		for i := range job.Tasks {
			job.Tasks[i].After, job.Tasks[i].AfterRule, job.Tasks[i].AfterQuorum = nil, "", 0
		}
		job.Type = rapid.SampledFrom([]mesh.JobType{mesh.Service, mesh.System}).Draw(t, "type at last")
		job.Gang = job.Gang && job.Type == mesh.Service
		w.submit(job, false)
		ids := slices.Sorted(maps.Keys(w.nodes))
		for i, id := range ids {
			w.sight(w.nodes[id], mesh.Alive, 0)
			if i == 0 || rapid.Bool().Draw(t, "serves") {
				w.administer(w.nodes[id], mesh.InService, 0, false)
			} else {
				w.administer(w.nodes[id], mesh.Draining, 30*time.Second, true)
			}
		}
		w.peaceful(t, ids[0])
		var last Plan
		for range 50 {
			last = w.plan(true)
			w.apply(last)
			w.settle()
			w.advance(5 * time.Second)
		}
		if !last.Empty() || last.Status != mesh.JobRunning || last.Wake != 0 {
			t.Fatalf("after 50 rounds of peace:\n%s", w.picture(last))
		}
		running := w.running()
		for _, g := range job.Groups() {
			for _, seat := range w.seats(job.Type, g) {
				if n := running[seat]; n != 1 {
					t.Fatalf("%d copies of %v run, want 1", n, seat)
				}
				if at := w.nodeOf(seat); w.nodes[at].view.Admin.Mode == mesh.Draining {
					t.Fatalf("%v still runs on %s, which is drained", seat, at)
				}
				delete(running, seat)
			}
		}
		if len(running) != 0 {
			t.Fatalf("copies run that nobody wants: %v", running)
		}
	})
}

// TestNeverMoreThanMaxRunning: for jobs that never have two copies of an index the
// bound is on all that really run, in sight or not, through every version.
func TestNeverMoreThanMaxRunning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		partition := rapid.SampledFrom([]mesh.OnPartition{mesh.Majority, mesh.Keep}).Draw(t, "partition")
		limit := rapid.IntRange(1, 4).Draw(t, "limit")
		w := newWorld()
		for _, name := range []string{"n1", "n2", "n3"} {
			w.addNode(name, mesh.Resources{CPU: 4 * mesh.Core, Memory: 64 * mesh.GiB, Disk: mesh.TiB})
		}
		job := drawJob(t, partition)
		job.MaxRunning, job.Gang = limit, false
		w.submit(job, false)
		for range rapid.IntRange(5, 40).Draw(t, "steps") {
			w.disturb(t, partition)
			if job = w.job.Job; job.MaxRunning != limit {
				job.MaxRunning, job.Gang = limit, false
				w.submit(job, w.job.Stopped)
			}
			w.apply(w.plan(rapid.IntRange(0, 3).Draw(t, "granted") > 0))
			if rapid.Bool().Draw(t, "settle") {
				w.settle()
			}
			all := 0
			for _, n := range w.running() {
				all += n
			}
			if all > limit {
				t.Fatalf("%d copies run, with max_running = %d", all, limit)
			}
		}
	})
}

// seats are those that a group should have filled.
func (w *world) seats(of mesh.JobType, g mesh.Group) []mesh.Seat {
	var seats []mesh.Seat
	if of.PerNode() {
		for id, n := range w.nodes {
			if !n.view.Eligible {
				continue
			}
			seats = append(seats, mesh.Seat{Group: g.Name, Target: id})
		}
		return seats
	}
	for i := range g.Count {
		seats = append(seats, mesh.Seat{Group: g.Name, Index: i})
	}
	return seats
}

// nodeOf is where the copy of a seat runs.
func (w *world) nodeOf(seat mesh.Seat) mesh.NodeID {
	for _, c := range w.copies {
		if c.runs && c.view.Seat() == seat {
			return c.view.Node
		}
	}
	return ""
}

// drawWorld draws a mesh with a job, and room for all its copies on one node.
func drawWorld(t *rapid.T, partition mesh.OnPartition) *world {
	w := newWorld()
	for i := range rapid.IntRange(1, 4).Draw(t, "nodes") {
		w.addNode(fmt.Sprintf("n%d", i+1), mesh.Resources{CPU: 4 * mesh.Core, Memory: 64 * mesh.GiB, Disk: mesh.TiB})
	}
	w.submit(drawJob(t, partition), false)
	return w
}
