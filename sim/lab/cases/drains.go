package cases

import (
	"cmp"
	"context"
	"slices"
	"time"

	"mn/mesh"
	"mn/mesh/api"
	"mn/sim/lab"
	"mn/sim/lab/watch"
)

// drains are the cases of nodes that people take out of service.
func drains() []Case {
	return []Case{
		{
			Name: "drained-services", Faults: "F1", CI: true, Nodes: 4, run: (*scene).drainedServices,
			Shows: "a node is drained, and the agent that was asked is killed: enough copies run at every moment",
		},
		{
			Name: "drained-batch", Faults: "F1", CI: true, Nodes: 3, run: (*scene).drainedBatch,
			Shows: "a node is drained, and a coordinator killed: batch work ends in its time, or moves at the deadline",
		},
	}
}

const (
	drainMax      = 60 * time.Second // until a drained node is empty
	drainDeadline = 12 * time.Second // for batch work
	parallel      = 2                // copies of a job that move at the same time
)

// drainedServices drains the node of which most is to go.
func (s *scene) drainedServices() {
	const copies = 20
	jobs := []mesh.Job{s.service("eager", mesh.Eager, copies), s.service("majority", mesh.Majority, copies)}
	healthy := mesh.Duration(300 * time.Millisecond)
	for i := range jobs {
		jobs[i].Update = &mesh.UpdatePolicy{MaxParallel: parallel, MinHealthy: &healthy}
	}
	s.start(jobs...)
	victim, asked := s.fullest(jobs...)
	at := watch.Now()
	s.drain(asked, victim)
	s.must(asked.KillAgent())
	s.startAgents(asked)
	s.took("drained", s.until(drainMax, victim.Name+" is empty", func() (bool, string) {
		left := append(s.live("eager", victim.Name), s.live("majority", victim.Name)...)
		return len(left) == 0, describe(left)
	}))
	for _, job := range jobs {
		least := fewest(s.lives(job.Name), at, watch.Now())
		s.measure("fewest copies of "+job.Name, "%d", least)
		if least < copies-parallel {
			s.fail("drain", "only %d of %d copies of %q ran at some moment", least, copies, job.Name)
		}
	}
	s.undrain(asked, victim)
}

// drainedBatch drains a node with work that ends in time, and some that does not.
func (s *scene) drainedBatch() {
	short, long := s.batch("short", 6, 5*time.Second), s.batch("long", 6, time.Hour)
	s.start(short, long)
	victim, asked := s.fullest(short, long)
	at := watch.Now()
	s.drain(asked, victim)
	s.must(asked.KillAgent())
	s.startAgents(asked)
	took := s.until(drainMax, victim.Name+" is empty", func() (bool, string) {
		left := append(s.live("short", victim.Name), s.live("long", victim.Name)...)
		return len(left) == 0, describe(left)
	})
	s.took("drained", took)
	if early := at + drainDeadline - watch.Now(); early > slackMax {
		s.fail("drain", "what had time until the deadline was stopped %.1f s before", early.Seconds())
	}
	if lives := s.lives(short.Name); len(lives) != short.Copies() {
		s.fail("drain", "work that ended in its time ran more than once: %s", describe(lives))
	}
	s.until(startMax, `"long" runs elsewhere`, func() (bool, string) {
		live := s.live(long.Name)
		return len(live) == long.Copies(), describe(live)
	})
	s.must(s.end(asked, mesh.JobID(long.Name)))
	s.undrain(asked, victim)
}

// fullest is the node on which most copies of some jobs run, and another.
func (s *scene) fullest(jobs ...mesh.Job) (most, other *lab.Node) {
	copies := func(n *lab.Node) (sum int) {
		for _, job := range jobs {
			sum += len(s.live(job.Name, n.Name))
		}
		return sum
	}
	all := s.shuffled()
	most = slices.MaxFunc(all, func(a, b *lab.Node) int { return cmp.Compare(copies(a), copies(b)) })
	return most, s.others(most)[0]
}

// drain asks a node to have another drained.
func (s *scene) drain(asked, n *lab.Node) {
	s.administer(asked, api.AdminRequest{
		Node: n.Name, Mode: mesh.Draining, Deadline: mesh.Duration(drainDeadline), Reason: "to see what becomes of it",
	})
	s.say("%s is asked to have %s drained", asked.Name, n.Name)
}

// undrain asks a node to have another take work again.
func (s *scene) undrain(asked, n *lab.Node) {
	s.administer(asked, api.AdminRequest{Node: n.Name, Mode: mesh.InService})
}

func (s *scene) administer(asked *lab.Node, r api.AdminRequest) {
	_, err := ask(s, func(ctx context.Context) (api.Drain, error) { return asked.Client().Administer(ctx, r) })
	s.must(err)
}

// fewest is how many of some lives there were at the moment, of a time, when there were
// the least.
func fewest(lives []watch.Life, from, to time.Duration) int {
	least := len(lives)
	for _, l := range lives {
		// The number falls only where a life ends: just after it was seen last.
		for _, at := range []time.Duration{from, l.Last + 1} {
			if at < from || at > to || at != from && !l.Ended {
				continue
			}
			n := 0
			for _, o := range lives {
				if o.Seen <= at && (!o.Ended || at <= o.Last) {
					n++
				}
			}
			least = min(least, n)
		}
	}
	return least
}
