package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mn/configs"
	"mn/mesh"
	"mn/mesh/api"
	"mn/sim/lab"
)

// Bounds of the demo.
const (
	nodes    = 3
	storyMax = time.Minute
	stepMax  = 30 * time.Second // until the job runs, or runs again
)

// story tells what happens in a lab.
type story struct {
	out  io.Writer
	dir  string
	lab  *lab.Lab
	file string // of the job
	job  mesh.JobID
}

// tell runs the demo and cleans up after it.
func tell(ctx context.Context, out io.Writer, mn, file string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, storyMax)
	defer cancel()
	began := time.Now()
	job, err := configs.ReadJob(file, configs.Variables{})
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mn-demo-")
	if err != nil {
		return fmt.Errorf("make a folder for the demo: %w", err)
	}
	s := &story{out: out, dir: dir, file: file, job: mesh.JobID(job.Name)}
	defer func() {
		err = errors.Join(err, s.cleanUp())
		if err == nil {
			s.say("\nThat was all, in %.0f seconds. Next: `bin/mn dev` for a mesh to play with,",
				time.Since(began).Seconds())
			s.say("README.md for one on real machines.")
		}
	}()
	if err := s.form(ctx, mn); err != nil {
		return err
	}
	for _, chapter := range []func(context.Context) error{s.run, s.logs, s.lose, s.comeBack} {
		if err := chapter(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) form(ctx context.Context, mn string) error {
	s.title("Three machines become a mesh")
	s.say("Each of the three has a data directory, an agent and a port of its own, all on")
	s.say("loopback here. The first makes the mesh; the others join with a token.\n")
	var err error
	s.lab, err = lab.Start(ctx, lab.Options{Binary: mn, Dir: s.dir, Nodes: nodes, Said: s.command})
	if err != nil {
		return err
	}
	return s.show(ctx, s.lab.Nodes()[nodes-1], "node", "ls")
}

func (s *story) run(ctx context.Context) error {
	s.title("Any machine takes a job")
	s.say("This one, %s, is a service of copies that say hello", s.file)
	s.say("once a second. We give it to the second machine, and ask the first where it runs.\n")
	if err := s.show(ctx, s.lab.Nodes()[1], "job", "run", s.file, "--wait"); err != nil {
		return err
	}
	return s.show(ctx, s.lab.Nodes()[0], "job", "status", string(s.job))
}

func (s *story) logs(ctx context.Context) error {
	s.title("Any machine has the logs")
	return s.show(ctx, s.lab.Nodes()[2], "logs", string(s.job), "--tail", "1")
}

// lose kills the node that runs the most, and times what follows.
func (s *story) lose(ctx context.Context) error {
	victim, copies, err := s.busiest(ctx)
	if err != nil {
		return err
	}
	witness := s.other(victim)
	s.title("A machine dies")
	s.say("The power of %s fails: its agent and the %d copies there are killed at once.", victim.Name, copies)
	s.say("Nobody tells the others.\n")
	cut, err := victim.Kill()
	if err != nil {
		return err
	}
	s.say("  %5.2f s  %s is dead", time.Since(cut).Seconds(), victim.Name)
	if err := s.watch(ctx, cut, witness, victim); err != nil {
		return err
	}
	s.say("")
	return s.show(ctx, witness, "job", "status", string(s.job))
}

// watch says how the job comes back, as a node that lives sees it.
func (s *story) watch(ctx context.Context, cut time.Time, witness, victim *lab.Node) error {
	ctx, cancel := context.WithTimeout(ctx, stepMax)
	defer cancel()
	var last sight
	err := witness.Client().WatchJob(ctx, s.job, func(j api.Job) error {
		now := look(j, victim.Name)
		at := time.Since(cut).Seconds()
		if now.lost && !last.lost {
			s.say("  %5.2f s  %s has noticed that %s is gone", at, witness.Name, victim.Name)
		}
		if now.runs != last.runs {
			s.say("  %5.2f s  %d of %d copies run on the machines that are left", at, now.runs, j.Count)
		}
		last = now
		if now.runs >= j.Count {
			return errRuns
		}
		return nil
	})
	switch {
	case errors.Is(err, errRuns):
		return nil
	case err == nil:
		err = errors.New("the answer ended")
	}
	return fmt.Errorf("wait for %q to run again: %w", s.job, err)
}

// sight is what a node makes of a job when another is dead.
type sight struct {
	runs int  // copies elsewhere
	lost bool // it knows that the copies on the dead node are
}

func look(j api.Job, victim string) sight {
	var seen sight
	for _, a := range j.Allocations {
		switch {
		case a.Node != victim && a.Status == string(mesh.Running):
			seen.runs++
		case a.Node == victim && a.Status == string(mesh.Lost):
			seen.lost = true
		}
	}
	return seen
}

// errRuns ends a watch.
var errRuns = errors.New("all copies run")

func (s *story) comeBack(ctx context.Context) error {
	s.title("The machine comes back")
	for _, n := range s.lab.Nodes() {
		if n.Running() {
			continue
		}
		s.say("Its disk is as the power cut left it. It needs no repair, and gets no copy twice.\n")
		if err := n.Start(ctx); err != nil {
			return err
		}
		if err := s.lab.Settle(ctx); err != nil {
			return err
		}
		if err := s.show(ctx, n, "job", "ls"); err != nil {
			return err
		}
	}
	return nil
}

// busiest is the node with the most copies of the job, and how many.
func (s *story) busiest(ctx context.Context) (node *lab.Node, copies int, err error) {
	job, err := s.lab.Nodes()[0].Client().Job(ctx, s.job)
	if err != nil {
		return nil, 0, err
	}
	count := map[string]int{}
	for _, a := range job.Allocations {
		count[a.Node]++
	}
	for _, n := range s.lab.Nodes() {
		if count[n.Name] > copies {
			node, copies = n, count[n.Name]
		}
	}
	if node == nil {
		return nil, 0, fmt.Errorf("find the node that runs %q: it runs on none", s.job)
	}
	return node, copies, nil
}

func (s *story) other(than *lab.Node) *lab.Node {
	for _, n := range s.lab.Nodes() {
		if n != than {
			return n
		}
	}
	return nil
}

func (s *story) cleanUp() error {
	if s.lab == nil {
		return os.RemoveAll(s.dir)
	}
	s.say("(cleaning up)")
	return errors.Join(s.lab.Close(), os.RemoveAll(s.dir))
}

// show runs a command of mn and prints what it says.
func (s *story) show(ctx context.Context, n *lab.Node, args ...string) error {
	out, err := n.Mn(ctx, args...)
	for line := range strings.Lines(out) {
		s.say("  %s", strings.TrimRight(line, " \n"))
	}
	s.say("")
	return err
}

// command prints a command before it runs, with the demo's folder cut short.
func (s *story) command(args []string) {
	line := strings.Join(args, " ")
	s.say("$ %s", strings.ReplaceAll(line, s.dir+string(filepath.Separator), ""))
}

func (s *story) title(text string) {
	s.say("%s\n%s", text, strings.Repeat("─", len(text)))
}

func (s *story) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }
