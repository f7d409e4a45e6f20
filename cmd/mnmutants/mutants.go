package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
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
	fmt.Printf("%-28s %5s  %-22s %-26s %s\n", "MUTANT", "RUNS", "BROKEN", "IN", "WHAT IS WRONG")
	var alive []string
	for i := range list {
		m := &list[i]
		k, err := m.hunt(ctx, root, *runs, *lasts)
		if err != nil {
			return err
		}
		broken, where := k.Invariant, fmt.Sprintf("%s, seed %d", k.Scenario, k.Seed)
		if !k.Found {
			broken, where = "SURVIVED", ""
			alive = append(alive, m.Name)
		}
		fmt.Printf("%-28s %5d  %-22s %-26s %s\n", m.Name, k.Runs, broken, where, m.About)
	}
	if len(alive) > 0 {
		return fmt.Errorf("%d of %d mutants survive: %s", len(alive), len(list), strings.Join(alive, " "))
	}
	fmt.Printf("all %d found\n", len(list))
	return nil
}

// hunt builds this program with the fault in it, and has it look for itself.
func (m *mutant) hunt(ctx context.Context, root string, runs int64, lasts time.Duration) (k kill, err error) {
	dir, err := os.MkdirTemp("", "mn-mutant-")
	if err != nil {
		return k, fmt.Errorf("make a folder for mutant %q: %w", m.Name, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	overlay, err := m.overlay(root, dir)
	if err != nil {
		return k, err
	}
	program := filepath.Join(dir, "mutant")
	build := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", program, "./cmd/mnmutants")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return k, fmt.Errorf("build mutant %q: %w\n%s", m.Name, err, out)
	}
	hunter := exec.CommandContext(ctx, program, "hunt",
		"-scenarios", strings.Join(m.Scenarios, ","), "-runs", fmt.Sprint(runs), "-for", lasts.String())
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
