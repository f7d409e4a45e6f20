package mesh

import (
	"fmt"
	"testing"
)

// TestStandings holds what copies are to the deployment of their job against what became of the
// versions that they were placed for.
func TestStandings(t *testing.T) {
	job := func(how UpdateStrategy, a, b string) Job {
		return Job{
			Name: "web", Type: Service, Update: &UpdatePolicy{Strategy: how},
			Tasks: []Task{{Name: "a", Command: []string{a}}, {Name: "b", Command: []string{b}}},
		}
	}
	for _, tt := range []struct {
		name     string
		second   Job      // that was not promoted
		third    Job      // that follows it
		state    string   // of the deployment of the third
		promoted bool     // is it
		second2  Standing // of copies of the second in group "a", which both have alike
		third2   Standing // of copies of the third in group "a"
		other    Standing // of copies of the second in group "b"
	}{
		{"another follows", job(BlueGreen, "2", "2"), job(Rolling, "3", "3"), "running", true, Candidate, Primary, Candidate},
		{"the same follows", job(BlueGreen, "2", "2"), job(Rolling, "2", "2"), "successful", true, Primary, Primary, Primary},
		{"half of it follows", job(BlueGreen, "2", "2"), job(Rolling, "2", "3"), "running", true, Primary, Primary, Candidate},
		{
			"the same follows hidden", job(Canary, "2", "2"), job(BlueGreen, "2", "2"), "running", false,
			Candidate, Candidate, Candidate,
		},
		{
			"the same follows, and is promoted", job(BlueGreen, "2", "2"), job(Canary, "2", "2"), "running", true,
			Primary, Primary, Primary,
		},
		{
			"half of it follows hidden", job(BlueGreen, "2", "2"), job(Canary, "2", "3"), "awaiting_promotion", false,
			CanaryCopy, CanaryCopy, Candidate,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := Courses{Versions: map[string]*JobVersion{}}
			records := map[string]*Deployment{}
			c.Of = func(v *JobVersion) (*Deployment, *Steering) { return records[v.Hash], nil }
			var line []Ancestor
			add := func(job Job, d Deployment) JobVersion {
				v := JobVersion{Job: job, Number: uint64(len(line) + 1), Hash: fmt.Sprint("v", len(line)+1)}
				if len(line) > 0 {
					v.Parent = line[0].Hash
				}
				d.Job, d.Version, d.Hash = "web", v.Number, v.Hash
				c.Versions[v.Hash], records[v.Hash] = &v, &d
				line = append([]Ancestor{v.Ancestor()}, line...)
				return v
			}
			add(job(Rolling, "1", "1"), Deployment{State: Deployed, Promoted: true})
			add(tt.second, Deployment{State: DeploymentFailed, From: 1, Stable: "v1"})
			now := add(tt.third, Deployment{
				State: DeploymentState(tt.state), Promoted: tt.promoted, From: 1, Stable: "v1",
			})
			view := JobView{JobVersion: now, Line: line[1:]}
			c.Fill(&view)
			of := func(v uint64, group string) Standing {
				return view.StandingOf(&Alloc{Job: "web", Version: v, Hash: fmt.Sprint("v", v), Group: group})
			}
			for _, is := range []struct {
				what      string
				got, want Standing
			}{
				{"version 1", of(1, "a"), Primary},
				{"version 2 of what stays", of(2, "a"), tt.second2},
				{"version 2 of the rest", of(2, "b"), tt.other},
				{"version 3", of(3, "a"), tt.third2},
			} {
				if is.got != is.want {
					t.Errorf("a copy of %s is %s, want %s", is.what, is.got, is.want)
				}
			}
		})
	}
}
