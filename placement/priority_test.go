package placement

import (
	"testing"
	"time"

	"mn/mesh"
)

// waits is an entry of the queue: a job of one copy with so many cores.
func waits(name string, priority int, cores mesh.Cores, since int) mesh.QueueView {
	job := jobOf(mesh.Binpack, mesh.Resources{CPU: cores})
	job.Name, job.Priority = name, priority
	return mesh.QueueView{
		Queued: mesh.Queued{
			Job: mesh.JobID(name), Priority: priority, Since: time.Unix(int64(since), 0),
			Groups: []mesh.QueuedGroup{{Group: "web", Copies: 1}},
		},
		Spec: job,
	}
}

func TestRoomIsKeptForWhoComesFirst(t *testing.T) {
	half := mesh.Resources{CPU: 2 * mesh.Core}
	ending := mesh.Alloc{ID: "v2", Node: "n1", Resources: half}
	for _, tt := range []struct {
		name  string
		queue []mesh.QueueView
		used  mesh.Resources
		rank  int
		want  string // why the job is not placed
	}{
		{"nobody waits", nil, mesh.Resources{}, 50, ""},
		{"a higher one", []mesh.QueueView{waits("high", 60, 4*mesh.Core, 1)}, mesh.Resources{}, 50, `kept for job "high" of priority 60, which waits`},
		{"a higher one that does not fit", []mesh.QueueView{waits("high", 60, 4*mesh.Core, 1)}, half, 50, ""},
		{"a lower one", []mesh.QueueView{waits("low", 40, 4*mesh.Core, 1)}, mesh.Resources{}, 50, ""},
		{"an equal, and we have not waited", []mesh.QueueView{waits("equal", 50, 4*mesh.Core, 1)}, mesh.Resources{}, 50, `kept for job "equal" of priority 50, which waits`},
		{"an equal that came first", []mesh.QueueView{waits("equal", 50, 4*mesh.Core, 1), waits("web", 50, mesh.Core, 2)}, mesh.Resources{}, 50, `kept for job "equal" of priority 50, which waits`},
		{"an equal that came later", []mesh.QueueView{waits("web", 50, mesh.Core, 1), waits("equal", 50, 4*mesh.Core, 2)}, mesh.Resources{}, 50, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			job := jobOf(mesh.Binpack, mesh.Resources{CPU: mesh.Core})
			job.Priority = tt.rank
			v := &mesh.View{Nodes: []mesh.NodeView{node("n1", uses(tt.used))}, Queue: tt.queue}
			c := place(v, job, nil)
			got := ""
			if len(c.Refused) > 0 {
				got = c.Refused[0].Reason
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}

	// One of two that make room has ended, the other stops yet: neither goes back there.
	high := waits("high", 60, 4*mesh.Core, 1)
	high.Ending = []mesh.Alloc{ending}
	n := node("n1", nil)
	n.Used = n.Used.With(&ending)
	v := &mesh.View{Nodes: []mesh.NodeView{n}, Queue: []mesh.QueueView{high}}
	if c := place(v, jobOf(mesh.Binpack, half), nil); len(c.Candidates) > 0 {
		t.Errorf("room that is being made is given away: %v", c.Candidates)
	}
	high.Groups[0].Targets = []mesh.NodeID{"n2"}
	if c := place(v, jobOf(mesh.Binpack, half), nil); len(c.Candidates) != 1 {
		t.Errorf("room is kept where nobody waits for it: %v", c.Refused)
	}
}
