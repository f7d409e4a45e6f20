package reconcile

import (
	"testing"

	"mn/mesh"
)

// A copy that was decided about where nobody knew of another must not start
// beside that one.
func TestCopyHasARivalWhileAnotherOfItsIndexMayRun(t *testing.T) {
	w := newWorld()
	room := mesh.Resources{CPU: 4 * mesh.Core, Memory: mesh.GiB, Disk: mesh.GiB}
	w.addNode("a", room)
	b := w.addNode("b", room)
	job := mesh.Job{Name: "one", Type: mesh.Service, Tasks: []mesh.Task{{Name: "t", Count: 2, Command: []string{"x"}}}}
	job.Recovery.OnPartition = mesh.Keep
	job.Defaults()
	w.submit(job, false)
	late := mesh.Alloc{ID: "late", Job: "one", Group: "t", Node: "a", Want: mesh.WantRun}
	other := mesh.Alloc{ID: "other", Job: "one", Group: "t", Node: "b", Want: mesh.WantRun}
	put := func(index int, state mesh.AllocState) {
		other.Index = index
		w.copies = map[mesh.AllocID]*toyCopy{
			"late":  {view: mesh.AllocView{Alloc: late}},
			"other": {view: mesh.AllocView{Alloc: other, Status: &mesh.Status{State: state}}},
		}
	}
	for _, c := range []struct {
		name  string
		index int
		state mesh.AllocState
		seen  mesh.Liveness
		rival bool
	}{
		{"it runs", 0, mesh.Running, mesh.Alive, true},
		{"it is about to", 0, mesh.Pending, mesh.Alive, true},
		{"it may run out of sight", 0, mesh.Running, mesh.Lost, true},
		{"it has ended", 0, mesh.Stopped, mesh.Alive, false},
		{"it has ended out of sight", 0, mesh.Failed, mesh.Lost, false},
		{"it is another index", 1, mesh.Running, mesh.Alive, false},
	} {
		put(c.index, c.state)
		b.view.Liveness = c.seen
		v := w.view()
		if why := Rival(v, &v.Jobs[0], &late); (why != "") != c.rival {
			t.Errorf("%s: got rival %q, want one: %v", c.name, why, c.rival)
		}
	}
}
