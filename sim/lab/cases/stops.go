package cases

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"mn/mesh"
	"mn/sim/lab"
	"mn/sim/lab/host"
	"mn/sim/lab/watch"
)

// stops are the cases of agents and machines that stand still.
func stops() []Case {
	return []Case{
		{
			Name: "coordinator-blocked", Faults: "F15", CI: true, run: (*scene).coordinatorBlocked,
			Shows: "the busiest coordinator is cut off for 30 s: no task restarts that needs not",
		},
		{
			Name: "agent-stopped", Faults: "F8", CI: true, run: (*scene).agentStopped,
			Shows: "an agent stands still for longer than its leases, and goes on: never two",
		},
		{
			Name: "starved", Faults: "F9", Limit: 8 * time.Minute, run: func(s *scene) { s.starved(5 * time.Minute) },
			Shows: "an agent has 2 % of a core for five minutes: nobody else is called dead by that",
		},
	}
}

// coordinatorBlocked cuts off the node that coordinates the most.
func (s *scene) coordinatorBlocked() {
	const jobs = 8
	n := len(s.lab.Nodes())
	patient := s.service("patient", mesh.Eager, n)
	wait := mesh.Duration(time.Minute)
	patient.Recovery.LostAfter = &wait
	all := []mesh.Job{patient, s.service("keep", mesh.Keep, n)}
	for i := range jobs {
		all = append(all, s.leased(fmt.Sprint("majority-", i)))
	}
	s.start(all...)
	victim, elsewhere := s.busiest(all[2:])
	s.measure("coordinated from afar", "%d", elsewhere)
	moves := map[string]bool{} // majority work on the blocked node must move
	for _, j := range all[2:] {
		moves[j.Name] = s.live(j.Name)[0].Node == victim.Name
	}
	may := func(l watch.Life) bool { return moves[l.Job] }
	at := s.isolate(victim)
	s.pass(30 * time.Second)
	s.undisturbed(at, may)
	s.heal()
	for job, moved := range moves {
		if moved {
			s.until(majorityMax, job+" runs again", func() (bool, string) {
				live := s.live(job)
				return len(live) == 1 && live[0].Node != victim.Name, describe(live)
			})
		}
	}
	s.pass(5 * time.Second)
	s.undisturbed(at, may)
}

// busiest is the node that coordinates the most jobs that run on others.
func (s *scene) busiest(jobs []mesh.Job) (node *lab.Node, count int) {
	counts := map[string]int{}
	for _, j := range jobs {
		if c := s.coordinator(j.Name); c != s.live(j.Name)[0].Node {
			counts[c]++
		}
	}
	for _, n := range s.lab.Nodes() {
		if counts[n.Name] > count || node == nil {
			node, count = n, counts[n.Name]
		}
	}
	return node, count
}

// agentStopped stops an agent for longer than a copy may run unrenewed.
func (s *scene) agentStopped() {
	s.everyKind()
	n := len(s.lab.Nodes())
	victim := s.shuffled()[0]
	original := s.live("eager")
	at := watch.Now()
	s.must(victim.Signal(syscall.SIGSTOP))
	s.say("the agent of %s stands still", victim.Name)
	s.minorityStops("majority", at, []*lab.Node{victim})
	s.honest(s.others(victim)[0], victim)
	for _, job := range []string{"eager", "majority"} {
		others := names(s.others(victim))
		s.until(at+majorityMax-watch.Now(), "all copies of "+job+" run elsewhere", func() (bool, string) {
			live := s.live(job, others...)
			return len(live) == n, describe(live)
		})
		s.took(job+" again", watch.Now()-at)
	}
	s.pass(5 * time.Second)
	s.must(victim.Signal(syscall.SIGCONT))
	s.healed = watch.Now()
	s.say("the agent of %s goes on", victim.Name)
	s.originalsStay("eager", original)
	s.undisturbed(at, nil, "keep")
}

// starved is F9.
func (s *scene) starved(length time.Duration) {
	s.everyKind()
	victim := s.shuffled()[0]
	others := s.others(victim)
	group, err := host.LimitCPU(filepath.Base(filepath.Dir(s.dir))+"-starved", 0.02)
	s.must(err)
	at := watch.Now()
	s.must(group.Add(victim.PID()))
	s.say("the agent of %s starves", victim.Name)
	s.pass(length)
	for _, n := range others {
		for _, other := range others {
			if s.calledLost(n, other) {
				s.fail("false death", "%s took %s for lost, while %s starved", n.Name, other.Name, victim.Name)
			}
		}
	}
	s.must(group.Close())
	s.heal()
	s.undisturbed(at, nil, "keep")
	s.movesAtMost(at, 1, "majority")
}

// calledLost says whether a node has ever called another lost.
func (s *scene) calledLost(n, other *lab.Node) bool {
	log, err := os.ReadFile(n.Log())
	s.must(err)
	return strings.Contains(string(log), "msg=node_lost peer="+s.id(other))
}
