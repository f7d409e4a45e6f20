package api

import (
	"reflect"
	"testing"

	"mn/mesh"
)

// TestReconcileGivesUpWhatIsOutOfSight: each copy that is meant to run on the node is
// counted; a dry run, and a node in sight, change nothing.
func TestReconcileGivesUpWhatIsOutOfSight(t *testing.T) {
	supposed := func(id mesh.NodeID) any { return Supposition{GivenUp: id} }
	counts := func(checked, recovered, skipped int) map[RecoveryWord]int {
		return map[RecoveryWord]int{
			Checked: checked, Recovered: recovered, Skipped: skipped, Paused: 0, Blocked: 0, Failed: 0,
		}
	}
	for _, test := range []struct {
		ask   ReconcileRequest
		asked []any
		want  map[RecoveryWord]int
	}{
		{ReconcileRequest{Node: "n1"}, []any{supposed("aaaa1111")}, counts(1, 0, 1)},
		{ReconcileRequest{Node: "n3", DryRun: true}, []any{supposed("bbbc3333")}, counts(1, 1, 0)},
		{
			ReconcileRequest{Node: "n3", Reason: "gone"},
			[]any{supposed("bbbc3333"), [2]string{"bbbc3333", "gone"}},
			counts(1, 1, 0),
		},
	} {
		b := newFake()
		_, c := serving(t, b, Socket)
		rec, err := c.Reconcile(t.Context(), test.ask)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(b.asked, test.asked) {
			t.Errorf("%+v: the mesh was asked %v, want %v", test.ask, b.asked, test.asked)
		}
		if !reflect.DeepEqual(rec.Counts, test.want) {
			t.Errorf("%+v: counted %v, want %v: %+v", test.ask, rec.Counts, test.want, rec.Copies)
		}
	}
	_, c := serving(t, newFake(), Socket)
	if _, err := c.Reconcile(t.Context(), ReconcileRequest{Node: "n9"}); mesh.FaultOf(err).Kind != mesh.NotFound {
		t.Errorf("reconciling a node that is not there: %v", err)
	}
}
