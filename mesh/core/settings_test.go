package core

import (
	"testing"
	"time"

	"mn/crdt"
	"mn/mesh"
)

// TestAllowanceHoldsForWhatComes: what runs stays, though it is more than the node shares
// out by now; nothing new is placed there, by whichever node, also after all have restarted.
func TestAllowanceHoldsForWhatComes(t *testing.T) {
	l, runs, _ := placed(t, 3)
	l.after(10 * time.Second)
	for i, h := range l.nodes {
		if r := l.ask(l.nodes[(i+1)%3], SetShare{h.self.ID, mesh.Allowance{CPU: 1, GPU: 50}}); r.Fault != nil {
			t.Fatal(r.Fault)
		}
	}
	l.ask(l.nodes[0], Submit{Job: service("more", 1)})
	l.after(20 * time.Second)
	if l.total() != 1 || l.running()[runs.name] != 1 {
		t.Fatalf("%v run, want what ran before, and no more\n%s", l.running(), l.events())
	}
	for _, h := range l.nodes {
		l.kill(h, false)
	}
	l.after(time.Second)
	for _, h := range l.nodes {
		l.start(h)
	}
	for _, h := range l.nodes {
		l.meet(h)
	}
	l.after(30 * time.Second)
	if l.total() != 1 {
		t.Errorf("after a restart %v run", l.running())
	}
	for _, h := range l.nodes {
		n := h.core.View().Node(runs.self.ID)
		if n.Allowance != (mesh.Allowance{CPU: 1, GPU: 50}) || n.Capacity.CPU != runs.self.Capacity.CPU/100 {
			t.Errorf("%s has it as %v of %v", h.name, n.Capacity, n.Allowance)
		}
		if h.core.records.nodes[runs.self.ID].Capacity != runs.self.Capacity {
			t.Errorf("%s: the node's own record says less than it has", h.name)
		}
	}
	l.ask(l.nodes[0], SetShare{l.nodes[1].self.ID, mesh.Allowance{CPU: 100}})
	if _, ok := l.until(20*time.Second, func() bool { return l.running()[l.nodes[1].name] > 0 && l.total() == 2 }); !ok {
		t.Errorf("with room again %v run\n%s", l.running(), l.events())
	}
}

// TestANodeRefusesOverItsAllowance, whoever has not heard of it yet.
func TestANodeRefusesOverItsAllowance(t *testing.T) {
	l := newLab(t, 2)
	l.after(15 * time.Second)
	to, from := l.nodes[0], l.nodes[1]
	l.ask(to, SetShare{to.self.ID, mesh.Allowance{Memory: 1}})
	a := mesh.Alloc{
		ID: "a1", Job: "web", Node: to.self.ID,
		Resources: mesh.Resources{Memory: to.self.Capacity.Memory / 2},
	}
	_, err := to.core.ledger.Reserve(crdt.Fence{Epoch: 1, Ballot: 1}, a, to.core.now.Boot)
	if err == nil {
		t.Error("half of the memory is reserved, of which the mesh may have 1 %")
	}
	for _, bad := range []Call{
		SetShare{to.self.ID, mesh.Allowance{CPU: 101}},
		SetShare{"nobody", mesh.Allowance{CPU: 1}},
		Label{Node: "nobody", Set: map[string]string{"a": "b"}},
		Label{Node: to.self.ID, Remove: []string{"no"}},
	} {
		if r := l.ask(from, bad); r.Fault == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

// TestLabelsByCommandAreSeenByPlans at once, over those of the agent.
func TestLabelsByCommandAreSeenByPlans(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	job := service("here", 2)
	job.Constraints = []mesh.Constraint{{Attribute: "label.rack", Value: "b"}}
	l.ask(l.nodes[0], Submit{Job: job})
	l.after(10 * time.Second)
	if l.total() != 0 {
		t.Fatalf("%v run, want none: no node is in rack b", l.running())
	}
	if r := l.ask(l.nodes[1], Label{Node: l.nodes[2].self.ID, Set: map[string]string{"rack": "b"}}); r.Fault != nil {
		t.Fatal(r.Fault)
	}
	if _, ok := l.until(5*time.Second, func() bool { return l.running()[l.nodes[2].name] == 2 }); !ok {
		t.Errorf("%v run, want two on n3\n%s", l.running(), l.events())
	}
	l.ask(l.nodes[0], Label{Node: l.nodes[2].self.ID, Remove: []string{"rack"}})
	l.after(5 * time.Second)
	if n := l.nodes[1].core.View().Node(l.nodes[2].self.ID); len(n.Labels) != 0 || l.total() != 2 {
		t.Errorf("its labels are %v, %v run: what runs stays", n.Labels, l.running())
	}
}

// TestUnknownSettingsSurvive a node that does not know them: of its records what is passed
// on is as it came.
func TestUnknownSettingsSurvive(t *testing.T) {
	l := newLab(t, 2)
	l.after(15 * time.Second)
	by, of := l.nodes[0], l.nodes[1]
	for key, rec := range map[string]any{
		mesh.KeySharing(of.self.ID): struct {
			Node  mesh.NodeID    `json:"node"`
			Share map[string]int `json:"share"`
			New   string         `json:"new"`
		}{of.self.ID, map[string]int{"cpu": 50, "network": 10}, "field"},
		mesh.KeyLabels(of.self.ID): struct {
			Node mesh.NodeID       `json:"node"`
			Set  map[string]string `json:"set"`
			New  []int             `json:"new"`
		}{of.self.ID, map[string]string{"a": "b"}, []int{1}},
	} {
		value, err := crdt.Encode(rec)
		if err != nil {
			t.Fatal(err)
		}
		l.push(by, of, l.written(of, crdt.Entry{Key: key, Value: value}))
		found := false
		for e := range by.core.replica.Scan(key) {
			found = found || e.Key == key && string(e.Value) == string(value)
		}
		if !found {
			t.Errorf("%s is not as it came", key)
		}
	}
	n := by.core.View().Node(of.self.ID)
	if n.Allowance != (mesh.Allowance{CPU: 50}) || n.Labels["a"] != "b" {
		t.Errorf("got %v, %v", n.Allowance, n.Labels)
	}
}
