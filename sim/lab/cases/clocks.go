package cases

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"mn/mesh"
	"mn/sim/lab"
	"mn/sim/lab/host"
	"mn/sim/lab/watch"
)

// clocks are the cases of machines whose time is not that of others.
func clocks() []Case {
	return []Case{
		{
			Name: "suspended", Faults: "F11", clock: true, run: (*scene).suspended,
			Shows: "a machine sleeps, and finds its leases over when it wakes",
		},
		{
			Name: "clock-rate", Faults: "F13", clock: true, run: (*scene).clockRate,
			Shows: "clocks are 0.09 % fast on one node and slow on another, each cut off in turn: never two",
		},
		{
			Name: "certificate", Faults: "F39", Nodes: 4, clock: true, run: (*scene).certificate,
			Shows: "months pass: certificates are renewed, and a node that was off says what is wrong",
		},
	}
}

// watchdogMax is how late a supervisor may notice that its time is over.
const watchdogMax = 2 * time.Second

// suspended freezes a machine twice while its boot clock goes on: for a moment,
// and for long enough that others take over.
func (s *scene) suspended() {
	n := len(s.lab.Nodes())
	const long = 40 * time.Second
	leased := s.service("leased", mesh.Majority, n)
	leased.Recovery.Lease = mesh.Duration(long)
	s.start(leased, s.service("majority", mesh.Majority, n), s.service("keep", mesh.Keep, n))
	victim := s.shuffled()[0]

	before := s.live("leased", victim.Name)[0]
	s.sleeps(victim, time.Second, long)
	thawed := watch.Now()
	s.until(watchdogMax+killGrace+slackMax, "a copy ends whose lease has run out in the sleep", func() (bool, string) {
		live := s.live("leased", victim.Name)
		return len(live) == 0 || live[0].PID != before.PID, describe(live)
	})
	s.took("noticed", watch.Now()-thawed)
	s.until(majorityMax, "all copies run again", func() (bool, string) {
		live := s.live("leased")
		return len(live) == n, describe(live)
	})

	from := watch.Now()
	s.sleeps(victim, 20*time.Second, long+time.Hour)
	s.frozen(from, watch.Now()+watchdogMax+killGrace)
	s.healed = watch.Now()
	s.until(watchdogMax+killGrace+slackMax, "no index runs twice", func() (bool, string) {
		twice := watch.Overlaps(append(s.live("majority"), s.live("leased")...))
		return len(twice) == 0, fmt.Sprint(twice)
	})
	s.undisturbed(from, nil, "keep")
}

// sleeps freezes all of a node for a time, in which its boot clock goes on to
// so much ahead.
func (s *scene) sleeps(n *lab.Node, length, ahead time.Duration) {
	s.must(n.SignalAll(syscall.SIGSTOP))
	s.say("%s sleeps for %v; its boot clock is %v ahead when it wakes", n.Name, length, ahead)
	s.must(s.hosts[n.Name].SetClock(host.Clock{Boot: ahead}))
	s.pass(length)
	s.must(n.SignalAll(syscall.SIGCONT))
}

// clockRate is F13, up to what leases allow for.
func (s *scene) clockRate() {
	const ppm = 900
	s.everyKind()
	all := s.shuffled()
	s.must(s.hosts[all[0].Name].SetClock(host.Clock{PPM: ppm}))
	s.must(s.hosts[all[1].Name].SetClock(host.Clock{PPM: -ppm}))
	at := watch.Now()
	for _, n := range all[:2] {
		s.isolate(n)
		s.pass(25 * time.Second)
		s.heal()
		s.pass(10 * time.Second)
	}
	s.undisturbed(at, nil, "keep")
}

// certificate lets months pass for a mesh, in which one node is off.
func (s *scene) certificate() {
	const day = 24 * time.Hour
	s.start(s.service("eager", mesh.Eager, 4), s.service("majority", mesh.Majority, 2))
	// One that holds the mesh's CA could help itself.
	voters := s.voters(s.lab.Nodes()[0])
	all := s.lab.Nodes()
	off := all[slices.IndexFunc(all, func(n *lab.Node) bool { return !slices.Contains(voters, n.Name) })]
	others := s.others(off)
	at := watch.Now()
	s.must(off.KillAgent())
	var before []time.Time
	for _, n := range others {
		before = append(before, s.expires(n))
	}
	s.toTheFuture(61 * day) // two thirds of a certificate's life, and a day
	for _, n := range others {
		s.must(n.Stop(s.ctx))
		s.startAgents(n)
	}
	s.until(settleMax, "certificates are renewed", func() (bool, string) {
		for i, n := range others {
			if now := s.expires(n); !now.After(before[i]) {
				return false, fmt.Sprintf("that of %s ends on %v", n.Name, now)
			}
		}
		return true, ""
	})
	s.toTheFuture(95 * day) // beyond the first ones
	for _, n := range others {
		s.must(n.Stop(s.ctx))
		s.startAgents(n)
	}
	s.until(settleMax, "the others see each other", func() (bool, string) {
		return s.sees(others[0], others[1])
	})
	s.undisturbed(at, func(l watch.Life) bool { return l.Node == off.Name || l.Seen > at })
	s.saysItHasExpired(off)
	s.gone[off.Name] = true
	_, err := off.Kill()
	s.must(err)
	s.must(s.lose(off))
}

// toTheFuture moves the calendars of all by so much from the machine's.
func (s *scene) toTheFuture(d time.Duration) {
	for _, h := range s.hosts {
		s.must(h.SetClock(host.Clock{Wall: d}))
	}
	s.say("it is %d days later", d/(24*time.Hour))
}

// expires is when the certificate of a node ends.
func (s *scene) expires(n *lab.Node) time.Time {
	text, err := os.ReadFile(filepath.Join(n.Dir, "node.crt"))
	s.must(err)
	block, _ := pem.Decode(text)
	certificate, err := x509.ParseCertificate(block.Bytes)
	s.must(err)
	return certificate.NotAfter
}

// sees says whether a node calls another alive.
func (s *scene) sees(n, other *lab.Node) (ok bool, soFar string) {
	nodes, err := ask(s, n.Client().Nodes)
	if err != nil {
		return false, err.Error()
	}
	for _, seen := range nodes {
		if seen.Name == other.Name {
			return seen.Status == mesh.Alive, string(seen.Status)
		}
	}
	return false, "unknown"
}

// saysItHasExpired expects an agent whose certificate has ended to say that it
// has, and not to try for ever.
func (s *scene) saysItHasExpired(n *lab.Node) {
	s.must(n.Start(s.ctx))
	s.within(settleMax, n.Name+" says that its certificate has expired", func() (bool, string) {
		log, err := os.ReadFile(n.Log())
		s.must(err)
		return strings.Contains(string(log), "expired"), n.Log()
	})
}
