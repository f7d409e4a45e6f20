package reconcile

import (
	"testing"

	"mn/mesh"
)

// TestModeIsWhatTheNodesAllow: what was asked for, and what it comes to.
func TestModeIsWhatTheNodesAllow(t *testing.T) {
	twoGroups := func(j *mesh.Job) {
		j.Tasks = append(j.Tasks, mesh.Task{Name: "big", Command: []string{"x"}})
		j.Tasks[1].Resources.Memory = 16 * mesh.GiB
	}
	for _, tt := range []struct {
		name     string
		mode     mesh.RecoveryMode
		change   func(*mesh.Job)
		nodes    func(map[mesh.NodeID]*toyNode)
		want     mesh.RecoveryMode
		degraded bool
		reason   string
	}{
		{"unset", "", nil, nil, mesh.ClusterRecover, false, "3 nodes in sight can run it"},
		{"auto", mesh.Auto, nil, nil, mesh.ClusterRecover, false, "3 nodes in sight can run it"},
		{"asked for", mesh.ClusterRecover, nil, nil, mesh.ClusterRecover, false, "3 nodes in sight can run it"},
		{"local", mesh.LocalRestart, nil, nil, mesh.LocalRestart, false, "it never moves work"},
		{"manual", mesh.ManualRecover, nil, nil, mesh.ManualRecover, false, "it never moves work"},
		{"one is lost", mesh.ClusterRecover, nil, lose("b"), mesh.ClusterRecover, false, "2 nodes in sight can run it"},
		{"one is left, auto", mesh.Auto, nil, lose("b", "c"), mesh.LocalRestart, false, "only a can run it"},
		{"one is left", mesh.ClusterRecover, nil, lose("b", "c"), mesh.LocalRestart, true, "only a can run it"},
		{"none", mesh.ClusterRecover, nil, lose("a", "b", "c"), mesh.LocalRestart, true, "no node in sight can run it"},
		{
			"the others take no work", mesh.ClusterRecover, nil,
			func(n map[mesh.NodeID]*toyNode) {
				n["a"].view.Eligible, n["b"].view.Role, n["c"].view.Drivers = false, mesh.Witness, nil
			},
			mesh.LocalRestart, true, "no node in sight can run it",
		},
		{
			"too big for all but one", mesh.ClusterRecover, func(j *mesh.Job) { j.Tasks[0].Resources.Memory = 16 * mesh.GiB },
			nil, mesh.LocalRestart, true, "only c can run it",
		},
		{"one of two groups", mesh.Auto, twoGroups, nil, mesh.LocalRestart, false, `only c can run group "big"`},
		{
			"on each node", mesh.Auto, func(j *mesh.Job) { j.Type = mesh.System }, nil,
			mesh.LocalRestart, false, "each copy belongs to its node",
		},
		{
			"on each node, and asked for", mesh.ClusterRecover, func(j *mesh.Job) { j.Type = mesh.SysBatch }, nil,
			mesh.LocalRestart, true, "each copy belongs to its node",
		},
	} {
		w := newWorld()
		for name, memory := range map[string]mesh.Bytes{"a": 8, "b": 8, "c": 32} {
			w.addNode(name, mesh.Resources{CPU: 4 * mesh.Core, Memory: memory * mesh.GiB, Disk: mesh.GiB})
		}
		if tt.nodes != nil {
			tt.nodes(w.nodes)
		}
		job := &mesh.Job{Name: "lab", Type: mesh.Service, Tasks: []mesh.Task{{Name: "web", Command: []string{"x"}}}}
		if job.Recovery.Mode = tt.mode; tt.change != nil {
			tt.change(job)
		}
		asked := tt.mode
		if asked == "" {
			asked = mesh.Auto
		}
		want := mesh.EffectiveRecovery{Requested: asked, Effective: tt.want, Degraded: tt.degraded, Reason: tt.reason}
		if got := Mode(w.view(), job); got != want {
			t.Errorf("%s:\ngot  %+v\nwant %+v", tt.name, got, want)
		}
	}
}

// lose has nodes out of sight.
func lose(ids ...mesh.NodeID) func(map[mesh.NodeID]*toyNode) {
	return func(nodes map[mesh.NodeID]*toyNode) {
		for _, id := range ids {
			nodes[id].view.Liveness = mesh.Lost
		}
	}
}
