package dns

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mn/health"
	"mn/mesh"
)

func TestTheNearestIsHereOrTheLeastFarAway(t *testing.T) {
	v, all := world()
	web := func(nodes ...mesh.NodeID) []health.Instance {
		return slices.DeleteFunc(slices.Clone(all), func(i health.Instance) bool {
			return i.Service != "web" && i.Service != "ip" || i.Service == "web" && !slices.Contains(nodes, i.Node)
		})
	}
	rename := func(list []health.Instance) []health.Instance {
		for i := range list {
			list[i].Service, list[i].Hidden = "web", ""
		}
		return list
	}
	ms := time.Millisecond
	for _, c := range []struct {
		name  string
		nodes []mesh.NodeID
		away  map[mesh.NodeID]time.Duration
		want  []string // one of which, as the port
	}{
		{"here", []mesh.NodeID{"ida", "idb", "idc"}, map[mesh.NodeID]time.Duration{"idb": 0}, []string{"8080"}},
		{"the nearer", []mesh.NodeID{"idb", "idc"}, map[mesh.NodeID]time.Duration{"idb": 9 * ms, "idc": 2 * ms}, []string{"81"}},
		{"both on the nearer", []mesh.NodeID{"idb", "idc"}, map[mesh.NodeID]time.Duration{"idb": ms, "idc": 2 * ms}, []string{"8081 8082"}},
		{"of which one knows", []mesh.NodeID{"idb", "idc"}, map[mesh.NodeID]time.Duration{"idc": time.Hour}, []string{"81"}},
		{"as near", []mesh.NodeID{"idb", "idc"}, map[mesh.NodeID]time.Duration{"idb": ms, "idc": ms}, []string{"81", "8081 8082"}},
		{"nobody knows", []mesh.NodeID{"idb", "idc"}, nil, []string{"81", "8081 8082"}},
		{"outside of the mesh, if there is nothing else", nil, nil, []string{"80"}},
	} {
		table := New(v, rename(web(c.nodes...)), c.away)
		r := testRand()
		got := map[string]bool{}
		for range 100 {
			var m dns.Msg
			if err := m.Unpack(Reply(table, question(t, "nearest.web.service.mn.", dns.TypeSRV), TCP, r)); err != nil {
				t.Fatal(err)
			}
			var ports []string
			for _, rr := range m.Answer {
				ports = append(ports, fmt.Sprint(rr.(*dns.SRV).Port))
			}
			slices.Sort(ports)
			got[strings.Join(ports, " ")] = true
		}
		for _, want := range c.want {
			if !got[want] {
				t.Errorf("%s: never %q", c.name, want)
			}
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}
