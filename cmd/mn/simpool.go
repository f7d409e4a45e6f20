package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"mn/mesh"
	"mn/sim"
)

// tellEvery is how often progress is told.
const tellEvery = 2 * time.Second

// tuneMemory trades memory for time where there is little of it in use: a run of a
// few nodes holds some megabytes, and is done before it would be worth while to
// look for what can go. One of a thousand holds gigabytes.
func tuneMemory(nodes int) {
	switch {
	case nodes < many:
		debug.SetGCPercent(800)
	case nodes > 5*many:
		debug.SetGCPercent(40)
	}
}

// many nodes are what makes a run a long one.
const many = 100

// simJob is one run to make.
type simJob struct {
	scenario *sim.Scenario
	options  sim.Options
}

// simDone is a run that was made.
type simDone struct {
	simJob
	result sim.Result
}

// simulate makes runs, as many at once as there are processors, until next has
// no more or ctx ends, and hands each to take, one after the other. What has
// begun is finished.
func simulate(ctx context.Context, next func() (simJob, bool), take func(simDone)) {
	jobs, done := make(chan simJob), make(chan simDone)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for j := range jobs {
				done <- simDone{j, sim.Run(*j.scenario, j.options)}
			}
		})
	}
	go func() {
		defer func() { close(jobs); workers.Wait(); close(done) }()
		for {
			j, ok := next()
			if !ok {
				return
			}
			select {
			case jobs <- j:
			case <-ctx.Done():
				return
			}
		}
	}()
	for d := range done {
		take(d)
	}
}

// tally tells how far many runs have come.
type tally struct {
	c     *command
	began time.Time
	told  time.Time
	made  int
	all   int // 0 if nobody knows
}

func (p *tally) add(virtual mesh.Duration) {
	p.made++
	if time.Since(p.told) < tellEvery {
		return
	}
	p.told = time.Now()
	of := ""
	if p.all > 0 {
		of = fmt.Sprintf(" of %d", p.all)
	}
	p.c.say("%d%s runs, %v of virtual time in %v", p.made, of, whole(virtual.Std()), whole(time.Since(p.began)))
}

// whole is d to the second.
func whole(d time.Duration) mesh.Duration { return mesh.Duration(d.Round(time.Second)) }

// simulateMany runs a scenario with one seed after the other.
func (c *command) simulateMany(ctx context.Context, s sim.Scenario, f *simFlags) error {
	seed, last := f.seed, f.seed+uint64(f.runs)
	p := &tally{c: c, began: time.Now(), told: time.Now(), all: f.runs}
	var runs []sim.Result
	var broken *simDone
	virtual := mesh.Duration(0)
	simulate(ctx, func() (simJob, bool) {
		o := sim.Options{Seed: seed, Nodes: f.nodes, Without: f.without, Until: f.until}
		seed++
		return simJob{&s, o}, o.Seed < last
	}, func(d simDone) {
		runs = append(runs, d.result)
		virtual += d.result.Virtual
		if v := d.result.Violation; v != nil {
			c.say("seed %d breaks %q", d.result.Seed, v.Invariant)
			if broken == nil || d.result.Seed < broken.result.Seed {
				broken = &d
			}
		}
		p.add(virtual)
	})
	slices.SortFunc(runs, func(a, b sim.Result) int { return int(a.Seed) - int(b.Seed) })
	if err := c.simSum(s, runs, time.Since(p.began)); err != nil {
		return err
	}
	if broken != nil {
		return c.simBroken(s, broken.options, broken.result)
	}
	return ctx.Err()
}

// simSum prints what many runs of a scenario came to.
func (c *command) simSum(s sim.Scenario, runs []sim.Result, took time.Duration) error {
	sum := sim.Sum(runs)
	c.provesNothing(s, runs)
	return c.result(sum, func() {
		tint := green
		if sum.Passed < sum.Runs {
			tint = red
		}
		c.field("scenario", "%s", s.Name)
		c.field("result", "%s", c.paint(tint, fmt.Sprintf("%d of %d runs passed", sum.Passed, sum.Runs)))
		c.field("time", "%v of virtual time in %d steps, in %v", whole(sum.Virtual.Std()), sum.Steps, whole(took))
		c.simNumbers(sum)
	})
}

func (c *command) simFuzz() *cobra.Command {
	var lasts time.Duration
	var seed uint64
	cmd := &cobra.Command{
		Use:   "fuzz [SCENARIO...]",
		Short: "Run scenarios with new seeds for a while",
		Long: `Run the scenarios that come with mn and have less than 100 nodes, or those that are
named, with seeds that nobody has tried, in turn and as many at once as there are
processors. The first promise that is broken ends it, with the command that shows it again.`,
		Example: "  mn sim fuzz --for 10m\n  mn sim fuzz swarm partition-3-2 --for 1h",
		Args:    cobra.ArbitraryArgs, // each a scenario
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, text string) ([]string, cobra.ShellCompDirective) {
			return scenarioNames(cmd, nil, text)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			names := args
			if len(names) == 0 {
				names = shippedNames()
			}
			var scenarios []sim.Scenario
			nodes := 0
			for _, name := range names {
				s, err := readScenario(name)
				if err != nil {
					return err
				}
				s.Defaults()
				if len(args) == 0 && s.Nodes >= many {
					continue // a run of it takes minutes
				}
				scenarios, nodes = append(scenarios, s), max(nodes, s.Nodes)
			}
			tuneMemory(nodes)
			if seed == 0 {
				seed = newSeed()
			}
			return c.fuzz(cmd.Context(), scenarios, seed, lasts)
		},
	}
	cmd.Flags().DurationVar(&lasts, "for", time.Minute, "how long, in real time")
	cmd.Flags().Uint64Var(&seed, "seed", 0, "the first seed; a new one if 0")
	return cmd
}

// newSeed is a seed that was never used, short enough to be read aloud.
func newSeed() uint64 {
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic("read random bytes: " + err.Error())
	}
	return uint64(binary.BigEndian.Uint32(b[:])) + 1
}

// errBroken ends a fuzz at a promise that was broken.
var errBroken = errors.New("a promise was broken")

// fuzz runs scenarios in turn, each time with the next seed, until time is up.
func (c *command) fuzz(ctx context.Context, scenarios []sim.Scenario, seed uint64, lasts time.Duration) error {
	limited, stop := context.WithTimeoutCause(ctx, lasts, nil)
	defer stop()
	limited, end := context.WithCancelCause(limited)
	defer end(nil)
	c.say("%d scenarios, seeds from %d, for %v", len(scenarios), seed, mesh.Duration(lasts))
	p := &tally{c: c, began: time.Now(), told: time.Now()}
	runs := map[string][]sim.Result{}
	var broken *simDone
	virtual, turn := mesh.Duration(0), 0
	simulate(limited, func() (simJob, bool) {
		j := simJob{&scenarios[turn%len(scenarios)], sim.Options{Seed: seed + uint64(turn/len(scenarios))}}
		turn++
		return j, limited.Err() == nil
	}, func(d simDone) {
		runs[d.scenario.Name] = append(runs[d.scenario.Name], d.result)
		virtual += d.result.Virtual
		if d.result.Violation != nil && broken == nil {
			broken = &d
			end(errBroken)
		}
		p.add(virtual)
	})
	if broken != nil {
		return c.simBroken(*broken.scenario, broken.options, broken.result)
	}
	c.fuzzed(scenarios, runs)
	return ctx.Err()
}

// fuzzed prints what a fuzz came to, scenario by scenario.
func (c *command) fuzzed(scenarios []sim.Scenario, runs map[string][]sim.Result) {
	var sums []simFuzzed
	for _, s := range scenarios {
		sums = append(sums, simFuzzed{s.Name, sim.Sum(runs[s.Name])})
		c.provesNothing(s, runs[s.Name])
	}
	_ = c.result(sums, func() { // it writes a table
		b := newTable("SCENARIO", "RUNS", "PASSED", "VIRTUAL", "STEPS")
		all := sim.Total{}
		for _, s := range sums {
			b.add(s.Name, s.Runs, s.Passed, whole(s.Virtual.Std()), s.Steps)
			all.Runs, all.Passed, all.Steps = all.Runs+s.Runs, all.Passed+s.Passed, all.Steps+s.Steps
			all.Virtual += s.Virtual
		}
		b.add("all", all.Runs, all.Passed, whole(all.Virtual.Std()), all.Steps)
		c.table(b)
	})
}

// simFuzzed is what a fuzz came to in one scenario.
type simFuzzed struct {
	Name string `json:"name"`
	sim.Total
}
