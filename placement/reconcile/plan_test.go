package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mn/mesh"
	"mn/placement"
)

// settled is a mesh of three nodes with a job of two copies that run.
func settled(partition mesh.OnPartition) *world {
	w := newWorld()
	for _, name := range []string{"n1", "n2", "n3"} {
		w.addNode(name, mesh.Resources{CPU: 4 * mesh.Core, Memory: 8 * mesh.GiB})
	}
	w.submit(mesh.Job{
		Name: "lab", Type: mesh.Service, Recovery: mesh.Recovery{OnPartition: partition},
		Tasks: []mesh.Task{{Name: "web", Count: 2, Command: []string{"web"}, Resources: mesh.Resources{Memory: 3 * mesh.GiB}}},
	}, false)
	w.apply(w.plan(true))
	w.settle()
	return w
}

// copyAt is the copy of web[index] in its latest generation.
func (w *world) copyAt(index int) *toyCopy {
	var last *toyCopy
	for _, c := range w.copies {
		if c.view.Index == index && (last == nil || c.view.Generation > last.view.Generation) {
			last = c
		}
	}
	return last
}

func TestPlanSaysHowManyCopiesAreWanted(t *testing.T) {
	w := settled("")
	job := w.job.Job
	if n := w.plan(true).Wanted["web"]; n != 2 {
		t.Errorf("wants %d, want the count", n)
	}
	w.submit(job, true)
	if n := w.plan(true).Wanted["web"]; n != 0 {
		t.Errorf("stopped, it wants %d", n)
	}
	job.Type, job.Tasks = mesh.System, []mesh.Task{{Name: "web", Command: []string{"web"}}}
	w.submit(job, false)
	if n := w.plan(true).Wanted["web"]; n != 3 {
		t.Errorf("a copy on each node: wants %d, want one for each of the three", n)
	}
}

// TestCheckCatches spoils good plans, each in one way.
func TestCheckCatches(t *testing.T) {
	tests := []struct {
		name      string
		partition mesh.OnPartition
		happens   func(w *world)
		spoil     func(w *world, p *Plan)
		want      string
	}{
		{
			"a stop of what is not there", "", nil,
			func(_ *world, p *Plan) { p.Stop = []Stop{{Alloc: "x", Reason: "r"}} }, "no copy of job",
		},
		{
			"a stop without a reason", "", nil,
			func(w *world, p *Plan) { p.Stop = []Stop{{Alloc: w.copyAt(0).view.ID}} }, "without a reason",
		},
		{
			"a stop of what has ended", "", func(w *world) { w.report(w.copyAt(0), mesh.Failed) },
			func(w *world, p *Plan) { p.Stop = []Stop{{Alloc: w.copyAt(0).view.ID, Reason: "r"}} }, "again",
		},
		{
			"a stop of the only copy", "", nil,
			func(w *world, p *Plan) { p.Stop = []Stop{{Alloc: w.copyAt(0).view.ID, Reason: "r"}} }, "stops all 1 live copies",
		},
		{
			"a stop of what is out of sight", "", func(w *world) { w.lose(0, 0) },
			func(w *world, p *Plan) { p.Stop = []Stop{{Alloc: w.copyAt(0).view.ID, Reason: "r"}} }, "only out of sight",
		},
		{
			"a second copy", "", func(w *world) { w.lose(0, time.Hour) },
			func(w *world, p *Plan) { w.sight(w.nodes[w.copyAt(0).view.Node], mesh.Alive, 0) }, "it is in sight",
		},
		{
			"a copy placed too early", "", func(w *world) { w.lose(0, time.Hour) },
			func(w *world, p *Plan) { w.lose(0, time.Millisecond) }, "only just now",
		},
		{
			"a copy of keep", "", func(w *world) { w.lose(0, time.Hour) },
			func(w *world, p *Plan) { w.job.Job.Recovery.OnPartition = mesh.Keep }, "nobody knows that it is dead",
		},
		{
			"a copy where nothing moves", "", func(w *world) { w.lose(0, time.Hour) },
			func(w *world, p *Plan) { w.job.Job.Recovery.Mode = mesh.LocalRestart }, "never moves",
		},
		{
			"a lease not run out", mesh.Majority, func(w *world) { w.lose(0, 0); w.advance(time.Hour) },
			func(w *world, p *Plan) { w.copyAt(0).view.Unrenewed = time.Second }, "lease may not have run out",
		},
		{
			"no majority", mesh.Majority, func(w *world) { w.lose(0, 0); w.advance(time.Hour) },
			func(_ *world, p *Plan) { p.Granted = false }, "without a majority",
		},
		{
			"a copy beyond max_running", "", func(w *world) { w.lose(0, time.Hour) },
			func(w *world, _ *Plan) { w.job.Job.MaxRunning = 1 }, "brings the job to 2 copies, with max_running = 1",
		},
		{
			"a copy beyond the limit of an array", "", func(w *world) { w.lose(0, time.Hour) },
			func(w *world, _ *Plan) { w.job.Job.Tasks[0].Count, w.job.Job.Tasks[0].Array = 0, "0-1%1" },
			`brings group "web" to 2 copies, of which 1 may run at once`,
		},
		{
			"a copy before its turn", "", func(w *world) { w.lose(0, time.Hour) },
			func(w *world, _ *Plan) {
				job := &w.job.Job
				job.Type, job.Tasks[0].After = mesh.Batch, []string{"first"}
				job.Tasks = append(job.Tasks, mesh.Task{Name: "first"})
			}, "places web[0] before its turn: of 1 groups 0 have succeeded, 0 failed, 1 ended",
		},
		{
			"an index beyond the count", "", func(w *world) { w.lose(0, time.Hour) },
			func(_ *world, p *Plan) { p.Place[0].Alloc.Index = 2 }, "does not want",
		},
		{
			"the same copy twice", "", func(w *world) { w.lose(0, time.Hour) },
			func(_ *world, p *Plan) { p.Place = append(p.Place, p.Place[0]) }, "twice",
		},
		{
			"a false name", "", func(w *world) { w.lose(0, time.Hour) },
			func(_ *world, p *Plan) { p.Place[0].Alloc.ID = "x" }, "false name",
		},
		{
			"an old generation", "", func(w *world) { w.lose(0, time.Hour) },
			func(_ *world, p *Plan) {
				a := &p.Place[0].Alloc
				a.Generation = 0
				a.ID = mesh.AllocIDOf(a.Job, a.Version, a.Seat(), 0)
			}, "as generation 0 after 0",
		},
		{
			"nowhere", "", func(w *world) { w.lose(0, time.Hour) },
			func(_ *world, p *Plan) { p.Place[0].Choice = placement.Choice{} }, "nowhere",
		},
		{
			"a node that takes no work", "", func(w *world) { w.lose(0, time.Hour) },
			func(w *world, p *Plan) { w.nodes[p.Place[0].Choice.Candidates[0].Node].view.Eligible = false }, "takes no work",
		},
		{
			"a node beyond its capacity", "", func(w *world) { w.lose(0, time.Hour) },
			func(w *world, p *Plan) { w.nodes[p.Place[0].Choice.Candidates[0].Node].view.Capacity.Memory = mesh.GiB }, "beyond its capacity",
		},
		{
			"something forgotten that runs", "", nil,
			func(w *world, p *Plan) { p.Forget = []mesh.AllocID{w.copyAt(0).view.ID} }, "has not ended",
		},
		{
			"the last of its index forgotten", "", func(w *world) { w.report(w.copyAt(0), mesh.Failed) },
			func(w *world, p *Plan) { p.Forget = []mesh.AllocID{w.copyAt(0).view.ID} }, "the last of",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := settled(tt.partition)
			if tt.happens != nil {
				tt.happens(w)
			}
			p := w.plan(true)
			if err := Check(p, w.view()); err != nil {
				t.Fatalf("the plan as it was: %v", err)
			}
			tt.spoil(w, &p)
			if err := Check(p, w.view()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in:\n%s", err, tt.want, w.picture(p))
			}
		})
	}
}

// lose has the node of web[index] out of sight for so long.
func (w *world) lose(index int, since time.Duration) {
	w.sight(w.nodes[w.copyAt(index).view.Node], mesh.Lost, since)
}

// TestPendingPlacementsCount: what is on its way is neither placed again, nor is
// its room given away.
func TestPendingPlacementsCount(t *testing.T) {
	w := newWorld()
	w.addNode("n1", mesh.Resources{Memory: 4 * mesh.GiB})
	job := mesh.Job{
		Name: "lab", Type: mesh.Service, Strategy: mesh.Spread,
		Tasks: []mesh.Task{{Name: "web", Count: 2, Command: []string{"web"}, Resources: mesh.Resources{Memory: 3 * mesh.GiB}}},
	}
	w.submit(job, false)
	v := w.view()
	first := Job(v, &v.Jobs[0], nil, true)
	if len(first.Place) != 1 || len(first.Blocked) != 1 {
		t.Fatalf("got\n%s", w.picture(first))
	}
	a := first.Place[0].Alloc
	a.Node = "n1"
	v.Nodes[0].Used.Resources = a.Resources
	second := Job(v, &v.Jobs[0], []mesh.Alloc{a}, true)
	if len(second.Place) != 0 || second.Text != "1 of 2 starting, 1 blocked" {
		t.Errorf("got\n%s", w.picture(second))
	}
}

// TestManyCopiesComeInBatches, each at most placeMax, and all of them come.
func TestManyCopiesComeInBatches(t *testing.T) {
	w := newWorld()
	for i := range 10 {
		w.addNode(fmt.Sprintf("n%d", i), mesh.Resources{CPU: 64 * mesh.Core, Memory: mesh.TiB})
	}
	const copies = 3*placeMax + 7
	w.submit(mesh.Job{
		Name: "lab", Type: mesh.Service, Strategy: mesh.Spread,
		Tasks: []mesh.Task{{Name: "web", Count: copies, Command: []string{"web"}, Resources: mesh.Resources{Memory: mesh.GiB}}},
	}, false)
	for round := range 4 {
		p := w.plan(true)
		if want := min(placeMax, copies-round*placeMax); len(p.Place) != want || (p.Wake > 0) != (round < 3) {
			t.Fatalf("round %d places %d, want %d; wake in %v", round, len(p.Place), want, p.Wake)
		}
		if err := Check(p, w.view()); err != nil {
			t.Fatal(err)
		}
		w.apply(p)
		w.settle()
	}
	on := map[mesh.NodeID]int{}
	for _, c := range w.copies {
		on[c.view.Node]++
	}
	for id, n := range on {
		if n < copies/10 || n > copies/10+1 {
			t.Errorf("%s has %d of %d copies", id, n, copies)
		}
	}
}

// TestEndedCopiesAreForgotten: a copy that fails for ever leaves a bounded trail,
// and what its policy counts stays.
func TestEndedCopiesAreForgotten(t *testing.T) {
	w := newWorld()
	w.addNode("n1", mesh.Resources{})
	three := 3
	job := mesh.Job{Name: "lab", Type: mesh.Service, Tasks: []mesh.Task{{Name: "web", Command: []string{"web"}}}}
	w.submit(job, false)
	for range 200 {
		w.apply(w.plan(true))
		w.settle()
		w.report(w.copyAt(0), mesh.Failed)
		w.advance(10 * time.Minute)
		p := w.plan(true)
		if err := Check(p, w.view()); err != nil {
			t.Fatal(err)
		}
		if n := len(w.copies); n > endedKept+2 {
			t.Fatalf("%d copies are kept", n)
		}
	}
	if got := w.copyAt(0).view.Generation; got != 199 {
		t.Errorf("the last is generation %d, want 199", got)
	}
	job.Reschedule = &mesh.ReschedulePolicy{Attempts: &three, Interval: mesh.Duration(time.Hour)}
	w.submit(job, false)
	for range 10 {
		w.apply(w.plan(true))
		w.settle()
		if c := w.copyAt(0); c.runs {
			w.report(c, mesh.Failed)
		}
		w.advance(time.Minute)
	}
	if p := w.plan(true); p.Status != mesh.JobFailed || w.copyAt(0).view.Generation != 199+1+3 {
		t.Errorf("after generation %d:\n%s", w.copyAt(0).view.Generation, w.picture(p))
	}
}

// TestWhatHasCompletedIsNotForgotten: two copies of each index came about in a
// split, long after each other; one has completed, and the other was stopped. With
// so many to forget, the one that says that the work is done stays.
func TestWhatHasCompletedIsNotForgotten(t *testing.T) {
	w := newWorld()
	n := w.addNode("n1", mesh.Resources{})
	w.submit(mesh.Job{
		Name: "lab", Tasks: []mesh.Task{{Name: "work", Count: endedKept, Command: []string{"run"}}},
	}, false)
	w.apply(w.plan(true))
	w.settle()
	w.addNode("n2", mesh.Resources{})
	w.advance(48 * time.Hour)
	w.sight(n, mesh.Lost, time.Minute)
	w.apply(w.plan(true))
	w.settle()
	w.sight(n, mesh.Alive, 0)
	for _, c := range w.copies {
		if c.view.Generation == 0 {
			w.report(c, mesh.Complete)
		}
	}
	for range 3 {
		w.apply(w.plan(true))
		w.settle()
	}
	if p := w.plan(true); p.Status != mesh.JobCompleted || !p.Empty() {
		t.Errorf("%d copies are kept, and the plan is\n%s", len(w.copies), w.picture(p))
	}
}

// TestForgettingRenewsNoPolicy: many indexes fail at the same time, so there is
// much to forget, and yet each has its three moves and no more.
func TestForgettingRenewsNoPolicy(t *testing.T) {
	w := newWorld()
	w.addNode("n1", mesh.Resources{})
	three := 3
	w.submit(mesh.Job{
		Name: "lab", Type: mesh.Service, Reschedule: &mesh.ReschedulePolicy{Attempts: &three},
		Tasks: []mesh.Task{{Name: "web", Count: endedKept, Command: []string{"web"}}},
	}, false)
	for range 10 {
		w.apply(w.plan(true))
		w.settle()
		for _, c := range w.copies {
			if c.runs {
				w.report(c, mesh.Failed)
			}
		}
		w.advance(time.Minute)
	}
	for i := range endedKept {
		if got := w.copyAt(i).view.Generation; got != three {
			t.Fatalf("web[%d] is at generation %d, want %d", i, got, three)
		}
	}
}

// TestForgettingKeepsWhatAMoveFollowed: a copy that had run for longer than the interval
// when it failed stays, for the move after it to count. It is so for a gang, too.
func TestForgettingKeepsWhatAMoveFollowed(t *testing.T) {
	for _, gang := range []bool{false, true} {
		w := newWorld()
		w.addNode("n1", mesh.Resources{})
		w.submit(mesh.Job{Name: "lab", Gang: gang, Tasks: []mesh.Task{
			{Name: "work", Count: endedKept, Command: []string{"work"}},
		}}, false)
		for _, ran := range []time.Duration{48 * time.Hour, time.Minute} {
			w.apply(w.plan(true))
			w.settle()
			w.advance(ran)
			for i := range endedKept {
				w.report(w.copyAt(i), mesh.Failed)
			}
			w.advance(time.Minute)
		}
		for range 2 {
			p := w.plan(true)
			if p.Status != mesh.JobFailed || len(p.Place) > 0 {
				t.Fatalf("gang %v: with %d copies kept:\n%s", gang, len(w.copies), w.picture(p))
			}
			w.apply(p)
		}
	}
}

// TestClocksThatDisagreeDoNotStallAMove: the failure is stamped by a node whose
// clock is an hour ahead.
func TestClocksThatDisagreeDoNotStallAMove(t *testing.T) {
	w := settled("")
	w.report(w.copyAt(0), mesh.Failed)
	w.copyAt(0).view.Status.At = w.now.Add(time.Hour)
	if p := w.plan(true); p.Wake != 5*time.Second {
		t.Errorf("it waits for %v, want 5s:\n%s", p.Wake, w.picture(p))
	}
}

// TestBothSidesNameTheSameCopy: deciding the same thing twice, from two pictures
// that agree about the copy, makes one allocation.
func TestBothSidesNameTheSameCopy(t *testing.T) {
	w := settled("")
	w.lose(0, time.Hour)
	one := w.plan(true)
	w.addNode("n4", mesh.Resources{Memory: 64 * mesh.GiB})
	other := w.plan(false)
	ids := func(p Plan) (ids []mesh.AllocID) {
		for _, pl := range p.Place {
			ids = append(ids, pl.Alloc.ID)
		}
		return ids
	}
	if len(ids(one)) == 0 || !slices.Equal(ids(one), ids(other)) {
		t.Errorf("got %v and %v", ids(one), ids(other))
	}
}

func BenchmarkJob(b *testing.B) {
	for _, copies := range []int{6, 1000} {
		b.Run(fmt.Sprint(copies), func(b *testing.B) {
			w := newWorld()
			for i := range 30 {
				w.addNode(fmt.Sprintf("n%02d", i), mesh.Resources{CPU: 64 * mesh.Core, Memory: mesh.TiB})
			}
			w.submit(mesh.Job{
				Name: "lab", Type: mesh.Service,
				Tasks: []mesh.Task{{Name: "web", Count: copies, Command: []string{"web"}}},
			}, false)
			for range copies/placeMax + 1 {
				w.apply(w.plan(true))
				w.settle()
			}
			v := w.view()
			for b.Loop() {
				Job(v, &v.Jobs[0], nil, true)
			}
		})
	}
}
