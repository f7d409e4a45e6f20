package cases

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
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
			Name: "drained-batch", Faults: "F1 F31", CI: true, Nodes: 4, run: (*scene).drainedBatch,
			Shows: "a node is drained, another lost: batch work ends in its time, or moves and goes on as it was saved",
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

// drainedBatch drains a node with work that ends in time, and some that does not; then another
// is lost for good.
func (s *scene) drainedBatch() {
	short, long, saved := s.batch("short", 6, 5*time.Second), s.batch("long", 6, time.Hour), s.counting("saved", 6)
	s.start(short, long, saved)
	victim, asked := s.fullest(short, long, saved)
	at := watch.Now()
	s.drain(asked, victim)
	s.must(asked.KillAgent())
	s.startAgents(asked)
	took := s.until(drainMax, victim.Name+" is empty", func() (bool, string) {
		left := slices.Concat(s.live("short", victim.Name), s.live("long", victim.Name), s.live("saved", victim.Name))
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
	s.allRun(saved)
	s.goesOn(saved.Name)
	s.must(s.end(asked, mesh.JobID(long.Name)))
	s.undrain(asked, victim)
	s.burn(saved)
}

// burn loses the node with most copies of a job that is saved.
func (s *scene) burn(job mesh.Job) {
	victim, asked := s.fullest(job)
	kept := map[int]int{}
	s.until(startMax, "other nodes keep what is saved on "+victim.Name, func() (bool, string) {
		kept = s.kept(asked, job.Name, victim)
		return len(kept) > 0 && len(kept) == len(s.live(job.Name, victim.Name)), fmt.Sprint(kept)
	})
	s.gone[victim.Name] = true
	_, err := victim.Kill()
	s.must(err)
	s.until(startMax, "its copies are seen no more", func() (bool, string) {
		left := s.live(job.Name, victim.Name)
		return len(left) == 0, describe(left)
	})
	s.say("%s is lost; others keep what its copies have saved: %v", victim.Name, kept)
	s.allRun(job)
	for index, step := range kept {
		if at := s.beganAt(job.Name, index); at < step {
			s.fail("saved work", "copy %d of %q has begun at %d, and others had it at %d", index, job.Name, at, step)
		}
	}
	s.measure("copies that went on after a loss", "%d", len(kept))
	s.must(s.end(asked, mesh.JobID(job.Name))) // what is saved all the time is never the same on all
}

// allRun waits until all copies of a job that counts run, and have said from where.
func (s *scene) allRun(job mesh.Job) {
	s.until(startMax, fmt.Sprintf("%q runs elsewhere", job.Name), func() (bool, string) {
		live := s.live(job.Name)
		said := map[string]bool{}
		for _, c := range s.counted(job.Name) {
			said[c.Alloc] = said[c.Alloc] || c.what == "began"
		}
		mute := slices.ContainsFunc(live, func(l watch.Life) bool { return !said[l.Alloc] })
		return len(live) == job.Copies() && !mute, describe(live)
	})
}

// kept is how far the copies of a job on a node have come, as other nodes keep it, by index.
func (s *scene) kept(asked *lab.Node, job string, on *lab.Node) map[int]int {
	steps := map[int]int{}
	for _, l := range s.live(job, on.Name) {
		a, err := ask(s, func(ctx context.Context) (api.AllocDetail, error) {
			return asked.Client().Alloc(ctx, mesh.AllocID(l.Alloc))
		})
		if err != nil || len(a.Tasks) == 0 || a.Tasks[0].Kept == nil {
			continue
		}
		n, err := strconv.Atoi(a.Tasks[0].Kept.Label)
		s.must(err)
		steps[l.Index] = n
	}
	return steps
}

// goesOn is an oracle: as long as no machine is lost, each copy of a job begins where the one
// before it was saved, or later. Some have.
func (s *scene) goesOn(job string) {
	saved, on := map[int]int{}, 0
	for _, c := range s.counted(job) {
		switch {
		case c.what == "saved":
			saved[c.Index] = c.step
		case c.step < saved[c.Index]:
			s.fail("saved work", "copy %d of %q begins at %d on %s, and was saved at %d",
				c.Index, job, c.step, c.Node, saved[c.Index])
		case c.step > 0:
			on++
		}
	}
	if on == 0 {
		s.fail("saved work", "no copy of %q has gone on from anywhere", job)
	}
	s.measure("copies that went on", "%d", on)
}

// beganAt is where a copy of a job has begun last.
func (s *scene) beganAt(job string, index int) (step int) {
	for _, c := range s.counted(job) {
		if c.what == "began" && c.Index == index {
			step = c.step
		}
	}
	return step
}

// counted is what the copies of a job that counts have done.
type counted struct {
	watch.Token
	what string // began or saved
	step int
}

func (s *scene) counted(job string) []counted {
	tokens, err := s.sink.Tokens()
	s.must(err)
	var all []counted
	for _, t := range tokens {
		what, step, ok := strings.Cut(t.What, "-")
		if t.Job != job || !ok {
			continue
		}
		n, err := strconv.Atoi(step)
		s.must(err)
		all = append(all, counted{t, what, n})
	}
	return all
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
