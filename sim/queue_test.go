package sim

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestQueueIsInOrderOfTimeAndThenOfPlanning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		var want []event // that are planned
		var now time.Duration
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if rapid.IntRange(0, 2).Draw(t, "step") > 0 {
				at := now + time.Duration(rapid.IntRange(0, 8).Draw(t, "after"))
				q.plan(at, nil)
				want = append(want, event{at: at, seq: q.last})
				continue
			}
			end := now + time.Duration(rapid.IntRange(0, 8).Draw(t, "end"))
			slices.SortFunc(want, func(a, b event) int {
				if a.before(&b) {
					return -1
				}
				return 1
			})
			got, ok := q.next(end)
			if due := len(want) > 0 && want[0].at <= end; ok != due {
				t.Fatalf("next event: got %v, want %v", ok, due)
			}
			if ok {
				if got.at != want[0].at || got.seq != want[0].seq {
					t.Fatalf("next event: got %+v, want %+v", got, want[0])
				}
				now, want = got.at, want[1:]
			}
		}
	})
}

// TestRumoursAreToldInTurn: what is new comes first, what was told comes last, and
// of each node there is only the newest.
func TestRumoursAreToldInTurn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r rumours
		var want []news
		for i := range rapid.IntRange(1, 300).Draw(t, "steps") {
			if rapid.IntRange(0, 3).Draw(t, "step") > 0 {
				n := news{
					place: rapid.IntRange(0, 9).Draw(t, "place"), incarnation: uint32(i),
					times: rapid.IntRange(1, 3).Draw(t, "times"),
				}
				r.add(n)
				want = slices.DeleteFunc(want, func(o news) bool { return o.place == n.place })
				want = slices.Insert(want, 0, n)
				continue
			}
			told := r.take(rapid.IntRange(1, 4).Draw(t, "most"))
			for range told {
				n := want[0]
				want = want[1:]
				if n.incarnation != told[0].incarnation || n.place != told[0].place {
					t.Fatalf("told %+v, want %+v", told[0], n)
				}
				told = told[1:]
				if n.times--; n.times > 0 {
					want = append(want, n)
				}
			}
			if r.none() != (len(want) == 0) || len(r.front)+len(r.back) > 4*len(want)+3*newsMax {
				t.Fatalf("%d and %d are kept, want %d", len(r.front), len(r.back), len(want))
			}
		}
	})
}
