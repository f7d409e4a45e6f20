package daemon

import (
	"testing"
	"time"

	"mn/mesh"
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
	p := planned(v, job)
	if !p.Changed || p.Version != 3 || len(p.Place) != 1 || p.Place[0].Index != 1 {
		t.Errorf("got %+v, want version 3 to place sum[1] alone", p)
	}
	v.Jobs[0] = mesh.JobView{JobVersion: first}
	if p := planned(v, job); p.Changed || p.Version != 1 || len(p.Place) != 1 {
		t.Errorf("not paused: got %+v, want no change, and sum[1] still to place", p)
	}
}
