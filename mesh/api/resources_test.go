package api

import (
	"testing"

	"mn/mesh"
)

// Whoever asks about a copy hears of the devices that it has lost, as long as it runs.
func TestADeviceThatIsLostIsToldOfItsTask(t *testing.T) {
	const gone, sick = "its device GPU-1 is not there any more", "its device GPU-1 is sick: Xid 79"
	tests := []struct {
		name string
		do   func(n *mesh.NodeView, a *mesh.AllocView)
		want string
	}{
		{"well", func(*mesh.NodeView, *mesh.AllocView) {}, ""},
		{"gone", func(n *mesh.NodeView, _ *mesh.AllocView) { n.Devices = n.Devices[:1] }, gone},
		{"sick", func(n *mesh.NodeView, _ *mesh.AllocView) { n.Devices[1].Sick = "Xid 79" }, sick},
		{"of another task", func(n *mesh.NodeView, a *mesh.AllocView) {
			n.Devices, a.Grants.Devices[0].Task = nil, "other"
		}, ""},
		{"with its node", func(n *mesh.NodeView, _ *mesh.AllocView) {
			n.Devices, n.Liveness = nil, mesh.Lost
		}, ""},
		{"after the end", func(n *mesh.NodeView, a *mesh.AllocView) {
			n.Devices, a.Status.Tasks[0].State = nil, mesh.Failed
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := picture{Snapshot: world()}
			a := &p.View.Allocs[1]
			tt.do(&p.View.Nodes[0], a)
			d, err := p.allocDetail(a.ID)
			if err != nil {
				t.Fatal(err)
			}
			if got := d.Tasks[0].Trouble; got != tt.want {
				t.Errorf("its status: got %q, want %q", got, tt.want)
			}
			for _, row := range p.allocRows(p.View.Allocs, nil) {
				if row.ID == a.ID && row.Trouble != tt.want {
					t.Errorf("in a list: got %q, want %q", row.Trouble, tt.want)
				}
			}
		})
	}
}
