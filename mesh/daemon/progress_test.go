package daemon

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"

	"mn/mesh"
	"mn/placement/reconcile"
)

// TestSkippedGroupsAreNamed: by the rule of each and what has become of those before it;
// never one that is about to begin, or may yet.
func TestSkippedGroupsAreNamed(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	job := mesh.Job{Name: "flow", Type: mesh.Batch, Tasks: []mesh.Task{
		{Name: "load", Count: 2, Command: []string{"x"}},
		{Name: "report", After: []string{"load"}, Command: []string{"x"}},
		{Name: "mail", After: []string{"report"}, Count: 3, Command: []string{"x"}},
		{Name: "tell", After: []string{"load"}, AfterRule: mesh.OneFailed, Command: []string{"x"}},
	}}
	job.Reschedule = &mesh.ReschedulePolicy{Attempts: new(int)}
	report := `report skipped 1: after_rule all_success cannot come true: "load" has failed`
	mail := `mail skipped 3: after_rule all_success cannot come true: "report" is skipped`
	tell := `tell skipped 1: after_rule one_failed cannot come true: "load" has completed`
	for name, test := range map[string]struct {
		load    [2]mesh.AllocState
		version mesh.Verb
		want    string
	}{
		"failed":            {[2]mesh.AllocState{mesh.Complete, mesh.Failed}, "", "load completed 1\n" + report + "\n" + mail},
		"completed":         {[2]mesh.AllocState{mesh.Complete, mesh.Complete}, "", "load completed 2\n" + tell},
		"one still runs":    {[2]mesh.AllocState{mesh.Complete, mesh.Running}, "", "load completed 1"},
		"paused":            {[2]mesh.AllocState{mesh.Complete, mesh.Failed}, mesh.VerbPause, "load completed 1"},
		"tried again":       {[2]mesh.AllocState{mesh.Complete, mesh.Failed}, mesh.VerbRetry, "load completed 1"},
		"run again, wholly": {[2]mesh.AllocState{mesh.Complete, mesh.Failed}, mesh.VerbRun, ""},
	} {
		first := mesh.JobVersion{Job: job, Number: 1, Hash: "h1", At: now.Add(-time.Hour)}
		view := mesh.JobView{JobVersion: first}
		if test.version != "" {
			view.JobVersion, view.Line = first.Next(test.version), []mesh.Ancestor{first.Ancestor()}
			if view.Hash, view.At = "h2", now; test.version == mesh.VerbRun {
				view.Since, view.Anew = 0, 0
			}
		}
		v := &mesh.View{Now: now, Jobs: []mesh.JobView{view}, Nodes: []mesh.NodeView{{
			Node: mesh.Node{
				ID: "n1", Name: "n1", Role: mesh.Worker, Drivers: []string{mesh.DefaultDriver},
				Capacity: mesh.Resources{CPU: 8 * mesh.Core, Memory: mesh.GiB},
			},
			Known: true, Liveness: mesh.Alive, Eligible: true,
		}}}
		for i, state := range test.load {
			v.Allocs = append(v.Allocs, mesh.AllocView{
				Alloc: mesh.Alloc{
					ID: mesh.AllocID(fmt.Sprint("a", i)), Job: "flow", Version: 1, Hash: "h1", Group: "load", Index: i,
					Content: mesh.HashGroup(&job, "load"), Node: "n1", Want: mesh.WantRun, At: first.At,
				},
				Status: &mesh.Status{State: state, At: now.Add(-time.Minute)},
			})
		}
		plan := reconcile.Job(v, &v.Jobs[0], nil, true)
		all := progressOf(&v.Jobs[0].Job, &plan)
		var got []string
		for _, g := range job.Groups() {
			switch p := all[g.Name]; {
			case p.Skipped > 0:
				got = append(got, fmt.Sprintf("%s skipped %d: %s", g.Name, p.Skipped, p.Reason))
			case p.Completed > 0:
				got = append(got, fmt.Sprintf("%s completed %d", g.Name, p.Completed))
			}
		}
		if text := strings.Join(got, "\n"); text != test.want {
			t.Errorf("%s: got\n%s\nwant\n%s\n(%s: %s)", name, text, test.want, plan.Status, cmp.Or(plan.Text, "-"))
		}
	}
}
