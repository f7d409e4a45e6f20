package cases

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"mn/mesh"
	"mn/mesh/api"
	"mn/sim/lab"
	"mn/sim/lab/watch"
)

// deployments are the cases of versions that come to run step by step.
func deployments() []Case {
	return []Case{
		{
			Name: "rolling-update", Faults: "F1", CI: true, Nodes: 3, run: (*scene).rollingUpdate,
			Shows: "ten copies come to a new version, and back from a sick one: no request fails",
		},
		{
			Name: "deployments-go-on", Faults: "F1", CI: true, Nodes: 4, run: (*scene).deploymentsGoOn,
			Shows: "who decides is killed at each step of each strategy: the deployment goes on, and enough copies run",
		},
	}
}

const (
	deployMax  = 40 * time.Second // until a version of a few copies is deployed
	deployWell = 300 * time.Millisecond
	hushed     = time.Second // for which a copy serves on that nobody is sent to any more
	sickMax    = 6 * time.Second
	dnsAddress = "127.0.0.1:8653" // of each node, which has a loopback of its own
)

// deployed is a service of copies that offer it, with an update policy.
func (s *scene) deployed(name string, copies int, u mesh.UpdatePolicy, edit string) mesh.Job {
	job := s.offering(name, mesh.Eager, copies)
	well := mesh.Duration(deployWell)
	u.MinHealthy = &well
	job.Update = &u
	job.Tasks[0].Env["EDIT"] = edit
	return job
}

// serving is a service of copies that answer HTTP, of which a check asks for that.
func (s *scene) serving(name string, copies int, u mesh.UpdatePolicy, args ...string) mesh.Job {
	job := s.deployed(name, copies, u, strings.Join(args, " "))
	t := &job.Tasks[0]
	t.Name, t.Command = "serve", slices.Concat(s.fixture, []string{"serve"}, args)
	t.WarnBefore = mesh.Duration(hushed)
	t.Ports = []mesh.PortRequest{{Label: "http"}}
	t.Services = []mesh.ServiceDef{{Name: name, Port: "http", Checks: []mesh.Check{{
		Type: mesh.CheckHTTP, Interval: mesh.Duration(time.Second),
	}}}}
	return job
}

// rollingUpdate updates a service while clients on all nodes use it; then to a version that answers that it is
// sick, which goes back by itself.
func (s *scene) rollingUpdate() {
	const copies = 10
	sick := mesh.Duration(sickMax)
	u := mesh.UpdatePolicy{MaxParallel: parallel, HealthyDeadline: &sick, AutoRevert: true}
	s.start(s.serving("web", copies, u, "well"))
	all := s.lab.Nodes()
	s.comesTo(all[0], "web", mesh.Deployed)
	s.finds("web", all, all, copies, startMax)
	end := s.clients("web")
	at := watch.Now()
	s.must(s.submit(all[0], s.serving("web", copies, u, "well", "2")))
	s.took("deployed", s.comesToVersion(all[1], "web", 2, mesh.Deployed))
	s.must(s.submit(all[0], s.serving("web", copies, u, "sick")))
	s.took("gone back from a sick version", s.comesToVersion(all[1], "web", 4, mesh.Deployed))
	requests := end()
	s.measure("requests", "%d", requests.All)
	if requests.Failed > 0 || requests.All == 0 {
		s.fail("deployment", "%d of %d requests failed: %s", requests.Failed, requests.All, requests.First)
	}
	if least := fewest(s.lives("web"), at, watch.Now()); least < copies {
		s.fail("deployment", "only %d of %d copies ran at some moment, though the next one starts first", least, copies)
	}
}

// clients use a service on every node without a break: each asks its node's DNS where the service is, and goes
// there. It returns what ends them, and says what came of all requests.
func (s *scene) clients(service string) (end func() watch.Requests) {
	type client struct {
		cmd *exec.Cmd
		out bytes.Buffer
	}
	var all []*client
	for _, n := range s.lab.Nodes() {
		args := slices.Concat(s.fixture[1:], []string{"ask", service, dnsAddress})
		c := &client{cmd: exec.CommandContext(s.ctx, s.fixture[0], args...)}
		c.cmd.Stdout = &c.out
		s.must(n.Site().Start(c.cmd))
		all = append(all, c)
	}
	return func() (sum watch.Requests) {
		for _, c := range all {
			var r watch.Requests
			err := c.cmd.Process.Signal(syscall.SIGTERM)
			s.must(errors.Join(err, c.cmd.Wait()))
			s.must(json.Unmarshal(c.out.Bytes(), &r))
			sum.All, sum.Failed, sum.First = sum.All+r.All, sum.Failed+r.Failed, cmp.Or(sum.First, r.First)
		}
		return sum
	}
}

// comesTo waits until a node says that a deployment is in a state.
func (s *scene) comesTo(asked *lab.Node, job string, state mesh.DeploymentState) time.Duration {
	return s.comesToVersion(asked, job, 1, state)
}

// comesToVersion waits until the deployment of a version is.
func (s *scene) comesToVersion(asked *lab.Node, job string, version uint64, state mesh.DeploymentState) time.Duration {
	what := fmt.Sprintf("the deployment of version %d of %q is %s", version, job, state)
	return s.until(deployMax, what, func() (bool, string) {
		d, err := ask(s, func(ctx context.Context) (api.DeploymentDetail, error) {
			return asked.Client().Deployment(ctx, mesh.JobID(job))
		})
		if err != nil {
			return false, err.Error()
		}
		return d.Version == version && d.Status == state, fmt.Sprintf("version %d is %s, %d of %d healthy, %d old; %s",
			d.Version, d.Status, d.Healthy, d.Wanted, d.Old, d.Next)
	})
}

// reaches waits until so many copies of a job are of a version.
func (s *scene) reaches(asked *lab.Node, job string, version uint64, placed int) {
	what := fmt.Sprintf("%d copies of %q are of version %d", placed, job, version)
	s.until(deployMax, what, func() (bool, string) {
		d, err := ask(s, func(ctx context.Context) (api.DeploymentDetail, error) {
			return asked.Client().Deployment(ctx, mesh.JobID(job))
		})
		if err != nil {
			return false, err.Error()
		}
		return d.Version == version && d.Placed >= placed, fmt.Sprintf("version %d: %d are placed", d.Version, d.Placed)
	})
}

// deploymentsGoOn kills the agent of whoever decides about a deployment at each step of each strategy.
func (s *scene) deploymentsGoOn() {
	const copies, canaries = 4, 2
	all := []struct {
		job    string
		update mesh.UpdatePolicy
		hidden int // copies, until they are promoted
		as     mesh.Standing
	}{
		{job: "in-place", update: mesh.UpdatePolicy{Order: mesh.StopFirst}},
		{job: "rolling", update: mesh.UpdatePolicy{}},
		{"careful", mesh.UpdatePolicy{Strategy: mesh.Canary, Canary: canaries}, canaries, mesh.CanaryCopy},
		{"doubled", mesh.UpdatePolicy{Strategy: mesh.BlueGreen}, copies, mesh.Candidate},
	}
	first := s.lab.Nodes()[0]
	var jobs []mesh.Job
	for _, c := range all {
		jobs = append(jobs, s.deployed(c.job, copies, c.update, "1"))
	}
	s.start(jobs...)
	for _, c := range all {
		s.comesTo(first, c.job, mesh.Deployed)
	}
	for _, c := range all {
		at, job := watch.Now(), c.job
		s.must(s.submit(first, s.deployed(job, copies, c.update, "2")))
		asked := first
		if c.hidden > 0 {
			s.reaches(asked, job, 2, 1)
			asked = s.dethrone(job)
			s.comesToVersion(asked, job, 2, mesh.AwaitingPromotion)
			s.apartFrom(asked, job, c.as, c.hidden)
			asked = s.dethrone(job)
			s.apartFrom(asked, job, c.as, c.hidden) // another knows as well that nobody has promoted it
			_, err := ask(s, func(ctx context.Context) (api.Steered, error) {
				return asked.Client().Steer(ctx, api.SteerRequest{Job: mesh.JobID(job), Verb: mesh.SteerPromote})
			})
			s.must(err)
			asked = s.dethrone(job)
		} else {
			for n := range copies {
				s.reaches(asked, job, 2, n+1)
				asked = s.dethrone(job)
			}
		}
		s.comesToVersion(asked, job, 2, mesh.Deployed)
		s.took(job+" deployed", watch.Now()-at)
		want, least := copies, fewest(s.lives(job), at, watch.Now())
		if c.update.Order == mesh.StopFirst {
			want = copies - c.update.Parallel()
		}
		s.measure("fewest copies of "+job, "%d", least)
		if least < want {
			s.fail("deployment", "only %d of %d copies of %q ran at some moment, want %d", least, copies, job, want)
		}
	}
}

// dethrone kills the agent of the node that decides about a job until another does, and says which node
// was not harmed.
func (s *scene) dethrone(job string) (asked *lab.Node) {
	victim := s.lab.Node(s.coordinator(job))
	asked = s.others(victim)[0]
	s.must(victim.KillAgent())
	s.until(noticeMax, fmt.Sprintf("another than %s decides about %q", victim.Name, job), func() (bool, string) {
		is := s.job(asked, job).Coordinator
		return is != "" && is != victim.Name, is
	})
	s.startAgents(victim)
	s.say("the agent of %s was killed, which had decided about %q", victim.Name, job)
	return asked
}

// apartFrom checks that a node shows so many copies in a role, and to nobody who does not ask for it.
func (s *scene) apartFrom(asked *lab.Node, service string, as mesh.Standing, want int) {
	what := fmt.Sprintf("%s has %d copies of %q as %s", asked.Name, want, service, as)
	s.until(noticeMax, what, func() (bool, string) {
		all, err := ask(s, func(ctx context.Context) ([]api.Service, error) {
			return asked.Client().Services(ctx, api.ServicesRequest{Service: service, Role: string(as)})
		})
		return err == nil && len(all) == want, fmt.Sprint(len(all), " ", err)
	})
	shown, err := ask(s, func(ctx context.Context) ([]api.Service, error) {
		return asked.Client().Services(ctx, api.ServicesRequest{Service: service})
	})
	s.must(err)
	for i := range shown {
		if f := &shown[i]; f.DeploymentVersion != 1 {
			s.fail("deployment", "%s shows %s[%d] of version %d before it is promoted",
				asked.Name, f.Job, f.Index, f.DeploymentVersion)
		}
	}
}
