package cases

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
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

// claimPrefix begins the names of the folders of runs.
const claimPrefix = "mnlab-"

// Options say how cases are run.
type Options struct {
	Mn       string   // the binary
	Fixture  []string // the command that the lab's tasks are; an argument says which
	Seed     uint64   // of all that is left to chance
	Parallel int      // cases at a time
	Keep     bool     // the folders of cases that passed, too
	// Said is told what happens; calls come one at a time.
	Said func(c, text string)
}

// Result is what came of a case.
type Result struct {
	Case     string    `json:"case"`
	Faults   string    `json:"faults"`
	OK       bool      `json:"ok"`
	Seconds  float64   `json:"seconds"`
	Measures []Measure `json:"measures"`
	Failures []Failure `json:"failures"`
	Dir      string    `json:"dir,omitempty"` // with the agents' logs, if it was kept
}

// Measure is something that was measured.
type Measure struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Failure is an oracle that did not hold.
type Failure struct {
	Oracle string `json:"oracle"`
	Text   string `json:"text"`
}

// Run runs cases beside each other. The results are in their order; the error
// is of what kept cases from being run at all.
func Run(ctx context.Context, o Options, list []Case) (results []Result, err error) {
	if lacks := host.Missing(); len(lacks) > 0 {
		return nil, fmt.Errorf("run the lab: this machine lacks\n  %s", strings.Join(lacks, "\n  "))
	}
	if err := host.Sweep(claimPrefix, lab.End); err != nil {
		return nil, fmt.Errorf("sweep up after runs that were killed: %w", err)
	}
	claim, err := host.NewClaim(claimPrefix)
	if err != nil {
		return nil, err
	}
	r := &run{Options: o, claim: claim, watcher: watch.Start()}
	defer func() {
		gap, _ := r.watcher.Gap()
		r.watcher.Close()
		r.say("lab", fmt.Sprintf("the process table was looked at every %v, at worst after %v", watch.Period, gap))
	}()
	if slices.ContainsFunc(list, func(c Case) bool { return c.clock }) {
		if r.clockMn, err = r.buildClockMn(); err != nil {
			return nil, errors.Join(err, claim.Close())
		}
	}
	results = r.all(ctx, list)
	keep := o.Keep || slices.ContainsFunc(results, func(r Result) bool { return !r.OK })
	if keep {
		return results, claim.Keep()
	}
	return results, claim.Close()
}

// run is one call of Run.
type run struct {
	Options
	claim   *host.Claim
	watcher *watch.Watcher
	clockMn string // mn with a test clock, if a case needs it

	saying sync.Mutex
}

// all runs cases, the longest first, so that none is left alone at the end.
func (r *run) all(ctx context.Context, list []Case) []Result {
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(list[b].limit(), list[a].limit()) })
	results := make([]Result, len(list))
	places := make(chan struct{}, max(r.Parallel, 1))
	var all sync.WaitGroup
	for _, i := range order {
		places <- struct{}{}
		all.Go(func() {
			results[i] = r.one(ctx, list[i])
			<-places
		})
	}
	all.Wait()
	return results
}

// one runs a case.
func (r *run) one(ctx context.Context, c Case) Result {
	ctx, cancel := context.WithTimeout(ctx, c.limit())
	defer cancel()
	began := time.Now()
	s, err := r.scene(ctx, c)
	if err == nil {
		s.play()
		err = s.close()
	}
	result := Result{Case: c.Name, Faults: c.Faults, Seconds: time.Since(began).Seconds()}
	if s != nil {
		result.Measures, result.Failures = s.measures, s.failures
	}
	if err != nil {
		result.Failures = append(result.Failures, Failure{"lab", err.Error()})
	}
	result.OK = len(result.Failures) == 0
	dir := filepath.Join(r.claim.Dir, c.Name)
	switch {
	case !result.OK || r.Keep:
		result.Dir = dir
	default:
		if err := os.RemoveAll(dir); err != nil {
			r.say(c.Name, err.Error())
		}
	}
	return result
}

// scene prepares what a case is played on.
func (r *run) scene(ctx context.Context, c Case) (*scene, error) {
	dir := filepath.Join(r.claim.Dir, c.Name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a folder for %s: %w", c.Name, err)
	}
	mn := r.Mn
	if c.clock {
		mn = r.clockMn
	}
	// Of the name, too: cases shall not all choose alike.
	name := fnv.New64a()
	name.Write([]byte(c.Name))
	began := time.Now()
	s := &scene{
		ctx: ctx, c: c, dir: dir, fixture: r.Fixture, watcher: r.watcher,
		wire: wire.New(r.Seed), sink: watch.Sink(filepath.Join(dir, "sink")),
		rand:  rand.New(rand.NewPCG(r.Seed, name.Sum64())),
		hosts: map[string]*host.Host{}, disks: map[string]*host.Disk{}, images: map[string]*host.Image{},
		gone: map[string]bool{}, jobs: map[string]mesh.Job{}, exclusive: map[string]bool{}, vitals: map[string]vital{},
		say: func(format string, args ...any) {
			r.say(c.Name, fmt.Sprintf("%5.1f s  ", time.Since(began).Seconds())+fmt.Sprintf(format, args...))
		},
	}
	var err error
	s.lab, err = lab.Prepare(lab.Options{Binary: mn, Dir: dir, Nodes: c.nodes(), Config: c.config, Site: s.site})
	return s, err
}

func (r *run) say(c, text string) {
	r.saying.Lock()
	defer r.saying.Unlock()
	if r.Said != nil {
		r.Said(c, text)
	}
}

// close ends all that the scene has started.
func (s *scene) close() error {
	if s.lab == nil {
		return s.wire.Close()
	}
	errs := []error{s.lab.Close(), s.wire.Close()}
	for _, d := range s.disks {
		errs = append(errs, d.Close())
	}
	for _, i := range s.images {
		errs = append(errs, i.Close())
	}
	return errors.Join(errs...)
}

// buildClockMn builds mn with a test clock.
func (r *run) buildClockMn() (string, error) {
	path := filepath.Join(r.claim.Dir, "mn-clock")
	build := exec.Command("go", "build", "-trimpath", "-tags", "mntestclock", "-o", path, "mn/cmd/mn")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build mn with a test clock: %w\n%s", err, out)
	}
	return path, nil
}
