package cases

import (
	"fmt"
	"strings"
	"time"

	"mn/mesh"
	"mn/sim/lab"
	"mn/sim/lab/watch"
	"mn/sim/lab/wire"
)

// links are the cases of links that are bad, and not simply cut in parts.
func links() []Case {
	return []Case{
		{
			Name: "one-way", Faults: "F16", CI: true, run: (*scene).oneWay,
			Shows: "a link, then a node, works in one direction only: no task moves back and forth",
		},
		{
			Name: "flapping", Faults: "F15", CI: true, run: (*scene).flapping,
			Shows: "a node comes and goes: short cuts end nothing, long ones never make two",
		},
		{
			Name: "ring-and-bridge", Faults: "F17", run: (*scene).ringAndBridge,
			Shows: "each node sees another majority, then one alone sees both sides: never two",
		},
		{
			Name: "one-friend", Faults: "F17", run: (*scene).oneFriend,
			Shows: "a node reaches one other only, gossip goes round by that: the others are not disturbed",
		},
		{
			Name: "three-ways", Faults: "F19", run: (*scene).threeWays,
			Shows: "a split in 2, 2 and 1: nobody runs majority work, and all say why",
		},
		{
			Name: "lossy", Faults: "F21", run: func(s *scene) { s.lossy(30 * time.Second) },
			Shows: "10 % loss: nobody is called dead; 30 %: never two, and all is well afterwards",
		},
		{
			Name: "lossy-long", Faults: "F21", Limit: 15 * time.Minute,
			run:   func(s *scene) { s.lossy(10 * time.Minute) },
			Shows: "10 % loss for ten minutes: nobody is called dead",
		},
		{
			Name: "garbled", Faults: "F23", run: (*scene).garbled,
			Shows: "datagrams come spoiled, twice, late, in another order: never two, no agent breaks",
		},
	}
}

// everyKind starts a job of each kind, with a copy on every node.
func (s *scene) everyKind() {
	n := len(s.lab.Nodes())
	s.start(
		s.service("eager", mesh.Eager, n), s.service("majority", mesh.Majority, n), s.service("keep", mesh.Keep, n),
	)
}

// oneWay cuts one direction.
func (s *scene) oneWay() {
	s.everyKind()
	const length = 12 * time.Second
	all := s.shuffled()
	victim, other := all[:1], all[1:]
	start := watch.Now()
	defer s.undisturbed(start, nil, "keep")

	// The hardest pair: who coordinates a job, and a node that runs a copy of it.
	leads := s.lab.Node(s.coordinator("majority"))
	runs := s.others(leads)[s.rand.IntN(len(all)-1)]
	for _, pair := range [][2]*lab.Node{{leads, runs}, {runs, leads}} {
		s.cut(pair[0].Name+" does not reach "+pair[1].Name, wire.OneWay([]string{pair[0].Name}, []string{pair[1].Name}))
		s.pass(length)
		s.undisturbed(start, nil) // the others hear it
		s.heal()
	}

	s.cut(all[0].Name+" reaches nobody, and hears all", wire.OneWay(names(victim), names(other)))
	s.pass(length)
	s.heal()
	s.pass(length)
	s.cut(all[0].Name+" reaches all, and hears nobody", wire.OneWay(names(other), names(victim)))
	s.pass(length)
	s.heal()
	s.movesAtMost(start, 2, "eager", "majority")
}

// movesAtMost expects each index of some jobs to have begun so often at most
// since a time.
func (s *scene) movesAtMost(since time.Duration, limit int, jobs ...string) {
	moves := map[string]int{}
	for _, job := range jobs {
		most := 0
		begun, _ := s.restarts(since, job)
		for _, l := range begun {
			seat := fmt.Sprintf("%s[%d]", l.Job, l.Index)
			moves[seat]++
			most = max(most, moves[seat])
			if moves[seat] == limit+1 {
				s.fail("calm", "%s began more than %d times: %s", seat, limit, describe(begun))
			}
		}
		s.measure(job+" begun at most", "%d", most)
	}
}

// flapping cuts a node off and lets it back, at first for a moment each time,
// then for long.
func (s *scene) flapping() {
	s.everyKind()
	victim := s.shuffled()[0]
	links := wire.Between([]string{victim.Name}, names(s.lab.Nodes()))
	start := watch.Now()
	flap := func(rounds int, cut, open time.Duration) {
		for range rounds {
			s.wire.Set(wire.Rule{Cut: true}, links...)
			s.pass(cut)
			s.wire.Heal()
			s.pass(open)
		}
	}
	s.say("%s flaps, for a moment each time", victim.Name)
	flap(10, time.Second, time.Second)
	// Gossip may take a node for lost for a moment: then an eager copy has company.
	s.undisturbed(start, func(l watch.Life) bool { return l.Job == "eager" && l.Seen > start })
	s.say("%s flaps, for longer", victim.Name)
	long := watch.Now()
	flap(4, 5*time.Second, 3*time.Second)
	s.heal()
	s.undisturbed(start, nil, "keep")
	s.movesAtMost(long, 4, "eager", "majority")
}

// ringAndBridge is F17.
func (s *scene) ringAndBridge() {
	s.everyKind()
	const length = 20 * time.Second
	start := watch.Now()
	all := s.shuffled()
	end := s.stream(2 * time.Second)
	s.cut("ring: each node reaches two others", wire.Ring(names(all), 1))
	s.pass(length)
	s.heal()
	s.pass(3 * time.Second)
	s.split(all[:3], all[2:])
	s.pass(length)
	end()
	s.heal()
	s.undisturbed(start, nil, "keep")
}

// oneFriend leaves a node with one link. Gossip calls it alive, by way of that
// friend, but it reaches no majority of the voters.
func (s *scene) oneFriend() {
	const jobs = 8
	n := len(s.lab.Nodes())
	all := []mesh.Job{s.service("keep", mesh.Keep, n), s.service("eager", mesh.Eager, n)}
	for i := range jobs {
		all = append(all, s.leased(fmt.Sprint("majority-", i)))
	}
	s.start(all...)
	victim, elsewhere := s.busiest(all[2:])
	s.measure("coordinated by it from afar", "%d", elsewhere)
	friend := s.others(victim)[0]
	at := s.cut(victim.Name+" reaches "+friend.Name+" only",
		wire.Between(names([]*lab.Node{victim}), names(s.others(victim, friend))))
	its := map[string]bool{}
	for _, j := range all[2:] {
		its[j.Name] = s.live(j.Name)[0].Node == victim.Name
	}
	s.pass(10 * time.Second)
	s.newWork("meanwhile", s.others(victim, friend))
	s.pass(10 * time.Second)
	s.undisturbed(at, func(l watch.Life) bool {
		return its[l.Job] || l.Job == "eager" || strings.HasPrefix(l.Job, "meanwhile")
	})
	s.heal()
	s.undisturbed(at, nil, "keep")
}

// threeWays is F19.
func (s *scene) threeWays() {
	s.everyKind()
	all := s.shuffled()
	n := len(all)
	sides := [][]*lab.Node{all[:2], all[2:4], all[4:]}
	at := s.split(sides...)
	s.minorityStops("majority", at, all)
	s.eachSideHas("eager", at, sides)
	for _, side := range sides {
		s.honest(side[0], s.others(side...)...)
		s.saysWhy(side[0], "majority")
	}
	s.pass(majorityMax / 2)
	if live := s.live("majority"); len(live) > 0 {
		s.fail("I7 availability", "without a majority there runs %s", describe(live))
	}
	s.heal()
	s.until(majorityMax, "the majority job runs again", func() (bool, string) {
		live := s.live("majority")
		return len(live) == n, describe(live)
	})
	s.took("majority again", watch.Now()-s.healed)
	s.undisturbed(at, nil, "keep")
}

// saysWhy expects a node to say that it is for want of a majority that a job
// does not run.
func (s *scene) saysWhy(n *lab.Node, job string) {
	s.within(noticeMax, n.Name+" says why "+job+" does not run", func() (bool, string) {
		why := s.reason(n, job)
		return strings.Contains(why, "waits for a majority of the voters"), why
	})
}

// lossy is F21.
func (s *scene) lossy(length time.Duration) {
	s.everyKind()
	links := wire.Between(names(s.lab.Nodes()), names(s.lab.Nodes()))
	at := s.spoil("a tenth of all frames is lost", wire.Rule{Loss: 0.1}, links)
	before := s.deaths()
	s.pass(length)
	if after := s.deaths(); after > before {
		s.fail("false death", "with 10 %% loss nodes were called lost %d times", after-before)
	}
	s.undisturbed(at, nil)
	at = s.spoil("a third of all frames is lost", wire.Rule{Loss: 0.3}, links)
	before = s.deaths()
	end := s.stream(2 * time.Second)
	s.pass(30 * time.Second)
	end()
	s.measure("called lost at 30 %", "%d", s.deaths()-before)
	s.heal()
	s.undisturbed(at, nil, "keep")
}

// deaths is how often any node has called another lost so far.
func (s *scene) deaths() int {
	return s.told("msg=node_lost ")
}

// garbled is F23.
func (s *scene) garbled() {
	s.everyKind()
	all := names(s.lab.Nodes())
	links := wire.Between(all, all)
	at := watch.Now()
	end := s.stream(2 * time.Second)
	s.spoil("datagrams come spoiled, twice, late and in another order", wire.Rule{
		Spoil: 0.05, Again: 0.3, Replay: 3 * time.Second, Jitter: 50 * time.Millisecond,
	}, links)
	s.pass(20 * time.Second)
	s.spoil("and two seconds late, from and to one", wire.Rule{
		Spoil: 0.05, Again: 0.3, Replay: 3 * time.Second, Delay: 2 * time.Second, Jitter: time.Second,
	}, wire.Between(names(s.shuffled()[:1]), all))
	s.pass(20 * time.Second)
	end()
	s.heal()
	c := s.wire.Total()
	s.measure("frames", "%d, spoiled %d, again %d", c.Frames, c.Spoiled, c.Again)
	if c.Spoiled == 0 || c.Again == 0 {
		s.fail("lab", "nothing was garbled: %+v", c)
	}
	s.undisturbed(at, nil, "keep")
}
