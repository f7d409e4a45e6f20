package api

import (
	"slices"
	"testing"
	"time"

	"mn/mesh"
)

// deploying has version 2 of the service web deployed: its first copy is new, and a canary.
func deploying(s *Snapshot) {
	j, o := &s.View.Jobs[1], &s.Outlooks[1]
	j.Job.Update = &mesh.UpdatePolicy{Strategy: mesh.Canary}
	j.Deployment = &mesh.Deployment{
		Job: "web", Version: 2, Hash: "h-web", From: 1, Stable: "h-first", State: mesh.AwaitingPromotion, Began: monday,
		Coordinator: "bbbb2222",
	}
	j.Steering = &mesh.Steering{Paused: true, Reason: "lunch", By: "aaaa1111", At: monday}
	o.Rollout = &mesh.Rollout{
		Deployment: *j.Deployment, Strategy: mesh.Canary, Order: mesh.StartFirst, Parallel: 1, Next: "a person promotes it",
		Groups: []mesh.RolloutGroup{{Group: "web", Wanted: 3, Old: 2, Placed: 1, Healthy: 1, Hidden: 1}},
	}
	for i := range s.View.Allocs {
		if a := &s.View.Allocs[i]; a.ID == "web00000" {
			a.Version, a.Standing = 2, mesh.CanaryCopy
		}
	}
}

func TestDeploymentsAreShown(t *testing.T) {
	f := newFake()
	_, c := serving(t, f, Socket)
	if _, err := c.Deployment(t.Context(), "web"); mesh.FaultOf(err).Kind != mesh.NotFound {
		t.Errorf("got %v of a job that is replaced all at once", err)
	}
	f.change(deploying)
	all, err := c.Deployments(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("got %+v, %v, want that of web", all, err)
	}
	d, err := c.Deployment(t.Context(), "web")
	if err != nil || d.Key != "web" || d.Version != 2 || d.JobVersion != 2 || d.From != 1 || d.Status != mesh.AwaitingPromotion ||
		d.Healthy != 1 || d.Old != 2 || d.Hidden != 1 || d.Wanted != 3 || d.Coordinator != "n2" || d.NextAt != nil ||
		!d.Paused || d.SaidReason != "lunch" || d.SaidBy != "n1" || d.Began == nil || d.Ended != nil {
		t.Errorf("got %+v, %v", d, err)
	}
	roles := map[mesh.AllocID]mesh.Standing{}
	for _, a := range d.Allocations {
		roles[a.ID] = a.Role
	}
	if roles["web00000"] != mesh.CanaryCopy || roles["web00001"] != mesh.Primary {
		t.Errorf("got %v, want the roles of the copies", roles)
	}
	past, err := c.DeploymentHistory(t.Context(), "web")
	if err != nil || len(past) != 2 || past[0].Status != mesh.Deployed || past[0].Strategy != "" ||
		past[1].Status != mesh.AwaitingPromotion || past[1].Strategy != mesh.Canary {
		t.Errorf("got %+v, %v, want the one before, and that which is under way as it is now", past, err)
	}
	if _, err := c.DeploymentHistory(t.Context(), "wob"); mesh.FaultOf(err).Kind != mesh.NotFound {
		t.Errorf("got %v of a job that there is not", err)
	}
}

// TestCopiesBesideOthersAreToldApart: old and new in the same places are not twice as many as are wanted.
func TestCopiesBesideOthersAreToldApart(t *testing.T) {
	f := newFake()
	_, c := serving(t, f, Socket)
	f.change(func(s *Snapshot) {
		at := slices.IndexFunc(s.View.Allocs, func(a mesh.AllocView) bool { return a.ID == "web00001" })
		beside := s.View.Allocs[at]
		beside.ID, beside.Generation, beside.Standing = "web11111", 2, mesh.Candidate
		s.View.Allocs = slices.Insert(s.View.Allocs, at+1, beside)
	})
	j, err := c.Job(t.Context(), "web")
	if err != nil || j.Count != 3 || j.Running != 2 || j.Beside != 1 || j.Groups[0].Running != 2 || j.Groups[0].Beside != 1 {
		t.Errorf("got %d of %d running, and %d beside them, %+v, %v", j.Running, j.Count, j.Beside, j.Groups, err)
	}
}

func TestDeploymentsAreSteered(t *testing.T) {
	f := newFake()
	_, c := serving(t, f, Socket)
	two := uint64(2)
	steer := SteerRequest{Job: "web", Verb: mesh.SteerPromote, Reason: "good", Expect: &two}
	done, err := c.Steer(t.Context(), steer)
	if err != nil || done.Key != "web" || !done.Changed || done.Warnings == nil {
		t.Errorf("got %+v, %v", done, err)
	}
	back := RollbackRequest{Job: "web", Version: "first", Reason: "slow"}
	if s, err := c.Rollback(t.Context(), back); err != nil || s.Version != 3 {
		t.Errorf("got %+v, %v", s, err)
	}
	at := slices.IndexFunc(f.asked, func(a any) bool { r, ok := a.(SteerRequest); return ok && *r.Expect == 2 && r.Reason == "good" })
	if at < 0 || !slices.Contains(f.asked, any(back)) {
		t.Errorf("got %+v, want what was asked for", f.asked)
	}
}

// TestServicesAreFoundByRole: copies that are not promoted only if they are asked for.
func TestServicesAreFoundByRole(t *testing.T) {
	f := newFake()
	_, c := serving(t, f, Socket)
	f.change(func(s *Snapshot) {
		deploying(s)
		job := s.View.Jobs[1].Job
		job.Tasks = slices.Clone(job.Tasks)
		job.Tasks[0].Services = []mesh.ServiceDef{{Name: "web", Port: "80"}}
		for i := range s.View.Allocs {
			a := &s.View.Allocs[i]
			if a.Job != "web" || a.State() != mesh.Running {
				continue
			}
			status := *a.Status
			status.Boot = s.View.Node(a.Node).Boot
			status.Tasks = slices.Clone(status.Tasks)
			status.Tasks[0].Services = []mesh.ServiceStatus{{Name: "web", Health: mesh.Passing, Since: time.Unix(0, 0)}}
			a.Status, a.Placed = &status, &job
		}
	})
	for role, want := range map[string][]mesh.AllocID{
		"": {"web00001"}, "primary": {"web00001"}, "canary": {"web00000"}, "any": {"web00000", "web00001"},
	} {
		found, err := c.Resolve(t.Context(), ServicesRequest{Service: "web", Role: role})
		var got []mesh.AllocID
		for _, s := range found {
			got = append(got, s.Alloc)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("role %q: got %v, %v, want %v", role, got, err, want)
		}
	}
	if _, err := c.Resolve(t.Context(), ServicesRequest{Service: "web", Role: "candidate"}); mesh.FaultOf(err).Kind != mesh.Unavailable &&
		mesh.FaultOf(err).Kind != mesh.NotFound {
		t.Errorf("got %v of candidates, want an error that says that there is none", err)
	}
	if _, err := c.Resolve(t.Context(), ServicesRequest{Service: "web", Role: "king"}); mesh.FaultOf(err).Kind != mesh.Invalid {
		t.Errorf("got %v of no role", err)
	}
	all, err := c.Services(t.Context(), ServicesRequest{All: true})
	if err != nil || len(all) != 3 || all[0].Hidden != "it is a canary of version 2, which is not promoted" ||
		all[0].DeploymentKey != "web" || all[0].DeploymentVersion != 2 || all[0].Role != mesh.CanaryCopy {
		t.Errorf("got %+v, %v, want all, and why nobody is sent to the first", all, err)
	}
}
