package cases

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	"mn/sim/lab"
	"mn/sim/lab/watch"
	"mn/sim/lab/wire"
)

// cut cuts links, and says so. It returns when that was.
func (s *scene) cut(what string, links []wire.Link) time.Duration {
	return s.spoil(what, wire.Rule{Cut: true}, links)
}

// spoil sets a rule on links, and says so.
func (s *scene) spoil(what string, r wire.Rule, links []wire.Link) time.Duration {
	at := watch.Now()
	s.wire.Set(r, links...)
	s.say("%s", what)
	return at
}

// split cuts a mesh into parts.
func (s *scene) split(parts ...[]*lab.Node) time.Duration {
	var all [][]string
	var text []string
	for _, p := range parts {
		all = append(all, names(p))
		text = append(text, strings.Join(names(p), " "))
	}
	return s.cut("split: "+strings.Join(text, " | "), wire.Split(all...))
}

// isolate cuts a node off from all others.
func (s *scene) isolate(n *lab.Node) time.Duration {
	return s.cut(n.Name+" is cut off", wire.Between([]string{n.Name}, names(s.lab.Nodes())))
}

// heal ends all faults of the network.
func (s *scene) heal() {
	s.wire.Heal()
	s.healed = watch.Now()
	s.say("the network is healed")
}

// powerOff cuts the power of nodes at once.
func (s *scene) powerOff(nodes ...*lab.Node) time.Duration {
	at := watch.Now()
	// The agents at the same instant: to find what else runs takes a moment, in
	// which one could write for another that is dead.
	for _, n := range nodes {
		if n.Running() {
			n.Doom()
			s.must(n.Signal(syscall.SIGKILL))
		}
	}
	var all sync.WaitGroup
	errs := make([]error, len(nodes))
	for i, n := range nodes {
		all.Go(func() { _, errs[i] = n.Kill() })
	}
	all.Wait()
	for _, err := range errs {
		s.must(err)
	}
	s.say("power off: %s", strings.Join(names(nodes), " "))
	return at
}

// powerOn boots nodes that were off.
func (s *scene) powerOn(nodes ...*lab.Node) {
	for _, n := range nodes {
		s.must(s.hosts[n.Name].Reboot())
	}
	s.startAgents(nodes...)
	s.say("power on: %s", strings.Join(names(nodes), " "))
}

// startAgents starts agents beside each other, and waits until they answer.
func (s *scene) startAgents(nodes ...*lab.Node) {
	var all sync.WaitGroup
	errs := make([]error, len(nodes))
	for i, n := range nodes {
		all.Go(func() { errs[i] = n.Start(s.ctx) })
	}
	all.Wait()
	for i, err := range errs {
		if err != nil {
			s.stop("start", "the agent of %s: %v", nodes[i].Name, err)
		}
	}
}

// mend ends whatever a case has left broken.
func (s *scene) mend() {
	s.wire.Heal()
	var dead []*lab.Node
	for _, n := range s.lab.Nodes() {
		if !n.Running() && !s.gone[n.Name] {
			dead = append(dead, n)
		}
	}
	if len(dead) > 0 {
		s.powerOn(dead...)
	}
	if s.healed == 0 || len(dead) > 0 {
		s.healed = watch.Now()
	}
}

// frozen is a time in which a host did nothing at all: no promise can be kept
// on it, nor for a moment after it.
func (s *scene) frozen(from, to time.Duration) { s.allowed = append(s.allowed, window{from, to}) }

// describe is lives for people.
func describe(lives []watch.Life) string {
	if len(lives) == 0 {
		return "none"
	}
	var text []string
	for _, l := range lives {
		text = append(text, fmt.Sprint(l))
	}
	return strings.Join(text, "; ")
}
