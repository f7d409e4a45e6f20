package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mn/configs"
	"mn/sim"
)

// kill is how a mutant was found, as the hunter says it on stdout.
type kill struct {
	Found     bool   `json:"found"`
	Scenario  string `json:"scenario"`
	Seed      uint64 `json:"seed"`
	Invariant string `json:"invariant"`
	Text      string `json:"text"`
	Runs      int64  `json:"runs"`   // that it took
	Number    int64  `json:"number"` // of the run that found it, from 0 on

	Own []string `json:"-"` // what broke on the way, and breaks without the fault too
}

// hunt runs scenarios in turn, with seeds from 1 on, until a promise is broken:
// run n is of scenario n modulo their number.
func hunt(args []string) error {
	flags := flag.NewFlagSet("hunt", flag.ContinueOnError)
	names := flags.String("scenarios", "", "names, with commas between; all if empty")
	from := flags.Int64("from", 0, "number of the first run")
	runs := flags.Int64("runs", 1000, "give up after so many runs")
	lasts := flags.Duration("for", time.Minute, "give up after so long")
	if err := flags.Parse(args); err != nil {
		return err
	}
	debug.SetGCPercent(400) // worlds are small, and made by the thousand
	scenarios, err := readScenarios(*names)
	if err != nil {
		return err
	}
	debug.SetGCPercent(800) // a run holds some megabytes: it is done before they count
	return json.NewEncoder(os.Stdout).Encode(search(scenarios, *from, *from+*runs, time.Now().Add(*lasts)))
}

func readScenarios(names string) ([]sim.Scenario, error) {
	list := strings.Split(names, ",")
	if names == "" {
		files, err := fs.Glob(sim.Shipped, "scenarios/*.toml")
		if err != nil || len(files) == 0 {
			return nil, errors.Join(errors.New("there are no scenarios"), err)
		}
		list = nil
		for _, f := range files {
			list = append(list, strings.TrimSuffix(path.Base(f), ".toml"))
		}
	}
	var scenarios []sim.Scenario
	for _, name := range list {
		data, err := fs.ReadFile(sim.Shipped, "scenarios/"+name+".toml")
		if err != nil {
			return nil, fmt.Errorf("read scenario %q: %w", name, err)
		}
		s := sim.Scenario{Name: name}
		if err := configs.Parse(name, data, &s); err != nil {
			return nil, err
		}
		s.Defaults()
		scenarios = append(scenarios, s)
	}
	return scenarios, nil
}

// search tries one seed after the other in each scenario, as many at once as
// there are processors.
func search(scenarios []sim.Scenario, from, to int64, until time.Time) kill {
	var next, made atomic.Int64
	next.Store(from)
	var mu sync.Mutex
	var found kill
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for {
				n := next.Add(1) - 1
				mu.Lock()
				over := found.Found
				mu.Unlock()
				if over || n >= to || time.Now().After(until) {
					return
				}
				s, seed := &scenarios[int(n)%len(scenarios)], uint64(n)/uint64(len(scenarios))+1
				r := sim.Run(*s, sim.Options{Seed: seed})
				runs := made.Add(1)
				if v := r.Violation; v != nil {
					mu.Lock()
					if !found.Found {
						found = kill{
							Found: true, Scenario: s.Name, Seed: seed,
							Invariant: v.Invariant, Text: v.Text, Runs: runs, Number: n,
						}
					}
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	if !found.Found {
		found.Runs = made.Load()
	}
	return found
}
