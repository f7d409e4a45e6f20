package reconcile

import (
	"testing"
	"time"

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

// TestWhatAnEarlierAgentSaidStopsNothing: a node is back with a new agent, which has yet to
// say what has become of its copy. The other one may be all that runs.
func TestWhatAnEarlierAgentSaidStopsNothing(t *testing.T) {
	w := newWorld()
	room := mesh.Resources{CPU: 4 * mesh.Core, Memory: mesh.GiB, Disk: mesh.GiB}
	a := w.addNode("a", room)
	w.addNode("b", room)
	job := mesh.Job{Name: "one", Type: mesh.Service, Tasks: []mesh.Task{{Name: "t", Command: []string{"x"}}}}
	job.Defaults()
	w.submit(job, false)
	v := w.view()
	hash := mesh.HashGroup(&v.Jobs[0].Job, "t")
	copyOn := func(node mesh.NodeID, generation int) mesh.AllocView {
		return mesh.AllocView{
			Alloc: mesh.Alloc{
				ID: mesh.AllocID(node), Job: "one", Version: 1, Hash: v.Jobs[0].Hash, Content: hash, Group: "t",
				Generation: generation, Node: node, Want: mesh.WantRun, At: v.Now,
			},
			Status: &mesh.Status{State: mesh.Running, Boot: v.Node(node).Boot, At: v.Now},
		}
	}
	v.Allocs = []mesh.AllocView{copyOn("a", 0), copyOn("b", 1)}
	began := v.Now
	for _, tt := range []struct {
		name  string
		agent time.Time
		stops int
	}{
		{"by an agent of a release that does not say", time.Time{}, 1},
		{"by the agent of now", began, 1},
		{"by the one before", began.Add(-time.Minute), 0},
	} {
		v.Node(a.view.ID).StartedAt = began
		v.Allocs[0].Status.Agent = tt.agent
		plan := Job(v, &v.Jobs[0], nil, true)
		if len(plan.Stop) != tt.stops || len(plan.Place) > 0 {
			t.Errorf("what is known was said %s: stops %v, places %v, want %d stops", tt.name, plan.Stop, plan.Place, tt.stops)
		}
		if err := Check(plan, v); err != nil {
			t.Errorf("what is known was said %s: %v", tt.name, err)
		}
	}
}
