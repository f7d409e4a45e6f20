package placement

import (
	"testing"

	"mn/mesh"
)

func TestFitsEmpty(t *testing.T) {
	busy := func(n *mesh.NodeView) {
		n.Used, n.Liveness, n.Eligible = n.Capacity, mesh.Lost, false
	}
	v := &mesh.View{Nodes: []mesh.NodeView{
		node("n1", busy), node("n2", nil),
		node("n3", func(n *mesh.NodeView) { n.Role = mesh.Witness }),
	}}
	for _, tt := range []struct {
		name   string
		copies int
		memory mesh.Bytes
		want   bool
	}{
		{"one that fits later", 1, 8 * mesh.GiB, true},
		{"one that never fits", 1, 9 * mesh.GiB, false},
		{"all that fit together", 4, 4 * mesh.GiB, true},
		{"one too many", 5, 4 * mesh.GiB, false},
	} {
		job := jobOf(mesh.Spread, mesh.Resources{Memory: tt.memory})
		job.Tasks[0].Count = tt.copies
		if got := FitsEmpty(v, job); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	if v.Nodes[0].Used != v.Nodes[0].Capacity {
		t.Error("the view was changed")
	}
}
