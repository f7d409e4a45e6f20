package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"

	"mn/sim/lab/cases"
)

const usage = `usage: mnlab ls                      list the cases
       mnlab run [flags] CASE...     run some of them; mnlab run -h lists the flags
       mnlab run --ci | --all        run those for every change, or all of them`

// perTwoCores is how many cases run beside each other for each two cores: they mostly wait, and
// where more do, they take no less time together and fall over their time limits.
const perTwoCores = 5

// command does what the arguments say.
func command(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	switch args[0] {
	case "ls":
		catalogue(os.Stdout)
		return nil
	case "run":
		return run(ctx, args[1:])
	case "help", "-h", "-help", "--help":
		fmt.Println(usage)
		return nil
	}
	return fmt.Errorf("command %q\n%s", args[0], usage)
}

// run runs cases and reports.
func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("mnlab run", flag.ContinueOnError)
	var (
		mn       = flags.String("mn", "bin/mn", "the mn binary")
		ci       = flags.Bool("ci", false, "the cases that run with every change")
		all      = flags.Bool("all", false, "all cases")
		asJSON   = flags.Bool("json", false, "the results as JSON")
		seed     = flags.Uint64("seed", 0, "of all that is left to chance; 0 takes one")
		keep     = flags.Bool("keep", false, "keep the folders, of cases that passed too")
		parallel = flags.Int("parallel", max(perTwoCores*runtime.NumCPU()/2, 1), "cases at a time")
	)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	}
	list, err := chosen(flags.Args(), *ci, *all)
	if err != nil {
		return err
	}
	if _, err := os.Stat(*mn); err != nil {
		return fmt.Errorf("find the mn binary: %w; make build makes it, --mn says where it is", err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	began := time.Now()
	results, err := cases.Run(ctx, cases.Options{
		Mn: *mn, Fixture: []string{self, "task"}, Seed: *seed, Parallel: *parallel, Keep: *keep,
		Said: func(c, text string) { fmt.Fprintf(os.Stderr, "%-20s %s\n", c, text) },
	}, list)
	if err != nil {
		return err
	}
	if *asJSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		err = out.Encode(results)
	} else {
		report(os.Stdout, results, time.Since(began))
	}
	failed := 0
	for _, r := range results {
		if !r.OK {
			failed++
		}
	}
	if failed > 0 {
		err = errors.Join(err, fmt.Errorf("%d of %d cases failed; --seed %d makes the same choices",
			failed, len(results), *seed))
	}
	return err
}

// chosen are the cases that somebody wants.
func chosen(names []string, ci, all bool) ([]cases.Case, error) {
	var list []cases.Case
	for _, c := range cases.All() {
		if all || ci && c.CI {
			list = append(list, c)
		}
	}
	for _, name := range names {
		c, ok := cases.Find(name)
		if !ok {
			return nil, fmt.Errorf("no case %q; mnlab ls lists them", name)
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, errors.New(usage)
	}
	return list, nil
}
