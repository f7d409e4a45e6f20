package cases

import (
	"fmt"
	"slices"
	"time"

	"mn/mesh"
	"mn/sim/lab"
	"mn/sim/lab/watch"
)

// partitions are the cases of networks that break in parts.
func partitions() []Case {
	return []Case{
		{
			Name: "split-3-2", Faults: "F15", CI: true, run: func(s *scene) { s.splitInTwo(3) },
			Shows: "each on_partition keeps its promise on both sides of a split; edits on both are kept",
		},
		{
			Name: "split-2-2", Faults: "F15", CI: true, Nodes: 4, run: func(s *scene) { s.splitInTwo(2) },
			Shows: "the same for halves, of which one has two of the three voters",
		},
		{
			Name: "cut-off-stops", Faults: "F15", CI: true, Nodes: 3, run: (*scene).cutOffStops,
			Shows: "a copy with stop_after ends in time where its node is cut off, or has no agent",
		},
	}
}

// splitInTwo cuts the mesh in two, the first so many nodes of a random order
// against the rest, with a copy of a job of each kind on every node.
func (s *scene) splitInTwo(first int) {
	all := s.shuffled()
	n := len(all)
	s.start(
		s.service("eager", mesh.Eager, n), s.service("majority", mesh.Majority, n), s.service("keep", mesh.Keep, n),
	)
	s.start(s.service("edited", mesh.Eager, 1))
	sides := [][]*lab.Node{all[:first], all[first:]}
	voters := s.voters(all[0])
	if count(sides[0], voters) < count(sides[1], voters) {
		slices.Reverse(sides)
	}
	most, rest := sides[0], sides[1]
	original := s.live("eager")
	end := s.stream(2 * time.Second)
	at := s.split(most, rest)

	// Never two, and what runs is left alone.
	defer s.undisturbed(at, nil, "keep")
	s.eachSideHas("eager", at, sides)
	s.honest(most[0], rest...)
	s.honest(rest[0], most...)
	s.editOnBothSides("edited", sides)
	s.minorityStops("majority", at, rest)
	s.until(at+majorityMax-watch.Now(), "the majority runs all copies", func() (bool, string) {
		live := s.live("majority", names(most)...)
		return len(live) == n, describe(live)
	})
	s.took("majority again", watch.Now()-at)
	end()
	s.heal()
	s.conflictIsShown("edited")
	s.originalsStay("eager", original)
}

// stopAfter is the shortest that a job can ask for.
const stopAfter = 10 * time.Second

// cutOffStops has a copy on each of three nodes, of which one is cut off, and another
// loses its agent.
func (s *scene) cutOffStops() {
	job := s.service("cut", mesh.Eager, 3)
	job.Recovery.StopAfter = mesh.Duration(stopAfter)
	s.start(job)
	all := s.shuffled()
	alone := all[0]
	at := s.isolate(alone)
	s.endsInTime("cut", alone, at)
	s.until(eagerMax, "the others run all copies", func() (bool, string) {
		live := s.live("cut", names(s.others(alone))...)
		return len(live) == 3, describe(live)
	})
	s.heal()
	s.until(startMax, "one copy each", func() (bool, string) {
		live := s.live("cut")
		return len(live) == 3, describe(live)
	})
	s.seesAll()

	dead := s.lab.Node(s.live("cut")[0].Node)
	at = watch.Now()
	s.must(dead.KillAgent())
	s.endsInTime("cut", dead, at)
	s.startAgents(dead)
}

// endsInTime waits until nothing of a job runs on a node, and holds it against the node if
// that ends before two thirds of its time, or outlives it.
func (s *scene) endsInTime(job string, n *lab.Node, at time.Duration) {
	s.until(at+stopAfter+killGrace+slackMax-watch.Now(), "nothing of "+job+" runs on "+n.Name, func() (bool, string) {
		live := s.live(job, n.Name)
		return len(live) == 0, describe(live)
	})
	last := at
	for _, l := range s.lives(job) {
		if l.Node == n.Name {
			last = max(last, l.Last)
		}
	}
	s.took("stopped on "+n.Name, last-at)
	if last-at < stopAfter/2 {
		s.fail("eager", "%s stops after %v, and may run on for %v", n.Name, last-at, stopAfter)
	}
}

// count is how many of the nodes are in a set.
func count(nodes []*lab.Node, set []string) int {
	in := 0
	for _, n := range nodes {
		if slices.Contains(set, n.Name) {
			in++
		}
	}
	return in
}

// eachSideHas waits until each side runs all copies of an eager job.
func (s *scene) eachSideHas(job string, at time.Duration, sides [][]*lab.Node) {
	want := len(s.lab.Nodes())
	s.until(eagerMax, fmt.Sprintf("both sides run all copies of %q", job), func() (bool, string) {
		for _, side := range sides {
			if live := s.live(job, names(side)...); len(live) != want {
				return false, fmt.Sprintf("%v: %s", names(side), describe(live))
			}
		}
		return true, ""
	})
	s.took("eager on both sides", watch.Now()-at)
}

// minorityStops waits until the copies of a majority job are gone from a side
// that has no majority, and holds it against them if they outlive their lease,
// which a coordinator on that side may have renewed while it still could.
func (s *scene) minorityStops(job string, at time.Duration, side []*lab.Node) {
	limit := at + leadFor + taskLease + killGrace + slackMax
	s.until(limit-watch.Now(), "the minority stops its copies", func() (bool, string) {
		live := s.live(job, names(side)...)
		return len(live) == 0, describe(live)
	})
	last := at
	for _, l := range s.lives(job) {
		if among(l.Node, names(side)) {
			last = max(last, l.Last)
		}
	}
	s.took("minority stopped", last-at)
}

// editOnBothSides has people change one job on either side of a split.
func (s *scene) editOnBothSides(job string, sides [][]*lab.Node) {
	for i, side := range sides {
		edit := s.service(job, mesh.Eager, 1)
		edit.Tasks[0].Env["EDIT"] = fmt.Sprint("side ", i)
		s.must(s.submit(side[0], edit))
	}
}

// conflictIsShown waits until all nodes show that a job has two versions of
// which one runs.
func (s *scene) conflictIsShown(job string) {
	s.within(convergeMax, "all show the conflict of "+job, func() (bool, string) {
		for _, n := range s.running() {
			if j := s.job(n, job); !j.Conflict || len(j.Conflicts) != 1 {
				return false, fmt.Sprintf("%s shows %d", n.Name, len(j.Conflicts))
			}
		}
		return true, ""
	})
}

// originalsStay waits for an eager job to have one copy of each again, and
// expects those to be the ones that were there before the split.
func (s *scene) originalsStay(job string, original []watch.Life) {
	_, ok := s.within(settleMax, "one copy each of "+job, func() (bool, string) {
		live := s.live(job)
		return len(live) == len(original), describe(live)
	})
	if !ok {
		return
	}
	for _, l := range s.live(job) {
		if !slices.ContainsFunc(original, func(o watch.Life) bool { return o.PID == l.PID && o.Alloc == l.Alloc }) {
			s.fail("eager", "a copy that came later stays: %v", l)
		}
	}
}
