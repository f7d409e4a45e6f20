package reconcile

import (
	"slices"
	"strings"
	"testing"
	"time"

	"mn/mesh"
)

// crowded is a view of nodes of 8 cores, and copies that could be stopped on them: each is
// "node cores rank minutes", with how long its work was not saved.
func crowded(nodes string, copies ...Victim) *mesh.View {
	w := newWorld()
	for _, name := range strings.Fields(nodes) {
		w.addNode(name, mesh.Resources{CPU: 8 * mesh.Core, Memory: mesh.GiB})
	}
	w.submit(mesh.Job{
		Name: "high", Priority: 90,
		Tasks: []mesh.Task{{Name: "a", Count: 3, Command: []string{"a"}, Resources: mesh.Resources{CPU: 8 * mesh.Core}}},
	}, false)
	v := w.view()
	for _, c := range copies {
		n := v.Node(c.Node)
		n.Used = n.Used.With(&c.Alloc)
	}
	return v
}

func victim(w time.Time, id, node string, cores mesh.Cores, rank, minutes int) Victim {
	return Victim{Rank: rank, AllocView: &mesh.AllocView{
		Alloc: mesh.Alloc{ID: mesh.AllocID(id), Node: mesh.NodeID(node), Want: mesh.WantRun, Resources: mesh.Resources{CPU: cores * mesh.Core}},
		Status: &mesh.Status{State: mesh.Running, Tasks: []mesh.TaskStatus{{
			State: mesh.Running, StartedAt: w.Add(-time.Duration(minutes) * time.Minute),
		}}},
	}}
}

func TestPreemptTakesWhatCostsLeast(t *testing.T) {
	now := newWorld().now
	for _, tt := range []struct {
		name    string
		nodes   string
		victims []Victim
		copies  int
		room    int
		told    string
		want    string
	}{
		{"room there is", "n1 n2", []Victim{victim(now, "a", "n1", 8, 10, 1)}, 1, 1, "", ""},
		{"the lowest rank", "n1 n2", []Victim{victim(now, "a", "n1", 8, 20, 1), victim(now, "b", "n2", 8, 10, 99)}, 1, 1, "", "b"},
		{"the fewest", "n1 n2", []Victim{victim(now, "a", "n1", 4, 10, 1), victim(now, "b", "n1", 4, 10, 1), victim(now, "c", "n2", 8, 10, 99)}, 1, 1, "", "c"},
		{"the least work", "n1 n2", []Victim{victim(now, "a", "n1", 8, 10, 9), victim(now, "b", "n2", 8, 10, 3)}, 1, 1, "", "b"},
		{"no more than needed", "n1", []Victim{victim(now, "a", "n1", 1, 10, 1), victim(now, "b", "n1", 7, 20, 1)}, 1, 1, "", "a b"},
		{"two copies", "n1 n2", []Victim{victim(now, "a", "n1", 8, 10, 1), victim(now, "b", "n2", 8, 10, 1)}, 2, 2, "", "a b"},
		{"only one of them may run", "n1 n2", []Victim{victim(now, "a", "n1", 8, 10, 1), victim(now, "b", "n2", 8, 10, 1)}, 2, 1, "", "a"},
		{"it was told already", "n1 n2", []Victim{victim(now, "a", "n1", 8, 10, 1), victim(now, "b", "n2", 8, 10, 1)}, 1, 1, "b", "b"},
		{"it would not help", "n1", []Victim{victim(now, "a", "n1", 4, 10, 1)}, 1, 1, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := crowded(tt.nodes, tt.victims...)
			if tt.name == "it would not help" {
				v.Nodes[0].Used.Resources.CPU += mesh.Core // of what may not be stopped
			}
			blocked := []Blocked{{Alloc: "x", Seat: mesh.Seat{Group: "a"}, Copies: tt.copies, Room: tt.room}}
			var told []mesh.AllocID
			if tt.told != "" {
				told = append(told, mesh.AllocID(tt.told))
			}
			var got []string
			for _, id := range Preempt(v, &v.Jobs[0].Job, blocked, tt.victims, told) {
				got = append(got, string(id))
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %v, want %s", got, tt.want)
			}
		})
	}
	// What ends anyway is not told, and counts as room.
	a, b := victim(now, "a", "n1", 8, 10, 1), victim(now, "b", "n2", 8, 10, 1)
	b.Want = mesh.WantStop
	v := crowded("n1 n2", a, b)
	one := []Blocked{{Alloc: "x", Seat: mesh.Seat{Group: "a"}, Copies: 1, Room: 1}}
	if got := Preempt(v, &v.Jobs[0].Job, one, []Victim{a, b}, nil); len(got) > 0 {
		t.Errorf("%v are told, and one ends anyway", got)
	}
}

// The copy before it in the seat is in nobody's way: it counts no more, or is to leave.
func TestACopyIsNotKeptApartFromItself(t *testing.T) {
	w := newWorld()
	for name, rack := range map[string]string{"n1": "a", "n2": "a", "n3": "b"} {
		w.addNode(name, mesh.Resources{CPU: 4 * mesh.Core, Memory: 8 * mesh.GiB}).view.Labels = map[string]string{"rack": rack}
	}
	apart := []mesh.Constraint{{Attribute: "label.rack", Operator: mesh.DistinctProperty}}
	w.submit(mesh.Job{
		Name: "lab", Type: mesh.Service, Constraints: apart,
		Tasks: []mesh.Task{{Name: "web", Count: 2, Command: []string{"web"}}},
	}, false)
	w.apply(w.plan(true))
	w.settle()
	on := func() []string {
		var racks []string
		for _, c := range w.copies {
			if c.runs && w.nodes[c.view.Node].up {
				racks = append(racks, w.nodes[c.view.Node].view.Labels["rack"])
			}
		}
		slices.Sort(racks)
		return racks
	}
	if got := on(); !slices.Equal(got, []string{"a", "b"}) {
		t.Fatalf("runs in racks %v", got)
	}
	for _, c := range w.copies {
		if n := w.nodes[c.view.Node]; n.view.Labels["rack"] == "a" {
			n.view.Liveness, n.view.LostFor, n.up = mesh.Lost, time.Hour, false
		}
	}
	p := w.plan(true)
	if len(p.Place) != 1 || len(p.Blocked) != 0 {
		t.Errorf("got %v, want the copy in the other node of its rack", p.String())
	}
}
