package core

import (
	"strings"
	"testing"
	"time"

	"mn/mesh"
)

// updated is a service with an update policy, and another content for each release.
func updated(count int, release string, set func(*mesh.UpdatePolicy)) *mesh.Job {
	job := service("web", count)
	second, long := mesh.Duration(time.Second), mesh.Duration(time.Hour)
	job.Update, job.Recovery.LostAfter = &mesh.UpdatePolicy{MinHealthy: &second}, &long
	set(job.Update)
	job.Tasks[0].Env = map[string]string{"RELEASE": release}
	return job
}

// deployment is how far the deployment of a job has come, as a host sees it.
func (h *host) deployment(id mesh.JobID) *mesh.Rollout { return h.core.Rollout(h.core.View().Job(id)) }

// deploys submits a version and waits until its deployment is in a state.
func (l *lab) deploys(job *mesh.Job, state mesh.DeploymentState) {
	l.t.Helper()
	if f := l.ask(l.nodes[0], Submit{Job: job}).Fault; f != nil {
		l.t.Fatal(f)
	}
	l.comesTo(state)
}

// comesTo waits until the deployment of the job is in a state.
func (l *lab) comesTo(state mesh.DeploymentState) {
	l.t.Helper()
	is := func() bool {
		return l.nodes[0].core.View().Job("web") != nil && l.nodes[0].deployment("web").State == state
	}
	if _, ok := l.until(2*time.Minute, is); !ok {
		l.t.Fatalf("the deployment is %v, want %s\n%s", l.nodes[0].deployment("web").Words(), state, l.events())
	}
}

// TestRolloutOutlivesItsCoordinators: whoever coordinates goes on where the one before was, never has more
// than max_parallel copies down, and replaces each copy once.
func TestRolloutOutlivesItsCoordinators(t *testing.T) {
	const count, parallel = 6, 2
	l := newLab(t, 5)
	l.after(15 * time.Second)
	stop := func(u *mesh.UpdatePolicy) { u.Order, u.MaxParallel = mesh.StopFirst, parallel }
	l.deploys(updated(count, "1", stop), mesh.Deployed)
	if f := l.ask(l.nodes[0], Submit{Job: updated(count, "2", stop)}).Fault; f != nil {
		t.Fatal(f)
	}
	few := func() bool { return l.total() < count-parallel }
	for range 3 {
		if _, bad := l.until(1500*time.Millisecond, few); bad {
			t.Fatalf("%d copies run, want %d at least\n%s", l.total(), count-parallel, l.events())
		}
		dies := l.lead("web")
		if dies == nil || dies == l.nodes[0] {
			continue
		}
		l.kill(dies, false) // its tasks go on
		if _, bad := l.until(6*time.Second, few); bad {
			t.Fatalf("%d copies run when the coordinator has died, want %d at least\n%s",
				l.total(), count-parallel, l.events())
		}
		l.start(dies)
		l.meet(dies)
	}
	l.comesTo(mesh.Deployed)
	d := l.nodes[0].core.Deployments("web")
	if len(d) != 2 || d[1].From != 1 || d[1].Healthy != count || l.total() != count {
		t.Fatalf("%d copies run, and the deployments are %+v", l.total(), d)
	}
	for _, a := range l.nodes[0].core.View().AllocsOf("web") {
		if a.Generation > 1 {
			t.Errorf("copy %v was replaced again: %s", a.Seat(), a.Reason)
		}
	}
}

// TestPeopleSteerDeployments: they promote what is healthy, and nothing else; they hold it, and give it up,
// and it goes back by itself then, once; a rollback is a deployment of its own.
func TestPeopleSteerDeployments(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	canary := func(u *mesh.UpdatePolicy) { u.Strategy = mesh.Canary }
	steer := func(verb mesh.Steer, want string) {
		t.Helper()
		f := l.ask(l.nodes[1], Steer{Job: "web", Verb: verb}).Fault
		if want == "" && f != nil || want != "" && (f == nil || !strings.Contains(f.Error(), want)) {
			t.Fatalf("%s: got %v, want %q\n%s", verb, f, want, l.events())
		}
	}
	steer(mesh.SteerPause, `no job "web"`)
	l.deploys(updated(2, "1", canary), mesh.Deployed)
	steer(mesh.SteerPause, "has ended: successful")
	l.deploys(updated(2, "2", canary), mesh.Deploying)
	steer(mesh.SteerPromote, "not healthy yet")
	l.comesTo(mesh.AwaitingPromotion)
	if c := l.nodes[2].deployment("web").Counts(); c.Old != 2 || c.Placed != 1 || c.Hidden != 1 {
		t.Fatalf("before it is promoted there are %+v", c)
	}
	steer(mesh.SteerPause, "")
	l.comesTo(mesh.DeploymentPaused)
	steer(mesh.SteerPromote, "is paused")
	steer(mesh.SteerResume, "")
	l.comesTo(mesh.AwaitingPromotion)
	steer(mesh.SteerPromote, "")
	l.comesTo(mesh.Deployed)

	reverts := func(u *mesh.UpdatePolicy) { u.Strategy, u.AutoRevert = mesh.BlueGreen, true }
	l.deploys(updated(2, "3", reverts), mesh.AwaitingPromotion)
	steer(mesh.SteerFail, "")
	back := func() bool { return l.nodes[0].core.View().Job("web").Verb == "revert 2" }
	if _, ok := l.until(time.Minute, back); !ok {
		t.Fatalf("it has not gone back\n%s", l.events())
	}
	l.comesTo(mesh.Deployed)
	if job := l.nodes[0].core.View().Job("web"); job.Number != 4 || job.Job.Tasks[0].Env["RELEASE"] != "2" {
		t.Fatalf("version %d runs release %s", job.Number, job.Job.Tasks[0].Env["RELEASE"])
	}
	if f := l.ask(l.nodes[0], Rollback{Job: "web", Reason: "as it was"}).Fault; f != nil {
		t.Fatal(f)
	}
	l.after(time.Second)
	if job := l.nodes[0].core.View().Job("web"); job.Number != 5 || job.Job.Tasks[0].Env["RELEASE"] != "1" {
		t.Fatalf("version %d runs release %s", job.Number, job.Job.Tasks[0].Env["RELEASE"])
	}
}
