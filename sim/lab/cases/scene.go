package cases

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"mn/mesh"
	"mn/sim/lab"
	"mn/sim/lab/host"
	"mn/sim/lab/watch"
	"mn/sim/lab/wire"
)

// Rhythms and bounds of a scene.
const (
	pollEvery  = 100 * time.Millisecond // between two looks at what nobody tells of
	formMax    = 60 * time.Second
	answerMax  = 5 * time.Second // in which every command has ended
	tellFrom   = 5 * time.Second // a wait for so long is worth a line, with what it was for
	measureMax = 64
)

// scene is one case being played: a mesh on hosts of its own, and what came of
// it.
type scene struct {
	ctx     context.Context
	c       Case
	dir     string
	lab     *lab.Lab
	wire    *wire.Switch
	watcher watcher
	sink    watch.Sink
	fixture []string // the command that tasks are
	rand    *rand.Rand
	say     func(format string, args ...any)

	hosts     map[string]*host.Host
	gone      map[string]bool // nodes that never come back
	disks     map[string]*host.Disk
	images    map[string]*host.Image
	ledger    ledger
	jobs      map[string]mesh.Job
	exclusive map[string]bool // jobs of which no index may run twice
	allowed   []window        // in which hosts were frozen
	began     time.Duration   // when the mesh had formed
	healed    time.Duration   // when the last fault ended
	vitals    map[string]vital

	mu       sync.Mutex
	measures []Measure
	failures []Failure
}

// watcher is a watch.Watcher, or what a test says that one has seen.
type watcher interface {
	Lives(dir string) []watch.Life
	Changed() <-chan struct{}
	Gap() (time.Duration, error)
}

// window is a time since boot.
type window struct{ from, to time.Duration }

// aborted is what a scene panics with that cannot go on; its failure is noted.
type aborted struct{}

// fail notes that something did not hold, and goes on.
func (s *scene) fail(oracle, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := Failure{Oracle: oracle, Text: fmt.Sprintf(format, args...)}
	s.failures = append(s.failures, f)
	s.say("FAILED %s: %s", f.Oracle, f.Text)
}

// stop notes that something did not hold without which there is no going on.
func (s *scene) stop(oracle, format string, args ...any) {
	s.fail(oracle, format, args...)
	panic(aborted{})
}

// must stops if something that only prepares or asks went wrong.
func (s *scene) must(err error) {
	if err != nil {
		s.stop("lab", "%v", err)
	}
}

// measure notes something worth knowing about how it went.
func (s *scene) measure(name, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.measures) < measureMax {
		s.measures = append(s.measures, Measure{name, fmt.Sprintf(format, args...)})
	}
}

// took measures a time.
func (s *scene) took(name string, d time.Duration) { s.measure(name, "%.1f s", d.Seconds()) }

// play forms the mesh, does the harm, heals it, and asks the oracles.
func (s *scene) play() {
	defer func() {
		if r := recover(); r != nil && r != (aborted{}) {
			panic(r)
		}
	}()
	defer s.unbroken()
	s.form()
	s.c.run(s)
	s.mend()
	s.always()
}

// form makes the mesh, and waits until it has all the voters it wants.
func (s *scene) form() {
	ctx, cancel := context.WithTimeout(s.ctx, formMax)
	defer cancel()
	s.must(s.lab.Form(ctx))
	n := len(s.lab.Nodes())
	want := min(n-(n+1)%2, 7)
	s.until(formMax, "the mesh has its voters", func() (bool, string) {
		got := s.voters(s.lab.Nodes()[0])
		return len(got) == want, fmt.Sprintf("%d of %d: %s", len(got), want, strings.Join(got, " "))
	})
	s.began = watch.Now()
	s.takeVitals()
	s.say("%d nodes, %d voters", n, want)
}

// site makes the host of a node; with a disk of its own if the case wants that.
func (s *scene) site(name, dir string) (lab.Site, error) {
	if s.c.disk > 0 {
		if err := s.mount(name, dir); err != nil {
			return nil, err
		}
	}
	h, err := host.New(host.Config{
		Name: name, Dir: s.dir, Disk: dir, Switch: s.wire, Clock: s.c.clock, Prefix: address(len(s.hosts) + 1),
	})
	if err != nil {
		return nil, err
	}
	s.hosts[name] = h
	return h, nil
}

// mount gives a node a disk of its own.
func (s *scene) mount(name, dir string) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make a folder for a disk: %w", err)
	}
	if s.c.power {
		s.images[name], err = host.MountImage(dir, s.c.disk)
	} else {
		s.disks[name], err = host.Mount(dir, s.c.disk)
	}
	return err
}

// address is the n-th of the lab's network.
func address(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 77, 0, byte(n)}), 24)
}

// until waits for something to become so, and says how long that took. What
// does not is a failure that ends the case; so far says how it stands.
func (s *scene) until(limit time.Duration, what string, holds func() (ok bool, soFar string)) time.Duration {
	took, ok := s.within(limit, what, holds)
	if !ok {
		panic(aborted{})
	}
	return took
}

// within is until without an end of the case.
func (s *scene) within(
	limit time.Duration, what string, holds func() (ok bool, soFar string),
) (took time.Duration, ok bool) {
	start := watch.Now()
	look := time.NewTicker(pollEvery)
	defer look.Stop()
	var last string // of what was not so
	for {
		changed := s.watcher.Changed()
		ok, soFar := holds()
		took := watch.Now() - start
		switch {
		case ok:
			if took > tellFrom {
				s.say("%s: after %.1f s; at last: %s", what, took.Seconds(), last)
			}
			return took, true
		case s.ctx.Err() != nil:
			s.fail("time", "%s: the case was ended after %.1f s: %s", what, took.Seconds(), soFar)
			return took, false
		case took > limit:
			s.fail("time", "%s: not within %v: %s", what, limit, soFar)
			return took, false
		}
		select {
		case <-s.ctx.Done():
		case <-look.C:
		case <-changed:
		}
		last = soFar
	}
}

// pass lets time go by.
func (s *scene) pass(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.ctx.Done():
		s.stop("time", "the case was ended")
	}
}

// names are those of nodes.
func names(nodes []*lab.Node) []string {
	var all []string
	for _, n := range nodes {
		all = append(all, n.Name)
	}
	return all
}

// others are all nodes but these.
func (s *scene) others(but ...*lab.Node) []*lab.Node {
	return slices.DeleteFunc(slices.Clone(s.lab.Nodes()), func(n *lab.Node) bool { return slices.Contains(but, n) })
}

// shuffled are all nodes in an order that the seed has given.
func (s *scene) shuffled() []*lab.Node {
	all := slices.Clone(s.lab.Nodes())
	s.rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// voters are the names of those who vote, as the log of a node says.
func (s *scene) voters(n *lab.Node) []string {
	log, err := os.ReadFile(n.Log())
	s.must(err)
	byID := map[string]string{}
	var ids []string
	for line := range strings.Lines(string(log)) {
		if _, epoch, ok := strings.Cut(line, `msg=roster_changed text="epoch `); ok {
			_, list, _ := strings.Cut(strings.TrimRight(epoch, "\"\n"), ": ")
			ids = strings.Fields(list)
		}
	}
	for _, other := range s.lab.Nodes() {
		byID[s.id(other)] = other.Name
	}
	var voters []string
	for _, id := range ids {
		voters = append(voters, byID[id])
	}
	return voters
}

// id is the beginning of a node's id, as logs have it.
func (s *scene) id(n *lab.Node) string {
	log, err := os.ReadFile(n.Log())
	s.must(err)
	for line := range strings.Lines(string(log)) {
		if _, id, ok := strings.Cut(line, `msg="the agent runs" node=`+n.Name+" id="); ok {
			return id[:min(8, len(id))]
		}
	}
	return ""
}
