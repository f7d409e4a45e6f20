package cases

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"mn/mesh"
	"mn/mesh/api"
	"mn/sim/lab"
	"mn/sim/lab/watch"
)

// crashes are the cases of processes and machines that die.
func crashes() []Case {
	return []Case{
		{
			Name: "agent-killed", Faults: "F1", CI: true, run: (*scene).agentKilled,
			Shows: "a coordinating agent is killed, and started again: its tasks run on, with unbroken logs",
		},
		{
			Name: "both-die", Faults: "F1", CI: true, run: (*scene).bothDie,
			Shows: "a node and its job's coordinator lose power together: the work goes on elsewhere",
		},
		{
			Name: "kill-storm", Faults: "F5", CI: true, Limit: 4 * time.Minute,
			run:   func(s *scene) { s.killStorm(2 * time.Minute) },
			Shows: "every agent is killed at random for two minutes: all that was acknowledged is there",
		},
		{
			Name: "outage", Faults: "F7", CI: true, run: (*scene).outage,
			Shows: "all lose power and come back with other addresses: the mesh forms again and runs all",
		},
		{
			Name: "restart-storm", Faults: "F29", run: (*scene).restartStorm,
			Shows: "all agents restart twenty times within a minute: every node sees every node again",
		},
		{
			Name: "machine-lost", Faults: "F31", run: (*scene).machineLost,
			Shows: "a machine is lost with its disk, and a new one joins: all the work runs again",
		},
	}
}

// agentKilled is F1.
func (s *scene) agentKilled() {
	n := len(s.lab.Nodes())
	jobs := []string{"eager", "majority", "keep"}
	s.start(s.service(jobs[0], mesh.Eager, n), s.service(jobs[1], mesh.Majority, n), s.service(jobs[2], mesh.Keep, n))
	victim := s.lab.Node(s.coordinator(jobs[1]))
	at := watch.Now()
	for range 3 {
		s.must(victim.KillAgent())
		s.startAgents(victim)
		s.pass(taskLease) // a copy that nobody renews would be stopped by now
	}
	s.say("the agent of %s was killed three times", victim.Name)
	s.undisturbed(at, nil)
	for _, job := range jobs {
		s.unbrokenLogs(s.others(victim)[0], job)
	}
}

// coordinator is the node that decides about a job.
func (s *scene) coordinator(job string) string {
	var name string
	s.until(noticeMax, fmt.Sprintf("somebody coordinates %q", job), func() (bool, string) {
		name = s.job(s.running()[0], job).Coordinator
		return name != "", ""
	})
	return name
}

// bothDie has as many jobs as it takes for one to run on another node than the
// one that coordinates it.
func (s *scene) bothDie() {
	const jobs = 5
	var all []mesh.Job
	for i := range jobs {
		all = append(all, s.service(fmt.Sprint("eager-", i), mesh.Eager, 1),
			s.leased(fmt.Sprint("majority-", i)), s.service(fmt.Sprint("keep-", i), mesh.Keep, 1))
	}
	s.start(all...)
	runs, decides := s.apart(all)
	var lost []watch.Life
	for _, l := range s.watcher.Lives(s.dir) {
		if l.Node == runs.Name || l.Node == decides.Name {
			lost = append(lost, l)
		}
	}
	at := s.powerOff(runs, decides)
	s.honest(s.running()[0], runs, decides)
	moved := map[string]bool{}
	for _, l := range lost {
		moved[l.Job] = true
		limit, kind := eagerMax, mesh.Eager
		switch {
		case s.jobs[l.Job].Recovery.Partition() == mesh.Keep:
			continue
		case s.exclusive[l.Job]:
			limit, kind = majorityMax, mesh.Majority
		}
		s.until(at+limit-watch.Now(), fmt.Sprintf("%q runs again", l.Job), func() (bool, string) {
			return len(s.live(l.Job)) == 1, s.reason(s.running()[0], l.Job)
		})
		if live := s.live(l.Job); len(live) == 1 {
			s.atMost("takeover "+string(kind), live[0].Seen-at)
		}
	}
	s.measure("tasks lost", "%d", len(lost))
	s.undisturbed(at, func(l watch.Life) bool { return moved[l.Job] })
	for _, l := range lost {
		if s.jobs[l.Job].Recovery.Partition() == mesh.Keep && len(s.live(l.Job)) > 0 {
			s.fail("keep", "a copy that may run was replaced: %s", describe(s.live(l.Job)))
		}
	}
}

// apart finds two nodes of which one runs a job that the other coordinates.
func (s *scene) apart(jobs []mesh.Job) (runs, decides *lab.Node) {
	for _, j := range jobs {
		runs, decides = s.lab.Node(s.live(j.Name)[0].Node), s.lab.Node(s.coordinator(j.Name))
		if runs != decides && s.jobs[j.Name].Recovery.Partition() == mesh.Majority {
			return runs, decides
		}
	}
	s.stop("lab", "each job runs on the node that coordinates it; try another seed")
	return nil, nil
}

// killStorm kills agents, each for itself, while people work and jobs of every
// kind run.
func (s *scene) killStorm(length time.Duration) {
	s.start(
		s.service("eager", mesh.Eager, 3), s.service("majority", mesh.Majority, 3), s.service("keep", mesh.Keep, 3),
	)
	var kills atomic.Int64
	end := s.stream(time.Second)
	var all sync.WaitGroup
	deadline := watch.Now() + length
	errs := make([]error, len(s.lab.Nodes()))
	for i, n := range s.lab.Nodes() {
		seed := s.rand.Uint64()
		all.Go(func() { errs[i] = s.killAgain(n, seed, deadline, &kills) })
	}
	s.say("every agent is killed again and again for %v", length)
	all.Wait()
	end()
	for _, err := range errs {
		s.must(err)
	}
	s.healed = watch.Now()
	s.measure("kills", "%d", kills.Load())
}

// outage cuts the power of all, and gives each machine another address.
func (s *scene) outage() {
	n := len(s.lab.Nodes())
	s.start(
		s.service("eager", mesh.Eager, n), s.service("majority", mesh.Majority, 2), s.service("keep", mesh.Keep, n),
	)
	end := s.stream(500 * time.Millisecond)
	s.pass(5 * time.Second)
	at := s.powerOff(s.lab.Nodes()...)
	end()
	for i, node := range s.lab.Nodes() {
		s.must(s.hosts[node.Name].Move(address(100 + i)))
	}
	s.checkNothingRuns(at)
	on := watch.Now()
	for _, node := range s.shuffled() {
		s.powerOn(node)
		s.pass(time.Duration(s.rand.Int64N(int64(time.Second))))
	}
	s.healed = watch.Now()
	s.seesAll()
	s.took("formed", watch.Now()-on)
}

// checkNothingRuns expects the process table to have no task of the mesh.
func (s *scene) checkNothingRuns(at time.Duration) {
	s.until(slackMax, "nothing runs without power", func() (bool, string) {
		var live []watch.Life
		for _, l := range s.watcher.Lives(s.dir) {
			if !l.Ended {
				live = append(live, l)
			}
		}
		return len(live) == 0, describe(live)
	})
	s.atMost("power off", watch.Now()-at)
}

// seesAll waits until every node sees every node.
func (s *scene) seesAll() {
	want := len(s.running())
	s.until(settleMax, "every node sees every node", func() (bool, string) {
		for _, n := range s.running() {
			nodes, err := ask(s, n.Client().Nodes)
			if err != nil {
				return false, err.Error()
			}
			alive := 0
			for _, other := range nodes {
				if other.Status == mesh.Alive {
					alive++
				}
			}
			if alive != want {
				return false, fmt.Sprintf("%s sees %d of %d", n.Name, alive, want)
			}
		}
		return true, ""
	})
}

// restartStorm is F29.
func (s *scene) restartStorm() {
	const (
		restarts = 20
		length   = time.Minute
	)
	n := len(s.lab.Nodes())
	s.start(s.service("eager", mesh.Eager, n), s.service("majority", mesh.Majority, 2), s.service("keep", mesh.Keep, n))
	at := watch.Now()
	var all sync.WaitGroup
	errs := make([]error, n)
	for i, node := range s.lab.Nodes() {
		seed := s.rand.Uint64()
		all.Go(func() { errs[i] = s.restartAgain(node, seed, restarts, length/restarts) })
	}
	s.say("every agent restarts %d times in %v", restarts, length)
	all.Wait()
	for _, err := range errs {
		s.must(err)
	}
	s.healed = watch.Now()
	s.seesAll()
	s.took("all seen", watch.Now()-s.healed)
	s.undisturbed(at, nil, "keep")
}

// machineLost is F31: what was there and is gone for good.
func (s *scene) machineLost() {
	n := len(s.lab.Nodes())
	s.start(s.service("eager", mesh.Eager, n), s.service("majority", mesh.Majority, n))
	victim := s.shuffled()[0]
	s.must(s.submit(victim, s.service("last", mesh.Eager, 1)))
	at := s.isolate(victim)
	s.saysItIsAlone(victim)
	s.powerOff(victim)
	s.wire.Heal()
	s.gone[victim.Name] = true
	s.honest(s.running()[0], victim)
	s.must(s.lose(victim))
	added, err := s.lab.Add(s.ctx, fmt.Sprint("node-", n+1), s.running()[0])
	s.must(err)
	s.say("%s joins in the place of %s", added.Name, victim.Name)
	s.healed = watch.Now()
	for _, job := range []string{"eager", "majority"} {
		s.until(at+majorityMax-watch.Now(), fmt.Sprintf("all copies of %q run", job), func() (bool, string) {
			live := s.live(job)
			return len(live) == n, describe(live)
		})
	}
	s.took("all runs again", watch.Now()-at)
}

// saysItIsAlone submits a job to a node that reaches nobody, whether or not it
// has noticed. It may take it, but must say that no other has it: what is lost
// with it then was never promised.
func (s *scene) saysItIsAlone(n *lab.Node) {
	job := s.service("alone", mesh.Eager, 1)
	got, err := ask(s, func(ctx context.Context) (api.Submitted, error) { return n.Client().Run(ctx, job) })
	if err == nil && len(got.Warnings) == 0 {
		s.fail("I3 durability", "%s is cut off, and does not say that it alone has what it has taken", n.Name)
	}
}
