package daemon

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mn/mesh"
)

// TestExplainCountsWhatIsUsedUp is about copies of one job in different states.
func TestExplainCountsWhatIsUsedUp(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	job := mesh.Job{Name: "lab", Type: mesh.Service, Tasks: []mesh.Task{{
		Name: "web", Count: 6, Command: []string{"web"},
	}}}
	v := &mesh.View{Now: now, Nodes: []mesh.NodeView{
		{Node: mesh.Node{ID: "n1"}, Liveness: mesh.Alive}, {Node: mesh.Node{ID: "n2"}, Liveness: mesh.Lost},
	}, Jobs: []mesh.JobView{{JobVersion: mesh.JobVersion{
		Job: job, Number: 2, Hash: "h2", At: now.Add(-time.Hour),
	}}}}
	add := func(index, generation int, state mesh.AllocState, restarted ...time.Duration) {
		a := mesh.AllocView{
			Alloc: mesh.Alloc{
				ID: mesh.AllocID(fmt.Sprint(index, generation)), Job: "lab", Version: 2, Hash: "h2", Group: "web",
				Content: mesh.HashGroup(&job, "web"), Index: index, Generation: generation, Node: "n1",
				Want: mesh.WantRun, At: now.Add(-time.Minute),
			},
			Status: &mesh.Status{State: state, At: now.Add(-time.Minute)},
		}
		if generation > 0 {
			a.Replaces = mesh.AllocID(fmt.Sprint(index, generation-1))
		}
		task := mesh.TaskStatus{Name: "web", State: state, NextStart: now.Add(9 * time.Second)}
		for _, ago := range restarted {
			task.RestartedAt = append(task.RestartedAt, now.Add(-ago))
		}
		a.Status.Tasks = []mesh.TaskStatus{task}
		v.Allocs = append(v.Allocs, a)
	}
	add(0, 0, mesh.Running, time.Hour, time.Minute, time.Second)
	add(1, 0, mesh.Failed)
	add(1, 1, mesh.Failed)
	add(1, 2, mesh.Running, time.Minute, time.Minute, time.Minute)
	add(2, 0, mesh.Backoff, time.Second)
	add(3, 0, mesh.Failed)
	add(4, 0, mesh.Stopped)
	add(5, 0, mesh.Running)
	v.Allocs[len(v.Allocs)-1].Node = "n2"
	add(9, 0, mesh.Running) // more than the job wants
	var got []string
	for _, c := range explained(v, &v.Jobs[0]).Copies {
		line := fmt.Sprintf("%d %s: %d of %d restarts, %d moves: %s", c.Index, c.Status,
			c.Restarts.Used, c.Restarts.Allowed, c.Moves.Used, c.Next)
		if c.NextAt != nil {
			line += fmt.Sprintf(" in %v", c.NextAt.Sub(now))
		}
		got = append(got, line)
	}
	want := `0 running: 2 of 3 restarts, 0 moves: if it fails now: restarts here after 4s
1 running: 3 of 3 restarts, 2 moves: if it fails now: moves to another node after 20s
2 backoff: 1 of 3 restarts, 0 moves: restarts here in 9s
3 failed: 0 of 3 restarts, 0 moves: moves to another node after 5s in -55s
4 stopped: 0 of 3 restarts, 0 moves: ` + `
5 running: 0 of 3 restarts, 0 moves: its node is out of sight: the copies move 1s after gossip has given the node up; ` +
		`if it comes back, of two copies that run the original stays`
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	v.Jobs[0].Paused = true
	for _, c := range explained(v, &v.Jobs[0]).Copies {
		if c.Next != "" {
			t.Errorf("paused, and yet copy %d %s", c.Index, c.Next)
		}
	}
}
