package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"mn/sim"
)

// mutants hunts each mutant in turn, and prints how it was found. It fails if
// one survives.
func mutants(args []string) error {
	flags := flag.NewFlagSet("mnmutants", flag.ContinueOnError)
	runs := flags.Int64("runs", 2000, "runs after which a mutant counts as survived")
	lasts := flags.Duration("for", 2*time.Minute, "time after which it does")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("find the module: %w", err)
	}
	list, err := readMutants(root, flags.Args())
	if err != nil {
		return err
	}
	return report(os.Stdout, list, func(m *mutant) (kill, error) {
		return m.hunt(ctx, root, *runs, *lasts)
	})
}

// report hunts mutants and writes a line about each: the beginning of it before
// the hunt, so that it is seen what is going on.
func report(out io.Writer, list []mutant, hunt func(*mutant) (kill, error)) error {
	began := time.Now()
	fmt.Fprintf(out, "%7s  %-28s %5s %6s  %-24s %-32s %s\n",
		"", "MUTANT", "RUNS", "TIME", "BROKEN", "IN", "WHAT IS WRONG")
	var alive []string
	for i := range list {
		m, since := &list[i], time.Now()
		fmt.Fprintf(out, "%3d/%-3d  %-28s ", i+1, len(list), m.Name)
		k, err := hunt(m)
		if err != nil {
			fmt.Fprintln(out)
			return err
		}
		broken, where := k.Invariant, fmt.Sprintf("%s, seed %d", k.Scenario, k.Seed)
		if !k.Found {
			broken, where = "SURVIVED", strings.Join(m.Scenarios, ", ")
			alive = append(alive, m.Name)
		}
		fmt.Fprintf(out, "%5d %5.0fs  %-24s %-32s %s\n", k.Runs, time.Since(since).Seconds(), broken, where, m.About)
		for _, own := range k.Own {
			fmt.Fprintf(out, "%7s  no part of it: %s\n", "", own)
		}
	}
	if len(alive) > 0 {
		return fmt.Errorf("%d of %d mutants survive, so the simulator has holes: %s",
			len(alive), len(list), strings.Join(alive, " "))
	}
	fmt.Fprintf(out, "all %d found, in %v\n", len(list), time.Since(began).Round(time.Second))
	return nil
}

// ownMax bounds the failures of the code as it is that a hunt goes on after.
const ownMax = 5

// hunt builds this program with the fault in it, and has it look for itself. It
// counts only where the code without the fault keeps its promises.
func (m *mutant) hunt(ctx context.Context, root string, runs int64, lasts time.Duration) (k kill, err error) {
	dir, err := os.MkdirTemp("", "mn-mutant-")
	if err != nil {
		return k, fmt.Errorf("make a folder for mutant %q: %w", m.Name, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program, err := m.build(ctx, root, dir)
	if err != nil {
		return k, err
	}
	var own []string
	made, until := int64(0), time.Now().Add(lasts)
	for from := int64(0); ; from = k.Number + 1 {
		k, err = m.look(ctx, program, from, runs-made, time.Until(until))
		made += k.Runs
		k.Runs, k.Own = made, own
		if err != nil || !k.Found {
			return k, err
		}
		why, err := innocent(k)
		if err != nil || why == "" {
			return k, err
		}
		if own = append(own, why); len(own) > ownMax {
			return k, fmt.Errorf("hunt mutant %q: the code without it breaks too often:\n%s",
				m.Name, strings.Join(own, "\n"))
		}
	}
}

// build makes the program that has the fault in it.
func (m *mutant) build(ctx context.Context, root, dir string) (program string, err error) {
	overlay, err := m.overlay(root, dir)
	if err != nil {
		return "", err
	}
	program = filepath.Join(dir, "mutant")
	build := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", program, "./cmd/mnmutants")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build mutant %q: %w\n%s", m.Name, err, out)
	}
	return program, nil
}

// look has the program look for its fault.
func (m *mutant) look(ctx context.Context, program string, from, runs int64, lasts time.Duration) (k kill, err error) {
	hunter := exec.CommandContext(ctx, program, "hunt", "-scenarios", strings.Join(m.Scenarios, ","),
		"-from", fmt.Sprint(from), "-runs", fmt.Sprint(runs), "-for", lasts.String())
	hunter.Stderr = os.Stderr
	out, err := hunter.Output()
	if err != nil {
		return k, fmt.Errorf("hunt mutant %q: %w", m.Name, err)
	}
	if err := json.Unmarshal(out, &k); err != nil {
		return k, fmt.Errorf("read how mutant %q was found: %w", m.Name, err)
	}
	return k, nil
}

// innocent runs what a mutant was found by with the code as it is. If a promise
// is broken then too, it says so: the mutant has nothing to do with it.
func innocent(k kill) (why string, err error) {
	scenarios, err := readScenarios(k.Scenario)
	if err != nil {
		return "", err
	}
	if r := sim.Run(scenarios[0], sim.Options{Seed: k.Seed}); r.Violation != nil {
		return fmt.Sprintf("%s, seed %d: %v", k.Scenario, k.Seed, r.Violation), nil
	}
	return "", nil
}
