package daemon

import (
	"testing"

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
