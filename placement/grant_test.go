package placement

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mn/mesh"
)

// farm is a node with four GPUs and an FPGA.
func farm() mesh.Node {
	gpu := func(i int, model string, memory mesh.Bytes, api string, can ...string) mesh.Device {
		return mesh.Device{
			ID: fmt.Sprintf("GPU-%d", i), Index: i, Kind: mesh.GPU, Vendor: "nvidia", Model: model, Driver: "cuda",
			APIVersion: api, Memory: memory, Capabilities: can,
		}
	}
	return mesh.Node{Devices: []mesh.Device{
		gpu(0, "Tesla T4", 16*mesh.GiB, "12.4", "fp16"),
		gpu(1, "A100-SXM4-40GB", 40*mesh.GiB, "12.4", "bf16", "fp16"),
		gpu(2, "Tesla T4", 16*mesh.GiB, "11.8", "fp16"),
		{ID: "GPU-a", Index: 0, Kind: mesh.GPU, Vendor: "amd", Model: "MI100", Driver: "rocm", Memory: 32 * mesh.GiB},
		{ID: "fpga0", Kind: "fpga"},
	}}
}

func askFor(requests ...mesh.DeviceRequest) *mesh.Grants {
	g := &mesh.Grants{}
	for _, r := range requests {
		g.Devices = append(g.Devices, mesh.DeviceGrant{Task: "t", DeviceRequest: r})
	}
	return g
}

// ids are the devices that were given, request by request.
func ids(g *mesh.Grants) string {
	var all []string
	for _, d := range g.Devices {
		var of []string
		for _, given := range d.Given {
			id := given.ID
			if given.Part > 0 {
				id += "/" + given.Part.String()
			}
			of = append(of, id)
		}
		all = append(all, strings.Join(of, " "))
	}
	return strings.Join(all, ", ")
}

func TestDevicesAreGivenAsAskedFor(t *testing.T) {
	type request = mesh.DeviceRequest
	tests := []struct {
		name  string
		has   *mesh.Grants // what another copy has
		asks  []request
		spoil func(*mesh.Node)
		want  string // the ids, or the reason
	}{
		{"any: the least memory", nil, []request{{}}, nil, "GPU-0"},
		{"two", nil, []request{{Count: 2}}, nil, "GPU-0 GPU-2"},
		{"another kind", nil, []request{{Kind: "fpga"}}, nil, "fpga0"},
		{"no such kind", nil, []request{{Kind: "tpu"}}, nil, "tpu: needs 1, 0 of 0 can be had"},
		{"vendor", nil, []request{{Vendor: "AMD"}}, nil, "GPU-a"},
		{"model", nil, []request{{Model: "a100"}}, nil, "GPU-1"},
		{"driver", nil, []request{{Driver: "rocm"}}, nil, "GPU-a"},
		{"memory", nil, []request{{MinMemory: 20 * mesh.GiB}}, nil, "GPU-a"},
		{"memory just so", nil, []request{{MinMemory: 16 * mesh.GiB}}, nil, "GPU-0"},
		{"more memory", nil, []request{{MinMemory: 16 * mesh.GiB, MemoryRule: mesh.MoreThan}}, nil, "GPU-a"},
		{"exact memory", nil, []request{{MinMemory: 40 * mesh.GiB, MemoryRule: mesh.Exactly}}, nil, "GPU-1"},
		{"API", nil, []request{{MinAPIVersion: "12.0", Count: 2}}, nil, "GPU-0 GPU-1"},
		{"later API", nil, []request{{MinAPIVersion: "12.4", APIRule: mesh.MoreThan}}, nil, `gpu: needs 1, 0 of 4 can be had; 2 with version "12.4" of the API; 1 with version "11.8" of the API; 1 with version "" of the API`},
		{"exact API", nil, []request{{MinAPIVersion: "11.8", APIRule: mesh.Exactly}}, nil, "GPU-2"},
		{"capabilities", nil, []request{{Capabilities: []string{"fp16", "bf16"}}}, nil, "GPU-1"},
		{"ids", nil, []request{{IDs: []string{"GPU-1", "GPU-9"}}}, nil, "GPU-1"},
		{"what any would take is needed", nil, []request{{}, {IDs: []string{"GPU-0"}}}, nil, "GPU-2, GPU-0"},
		{
			"a chain of moves", nil,
			[]request{{Driver: "cuda"}, {Model: "T4"}, {MinAPIVersion: "12.4"}},
			nil, "GPU-1, GPU-2, GPU-0",
		},
		{"too many", nil, []request{{Driver: "cuda", Count: 4}}, nil, `gpu: needs 4, 3 of 4 can be had; 1 with driver "rocm"`},
		{
			"in use", &mesh.Grants{Devices: []mesh.DeviceGrant{{Given: []mesh.GivenDevice{{ID: "GPU-0"}, {ID: "GPU-2", Part: mesh.GiB}}}}},
			[]request{{Model: "T4"}},
			nil, `gpu: needs 1, 0 of 4 can be had; 2 in use; 1 of model "A100-SXM4-40GB"; 1 of model "MI100"`,
		},
		{"sick", nil, []request{{}}, func(n *mesh.Node) { n.Devices[0].Sick = "Xid 79" }, "GPU-2"},
		{
			"sick alone", nil,
			[]request{{IDs: []string{"GPU-0"}}},
			func(n *mesh.Node) { n.Devices[0].Sick = "Xid 79" },
			"gpu: needs 1, 0 of 4 can be had; 1 sick: Xid 79; 3 not among the ids",
		},
		{"a screen", nil, []request{{IDs: []string{"GPU-0"}}}, func(n *mesh.Node) { n.Devices[0].Foreign = 2 * mesh.GiB }, "GPU-0"},
		{
			"somebody's training", nil,
			[]request{{IDs: []string{"GPU-0"}}},
			func(n *mesh.Node) { n.Devices[0].Foreign = 3 * mesh.GiB },
			"gpu: needs 1, 0 of 4 can be had; 1 used by other programs; 3 not among the ids",
		},
		{"parts: where the least is free", nil, []request{{Memory: 6 * mesh.GiB}}, func(n *mesh.Node) { n.Devices[2].Foreign = 5 * mesh.GiB }, "GPU-2/6 GiB"},
		{
			"a part where others have parts",
			&mesh.Grants{Devices: []mesh.DeviceGrant{{Given: []mesh.GivenDevice{{ID: "GPU-1", Part: 30 * mesh.GiB}}}}},
			[]request{{Memory: 8 * mesh.GiB}, {Memory: 8 * mesh.GiB}},
			nil, "GPU-1/8 GiB, GPU-0/8 GiB",
		},
		{"shares", nil, []request{{Share: 250}, {Share: 750}, {Share: 500, Count: 2}}, nil, "GPU-0/4 GiB, GPU-0/12 GiB, GPU-a/16 GiB GPU-2/8 GiB"},
		{"a part of what is too small", nil, []request{{Memory: 33 * mesh.GiB, Count: 2}}, nil, "gpu: needs 2, 1 of 4 can be had; 3 without 33 GiB of its memory free"},
		{"a part of what another has", &mesh.Grants{Devices: []mesh.DeviceGrant{{Given: []mesh.GivenDevice{{ID: "fpga0"}}}}}, []request{{Kind: "fpga", Share: 500}}, nil, "fpga: needs 1, 0 of 1 can be had; 1 in use"},
		{"a whole one and a part", nil, []request{{Memory: mesh.GiB}, {Model: "T4"}}, nil, "GPU-2/1 GiB, GPU-0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := farm()
			if tt.spoil != nil {
				tt.spoil(&n)
			}
			var used []mesh.Claim
			if tt.has != nil {
				used = append(used, mesh.Claim{Alloc: "other", Grants: *tt.has})
			}
			given, got := grant(&n, used, askFor(tt.asks...), mesh.DynamicPortMin)
			if given != nil {
				got = ids(given)
			}
			if got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// What was decided is kept, or refused: another device is not what the task was told of.
func TestGrantsAreKept(t *testing.T) {
	n := farm()
	before, _ := grant(&n, nil, askFor(mesh.DeviceRequest{Model: "T4"}, mesh.DeviceRequest{Memory: mesh.GiB}), mesh.DynamicPortMin)
	if got := ids(before); got != "GPU-0, GPU-2/1 GiB" {
		t.Fatalf("got %s", got)
	}
	again, reason := grant(&n, nil, before, mesh.DynamicPortMin)
	if reason != "" || ids(again) != ids(before) {
		t.Errorf("got %v, %q", again, reason)
	}
	for _, tt := range []struct {
		given mesh.GivenDevice
		want  string
	}{
		{mesh.GivenDevice{ID: "GPU-0", Part: 1}, "device GPU-0 is in use"},
		{mesh.GivenDevice{ID: "GPU-2"}, "device GPU-2 is in use"},
		{mesh.GivenDevice{ID: "GPU-2", Part: 16 * mesh.GiB}, "device GPU-2 is in use"},
		{mesh.GivenDevice{ID: "GPU-2", Part: 15 * mesh.GiB}, ""},
	} {
		other := []mesh.Claim{{Alloc: "o", Grants: mesh.Grants{Devices: []mesh.DeviceGrant{{Given: []mesh.GivenDevice{tt.given}}}}}}
		if _, reason := grant(&n, other, before, mesh.DynamicPortMin); reason != tt.want {
			t.Errorf("%v: got %q, want %q", tt.given, reason, tt.want)
		}
	}
	n.Devices = n.Devices[1:]
	if _, reason := grant(&n, nil, before, mesh.DynamicPortMin); reason != "device GPU-0 is not there any more" {
		t.Errorf("got %q", reason)
	}
}

func TestPortsAreGivenByTransport(t *testing.T) {
	n := mesh.Node{Foreign: []mesh.Port{{Number: 22, Transport: mesh.TCP}, {Number: 20001, Transport: mesh.TCP}}}
	used := []mesh.Claim{{Alloc: "web00000", Grants: mesh.Grants{Ports: []mesh.PortGrant{
		{Number: 8088, Protocol: mesh.ProtocolHTTP}, {Number: 20000, Protocol: mesh.ProtocolTCP},
	}}}}
	type port = mesh.PortGrant
	for _, tt := range []struct {
		asks []port
		from int
		want string
	}{
		{[]port{{Number: 8088, Protocol: mesh.ProtocolTCP}}, 20000, "port 8088/tcp is in use by a copy"},
		{[]port{{Number: 8088, Protocol: mesh.ProtocolUDP}}, 20000, "8088"},
		{[]port{{Number: 22, Protocol: mesh.ProtocolGRPC}}, 20000, "port 22/tcp is in use by another program"},
		{[]port{{Number: 23, Protocol: mesh.ProtocolGRPC}, {Number: 23, Protocol: mesh.ProtocolTCP}}, 20000, "port 23/tcp is in use by a copy"},
		{[]port{{Protocol: mesh.ProtocolTCP}, {Protocol: mesh.ProtocolHTTP}, {Protocol: mesh.ProtocolUDP}}, 20000, "20002 20003 20004"},
		{[]port{{Protocol: mesh.ProtocolTCP}, {Number: 20002, Protocol: mesh.ProtocolTCP}}, 20000, "20003 20002"},
		{[]port{{Protocol: mesh.ProtocolUDP}, {Protocol: mesh.ProtocolTCP}}, 32000, "32000 20002"},
	} {
		given, got := grant(&n, used, &mesh.Grants{Ports: tt.asks}, tt.from)
		if given != nil {
			var all []string
			for _, p := range given.Ports {
				all = append(all, fmt.Sprint(p.Number))
			}
			got = strings.Join(all, " ")
		}
		if got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.asks, got, tt.want)
		}
	}
	full := []mesh.Claim{{Alloc: "x"}}
	for i := mesh.DynamicPortMin; i <= mesh.DynamicPortMax; i++ {
		full[0].Ports = append(full[0].Ports, port{Number: uint16(i), Protocol: mesh.ProtocolTCP})
	}
	if _, got := grant(&n, full, &mesh.Grants{Ports: []port{{Protocol: mesh.ProtocolTCP}}}, 30000); got != "no port from 20000 to 32000 is free" {
		t.Errorf("got %q", got)
	}
}

// Whatever copies come and go: a ledger gives no device and no port twice, and no more
// memory of a device than it has; and whole devices are refused only where no choice of
// devices would do.
func TestLedgerGivesNothingTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := mesh.Node{}
		models := []string{"a", "b", "ab"}
		for i := range rapid.IntRange(0, 5).Draw(t, "devices") {
			n.Devices = append(n.Devices, mesh.Device{
				ID: fmt.Sprint(i), Index: i, Kind: mesh.GPU, Memory: mesh.Bytes(rapid.IntRange(1, 4).Draw(t, "memory")),
				Model: rapid.SampledFrom(models).Draw(t, "model"), Foreign: mesh.Bytes(rapid.IntRange(0, 1).Draw(t, "foreign")),
			})
		}
		n.Foreign = []mesh.Port{{Number: 2, Transport: mesh.TCP}}
		l := NewLedger("n1", mesh.Resources{})
		l.Found(n.Devices, n.Foreign)
		held := map[mesh.AllocID]*mesh.Grants{}
		for i := range rapid.IntRange(1, 20).Draw(t, "steps") {
			id := mesh.AllocID(fmt.Sprint(i))
			if len(held) > 0 && rapid.Bool().Draw(t, "release") {
				for id := range held {
					l.Release(id)
					delete(held, id)
					break
				}
				continue
			}
			asks := &mesh.Grants{}
			for range rapid.IntRange(0, 3).Draw(t, "requests") {
				asks.Devices = append(asks.Devices, mesh.DeviceGrant{DeviceRequest: mesh.DeviceRequest{
					Count: rapid.IntRange(1, 2).Draw(t, "count"), Model: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "of"),
					Memory: mesh.Bytes(rapid.IntRange(0, 2).Draw(t, "part")),
				}})
			}
			for range rapid.IntRange(0, 2).Draw(t, "ports") {
				asks.Ports = append(asks.Ports, mesh.PortGrant{
					Protocol: mesh.ProtocolTCP, Number: uint16(rapid.IntRange(0, 3).Draw(t, "port")),
				})
			}
			given, err := l.Reserve(fence1, mesh.Alloc{ID: id, Job: "j", Node: "n1", Grants: asks}, 0)
			if err != nil {
				whole := !slices.ContainsFunc(asks.Devices, func(g mesh.DeviceGrant) bool { return g.Shared() })
				if whole && len(asks.Ports) == 0 && arranges(&n, held, asks.Devices) {
					t.Fatalf("refused %+v of %+v, with %+v given: %v", asks.Devices, n.Devices, held, err)
				}
				continue
			}
			held[id] = given
			nothingTwice(t, &n, held)
		}
	})
}

// nothingTwice adds up what copies have.
func nothingTwice(t *rapid.T, n *mesh.Node, held map[mesh.AllocID]*mesh.Grants) {
	ports, whole, parts := map[uint16]int{}, map[string]int{}, map[string]mesh.Bytes{}
	for _, g := range held {
		for _, p := range g.Ports {
			if ports[p.Number]++; ports[p.Number] > 1 || p.Number == 2 || p.Number == 0 {
				t.Fatalf("port %d is given %d times", p.Number, ports[p.Number])
			}
		}
		for _, d := range g.Devices {
			if len(d.Given) != d.Count {
				t.Fatalf("%d devices for %+v", len(d.Given), d)
			}
			for _, given := range d.Given {
				if given.Part == 0 {
					whole[given.ID]++
				}
				parts[given.ID] += given.Part
			}
		}
	}
	for _, d := range n.Devices {
		if whole[d.ID] > 1 || whole[d.ID] == 1 && parts[d.ID] > 0 || parts[d.ID] > max(d.Memory-d.Foreign, 0) {
			t.Fatalf("of %+v: %d times whole, and %d of its memory", d, whole[d.ID], parts[d.ID])
		}
	}
}

// arranges tries every choice of free devices for requests of whole ones.
func arranges(n *mesh.Node, held map[mesh.AllocID]*mesh.Grants, asks []mesh.DeviceGrant) bool {
	taken := map[string]bool{}
	for _, g := range held {
		for _, d := range g.Devices {
			for _, given := range d.Given {
				taken[given.ID] = true
			}
		}
	}
	var wants []string
	for _, a := range asks {
		for range a.Count {
			wants = append(wants, a.Model)
		}
	}
	var try func(i int) bool
	try = func(i int) bool {
		if i == len(wants) {
			return true
		}
		for _, d := range n.Devices {
			if taken[d.ID] || !strings.Contains(d.Model, wants[i]) || !d.Whole() {
				continue
			}
			taken[d.ID] = true
			if try(i + 1) {
				return true
			}
			taken[d.ID] = false
		}
		return false
	}
	return try(0)
}

// A port that was just given back may still have connections of whoever had it.
func TestPortsAreNotGivenAgainAtOnce(t *testing.T) {
	l := NewLedger("n1", mesh.Resources{})
	port := func(id mesh.AllocID) uint16 {
		g, err := l.Reserve(fence1, mesh.Alloc{ID: id, Job: "j", Node: "n1", Grants: &mesh.Grants{
			Ports: []mesh.PortGrant{{Label: "x", Protocol: mesh.ProtocolTCP}},
		}}, 0)
		if err != nil {
			t.Fatal(err)
		}
		return g.Ports[0].Number
	}
	first, again := port("a"), port("a")
	if first != again {
		t.Errorf("asked again, got %d after %d", again, first)
	}
	l.Release("a")
	if next := port("b"); next == first {
		t.Errorf("port %d is given out again", next)
	}
	l.nextPort = mesh.DynamicPortMax
	if last, first := port("c"), port("d"); last != mesh.DynamicPortMax || first < mesh.DynamicPortMin || first > 20010 {
		t.Errorf("got %d, then %d", last, first)
	}
}

// Of a node's GPUs only so many are in use at once as the mesh may have, whichever serve;
// parts of one that is in use are given out further.
func TestGPUsAreGivenAsFarAsAllowed(t *testing.T) {
	type request = mesh.DeviceRequest
	whole, part := request{}, request{Memory: mesh.GiB}
	tests := []struct {
		percent int
		has     []request // of other copies
		asks    []request
		want    string // given, or the reason
	}{
		{0, nil, []request{{Count: 4}}, "GPU-0 GPU-a GPU-1 GPU-2"},
		{50, nil, []request{{Count: 2, Vendor: "nvidia", Model: "T4"}}, "GPU-0 GPU-2"},
		{50, nil, []request{{Count: 3}}, "gpu: needs 3, the mesh may have 2 of 4 at once, and has 0"},
		{50, []request{whole, whole}, []request{whole}, "gpu: needs 1, the mesh may have 2 of 4 at once, and has 2"},
		{50, []request{whole}, []request{{Model: "A100"}}, "GPU-1"},
		{25, []request{{Memory: mesh.GiB, Model: "A100"}}, []request{part}, "GPU-1/1 GiB"},
		{25, []request{{Memory: mesh.GiB, Model: "A100"}}, []request{{Memory: 20 * mesh.GiB}}, "GPU-1/20 GiB"},
		{25, []request{whole}, []request{part}, "gpu: needs 1, the mesh may have 1 of 4 at once, and has 1"},
		{25, nil, []request{part, part}, "GPU-0/1 GiB, GPU-0/1 GiB"},
		{25, nil, []request{whole, part}, "gpu: needs 1, the mesh may have 1 of 4 at once, and has 1"},
		{25, []request{whole}, []request{{Kind: "fpga"}}, "fpga0"},
		{25, []request{whole, whole}, []request{{Kind: "fpga"}}, "fpga0"}, // over it already
	}
	for _, tt := range tests {
		n := farm()
		var used []mesh.Claim
		for i, r := range tt.has {
			has, reason := grant(&n, used, askFor(r), 0)
			if reason != "" {
				t.Fatal(reason)
			}
			used = append(used, mesh.Claim{Alloc: mesh.AllocID(fmt.Sprint(i)), Grants: *has})
		}
		n.Allowance.GPU = tt.percent
		given, reason := grant(&n, used, askFor(tt.asks...), 0)
		if reason != "" {
			if !strings.Contains(reason, tt.want) {
				t.Errorf("%d %%, %v in use, %v: got %q, want %q", tt.percent, tt.has, tt.asks, reason, tt.want)
			}
			continue
		}
		if got := ids(given); got != tt.want {
			t.Errorf("%d %%, %v in use, %v: got %q, want %q", tt.percent, tt.has, tt.asks, got, tt.want)
		}
	}
}

func TestRebuildHoldsWhatWasGranted(t *testing.T) {
	port := &mesh.Grants{Ports: []mesh.PortGrant{{Label: "x", Number: 8080, Protocol: mesh.ProtocolTCP}}}
	l := NewLedger("n1", mesh.Resources{})
	l.Rebuild([]mesh.Alloc{{ID: "a", Job: "j", Node: "n1", Grants: port}})
	if _, err := l.Reserve(fence1, mesh.Alloc{ID: "b", Job: "k", Node: "n1", Grants: port}, 0); err == nil {
		t.Error("a port was given out that a copy had before the agent was restarted")
	}
}
