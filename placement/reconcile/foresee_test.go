package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mn/mesh"
)

// TestForesee: what becomes of each copy on a node that is lost for good, drained or on
// the other side of a split.
func TestForesee(t *testing.T) {
	const (
		lost     = "lost"
		drained  = "drained"
		minority = "minority" // lost, and there is no majority without it
	)
	for _, tt := range []struct {
		name   string
		job    string // in a script's words
		nodes  string // besides n1
		happen string // to n1
		want   string
	}{
		{"eager", "a=2,1GiB", "n2", lost, "a[0] moves n2: node n1 is lost; a[1] moves n2: node n1 is lost"},
		{
			"no room", "a=2,6GiB strategy=spread", "n2 memory=16GiB", lost,
			"a[0] moves n2: node n1 is lost",
		},
		{
			"room for some", "a=2,3GiB", "n2 memory=4GiB", lost,
			"a[0] moves n2: node n1 is lost; " +
				`a[1] blocked: 0 of 2 nodes fit; n1: status "lost"; n2: memory: needs 3 GiB, 1 GiB free`,
		},
		{"majority", "partition=majority a=1", "n2", lost, "a[0] moves n2: node n1 is lost"},
		{
			"majority, no room", "partition=majority a=1,6GiB", "n2 memory=4GiB", lost,
			`a[0] blocked: 0 of 2 nodes fit; n1: status "lost"; n2: memory: needs 6 GiB, 4 GiB free`,
		},
		{
			"majority, in the minority", "partition=majority a=1", "n2", minority,
			`a[0] waits: node n1 is lost; on_partition = "majority" waits for a majority of the voters`,
		},
		{
			"keep", "partition=keep a=1", "n2", lost,
			`a[0] waits: node n1 is lost; on_partition = "keep" waits until it is known to be dead`,
		},
		{"eager, in the minority", "a=1", "n2", minority, "a[0] moves n2: node n1 is lost"},
		{
			"local", "mode=local_restart a=1", "n2", lost,
			`a[0] waits: node n1 is lost; recovery mode "local_restart" never moves work`,
		},
		{
			"manual", "mode=manual_recover a=1", "n2", lost,
			`a[0] paused_for_review: node n1 is lost; recovery mode "manual_recover" leaves that to a person`,
		},
		{
			"unsafe", "partition=keep unsafe=write a=1", "n2", lost,
			`a[0] paused_for_review: node n1 is lost; task "a" is marked unsafe (side_effects = "write"), and may have run`,
		},
		{
			"unsafe, on each node", "type=sysbatch partition=keep unsafe=write a=1", "n2", lost,
			"a@n1 waits: node n1 is lost; its copy waits for it",
		},
		{"on each node", "type=system a=1", "n2", lost, "a@n1 waits: node n1 is lost; its copy waits for it"},
		{
			"drain, one at a time", "a=3", "n2", drained,
			"a[0] moves n2: node n1 is drained; a[1] moves n2: node n1 is drained; a[2] moves n2: node n1 is drained",
		},
		{"drain, never two", "partition=keep a=1", "n2", drained, "a[0] moves n2: node n1 is drained"},
		{
			"drain, no room", "a=1,6GiB", "n2 memory=4GiB", drained,
			"a[0] blocked: 0 of 2 nodes fit; n1: scheduling is disabled; n2: memory: needs 6 GiB, 4 GiB free",
		},
		{"drain of batch", "type=batch a=1", "n2", drained, "a[0] waits: waits for its end, or for the deadline"},
		{"drain, on each node", "type=system a=1", "n2", drained, "a@n1 stays: belongs to the node"},
		{
			"drain, never moves", "mode=local_restart a=1", "n2", drained,
			`a[0] paused_for_review: recovery mode "local_restart" never moves work`,
		},
	} {
		w := newWorld()
		run := func(line string) {
			if err := w.command(strings.Fields(line), new(strings.Builder)); err != nil {
				t.Fatalf("%s: %q: %v", tt.name, line, err)
			}
		}
		run("node n1")
		run("job " + tt.job)
		run("apply")
		run("settle")
		run("node " + tt.nodes)
		before := fmt.Sprint(w.view())
		v := w.view()
		if tt.happen == drained {
			v = Want(v, mesh.Administration{Node: "n1", Mode: mesh.Draining, Deadline: v.Now.Add(time.Hour)})
		} else {
			v = Lose(v, []mesh.NodeID{"n1"})
		}
		var got []string
		for _, o := range Foresee(v, tt.happen != minority) {
			text := fmt.Sprintf("%v %s", o.Seat, o.Becomes)
			if o.To != "" {
				text += " " + string(o.To)
			}
			got = append(got, text+": "+o.Reason)
		}
		if text := strings.Join(got, "; "); text != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.name, text, tt.want)
		}
		if after := fmt.Sprint(w.view()); after != before {
			t.Errorf("%s: it has changed the view", tt.name)
		}
	}
}

// TestForeseeInTheMinority: copies that nobody may renew stop by themselves, on the node
// in sight too, and jobs share the room that there is.
func TestForeseeInTheMinority(t *testing.T) {
	w := newWorld()
	for _, line := range []string{"node n1 n2", "job partition=majority strategy=spread a=2", "apply", "settle"} {
		if err := w.command(strings.Fields(line), new(strings.Builder)); err != nil {
			t.Fatal(err)
		}
	}
	got := map[mesh.NodeID]mesh.Becoming{}
	for _, o := range Foresee(Lose(w.view(), []mesh.NodeID{"n1"}), false) {
		got[o.Node] = o.Becomes
	}
	if len(got) != 2 || got["n1"] != mesh.Waits || got["n2"] != mesh.Ends {
		t.Errorf("got %v, want that the copy on n1 is waited for, and that on n2 stops", got)
	}
}

// TestForeseeWhatGoesWithOthers: a gang stops as a whole, also where nothing is lost.
func TestForeseeWhatGoesWithOthers(t *testing.T) {
	w := newWorld()
	for _, line := range []string{"node n1 n2", "job type=batch gang=true strategy=spread a=2", "apply", "settle"} {
		if err := w.command(strings.Fields(line), new(strings.Builder)); err != nil {
			t.Fatal(err)
		}
	}
	got := map[mesh.NodeID]mesh.Outcome{}
	for _, o := range Foresee(Lose(w.view(), []mesh.NodeID{"n1"}), true) {
		got[o.Node] = o
	}
	if len(got) != 2 || got["n1"].Becomes != mesh.Moves || got["n2"].Becomes != mesh.Moves || got["n2"].To != "n2" {
		t.Errorf("got %+v, want that both are placed anew, on n2", got)
	}
}

// TestForeseeSharesTheRoom among jobs: what one takes the next has not.
func TestForeseeSharesTheRoom(t *testing.T) {
	v := &mesh.View{Now: time.Unix(1e9, 0)}
	w := newWorld()
	for _, name := range []string{"n1", "n2"} {
		w.addNode(name, mesh.Resources{CPU: 4 * mesh.Core, Memory: 4 * mesh.GiB, Disk: mesh.GiB})
	}
	v.Nodes = w.view().Nodes
	for _, name := range []string{"first", "second"} {
		job := mesh.Job{Name: name, Type: mesh.Service, Tasks: []mesh.Task{{Name: "t", Command: []string{"x"}}}}
		job.Tasks[0].Resources.Memory = 3 * mesh.GiB
		v.Jobs = append(v.Jobs, mesh.JobView{JobVersion: mesh.JobVersion{Job: job, Number: 1, Hash: name}})
		v.Allocs = append(v.Allocs, mesh.AllocView{Alloc: mesh.Alloc{
			ID: mesh.AllocID(name), Job: mesh.JobID(name), Version: 1, Hash: name, Content: mesh.HashGroup(&job, "t"),
			Group: "t", Node: "n1", Want: mesh.WantRun, Resources: job.Tasks[0].Resources,
		}})
	}
	var got []mesh.Becoming
	for _, o := range Foresee(Lose(v, []mesh.NodeID{"n1"}), true) {
		got = append(got, o.Becomes)
	}
	if !slices.Equal(got, []mesh.Becoming{mesh.Moves, mesh.NoRoom}) {
		t.Errorf("got %v, want that the second does not fit beside the first", got)
	}
}
