package api

import (
	"fmt"
	"strings"
	"testing"

	"mn/mesh"
)

// last is what the backend was asked last.
func last(f *fake) any { return f.asked[len(f.asked)-1] }

// TestSettingsAreCheckedBeforeAnybodyIsAsked, and go to the node that is meant.
func TestSettingsAreCheckedBeforeAnybodyIsAsked(t *testing.T) {
	f := newFake()
	_, c := serving(t, f, Socket)
	ctx := t.Context()
	for _, r := range []ShareRequest{
		{Node: "n3"}, {Node: "n3", Allowance: mesh.Allowance{CPU: 101}}, {Node: "no", Allowance: mesh.Allowance{CPU: 1}},
	} {
		if _, err := c.SetShare(ctx, r); err == nil || len(f.asked) > 0 {
			t.Errorf("%+v: got %v, and the backend %v", r, err, f.asked)
		}
	}
	for _, r := range []LabelRequest{{Node: "n3"}, {Node: "no", Remove: []string{"a"}}} {
		if _, err := c.Label(ctx, r); err == nil || len(f.asked) > 0 {
			t.Errorf("%+v: got %v, and the backend %v", r, err, f.asked)
		}
	}
	row, err := c.SetShare(ctx, ShareRequest{Node: "n3", Allowance: mesh.Allowance{CPU: 50, GPU: 1}})
	if want := [2]string{string(row.NodeID), "cpu 50 %, gpu 1 %"}; err != nil || row.Node != "n3" || last(f) != want {
		t.Errorf("got %+v, %v, and the backend %v, want %v", row, err, last(f), want)
	}
	n, err := c.Label(ctx, LabelRequest{Node: "n3", Set: map[string]string{"a": "b"}, Remove: []string{"c"}})
	if err != nil || n.Name != "n3" || !strings.HasSuffix(fmt.Sprint(last(f)), "map[a:b] [c]") {
		t.Errorf("got %+v, %v, and the backend %v", n, err, last(f))
	}
}

// TestWhatIsOverAnAllowanceIsShown.
func TestWhatIsOverAnAllowanceIsShown(t *testing.T) {
	n := mesh.NodeView{Node: mesh.Node{
		Devices:   []mesh.Device{{ID: "a", Kind: mesh.GPU}, {ID: "b", Kind: mesh.GPU}},
		Allowance: mesh.Allowance{GPU: 50}, Capacity: mesh.Resources{CPU: mesh.Core, Memory: mesh.GiB},
	}}
	if got := over(&n); got != "" {
		t.Errorf("got %q of an idle node", got)
	}
	given := []mesh.GivenDevice{{ID: "a"}, {ID: "b"}}
	n.Used.Resources = mesh.Resources{CPU: 3 * mesh.Core, Memory: mesh.GiB}
	n.Used.Claims = []mesh.Claim{{Grants: mesh.Grants{Devices: []mesh.DeviceGrant{{Given: given}}}}}
	if got, want := over(&n), "cpu: 3 of 1 in use, gpu: 2 of 1 in use"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
