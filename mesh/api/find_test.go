package api

import (
	"testing"

	"mn/mesh"
)

// TestNodesAreFoundByAddress, if one is there, as by their names and ids.
func TestNodesAreFoundByAddress(t *testing.T) {
	snap := world()
	for i, at := range []string{"192.168.4.20:7700", "192.168.4.21:7700", "192.168.4.21:7701"} {
		snap.View.Nodes[i].Address = at
	}
	old := node("eeee5555", "old", mesh.Lost)
	old.Evicted, old.Address = true, "192.168.4.20:7700"
	out := node("ffff6666", "n2", mesh.Lost)
	out.Evicted, out.Address = true, "[fd00::7]:7700"
	snap.View.Nodes = append([]mesh.NodeView{out}, append(snap.View.Nodes, old)...)
	p := picture{snap}
	for ref, want := range map[string]mesh.NodeID{
		"n1": "aaaa1111", "aaaa": "aaaa1111", "192.168.4.20": "aaaa1111", "192.168.4.20:7700": "aaaa1111",
		"mirror_neuron@192.168.4.20": "aaaa1111", "a@192.168.4.21:7701": "bbbc3333", "old": "eeee5555",
		"n2": "bbbb2222", "fd00::7": "ffff6666", "me@[fd00::7]": "ffff6666", "[fd00::7]:7700": "ffff6666",
	} {
		if n, err := p.findNode(ref); err != nil || n.ID != want {
			t.Errorf("%s: got %+v, %v, want %s", ref, n, err, want)
		}
	}
	for ref, want := range map[string]string{
		"me@192.168.4.21":   `2 nodes are at "me@192.168.4.21": n2, n3`,
		"192.168.4.22":      `no node "192.168.4.22"`,
		"192.168.4.20:7701": `no node "192.168.4.20:7701"`,
		"n1@":               `no node "n1@"`,
		"":                  `no node ""`,
	} {
		if n, err := p.findNode(ref); err == nil || mesh.FaultOf(err).Text != want {
			t.Errorf("%s: got %+v, %v, want %s", ref, n, err, want)
		}
	}
	if _, err := p.findMember("old"); mesh.FaultOf(err).Text != "node old is evicted: it is no longer part of the mesh" {
		t.Errorf("of an evicted node: got %v", err)
	}
}

// TestOnlyWhatIsNearIsSuggested for a name that there is not.
func TestOnlyWhatIsNearIsSuggested(t *testing.T) {
	names := []string{"c", "web-server", "task_exited"}
	for name, want := range map[string]string{
		"nosuch": "", "web": "web-server", "WEB-SREVER": "web-server", "task_exit": "task_exited", "we": "", "d-c": "",
	} {
		if got := nearest(name, names, func(n string) string { return n }); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}
