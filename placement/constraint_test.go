package placement

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mn/mesh"
)

// rich is a node with something of each attribute.
func rich() mesh.NodeView {
	return node("n1", func(n *mesh.NodeView) {
		n.OS, n.Arch, n.Release, n.Pool = "linux", "arm64", "1.10.0", "big"
		n.Labels = map[string]string{"rack": "7", "ssd": "true", "kernel": "6.1-lts"}
		n.Devices = []mesh.Device{
			{ID: "a", Kind: mesh.GPU, Vendor: "nvidia", Model: "T4", Driver: "cuda", Memory: 16 * mesh.GiB, Capabilities: []string{"fp16"}},
			{ID: "b", Kind: mesh.GPU, Vendor: "nvidia", Model: "A100", Driver: "cuda", Memory: 40 * mesh.GiB},
			{ID: "c", Kind: "fpga"},
		}
	})
}

func TestEachOperatorComparesAttributes(t *testing.T) {
	values := func(all ...mesh.Value) []mesh.Value { return all }
	tests := []struct {
		c    mesh.Constraint
		want string // the reason, "" if it is met
	}{
		{mesh.Constraint{Attribute: "os", Value: "linux"}, ""},
		{mesh.Constraint{Attribute: "os", Value: "darwin"}, "constraint os == darwin: it has linux"},
		{mesh.Constraint{Attribute: "arch", Operator: mesh.Unequal, Value: "amd64"}, ""},
		{mesh.Constraint{Attribute: "arch", Operator: mesh.Unequal, Value: "arm64"}, "constraint arch != arm64: it has arm64"},
		{mesh.Constraint{Attribute: "label.zone", Operator: mesh.Unequal, Value: "a"}, ""}, // it has none
		{mesh.Constraint{Attribute: "label.zone", Value: "a"}, "constraint label.zone == a: it has none"},
		{mesh.Constraint{Attribute: "cpu", Operator: mesh.GreaterOrEqual, Value: "4"}, ""},
		{mesh.Constraint{Attribute: "cpu", Operator: mesh.Greater, Value: "4"}, "constraint cpu > 4: it has 4"},
		{mesh.Constraint{Attribute: "cpu", Value: "4.0"}, ""},
		{mesh.Constraint{Attribute: "memory", Value: "8GiB"}, ""},
		{mesh.Constraint{Attribute: "memory", Operator: mesh.Less, Value: "8GiB"}, "constraint memory < 8GiB: it has 8589934592"},
		{mesh.Constraint{Attribute: "memory", Operator: mesh.LessOrEqual, Value: "8GiB"}, ""},
		{mesh.Constraint{Attribute: "label.rack", Operator: mesh.Greater, Value: "10"}, "constraint label.rack > 10: it has 7"},
		{mesh.Constraint{Attribute: "label.kernel", Operator: mesh.Greater, Value: "5"}, "constraint label.kernel > 5: it has 6.1-lts"},
		{mesh.Constraint{Attribute: "label.kernel", Operator: mesh.Regexp, Value: `^6\.`}, ""},
		{mesh.Constraint{Attribute: "label.kernel", Operator: mesh.Regexp, Value: `^5`}, "constraint label.kernel regexp ^5: it has 6.1-lts"},
		{mesh.Constraint{Attribute: "release", Operator: mesh.Version, Value: ">= 1.9, < 2"}, ""},
		{mesh.Constraint{Attribute: "release", Operator: mesh.Semver, Value: "< 1.2.0"}, "constraint release semver < 1.2.0: it has 1.10.0"},
		{mesh.Constraint{Attribute: "release", Value: "1.1"}, "constraint release == 1.1: it has 1.10.0"},
		{mesh.Constraint{Attribute: "label.kernel", Operator: mesh.Version, Value: ">= 6"}, "constraint label.kernel version >= 6: it has 6.1-lts"},
		{mesh.Constraint{Attribute: "label.ssd", Operator: mesh.Exists}, ""},
		{mesh.Constraint{Attribute: "label.hdd", Operator: mesh.Exists}, "constraint label.hdd exists: it has none"},
		{mesh.Constraint{Attribute: "label.hdd", Operator: mesh.NotExists}, ""},
		{mesh.Constraint{Attribute: "label.ssd", Operator: mesh.NotExists}, "constraint label.ssd not_exists: it has true"},
		{mesh.Constraint{Attribute: "node.name", Operator: mesh.In, Values: values("n1", "n2")}, ""},
		{mesh.Constraint{Attribute: "node.name", Operator: mesh.In, Values: values("n2", "n3")}, "constraint node.name in n2, n3: it has n1"},
		{mesh.Constraint{Attribute: "capabilities", Operator: mesh.Contains, Value: "ssd"}, ""},
		{mesh.Constraint{Attribute: "capabilities", Operator: mesh.ContainsAll, Values: values("exec", "fp16", "gpu", "cuda", "fpga")}, ""},
		{
			mesh.Constraint{Attribute: "capabilities", Operator: mesh.ContainsAll, Values: values("exec", "rack")},
			"constraint capabilities contains_all exec, rack: it has cuda, exec, fp16, fpga, gpu and 1 more",
		},
		{mesh.Constraint{Attribute: "drivers", Operator: mesh.ContainsAny, Values: values("container", "exec")}, ""},
		{mesh.Constraint{Attribute: "gpu", Operator: mesh.GreaterOrEqual, Value: "2"}, ""},
		{mesh.Constraint{Attribute: "gpu.memory", Operator: mesh.GreaterOrEqual, Value: "40GiB"}, ""},
		{mesh.Constraint{Attribute: "gpu.model", Value: "T4"}, ""},
		{mesh.Constraint{Attribute: "gpu.vendor", Operator: mesh.Unequal, Value: "nvidia"}, "constraint gpu.vendor != nvidia: it has nvidia"},
		{mesh.Constraint{Attribute: "gpu.driver", Value: "rocm"}, "constraint gpu.driver == rocm: it has cuda"},
		{mesh.Constraint{Attribute: "pool", Value: "big"}, ""},
		{mesh.Constraint{Attribute: "node.role", Value: "witness"}, "constraint node.role == witness: it has worker"},
		{mesh.Constraint{Attribute: "node.id", Value: "n1"}, ""},
		{mesh.Constraint{Attribute: "disk", Operator: mesh.GreaterOrEqual, Value: "1TiB"}, "constraint disk >= 1TiB: it has 107374182400"},
		// What a newer release may have written is met by no node.
		{mesh.Constraint{Attribute: "os", Operator: "sounds_like", Value: "linux"}, "constraint os sounds_like linux: it has linux"},
		{mesh.Constraint{Attribute: "os", Operator: mesh.Regexp, Value: "("}, "constraint os regexp (: it has linux"},
		{mesh.Constraint{Attribute: "shoe size", Value: "46"}, "constraint shoe size == 46: it has none"},
	}
	n := rich()
	for _, tt := range tests {
		t.Run(string(tt.c.Attribute+" "+string(tt.c.Operator)+" "+string(tt.c.Value)), func(t *testing.T) {
			job := jobOf(mesh.Binpack, mesh.Resources{})
			job.Pool, job.Constraints = mesh.AnyPool, []mesh.Constraint{tt.c}
			if got := Unsuited(&n, job.Groups()[0]); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			c := place(&mesh.View{Nodes: []mesh.NodeView{n}}, job, nil)
			if met := len(c.Candidates) == 1; met != (tt.want == "") {
				t.Errorf("got candidates %v and refusals %v", c.Candidates, c.Refused)
			}
		})
	}
	for _, name := range mesh.Attributes {
		if len(attribute(&n.Node, name)) == 0 {
			t.Errorf("the node has nothing of %q", name)
		}
	}
}

func TestPoolsKeepOthersOut(t *testing.T) {
	for _, tt := range []struct{ node, job, want string }{
		{"", "", ""},
		{"", mesh.DefaultPool, ""},
		{"gpu", "", `is in pool "gpu", not "default"`},
		{"gpu", "gpu", ""},
		{"gpu", mesh.AnyPool, ""},
		{"", "gpu", `is in pool "default", not "gpu"`},
	} {
		n, job := node("n1", func(n *mesh.NodeView) { n.Pool = tt.node }), jobOf(mesh.Binpack, mesh.Resources{})
		job.Pool = tt.job
		if got := Unsuited(&n, job.Groups()[0]); got != tt.want {
			t.Errorf("node in %q, job for %q: got %q, want %q", tt.node, tt.job, got, tt.want)
		}
	}
}

// A wish decides among nodes that fit, and by its weight against the strategy.
func TestAffinitiesWeighAgainstTheStrategy(t *testing.T) {
	v := &mesh.View{Nodes: []mesh.NodeView{
		node("fast", func(n *mesh.NodeView) { n.Labels = map[string]string{"disk": "nvme"} }),
		node("full", uses(mesh.Resources{CPU: 2 * mesh.Core, Memory: 4 * mesh.GiB, Disk: 50 * mesh.GiB})),
	}}
	for _, tt := range []struct {
		weight int
		value  mesh.Value
		best   string
	}{
		{100, "nvme", "fast"},
		{20, "nvme", "full"},
		{100, "tape", "full"},
		{-100, "nvme", "full"},
	} {
		job := jobOf(mesh.Binpack, mesh.Resources{CPU: mesh.Core})
		job.Affinities = []mesh.Affinity{{Attribute: "label.disk", Value: tt.value, Weight: tt.weight}}
		if got := place(v, job, nil).Candidates[0].Name; got != tt.best {
			t.Errorf("weight %d for %s: got %s, want %s", tt.weight, tt.value, got, tt.best)
		}
	}
}

// town is nodes in racks, and a job that has copies on some of them.
func town(racks string, copies ...string) *mesh.View {
	v := &mesh.View{}
	for i, rack := range racks {
		v.Nodes = append(v.Nodes, node("n"+string(rune('a'+i)), func(n *mesh.NodeView) {
			if rack != '-' {
				n.Labels = map[string]string{"rack": string(rack)}
			}
		}))
	}
	for i, c := range copies {
		group, name, _ := strings.Cut(c, "@")
		v.Allocs = append(v.Allocs, mesh.AllocView{Alloc: mesh.Alloc{
			Job: "web", Group: group, Index: i, Node: mesh.NodeID(name), Want: mesh.WantRun,
		}})
	}
	return v
}

func names(c Choice) string {
	var all []string
	for _, cand := range c.Candidates {
		all = append(all, cand.Name)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestCopiesKeepApart(t *testing.T) {
	hosts := []mesh.Constraint{{Operator: mesh.DistinctHosts}}
	racks := func(limit mesh.Value) []mesh.Constraint {
		return []mesh.Constraint{{Attribute: "label.rack", Operator: mesh.DistinctProperty, Value: limit}}
	}
	for _, tt := range []struct {
		name      string
		job, task []mesh.Constraint
		copies    []string
		want      string
	}{
		{"alone", nil, nil, []string{"web@na"}, "na nb nc nd"},
		{"hosts", nil, hosts, []string{"web@na"}, "nb nc nd"},
		{"another group's hosts", nil, hosts, []string{"db@na"}, "na nb nc nd"},
		{"the whole job's hosts", hosts, nil, []string{"db@na"}, "nb nc nd"},
		{"racks", nil, racks(""), []string{"web@na"}, "nc nd"}, // nd is in no rack
		{"two to a rack", nil, racks("2"), []string{"web@na"}, "na nb nc nd"},
		{"two in a rack", nil, racks("2"), []string{"web@na", "web@nb"}, "nc nd"},
		{"the whole job's racks", racks("2"), nil, []string{"web@na", "db@nb"}, "nc nd"},
		{"no rack", nil, racks(""), []string{"web@nd"}, "na nb nc nd"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			job := jobOf(mesh.Binpack, mesh.Resources{})
			job.Constraints, job.Tasks[0].Constraints = tt.job, tt.task
			if got := names(place(town("xxy-", tt.copies...), job, nil)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	v := town("xxy-", "web@na")
	v.Allocs[0].Want = mesh.WantStop
	job := jobOf(mesh.Binpack, mesh.Resources{})
	job.Constraints = hosts
	if got := names(place(v, job, nil)); got != "na nb nc nd" {
		t.Errorf("one that stops: got %q", got)
	}
}

// fill places copies one after the other, and says how many each value has in the end.
func fill(v *mesh.View, job *mesh.Job, copies int, of func(mesh.NodeID) string) map[string]int {
	had := map[string]int{}
	for i := range copies {
		c := place(v, job, nil)
		if len(c.Candidates) == 0 {
			break
		}
		on := c.Candidates[0].Node
		had[of(on)]++
		n := v.Node(on)
		n.Used.Resources = n.Used.Add(job.Tasks[0].Resources)
		v.Allocs = append(v.Allocs, mesh.AllocView{Alloc: mesh.Alloc{
			Job: "web", Group: "web", Index: i, Node: on, Want: mesh.WantRun,
		}})
	}
	return had
}

func TestCopiesAreSpreadByPercent(t *testing.T) {
	job := jobOf(mesh.Binpack, mesh.Resources{})
	job.Spreads = []mesh.SpreadOver{{Attribute: "label.rack", Targets: []mesh.SpreadTarget{{Value: "x", Percent: 70}, {Value: "y", Percent: 20}}}}
	v := town("xyzzu")
	had := fill(v, job, 20, func(id mesh.NodeID) string { return v.Node(id).Labels["rack"] })
	if had["x"] != 14 || had["y"] != 4 || had["z"]+had["u"] != 2 || had["u"] != 1 {
		t.Errorf("got %v, want 14 in x, 4 in y, and one each in z and u", had)
	}
	job.Spreads[0].Targets[1].Percent = 30
	v = town("xyz")
	if had := fill(v, job, 10, func(id mesh.NodeID) string { return v.Node(id).Labels["rack"] }); had["x"] != 7 || had["y"] != 3 {
		t.Errorf("got %v, want 7 in x and 3 in y: nothing is left for z", had)
	}
}

// On any mesh: spread over an attribute, no two of its values differ by more than one copy,
// as long as all fit; spread over hosts, no two hosts do; and packed, no node is begun while
// one in use has room.
func TestStrategiesDoWhatTheySay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		racks := rapid.StringMatching(`[xyz]{1,8}`).Draw(t, "racks")
		copies := rapid.IntRange(1, 12).Draw(t, "copies")
		host := func(id mesh.NodeID) string { return string(id) }
		even := func(what string, had map[string]int, of int) {
			for _, n := range had {
				for _, m := range had {
					if n-m > 1 || len(had) < min(of, copies) {
						t.Fatalf("%s: got %v over %d", what, had, of)
					}
				}
			}
		}
		job := jobOf(mesh.Spread, mesh.Resources{})
		even("hosts", fill(town(racks), job, copies, host), len(racks))

		job.Spreads = []mesh.SpreadOver{{Attribute: "label.rack"}}
		job.Strategy = mesh.Binpack
		v := town(racks)
		kinds := map[rune]bool{}
		for _, r := range racks {
			kinds[r] = true
		}
		even("racks", fill(v, job, copies, func(id mesh.NodeID) string { return v.Node(id).Labels["rack"] }), len(kinds))

		job = jobOf(mesh.Binpack, mesh.Resources{CPU: mesh.Core}) // four fit on a node
		if had := fill(town(racks), job, copies, host); len(had) != min((copies+3)/4, len(racks)) {
			t.Fatalf("packed %d copies on %v", copies, had)
		}
	})
}
