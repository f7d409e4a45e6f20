package api

import (
	"maps"
	"testing"

	"mn/mesh"
)

// The port of an agent is no stranger's, on whichever machine several agents are.
func TestPortsOfAgentsAreTold(t *testing.T) {
	p := picture{Snapshot: world()}
	for i, address := range []string{"10.0.0.1:7700", "10.0.0.1:7701", "10.0.0.2:7702"} {
		p.View.Nodes[i].Address = address
	}
	p.View.Nodes[0].Foreign = []mesh.Port{
		{Number: 22, Transport: mesh.TCP},
		{Number: 7700, Transport: mesh.TCP},
		{Number: 7700, Transport: mesh.UDP},
		{Number: 7701, Transport: mesh.UDP},
		{Number: 7702, Transport: mesh.UDP},
	}
	got := map[mesh.Port]string{}
	for _, row := range p.resources()[0].Ports {
		if row.Foreign != (row.Agent == "" && row.User == nil) {
			t.Errorf("port %d/%s: foreign: %v", row.Port, row.Transport, row.Foreign)
		}
		if row.Agent != "" {
			got[mesh.Port{Number: row.Port, Transport: row.Transport}] = row.Agent
		}
	}
	want := map[mesh.Port]string{
		{Number: 7700, Transport: mesh.UDP}: "n1", {Number: 7701, Transport: mesh.UDP}: "n2",
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

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
