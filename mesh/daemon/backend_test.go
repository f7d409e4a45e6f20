package daemon

import (
	"reflect"
	"testing"

	"mn/mesh"
	"mn/mesh/api"
	"mn/placement"
	"mn/placement/reconcile"
)

// TestOutlookSaysWhyCopiesDoNotRun: that they wait is no reason.
func TestOutlookSaysWhyCopiesDoNotRun(t *testing.T) {
	refused := placement.Choice{Refused: []placement.Refusal{{Name: "n1", Filter: "memory", Reason: "needs more"}}}
	tests := []struct {
		name string
		plan reconcile.Plan
		want string
	}{
		{"runs", reconcile.Plan{Text: "2 of 2 running"}, "2 of 2 running"},
		{
			"waits",
			reconcile.Plan{Text: "1 of 2 waiting", Waiting: []reconcile.Waiting{{Reason: "node n2 is lost"}, {Reason: "other"}}},
			"1 of 2 waiting: node n2 is lost",
		},
		{
			"fits nowhere",
			reconcile.Plan{Text: "1 of 2 blocked", Blocked: []reconcile.Blocked{{Choice: refused}}},
			"1 of 2 blocked: " + refused.Summary(),
		},
	}
	for _, test := range tests {
		if got := outlook(test.plan); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// TestWhatAJobWaitsForIsListed for scripts: room, a person, or time.
func TestWhatAJobWaitsForIsListed(t *testing.T) {
	view := &mesh.View{Allocs: []mesh.AllocView{
		{Alloc: mesh.Alloc{ID: "a", Job: "j", Group: "g"}}, {Alloc: mesh.Alloc{ID: "b", Job: "j", Group: "g"}},
	}}
	plan := reconcile.Plan{
		Job:     "j",
		Blocked: []reconcile.Blocked{{Seat: mesh.Seat{Group: "big"}, Copies: 3}},
		Reviews: []mesh.Review{
			{Alloc: "a", Kind: mesh.ReviewLost, Reason: "node n1 is lost"},
			{Alloc: "b", Kind: mesh.ReviewDrain, Reason: "node n2 is drained"},
		},
		Waiting: []reconcile.Waiting{{Seat: mesh.Seat{Group: "next"}, Copies: 2, Reason: "moves after 5s"}},
	}
	want := []api.Wait{
		{Group: "big", Copies: 3, For: api.WaitsForRoom},
		{Group: "g", Copies: 1, For: api.WaitsForPerson, Reason: "node n1 is lost"},
		{Group: "next", Copies: 2, For: api.WaitsForOther, Reason: "moves after 5s"},
	}
	plan.Blocked[0].Choice = placement.Choice{Refused: []placement.Refusal{{Name: "n1", Filter: "memory", Reason: "full"}}}
	want[0].Reason = plan.Blocked[0].Choice.Summary()
	got := waits(view, &plan)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
