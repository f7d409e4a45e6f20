package reconcile

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mn/mesh"
)

// TestUnsafeNeverRunsTwice drives a small mesh whose job is marked unsafe through
// losses, power cuts, failures, drains, pauses and new versions: between two copies
// of a seat that have begun there is always a person's word, about the first of
// them, or about the job.
func TestUnsafeNeverRunsTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t, mesh.Keep)
		w.unsafe = true
		w.submit(drawJob(t, mesh.Keep), false)
		for range rapid.IntRange(5, 60).Draw(t, "steps") {
			w.disturb(t, mesh.Keep)
			p := w.plan(rapid.IntRange(0, 3).Draw(t, "granted") > 0)
			if err := Check(p, w.view()); err != nil {
				t.Fatalf("the plan %v\n%s", err, w.picture(p))
			}
			w.apply(p)
			if rapid.Bool().Draw(t, "settle") {
				w.settle()
			}
			if len(p.Reviews) > 0 && rapid.IntRange(0, 4).Draw(t, "judge") == 0 {
				r := rapid.SampledFrom(p.Reviews).Draw(t, "review")
				if r.Kind != mesh.ReviewLost || !w.copies[r.Alloc].runs { // people do not err
					w.verdict(r, rapid.Bool().Draw(t, "approve"))
				}
			}
			w.checkOnce(t)
			for seat, n := range w.running() {
				if n > 1 {
					t.Fatalf("%d copies of %v run", n, seat)
				}
			}
		}
	})
}

// checkOnce finds copies that have begun after another of their seat, without a word.
func (w *world) checkOnce(t *rapid.T) {
	seats := map[mesh.Seat][]*toyCopy{}
	for _, c := range w.copies {
		if !c.begunAt.IsZero() {
			seats[c.view.Seat()] = append(seats[c.view.Seat()], c)
		}
	}
	for seat, copies := range seats {
		slices.SortFunc(copies, func(a, b *toyCopy) int { return a.begunAt.Compare(b.begunAt) })
		for i, c := range copies[1:] {
			before := copies[i]
			said := slices.ContainsFunc(w.words, func(v mesh.Ancestor) bool {
				late := before.view.Content == c.view.Content && v.At.Before(before.view.Status.At)
				return before.view.Version < v.Number && v.Number <= c.view.Version && !late
			})
			approved := before.view.Verdict != nil && before.view.Verdict.Approve
			if !said && !approved {
				t.Fatalf("%v has begun as generation %d and again as %d, and nobody has said so",
					seat, before.view.Generation, c.view.Generation)
			}
		}
	}
}

// TestWordFromACutOffSide: people there did not see that the copy had been followed by
// another, and approved that one follows. The other waits for a word of its own.
func TestWordFromACutOffSide(t *testing.T) {
	w := newWorld()
	var out strings.Builder
	for _, line := range []string{
		"node n1", "job type=service partition=keep unsafe=write web=1", "apply", "settle",
		"lost n1 1m", "node n2", "approve web[0].0", "apply", "settle",
		"advance 1m", "kill n2", "alive n2", "advance 1m", "kill n1", "alive n1",
	} {
		if err := w.command(strings.Fields(line), &out); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range w.copies {
		if c.view.Generation == 0 {
			w.verdict(mesh.Review{Alloc: c.view.ID, Kind: mesh.ReviewFailed}, true)
		}
	}
	p := w.plan(true)
	if err := Check(p, w.view()); err != nil || len(p.Place) > 0 || len(p.Reviews) != 1 {
		t.Errorf("got %v and\n%s\nwant a review", err, w.picture(p))
	}
}
