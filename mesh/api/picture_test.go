package api

import (
	"fmt"
	"strings"
	"testing"

	"mn/mesh"
)

// ids lists rows as id/task=status.
func ids(rows []Alloc) string {
	var out []string
	for _, a := range rows {
		out = append(out, fmt.Sprintf("%s/%s=%s", a.ID, a.Task, a.Status))
	}
	return strings.Join(out, " ")
}

func TestAllocationsAreSelected(t *testing.T) {
	for _, test := range []struct {
		name string
		ask  AllocsRequest
		want string
	}{
		{
			"what matters now",
			AllocsRequest{},
			"sum00001/sum=failed sum00001/log=failed web00000/web=running web00001/web=running web00002/web=lost",
		},
		{
			"all of a job",
			AllocsRequest{Job: "web", All: true},
			"web00000/web=running webold01/web=stopped web00001/web=running web00002/web=lost",
		},
		{"of a node, by name", AllocsRequest{Node: "n2"}, "web00001/web=running"},
		{"of a node, by its id's beginning", AllocsRequest{Node: "bbbc"}, "web00002/web=lost"},
		{"of both", AllocsRequest{Job: "sum", Node: "n2"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			rows, err := picture{world()}.allocs(test.ask)
			if got := ids(rows); err != nil || got != test.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, test.want)
			}
		})
	}
}

func TestACopyIsOnlyAsWellKnownAsItsNode(t *testing.T) {
	for _, test := range []struct {
		node mesh.Liveness
		said mesh.AllocState
		want string
	}{
		{mesh.Alive, mesh.Running, "running"},
		{mesh.Lost, mesh.Running, "lost"},
		{mesh.Left, mesh.Backoff, "lost"},
		{mesh.Unseen, mesh.Running, "unseen"},
		{mesh.Lost, mesh.Complete, "complete"},
		{mesh.Unseen, mesh.Failed, "failed"},
	} {
		snap := world()
		snap.View.Nodes[2].Liveness = test.node
		a := &snap.View.Allocs[4]
		if got := (picture{snap}).status(a, test.said); got != test.want {
			t.Errorf("%s on a node that is %s: got %s, want %s", test.said, test.node, got, test.want)
		}
	}
}

func TestACopyWithoutAReportHasTheTasksOfItsGroup(t *testing.T) {
	snap := world()
	snap.View.Allocs[0].Status = nil
	rows, err := picture{snap}.allocs(AllocsRequest{Job: "sum"})
	if got, want := ids(rows), "sum00001/sum=pending sum00001/log=pending"; err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

// A copy that should stop is shown until it has, also when its job no longer
// has such a copy.
func TestLeftoversAreShownUntilTheyEnd(t *testing.T) {
	snap := world()
	snap.View.Jobs[1].Job.Tasks[0].Count = 1
	rows, _ := picture{snap}.allocs(AllocsRequest{Job: "web"})
	if got, want := ids(rows), "web00000/web=running web00001/web=running web00002/web=lost"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	snap.View.Allocs[3].Status.State = mesh.Stopped
	rows, _ = picture{snap}.allocs(AllocsRequest{Job: "web"})
	if got, want := ids(rows), "web00000/web=running web00002/web=lost"; got != want {
		t.Errorf("once it has stopped: got %s, want %s", got, want)
	}
}

// The copies of a new version count from generation 0 again.
func TestTheLastCopyIsOfTheLastVersion(t *testing.T) {
	for _, test := range []struct {
		name        string
		versions    [2]uint64
		generations [2]int
		last        string
	}{
		{"new version of a copy that moved", [2]uint64{2, 1}, [2]int{0, 5}, "webold01"},
		{"new version of a copy that did not", [2]uint64{1, 2}, [2]int{0, 0}, "web00001"},
		{"same version, moved", [2]uint64{2, 2}, [2]int{0, 1}, "web00001"},
	} {
		t.Run(test.name, func(t *testing.T) {
			snap := world()
			for i := range 2 {
				a := &snap.View.Allocs[2+i]
				a.Status.State, a.Status.Tasks[0].State = mesh.Complete, mesh.Complete
				a.Version, a.Generation = test.versions[i], test.generations[i]
			}
			rows, _ := picture{snap}.allocs(AllocsRequest{Job: "web"})
			want := "web00000/web=running " + test.last + "/web=complete web00002/web=lost"
			if got := ids(rows); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func TestWhatIsNotThereIsNamed(t *testing.T) {
	p := picture{world()}
	twin := world()
	twin.View.Nodes[2].ID = "bbbb3333"
	_, noJob := p.job("we")
	_, noNode := p.findNode("bbb")
	_, noAlloc := p.allocDetail("zzzz")
	_, manyAllocs := p.allocDetail("web0")
	_, manyNodes := picture{twin}.findNode("bbbb")
	_, noJobs := p.allocs(AllocsRequest{Job: "x"})
	for _, test := range []struct {
		err        error
		kind       mesh.FaultKind
		text, hint string
	}{
		{noJob, mesh.NotFound, `no job "we"`, `there is a job "web"`},
		{noNode, mesh.NotFound, `no node "bbb"`, "mn node ls lists the nodes"},
		{noAlloc, mesh.NotFound, `no allocation "zzzz"`, "mn alloc ls lists them"},
		{manyAllocs, mesh.Invalid, `3 allocations have an id that begins with "web0"`, ""},
		{manyNodes, mesh.Invalid, `2 nodes have an id that begins with "bbbb"`, ""},
		{noJobs, mesh.NotFound, `no job "x"`, "mn job ls lists the jobs"},
	} {
		f := mesh.FaultOf(test.err)
		if f.Kind != test.kind || f.Text != test.text || strings.Join(f.Hints, "") != test.hint {
			t.Errorf("got %+v\nwant %+v", f, test)
		}
	}
}

// TestAForgottenNodeTakesItsCopiesAlong: they are shown no more once others are there,
// and one that is missing still is.
func TestAForgottenNodeTakesItsCopiesAlong(t *testing.T) {
	snap := world()
	snap.View.Nodes = snap.View.Nodes[:2]
	rows, err := picture{snap}.allocs(AllocsRequest{Job: "web"})
	if got, want := ids(rows), "web00000/web=running web00001/web=running web00002/web=lost"; err != nil || got != want {
		t.Errorf("nothing in its place: got %s, %v, want %s", got, err, want)
	}
	next := snap.View.Allocs[3]
	next.ID, next.Index, next.Generation = "web00003", 2, 1
	snap.View.Allocs = append(snap.View.Allocs, next)
	rows, err = picture{snap}.allocs(AllocsRequest{Job: "web"})
	if got, want := ids(rows), "web00000/web=running web00001/web=running web00003/web=running"; err != nil || got != want {
		t.Errorf("another in its place: got %s, %v, want %s", got, err, want)
	}
	snap.View.Nodes[1].Evicted, snap.View.Nodes[1].Liveness = true, mesh.Lost
	if got := (picture{snap}).nodes()[1].State; got != "evicted" {
		t.Errorf("an evicted node is %s", got)
	}
}

// TestRowsAreInAnOrderForPeople: copies on each node by the nodes' names, those of an array
// with its indexes, and finished work stays when its node is forgotten.
func TestRowsAreInAnOrderForPeople(t *testing.T) {
	snap := world()
	web, sum := &snap.View.Jobs[1].Job, &snap.View.Jobs[0].Job
	web.Type, web.Tasks[0].Count = mesh.System, 0
	for i, name := range []string{"zoe", "ann", "bob"} {
		snap.View.Nodes[i].Name = name
	}
	for _, i := range []int{1, 3, 4} {
		a := &snap.View.Allocs[i]
		a.Index, a.Target = 0, a.Node
	}
	rows, _ := picture{snap}.allocs(AllocsRequest{Job: "web"})
	if got, want := ids(rows), "web00001/web=running web00002/web=lost web00000/web=running"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for i := range sum.Tasks {
		sum.Tasks[i].Array = "4-8:2"
	}
	g, _ := sum.Group("pair")
	a := &snap.View.Allocs[0]
	a.Index, a.Content = 1, g.ContentOf(mesh.HashGroup(sum, "pair"), 1)
	if rows, _ = (picture{snap}).allocs(AllocsRequest{Job: "sum"}); rows[0].ArrayIndex == nil || *rows[0].ArrayIndex != 6 {
		t.Errorf("of an array: got %+v", rows)
	}
	a.Content = "another"
	if rows, _ = (picture{snap}).allocs(AllocsRequest{Job: "sum"}); rows[0].ArrayIndex != nil {
		t.Errorf("of another array: got %+v", rows)
	}
	web.Type, snap.View.Allocs[4].Status.State = mesh.SysBatch, mesh.Complete
	snap.View.Allocs[4].Status.Tasks[0].State = mesh.Complete
	snap.View.Nodes = snap.View.Nodes[:2]
	rows, _ = picture{snap}.allocs(AllocsRequest{Job: "web"})
	if got, want := ids(rows), "web00001/web=running web00002/web=complete web00000/web=running"; got != want {
		t.Errorf("with a node forgotten: got %s, want %s", got, want)
	}
}
