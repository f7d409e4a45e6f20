package reconcile

import (
	"strings"
	"testing"
	"time"

	"mn/mesh"
)

// gangUp is a mesh of three nodes with a gang of two that runs.
func gangUp() *world {
	w := settled("")
	job := w.job.Job
	job.Gang = true
	w.submit(job, false)
	for range 2 {
		w.apply(w.plan(true))
		w.settle()
	}
	return w
}

func TestCheckCatchesGangsThatAreNotWhole(t *testing.T) {
	lost := func(w *world) { w.lose(0, time.Hour); w.lose(1, time.Hour) }
	tests := []struct {
		name    string
		happens func(w *world)
		spoil   func(w *world, p *Plan)
		want    string
	}{
		{
			"a part stopped", func(*world) {},
			func(w *world, p *Plan) { p.Stop = []Stop{{Alloc: w.copyAt(0).view.ID, Reason: "r"}} },
			"stops a part of the gang of generation 1",
		},
		{"a part placed", lost, func(_ *world, p *Plan) { p.Place = p.Place[:1] }, "places 1 copies of a gang of 2"},
		{
			"a false rank", lost, func(_ *world, p *Plan) { p.Place[1].Alloc.Gang.Rank = 0 }, "want {Rank:1 Size:2 Master:n",
		},
		{
			"a false master", lost, func(_ *world, p *Plan) { p.Place[1].Alloc.Gang.Master = "x" }, "want {Rank:1 Size:2 Master:n",
		},
		{
			"beside a copy that nobody wants", lost, func(w *world, p *Plan) {
				other := w.copyAt(0).view
				other.ID, other.Group, other.Resources = "other", "other", mesh.Resources{}
				other.Node = p.Place[0].Choice.Candidates[0].Node
				w.copies["other"] = &toyCopy{view: other}
			}, "places a gang while other may live: it is in sight",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := gangUp()
			tt.happens(w)
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

// TestGangOnItsWayIsLeftAlone: nothing is placed or stopped until all of it is
// decided.
func TestGangOnItsWayIsLeftAlone(t *testing.T) {
	w := settled("")
	job := w.job.Job
	job.Name, job.Gang = "lab", true
	w.submit(job, false)
	w.apply(w.plan(true))
	w.settle()
	v := w.view()
	var pending []mesh.Alloc
	for _, pl := range Job(v, &v.Jobs[0], nil, true).Place {
		pl.Alloc.Node = pl.Choice.Candidates[0].Node
		pending = append(pending, pl.Alloc)
	}
	if p := Job(v, &v.Jobs[0], pending, true); len(pending) != 2 || !p.Empty() || p.Text != "2 of 2 starting" {
		t.Errorf("with %d on their way:\n%s", len(pending), w.picture(p))
	}
}

// TestTwoGangsOfAGenerationDoNotMix: two sides of a split have gone on from the same
// generation, one of them with a later version. That of the later version stays, and
// what is known of it in part is no gang together with the other.
func TestTwoGangsOfAGenerationDoNotMix(t *testing.T) {
	for seat := range 2 { // the one in which the earlier copy has the greater id
		w := gangUp()
		earlier := map[mesh.AllocID]bool{}
		for i := range 2 {
			other := *w.copyAt(i)
			other.view.Version--
			if other.view.ID = "0"; i == seat {
				other.view.ID = "z"
			}
			w.copies[other.view.ID], earlier[other.view.ID] = &other, true
		}
		p := w.plan(true)
		if len(p.Stop) != 2 || !earlier[p.Stop[0].Alloc] || !earlier[p.Stop[1].Alloc] {
			t.Errorf("want the earlier gang stopped, and no other:\n%s", w.picture(p))
		}
		if err := Check(p, w.view()); err != nil {
			t.Error(err)
		}
		for id, c := range w.copies {
			if c.view.Index == seat && !earlier[id] {
				delete(w.copies, id)
			}
		}
		if p := w.plan(true); len(p.Stop) != 3 {
			t.Errorf("want all stopped, as neither gang is whole:\n%s", w.picture(p))
		}
	}
}
