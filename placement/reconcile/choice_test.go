package reconcile

import (
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mn/mesh"
)

var choices = []mesh.Choice{
	mesh.KeepOriginal, mesh.KeepReplacement, mesh.LongestRunning, mesh.BestScore, "of a later release",
}

// TestChoiceIsMadeOnce: whatever is chosen, of the copies of each seat that run in sight
// one stays, and the next plan has no other.
func TestChoiceIsMadeOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t, mesh.Eager)
		for range rapid.IntRange(5, 30).Draw(t, "steps") {
			w.disturb(t, mesh.Eager)
			w.apply(w.plan(rapid.Bool().Draw(t, "granted")))
			w.settle()
		}
		for _, id := range slices.Sorted(maps.Keys(w.nodes)) {
			w.sight(w.nodes[id], mesh.Alive, 0)
			w.administer(w.nodes[id], mesh.InService, 0, false)
		}
		w.settle()
		first := w.plan(true)
		if err := Check(first, w.view()); err != nil {
			t.Fatalf("the plan %v\n%s", err, w.picture(first))
		}
		w.apply(first)
		stays := w.wantedToRun()
		for seat, ids := range stays {
			if len(ids) > 1 {
				t.Fatalf("%d copies of %v stay\n%s", len(ids), seat, w.picture(first))
			}
		}
		w.advance(rapid.SampledFrom([]time.Duration{0, time.Minute}).Draw(t, "later"))
		w.apply(w.plan(true))
		if rapid.Bool().Draw(t, "settle") {
			w.settle()
		}
		w.apply(w.plan(true))
		for seat, ids := range w.wantedToRun() {
			if before := stays[seat]; len(before) == 1 && !slices.Contains(ids, before[0]) {
				t.Fatalf("%v of %v stays, and then %v\n%s", before, seat, ids, w.picture(first))
			}
		}
	})
}

// wantedToRun are the copies that have not ended and are not stopped, by seat.
func (w *world) wantedToRun() map[mesh.Seat][]mesh.AllocID {
	ids := map[mesh.Seat][]mesh.AllocID{}
	for _, a := range w.view().Allocs {
		if a.Want == mesh.WantRun && !a.State().Final() {
			ids[a.Seat()] = append(ids[a.Seat()], a.ID)
		}
	}
	return ids
}

// TestBestScoreSpreadsWhatItKeeps: each choice counts those before it. Two seats have a
// copy on each of two nodes, and one of each stays.
func TestBestScoreSpreadsWhatItKeeps(t *testing.T) {
	w := newWorld()
	room := mesh.Resources{CPU: 4 * mesh.Core, Memory: 8 * mesh.GiB, Disk: mesh.GiB}
	a, b := w.addNode("a", room), w.addNode("b", room)
	w.submit(mesh.Job{
		Name: "lab", Type: mesh.Service, Strategy: mesh.Spread, Recovery: mesh.Recovery{Reconcile: mesh.BestScore},
		Tasks: []mesh.Task{{Name: "web", Count: 2, Command: []string{"run"}}},
	}, false)
	for _, out := range []*toyNode{b, a} { // each is left alone in turn
		w.sight(out, mesh.Lost, time.Minute)
		w.apply(w.plan(true))
		w.settle()
		w.sight(out, mesh.Alive, 0)
	}
	w.settle()
	if n := w.running()[mesh.Seat{Group: "web"}]; n != 2 {
		t.Fatalf("%d copies of an index run: there is nothing to choose", n)
	}
	w.apply(w.plan(true))
	w.settle()
	on := map[mesh.NodeID]int{}
	for _, c := range w.copies {
		if c.runs {
			on[c.view.Node]++
		}
	}
	if on["a"] != 1 || on["b"] != 1 {
		t.Errorf("got %v, want one on each", on)
	}
}
