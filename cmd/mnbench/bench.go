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
	"slices"
	"syscall"
	"time"

	"mn/mesh"
	"mn/sim/lab"
)

// Bounds of the benchmark.
const (
	nodes    = 3
	roundMax = time.Minute // for one measurement, with what it needs before and after
)

// profile is a way to set up a mesh, with its aim for a loss.
type profile struct {
	name      string
	config    string // of the agents
	lostAfter *mesh.Duration
	lossAim   time.Duration
}

// profiles are what a user gets who sets nothing, and who wants it fast.
func profiles() []profile {
	const fast = `
profile = "fast"

[lease]
length = "400ms"
renew = "130ms"
`
	return []profile{
		{name: "default", lossAim: 5 * time.Second},
		{name: "fast", config: fast, lostAfter: new(mesh.Duration), lossAim: 800 * time.Millisecond},
	}
}

// runner measures with one mn binary, and reports.
type runner struct {
	mn       string
	self     string // this program, which is also the task
	dir      string // with a folder for each mesh
	meshes   int
	rounds   int
	profiles []profile
	tower    *tower
	report   *report
}

// partNames are the keys of [runner.parts], for people.
const partNames = "loss, takeover, submit, flood, first, services, schedules, idle or tasks"

// bench measures everything, or soaks.
func bench(args []string) error {
	flags := flag.NewFlagSet("mnbench", flag.ContinueOnError)
	mn := flags.String("mn", "bin/mn", "the mn binary")
	rounds := flags.Int("rounds", 20, "measurements of each kind")
	only := flags.String("only", "", "one part: "+partNames)
	settings := flags.String("profile", "", "one of default and fast")
	soak := flags.Duration("soak", 0, "instead, look so long for false alarms on a loaded machine")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	r, err := newRunner(*mn, *rounds)
	if err != nil {
		return err
	}
	r.profiles = slices.DeleteFunc(profiles(), func(p profile) bool {
		return *settings != "" && p.name != *settings
	})
	work := r.all
	switch {
	case *soak > 0:
		work = func(ctx context.Context) error { return r.soak(ctx, *soak) }
	case *only != "":
		work = r.parts()[*only]
	}
	if work == nil {
		return errors.Join(fmt.Errorf("part %q: want "+partNames, *only), r.close())
	}
	if err := work(ctx); err != nil {
		return errors.Join(fmt.Errorf("%w\nthe agents' logs are in %s", err, r.dir), r.tower.close())
	}
	return r.close()
}

func newRunner(mn string, rounds int) (*runner, error) {
	release, err := releaseOf(mn)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	dir, err := os.MkdirTemp("", "mn-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the benchmark: %w", err)
	}
	r := &runner{
		mn: mn, self: self, dir: dir, rounds: max(rounds, 1),
		report: &report{out: os.Stdout, release: release},
	}
	if r.tower, err = newTower(dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return r, nil
}

// releaseOf asks a binary which version it is.
func releaseOf(mn string) (string, error) {
	out, err := exec.Command(mn, "version", "--json").Output()
	if err != nil {
		return "", fmt.Errorf("ask %q for its version: %w", mn, err)
	}
	var version struct {
		Release string `json:"release"`
	}
	if err := json.Unmarshal(out, &version); err != nil {
		return "", fmt.Errorf("read the version of %q: %w", mn, err)
	}
	return version.Release, nil
}

func (r *runner) close() error { return errors.Join(r.tower.close(), os.RemoveAll(r.dir)) }

func (r *runner) parts() map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"loss": r.losses, "takeover": r.takeovers, "submit": r.submits, "first": r.firstJobs, "flood": r.floods,
		"services": r.services, "schedules": r.schedules, "idle": r.idle, "tasks": r.tasks,
	}
}

func (r *runner) all(ctx context.Context) error {
	for _, part := range []func(context.Context) error{
		r.submits, r.losses, r.takeovers, r.floods, r.firstJobs, r.services, r.schedules, r.idle, r.tasks,
	} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// mesh runs f on a new mesh, and ends it.
func (r *runner) mesh(
	ctx context.Context, size int, config string, f func(*lab.Lab) error,
) error {
	r.meshes++
	dir := filepath.Join(r.dir, fmt.Sprint(r.meshes))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("make a folder for a mesh: %w", err)
	}
	l, err := lab.Start(ctx, lab.Options{Binary: r.mn, Dir: dir, Nodes: size, Config: config})
	if err != nil {
		return err
	}
	if err := errors.Join(f(l), l.Close()); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// job is a service of copies that say when they start.
func (r *runner) job(name string, copies int, p profile) mesh.Job {
	return mesh.Job{
		Name:     name,
		Type:     mesh.Service,
		Strategy: mesh.Spread,
		Recovery: mesh.Recovery{LostAfter: p.lostAfter},
		Tasks: []mesh.Task{{
			Name:      "beacon",
			Count:     copies,
			Command:   []string{r.self, "beacon", r.tower.path},
			Resources: mesh.Resources{CPU: taskCPU, Memory: taskMemory},
			Isolation: mesh.IsolateNone, // it takes more than that
		}},
	}
}

// What a task of the benchmark asks for: little, so that many fit.
const (
	taskCPU    = mesh.Core / 100
	taskMemory = 8 * mesh.MiB
)
