package cases

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
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
			Shows: "ten copies come to a new version, and whoever looks for one finds one that runs at every moment",
		},
		{
			Name: "deployments-go-on", Faults: "F1", Nodes: 4, run: (*scene).deploymentsGoOn,
			Shows: "who decides about a rolling and a canary deployment is killed: it goes on, and enough copies run",
		},
	}
}

const (
	deployMax   = 40 * time.Second // until a version of a few copies is deployed
	deployWell  = 300 * time.Millisecond
	clientPause = 20 * time.Millisecond // between two requests of a client
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

// rollingUpdate updates a service while clients on all nodes use it.
func (s *scene) rollingUpdate() {
	const copies = 10
	u := mesh.UpdatePolicy{MaxParallel: parallel}
	s.start(s.deployed("web", copies, u, "1"))
	all := s.lab.Nodes()
	s.comesTo(all[0], "web", mesh.Deployed)
	s.finds("web", all, all, copies, startMax)
	end := s.clients("web")
	at := watch.Now()
	s.must(s.submit(all[0], s.deployed("web", copies, u, "2")))
	s.took("deployed", s.comesToVersion(all[1], "web", 2, mesh.Deployed))
	requests, refused, failed := end()
	s.measure("requests", "%d, of which %d had to be sent to a second copy", requests, refused)
	if failed > 0 || requests == 0 {
		s.fail("deployment", "%d of %d requests found no copy that ran", failed, requests)
	}
	if least := fewest(s.lives("web"), at, watch.Now()); least < copies {
		s.fail("deployment", "only %d of %d copies ran at some moment, though the next one starts first", least, copies)
	}
}

// clients use a service on every node without a break: each asks its node where the service is, and goes to
// one of these copies; if it has just ended, to another, once. It returns what ends them, and says how many
// requests there were, how many the first copy refused, and how many failed.
func (s *scene) clients(service string) (end func() (requests, refused, failed int)) {
	ctx, cancel := context.WithCancel(s.ctx)
	var all sync.WaitGroup
	var mu sync.Mutex
	var requests, refused, failed int
	for _, n := range s.lab.Nodes() {
		rng := rand.New(rand.NewPCG(s.rand.Uint64(), s.rand.Uint64()))
		all.Go(func() {
			for ctx.Err() == nil {
				tries, why := s.request(ctx, n, service, rng)
				if ctx.Err() != nil {
					return
				}
				mu.Lock()
				requests++
				if tries > 1 {
					refused++
				}
				if why != "" {
					failed++
					s.say("a request by %s failed: %s", n.Name, why)
				}
				mu.Unlock()
				pause := time.NewTimer(clientPause)
				select {
				case <-ctx.Done():
				case <-pause.C:
				}
				pause.Stop()
			}
		})
	}
	return func() (int, int, int) {
		cancel()
		all.Wait()
		return requests, refused, failed
	}
}

// request asks a node for a service, and looks whether one of the first two copies that are tried runs.
func (s *scene) request(ctx context.Context, n *lab.Node, service string, rng *rand.Rand) (tries int, why string) {
	found, err := n.Client().Resolve(ctx, api.ServicesRequest{Service: service})
	if err != nil {
		return 1, err.Error()
	}
	rng.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
	for _, f := range found[:min(len(found), 2)] {
		tries++
		runs := func(l watch.Life) bool { return l.Alloc == string(f.Alloc) }
		if slices.ContainsFunc(s.live(string(f.Job)), runs) {
			return tries, ""
		}
		why += fmt.Sprintf("%s[%d] on %s does not run; ", f.Job, f.Index, f.Node)
	}
	return tries, why
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

// begun waits until some copies of a job are new, but not all.
func (s *scene) begun(asked *lab.Node, job string, version uint64) {
	s.until(deployMax, fmt.Sprintf("version %d of %q begins to run", version, job), func() (bool, string) {
		d, err := ask(s, func(ctx context.Context) (api.DeploymentDetail, error) {
			return asked.Client().Deployment(ctx, mesh.JobID(job))
		})
		if err != nil {
			return false, err.Error()
		}
		return d.Version == version && d.Placed > 0, fmt.Sprintf("version %d: %d are placed", d.Version, d.Placed)
	})
}

// deploymentsGoOn kills the agent of whoever decides about each deployment, in the middle of it.
func (s *scene) deploymentsGoOn() {
	const copies, canaries = 8, 2
	rolling := mesh.UpdatePolicy{MaxParallel: parallel, Order: mesh.StopFirst}
	careful := mesh.UpdatePolicy{Strategy: mesh.Canary, Canary: canaries, MaxParallel: parallel}
	s.start(s.deployed("rolling", copies, rolling, "1"), s.deployed("careful", copies, careful, "1"))
	first := s.lab.Nodes()[0]
	for _, job := range []string{"rolling", "careful"} {
		s.comesTo(first, job, mesh.Deployed)
	}
	at := watch.Now()
	s.must(s.submit(first, s.deployed("rolling", copies, rolling, "2")))
	s.must(s.submit(first, s.deployed("careful", copies, careful, "2")))
	s.begun(first, "rolling", 2)
	asked := s.dethrone("rolling")
	s.comesToVersion(asked, "careful", 2, mesh.AwaitingPromotion)
	s.apartFrom(asked, "careful", canaries)
	asked = s.dethrone("careful")
	s.apartFrom(asked, "careful", canaries) // another knows as well that nobody has promoted it
	_, err := ask(s, func(ctx context.Context) (api.Steered, error) {
		return asked.Client().Steer(ctx, api.SteerRequest{Job: "careful", Verb: mesh.SteerPromote})
	})
	s.must(err)
	for _, job := range []string{"rolling", "careful"} {
		s.comesToVersion(asked, job, 2, mesh.Deployed)
	}
	s.took("both deployed", watch.Now()-at)
	for job, want := range map[string]int{"rolling": copies - parallel, "careful": copies} {
		least := fewest(s.lives(job), at, watch.Now())
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

// apartFrom checks that a node shows so many copies as canaries, and to nobody who does not ask for them.
func (s *scene) apartFrom(asked *lab.Node, service string, want int) {
	s.until(noticeMax, fmt.Sprintf("%s has %d canaries of %q", asked.Name, want, service), func() (bool, string) {
		all, err := ask(s, func(ctx context.Context) ([]api.Service, error) {
			return asked.Client().Services(ctx, api.ServicesRequest{Service: service, Role: string(mesh.CanaryCopy)})
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
