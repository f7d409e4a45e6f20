package placement

import (
	"fmt"
	"strings"
	"testing"

	"mn/mesh"
)

// node is a worker in sight with 4 cores, 8 GiB and 100 GiB of disk.
func node(name string, change func(*mesh.NodeView)) mesh.NodeView {
	n := mesh.NodeView{
		Node: mesh.Node{
			ID: mesh.NodeID(name), Name: name, Role: mesh.Worker, Drivers: []string{"exec"},
			Capacity: mesh.Resources{CPU: 4 * mesh.Core, Memory: 8 * mesh.GiB, Disk: 100 * mesh.GiB},
		},
		Known: true, Liveness: mesh.Alive, Eligible: true,
	}
	if change != nil {
		change(&n)
	}
	return n
}

func uses(r mesh.Resources) func(*mesh.NodeView) {
	return func(n *mesh.NodeView) { n.Used.Resources = r }
}

func jobOf(strategy mesh.Strategy, r mesh.Resources) *mesh.Job {
	return &mesh.Job{
		Name: "web", Type: mesh.Service, Strategy: strategy,
		Tasks: []mesh.Task{{Name: "web", Command: []string{"web"}, Resources: r}},
	}
}

func place(v *mesh.View, job *mesh.Job, avoid map[mesh.NodeID]string) Choice {
	return Place(v, job, job.Groups()[0], "web/0", avoid)
}

func TestNodeWithoutEngineTakesNoContainer(t *testing.T) {
	job := jobOf(mesh.Binpack, mesh.Resources{})
	job.Tasks[0].Driver, job.Tasks[0].Container = mesh.ContainerDriver, &mesh.Container{Image: "nginx"}
	for name, tt := range map[string]struct {
		change func(*mesh.NodeView)
		want   string
	}{
		"not looked for": {nil, `driver "container" is not available`},
		"silent": {
			func(n *mesh.NodeView) { n.Engine = &mesh.Engine{Lacks: "it does not answer"} },
			`driver "container" is not available: it does not answer`,
		},
		"there": {func(n *mesh.NodeView) { n.Drivers = []string{"container", "exec"} }, ""},
	} {
		c := place(&mesh.View{Nodes: []mesh.NodeView{node("n1", tt.change)}}, job, nil)
		got := ""
		if len(c.Refused) > 0 {
			got = c.Refused[0].Error()
		}
		if got != tt.want || len(c.Candidates)+len(c.Refused) != 1 {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

func TestEachFilterRefusesWithItsReason(t *testing.T) {
	job := jobOf(mesh.Binpack, mesh.Resources{CPU: mesh.Core, Memory: 2 * mesh.GiB, Disk: mesh.GiB})
	tests := []struct {
		name   string
		change func(*mesh.NodeView)
		want   string // "" if the node takes the copy
	}{
		{"fits", nil, ""},
		{"lost", func(n *mesh.NodeView) { n.Liveness = mesh.Lost }, `status: status "lost"`},
		{"left", func(n *mesh.NodeView) { n.Liveness = mesh.Left }, `status: status "left"`},
		{"unknown", func(n *mesh.NodeView) { n.Known = false }, "status: has not said yet what it can run"},
		{"cordoned", func(n *mesh.NodeView) { n.Eligible = false }, "eligibility: scheduling is disabled"},
		{"witness", func(n *mesh.NodeView) { n.Role = mesh.Witness }, "role: is a witness, which runs no tasks"},
		{"no driver", func(n *mesh.NodeView) { n.Drivers = nil }, `driver: driver "exec" is not available`},
		{"cpu", uses(mesh.Resources{CPU: 3500}), "capacity: cpu: needs 1 core, 0.5 free"},
		{"memory", uses(mesh.Resources{Memory: 7 * mesh.GiB}), "capacity: memory: needs 2 GiB, 1 GiB free"},
		{"disk", uses(mesh.Resources{Disk: 100 * mesh.GiB}), "capacity: disk: needs 1 GiB, 0 B free"},
		{"just full", uses(mesh.Resources{CPU: 3000, Memory: 6 * mesh.GiB, Disk: 99 * mesh.GiB}), ""},
		{"first of several", func(n *mesh.NodeView) { n.Liveness, n.Eligible = mesh.Lost, false }, `status: status "lost"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := place(&mesh.View{Nodes: []mesh.NodeView{node("n1", tt.change)}}, job, nil)
			got := ""
			if len(c.Refused) > 0 {
				got = c.Refused[0].Filter + ": " + c.Refused[0].Error()
			}
			if got != tt.want || len(c.Candidates)+len(c.Refused) != 1 {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestIsolationIsAConditionOnTheNode(t *testing.T) {
	both := map[mesh.Isolation]string{mesh.IsolateNone: "", mesh.IsolateCgroup: "", mesh.IsolateSandbox: ""}
	unlimited := map[mesh.Isolation]string{mesh.IsolateCgroup: "no controller", mesh.IsolateSandbox: ""}
	tests := []struct {
		name   string
		has    map[mesh.Isolation]string
		wants  mesh.Isolation
		memory mesh.Bytes
		want   string // "" if the node takes the copy
	}{
		{"unset on an older node", nil, "", mesh.GiB, ""},
		{"none on an older node", nil, mesh.IsolateNone, mesh.GiB, ""},
		{"cgroup on an older node", nil, mesh.IsolateCgroup, 0, `isolation: isolation "cgroup" is not available`},
		{"sandbox on an older node", nil, mesh.IsolateSandbox, 0, `isolation: isolation "sandbox" is not available`},
		{"unset where there are no limits", unlimited, "", mesh.GiB, ""},
		{"cgroup where there are none", unlimited, mesh.IsolateCgroup, 0, `isolation: isolation "cgroup" is not available: no controller`},
		{"sandbox where there are none", unlimited, mesh.IsolateSandbox, 0, ""},
		{"sandbox that needs limits", unlimited, mesh.IsolateSandbox, mesh.GiB, `isolation: isolation "cgroup" is not available: no controller`},
		{"cgroup", both, mesh.IsolateCgroup, mesh.GiB, ""},
		{"sandbox", both, mesh.IsolateSandbox, mesh.GiB, ""},
	}
	for _, tt := range tests {
		job := jobOf(mesh.Binpack, mesh.Resources{Memory: tt.memory})
		job.Tasks[0].Isolation = tt.wants
		n := node("n1", func(n *mesh.NodeView) { n.Isolation = tt.has })
		got := ""
		if c := place(&mesh.View{Nodes: []mesh.NodeView{n}}, job, nil); len(c.Refused) > 0 {
			got = c.Refused[0].Filter + ": " + c.Refused[0].Error()
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
		if unsuited := Unsuited(&n, job.Groups()[0]); "isolation: "+unsuited != tt.want && unsuited != tt.want {
			t.Errorf("%s: unsuited for %q, want %q", tt.name, unsuited, tt.want)
		}
	}
}

// A plain task of another user cannot start where a folder above the agent's is closed.
func TestATaskIsPlacedWhereItsUserGetsToItsFolder(t *testing.T) {
	tests := []struct {
		name, closed, user string
		wants              mesh.Isolation
		driver             string
		refused            bool
	}{
		{"open", "", "alice", "", "", false},
		{"closed", "/root", "alice", "", "", true},
		{"with limits", "/root", "alice", mesh.IsolateCgroup, "", true},
		{"as the agent", "/root", "", "", "", false},
		{"as root", "/root", "root", "", "", false},
		{"in a sandbox", "/root", "alice", mesh.IsolateSandbox, "", false},
		{"in a container", "/root", "alice", "", mesh.ContainerDriver, false},
	}
	for _, tt := range tests {
		job := jobOf(mesh.Binpack, mesh.Resources{})
		job.Tasks[0].User, job.Tasks[0].Isolation, job.Tasks[0].Driver = tt.user, tt.wants, tt.driver
		n := node("n1", func(n *mesh.NodeView) {
			n.Closed, n.Drivers = tt.closed, []string{mesh.ContainerDriver, mesh.DefaultDriver}
			n.Isolation = map[mesh.Isolation]string{mesh.IsolateCgroup: "", mesh.IsolateSandbox: ""}
		})
		c := place(&mesh.View{Nodes: []mesh.NodeView{n}}, job, nil)
		if got := len(c.Refused) > 0; got != tt.refused {
			t.Errorf("%s: refused: %v, want %v", tt.name, got, tt.refused)
		}
		const want = `user "alice" gets to no folder of a task, as "/root" lets nobody but root through: ` +
			`let others pass (chmod o+x /root), or keep the agent's data elsewhere (mn agent --data)`
		if tt.refused && len(c.Refused) > 0 && c.Refused[0].Error() != want {
			t.Errorf("%s: got %q, want %q", tt.name, c.Refused[0].Error(), want)
		}
	}
}

func TestVolumesAreThoseThatTheNodeShares(t *testing.T) {
	tests := []struct {
		shares []string
		source string
		want   string // "" if the node takes the copy
	}{
		{nil, "/data/a", `volume: volume "v": "/data/a" is in no folder that it shares`},
		{[]string{"/data"}, "/data/a", ""},
		{[]string{"/data"}, "/data", ""},
		{[]string{"/data"}, "/database", `volume: volume "v": "/database" is in no folder that it shares`},
		{[]string{"/srv", "/data/a/b"}, "/data/a", `volume: volume "v": "/data/a" is in no folder that it shares`},
		{[]string{"/"}, "/data/a", ""},
	}
	for _, tt := range tests {
		job := jobOf(mesh.Binpack, mesh.Resources{})
		job.Tasks[0].Volumes = []mesh.Volume{{Name: "v", Source: tt.source}}
		n := node("n1", func(n *mesh.NodeView) { n.Volumes = tt.shares })
		got := ""
		if c := place(&mesh.View{Nodes: []mesh.NodeView{n}}, job, nil); len(c.Refused) > 0 {
			got = c.Refused[0].Filter + ": " + c.Refused[0].Error()
		}
		if got != tt.want || (Unsuited(&n, job.Groups()[0]) == "") != (tt.want == "") {
			t.Errorf("%q of %q: got %q, want %q", tt.source, tt.shares, got, tt.want)
		}
	}
}

// TestTheNamedStrategyDecides has a node that is bigger than the others by far:
// size alone must not win.
func TestTheNamedStrategyDecides(t *testing.T) {
	small := mesh.Resources{CPU: mesh.Core, Memory: mesh.GiB}
	v := &mesh.View{Nodes: []mesh.NodeView{
		node("busy", uses(mesh.Resources{CPU: 2 * mesh.Core, Memory: 4 * mesh.GiB})),
		node("giant", func(n *mesh.NodeView) {
			n.Capacity = mesh.Resources{CPU: 256 * mesh.Core, Memory: 4 * mesh.TiB, Disk: 100 * mesh.TiB}
			n.Used.Resources = mesh.Resources{CPU: 25 * mesh.Core, Memory: 400 * mesh.GiB}
		}),
		node("idle", nil),
	}}
	tests := []struct {
		strategy mesh.Strategy
		allocs   []mesh.AllocView
		want     string
	}{
		{"", nil, "busy idle giant"},
		{mesh.Binpack, nil, "busy idle giant"},
		{mesh.Spread, nil, "giant idle busy"},
		{mesh.Spread, []mesh.AllocView{copyOn("giant", mesh.WantRun, "web")}, "idle busy giant"},
		{mesh.Spread, []mesh.AllocView{copyOn("giant", mesh.WantStop, "web")}, "giant idle busy"},
		{mesh.Spread, []mesh.AllocView{copyOn("giant", mesh.WantRun, "other")}, "giant idle busy"},
		{mesh.Spread, []mesh.AllocView{failedOn("giant")}, "giant idle busy"},
	}
	for _, tt := range tests {
		v.Allocs = tt.allocs
		var got []string
		for _, c := range place(v, jobOf(tt.strategy, small), nil).Candidates {
			got = append(got, c.Name)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%q with %v: got %v, want %s", tt.strategy, tt.allocs, got, tt.want)
		}
	}
}

func copyOn(id mesh.NodeID, want mesh.Want, group string) mesh.AllocView {
	return mesh.AllocView{Alloc: mesh.Alloc{Job: "web", Group: group, Node: id, Want: want}}
}

func failedOn(id mesh.NodeID) mesh.AllocView {
	a := copyOn(id, mesh.WantRun, "web")
	a.Status = &mesh.Status{State: mesh.Failed}
	return a
}

// TestFilesThatAreThereCount as their size does, and not for more than a quarter of a load.
func TestFilesThatAreThereCount(t *testing.T) {
	has := func(n *mesh.NodeView) { n.Files = []string{"a", "tree", "z"} }
	half := func(n *mesh.NodeView) { n.Used.Resources = mesh.Resources{CPU: 3 * mesh.Core, Memory: 6 * mesh.GiB} }
	for _, tt := range []struct {
		bytes     mesh.Bytes
		tree      string
		fuller    func(*mesh.NodeView)
		wantFirst string
		wantFiles int64
	}{
		{mesh.GiB, "tree", nil, "has", Whole / 4},
		{mesh.GiB / 4, "tree", nil, "has", Whole / 16},
		{64 * mesh.GiB, "tree", nil, "has", Whole / 4},
		{64 * mesh.GiB, "tree", half, "lacks", Whole / 4}, // the named strategy counts for more
		{mesh.GiB, "other", half, "lacks", 0},
	} {
		v := &mesh.View{Nodes: []mesh.NodeView{node("has", has), node("lacks", tt.fuller)}}
		job := jobOf(mesh.Binpack, mesh.Resources{})
		job.Payload = &mesh.Payload{Tree: tt.tree, Bytes: tt.bytes}
		files := int64(0)
		got := place(v, job, nil).Candidates
		for _, c := range got {
			for _, term := range c.Terms {
				if term.Name == "files" {
					files += term.Value
				}
			}
		}
		if got[0].Name != tt.wantFirst || files != tt.wantFiles {
			t.Errorf("%v of %q: %s is first, files count %d; want %s, %d",
				tt.bytes, tt.tree, got[0].Name, files, tt.wantFirst, tt.wantFiles)
		}
	}
}

// TestANodeWithoutAProgramThatATaskNeeds before it starts never runs it.
func TestANodeWithoutAProgramThatATaskNeeds(t *testing.T) {
	has := func(programs ...string) *mesh.NodeView {
		return &mesh.NodeView{Node: mesh.Node{Role: mesh.Worker, Drivers: []string{"exec"}, Programs: programs}}
	}
	git := mesh.Task{Name: "t", Artifacts: []mesh.Artifact{{Source: "git::https://me:secret@h/r.git", Commit: "c"}}}
	python := mesh.Task{Name: "t", Python: &mesh.Python{}}
	own := python
	own.Env = map[string]string{"PATH": "/opt/python/bin"}
	for _, tt := range []struct {
		node *mesh.NodeView
		task mesh.Task
		want string
	}{
		{has(), mesh.Task{Name: "t"}, ""},
		{has("python3"), git, "has no git, for artifact https://h/r.git"},
		{has("git"), git, ""},
		{has("git"), python, `has no python3, for the environment of task "t"`},
		{has("python3"), python, ""},
		{has(), own, ""},
	} {
		if got := Unsuited(tt.node, mesh.Group{Pool: mesh.DefaultPool, Tasks: []mesh.Task{tt.task}}); got != tt.want {
			t.Errorf("%v with %v: %q, want %q", tt.node.Programs, tt.task, got, tt.want)
		}
	}
}

// TestWhatWasFetchedThereCounts by how much of it there is, and for less than the strategy.
func TestWhatWasFetchedThereCounts(t *testing.T) {
	group := mesh.Group{Tasks: []mesh.Task{
		{Container: &mesh.Container{Image: "docker.io/library/python:3.12"}},
		{Python: &mesh.Python{Packages: []string{"numpy"}}},
		{Artifacts: []mesh.Artifact{
			{Source: "https://me:secret@example.org/data", Checksum: "sha256:" + strings.Repeat("ab", 32)},
			{Source: "https://example.org/latest", Checksum: mesh.ChecksumNone}, // fetched each time
		}},
	}}
	all := group.Fetches()
	if len(all) != 2 || strings.Contains(strings.Join(all, " "), "abab") {
		t.Fatalf("it fetches %q", all)
	}
	for i, n := range []struct {
		has  []string
		want int64
	}{{nil, 0}, {[]string{"other"}, 0}, {all[1:2], Whole / 8}, {all, Whole / 4}} {
		sum := int64(0)
		for _, term := range fetched(group)(&mesh.Node{Fetched: n.has}) {
			sum += term.Value
		}
		if sum != n.want {
			t.Errorf("%d: it counts %d, want %d", i, sum, n.want)
		}
	}
	none := mesh.Group{Tasks: []mesh.Task{{Command: []string{"true"}}}}
	if terms := fetched(none)(&mesh.Node{Fetched: all}); len(none.Fetches()) > 0 || len(terms) > 0 {
		t.Errorf("who fetches nothing has terms %v", terms)
	}
	job := jobOf(mesh.Binpack, mesh.Resources{})
	job.Tasks[0].Artifacts = group.Tasks[2].Artifacts
	g := job.Groups()[0]
	has := func(n *mesh.NodeView) { n.Fetched = g.Fetches() }
	v := &mesh.View{Nodes: []mesh.NodeView{node("lacks", nil), node("has", has)}}
	if got := place(v, job, nil); got.Candidates[0].Name != "has" {
		t.Errorf("the first is %v", got.Candidates[0])
	}
}

// TestAvoidedNodesComeLast, however well they score, but before nothing at all.
func TestAvoidedNodesComeLast(t *testing.T) {
	v := &mesh.View{Nodes: []mesh.NodeView{
		node("n1", uses(mesh.Resources{Memory: 6 * mesh.GiB})), node("n2", nil),
	}}
	c := place(v, jobOf(mesh.Binpack, mesh.Resources{}), map[mesh.NodeID]string{"n1": "a copy failed here"})
	if len(c.Candidates) != 2 || c.Candidates[0].Name != "n2" || c.Candidates[1].Avoid != "a copy failed here" {
		t.Errorf("got %v", c)
	}
}

// TestTiesFallDifferentlyForEachCopy: copies without resources are not all sent
// to one node by chance of its name.
func TestTiesFallDifferentlyForEachCopy(t *testing.T) {
	v := &mesh.View{Nodes: []mesh.NodeView{node("n1", nil), node("n2", nil), node("n3", nil)}}
	job := jobOf(mesh.Binpack, mesh.Resources{})
	first := map[mesh.NodeID]int{}
	for i := range 300 {
		first[Place(v, job, job.Groups()[0], fmt.Sprint("copy", i), nil).Candidates[0].Node]++
	}
	for id, n := range first {
		if n < 70 || n > 130 {
			t.Errorf("%s is first for %d of 300 copies", id, n)
		}
	}
}

func TestAHugeNodeDoesNotOverflowTheScore(t *testing.T) {
	all := mesh.Resources{CPU: 1e9, Memory: 1 << 60, Disk: 1 << 60}
	v := &mesh.View{Nodes: []mesh.NodeView{node("n1", func(n *mesh.NodeView) { n.Capacity = all })}}
	c := place(v, jobOf(mesh.Binpack, all), nil)
	if len(c.Candidates) != 1 || c.Candidates[0].Score != Whole {
		t.Errorf("got %v, want a score of %d", c.Candidates, Whole)
	}
}

func ExamplePlace() {
	v := &mesh.View{Nodes: []mesh.NodeView{
		node("n1", uses(mesh.Resources{Memory: 7 * mesh.GiB})),
		node("n2", uses(mesh.Resources{Memory: 2 * mesh.GiB})),
		node("n3", func(n *mesh.NodeView) { n.Liveness = mesh.Lost }),
		node("n4", nil),
	}}
	c := place(v, jobOf(mesh.Binpack, mesh.Resources{CPU: mesh.Core, Memory: 4 * mesh.GiB}), nil)
	fmt.Print(c)
	fmt.Println(c.Summary())
	c.Candidates = nil
	fmt.Println(c.Summary())
	// Output:
	// 1  n2  0.333     packed 0.333
	// 2  n4  0.250     packed 0.250
	// -  n1  capacity  memory: needs 4 GiB, 1 GiB free
	// -  n3  status    status "lost"
	// 2 of 4 nodes fit; best is n2 (packed 0.333)
	// 0 of 2 nodes fit; n1: memory: needs 4 GiB, 1 GiB free; n3: status "lost"
}

// TestSummaryIsShortForManyNodes: a thousand nodes are told in one line.
func TestSummaryIsShortForManyNodes(t *testing.T) {
	v := &mesh.View{}
	for i := range 1000 {
		v.Nodes = append(v.Nodes, node(fmt.Sprintf("n%03d", i), uses(mesh.Resources{Memory: mesh.Bytes(i%7) * mesh.GiB})))
	}
	got := place(v, jobOf(mesh.Binpack, mesh.Resources{Memory: 9 * mesh.GiB}), nil).Summary()
	if len(got) > 600 || !strings.Contains(got, "0 of 1000 nodes fit") || !strings.HasSuffix(got, "; and 2 other reasons") {
		t.Errorf("got %d bytes: %s", len(got), got)
	}
}

func BenchmarkPlace(b *testing.B) {
	v := &mesh.View{}
	for i := range 1000 {
		v.Nodes = append(v.Nodes, node(fmt.Sprintf("n%03d", i), nil))
	}
	job := jobOf(mesh.Spread, mesh.Resources{Memory: mesh.GiB})
	g := job.Groups()[0]
	for b.Loop() {
		Place(v, job, g, "web/0", nil)
	}
}
