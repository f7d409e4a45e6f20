package daemon

import (
	"slices"
	"testing"
	"time"

	"mn/mesh"
	"mn/mesh/api"
)

// TestThePlanForAPausedJobIsToGoOn: running its own file again resumes it, and
// what has completed does not run again.
func TestThePlanForAPausedJobIsToGoOn(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	job := mesh.Job{Name: "sum", Tasks: []mesh.Task{{Name: "sum", Count: 2, Command: []string{"sum"}}}}
	first := mesh.JobVersion{Job: job, Number: 1, Hash: "h1", At: now.Add(-time.Hour)}
	paused := first.Next(mesh.VerbPause)
	paused.Hash, paused.At = "h2", now.Add(-time.Minute)
	v := &mesh.View{
		Now: now,
		Nodes: []mesh.NodeView{{
			Node: mesh.Node{
				ID: "n1", Name: "n1", Role: mesh.Worker, Drivers: []string{mesh.DefaultDriver},
				Capacity: mesh.Resources{CPU: mesh.Core, Memory: mesh.GiB},
			},
			Known: true, Liveness: mesh.Alive, Eligible: true,
		}},
		Jobs: []mesh.JobView{{JobVersion: paused, Line: []mesh.Ancestor{first.Ancestor()}}},
		Allocs: []mesh.AllocView{{
			Alloc: mesh.Alloc{
				ID: "a", Job: "sum", Version: 1, Hash: "h1", Content: mesh.HashGroup(&job, "sum"), Group: "sum",
				Node: "n1", Want: mesh.WantRun,
			},
			Status: &mesh.Status{State: mesh.Complete, At: now.Add(-30 * time.Minute)},
		}},
	}
	p := plannedAs(v, job, true)
	if !p.Changed || p.Version != 3 || len(p.Place) != 1 || p.Place[0].Index != 1 {
		t.Errorf("got %+v, want version 3 to place sum[1] alone", p)
	}
	v.Jobs[0] = mesh.JobView{JobVersion: first}
	if p := plannedAs(v, job, true); p.Changed || p.Version != 1 || len(p.Place) != 1 {
		t.Errorf("not paused: got %+v, want no change, and sum[1] still to place", p)
	}
}

// TestThePlanForAChangedJobIsAllOfIt: what has completed, or was stopped, of an earlier
// version does not count for one that is yet to come.
func TestThePlanForAChangedJobIsAllOfIt(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	node := mesh.NodeView{
		Node: mesh.Node{
			ID: "n1", Name: "n1", Role: mesh.Worker, Drivers: []string{mesh.DefaultDriver},
			Capacity: mesh.Resources{CPU: mesh.Core, Memory: mesh.GiB},
		},
		AdmittedAt: now.Add(-2 * time.Hour), Known: true, Liveness: mesh.Alive, Eligible: true,
	}
	batch := mesh.Job{Name: "sum", Type: mesh.Batch, Tasks: []mesh.Task{{Name: "sum", Count: 2, Command: []string{"sum"}}}}
	first := mesh.JobVersion{Job: batch, Number: 1, Hash: "h1", At: now.Add(-time.Hour)}
	done := mesh.AllocView{
		Alloc: mesh.Alloc{
			ID: "a", Job: "sum", Version: 1, Hash: "h1", Content: mesh.HashGroup(&batch, "sum"), Group: "sum",
			Node: "n1", Want: mesh.WantRun,
		},
		Status: &mesh.Status{State: mesh.Complete, At: now.Add(-30 * time.Minute)},
	}
	v := &mesh.View{
		Now: now, Nodes: []mesh.NodeView{node}, Jobs: []mesh.JobView{{JobVersion: first}}, Allocs: []mesh.AllocView{done},
	}
	changed := batch
	changed.Priority = 70
	if p := plannedAs(v, changed, true); len(p.Place) != 2 || p.Verdict != api.RunnableNow {
		t.Errorf("a changed file: got %+v, want both copies placed", p)
	}
	stop := first.Next(mesh.VerbStop)
	stop.Hash, stop.At = "h2", now.Add(-time.Minute)
	v.Jobs[0] = mesh.JobView{JobVersion: stop, Line: []mesh.Ancestor{first.Ancestor()}}
	if p := plannedAs(v, batch, true); len(p.Place) != 2 {
		t.Errorf("a job that was stopped: got %+v, want both copies placed", p)
	}
	late := false
	each := mesh.Job{Name: "each", Type: mesh.SysBatch, IncludeLate: &late, Tasks: slices.Clone(batch.Tasks)}
	each.Tasks[0].Count = 0
	if p := plannedAs(v, each, true); len(p.Place) != 1 {
		t.Errorf("for the nodes that there are: got %+v, want a copy on the one", p)
	}
	keep := batch
	keep.Name, keep.Recovery.OnPartition = "keep", mesh.Keep
	if p := plannedAs(v, keep, false); p.Verdict != api.RunnableLater || len(p.Waiting) == 0 {
		t.Errorf("without a majority: got %+v, want it to wait for one", p)
	}
	v.Nodes[0].Eligible, v.Nodes[0].Admin.Mode = false, mesh.Maintenance
	each.Type, each.IncludeLate = mesh.System, nil
	if p := plannedAs(v, each, true); p.Verdict != api.RunnableLater {
		t.Errorf("with no node to run on: got %v, want later", p.Verdict)
	}
}

// TestThePlanForAJobThatNoNodeCanRun says so, and why, also where it would have a copy on each node.
func TestThePlanForAJobThatNoNodeCanRun(t *testing.T) {
	v := &mesh.View{
		Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		Nodes: []mesh.NodeView{{
			Node: mesh.Node{
				ID: "n1", Name: "n1", Role: mesh.Worker, OS: "linux", Drivers: []string{mesh.DefaultDriver},
				Capacity: mesh.Resources{CPU: mesh.Core, Memory: mesh.GiB},
			},
			Known: true, Liveness: mesh.Alive, Eligible: true,
		}},
	}
	for _, of := range []mesh.JobType{mesh.System, mesh.SysBatch, mesh.Service} {
		p := plannedAs(v, mesh.Job{
			Name: "agent", Type: of, Tasks: []mesh.Task{{Name: "agent", Command: []string{"agent"}}},
			Constraints: []mesh.Constraint{{Attribute: "os", Operator: mesh.Equal, Value: "darwin"}},
		}, true)
		if p.Verdict != api.NotRunnable || len(p.Blocked) != 1 || len(p.Blocked[0].Nodes) != 1 || p.Blocked[0].Nodes[0].Reason == "" {
			t.Errorf("%s: got %+v", of, p)
		}
	}
}

// plannedAs is the plan for a job as if it had just been submitted.
func plannedAs(v *mesh.View, job mesh.Job, granted bool) api.Plan {
	next, changed := submitted(v, job)
	p := planned(v, &next, granted)
	p.Changed = changed
	return p
}
