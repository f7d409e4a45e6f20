package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mn/configs"
	"mn/mesh"
	"mn/mesh/api"
	"mn/sim"
)

func (c *command) simCommand() *cobra.Command {
	cmd := group("sim", "Simulate a mesh, and what may happen to it",
		c.simRun(), c.simFuzz(), c.simList(), c.simShow(), c.simWords())
	cmd.Long = `Run whole meshes in virtual time: the agents' own code, with models in place of the
network, disks, clocks and tasks. A scenario says what is asked of the mesh and what
goes wrong; all else comes from a seed. The same scenario and seed give the same run,
to the byte, on any machine.

Each run is checked after every step: nobody runs twice what must run once, nothing
acknowledged is lost, nobody overcommits. Then faults end, and within a stated time
everything must be as it was asked for.`
	return cmd
}

// simFlags are what a simulation is asked for.
type simFlags struct {
	nodes     int
	seed      uint64
	runs      int
	until     time.Duration
	without   []int
	inventory string
	jobs      []string
	svg       string
	messages  bool
	quiet     bool
}

func (c *command) simRun() *cobra.Command {
	var f simFlags
	cmd := &cobra.Command{
		Use:   "run SCENARIO",
		Short: "Run a scenario, and say whether the mesh kept its promises",
		Long: `Run a scenario: a file, or the name of one that comes with mn (mn sim ls). One run
prints its timeline; several run side by side, each with the next seed, and print what
they have met and measured. A count of zero says that nothing was proven about it.

If a promise is broken, the run is made as short as it can be and still show it, and
the command is printed that replays it; the exit code is 1.

Simulate your own lab with --inventory (the output of "mn node ls --json", or "mesh" to
ask the live one) and --jobs (your own job files).`,
		Example: `  mn sim run swarm --seed 7
  mn sim run partition-majority --runs 100
  mn sim run power-cuts --inventory mesh --jobs jobs/ --svg picture.svg`,
		Args:              needs("SCENARIO"),
		ValidArgsFunction: scenarioNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := c.scenario(cmd, args[0], &f)
			if err != nil {
				return err
			}
			tuneMemory(max(s.Nodes, f.nodes))
			if f.runs > 1 {
				return c.simulateMany(cmd.Context(), s, &f)
			}
			return c.simulateOne(s, &f)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&f.nodes, "nodes", 0, "how many, instead of the scenario's")
	flags.Uint64Var(&f.seed, "seed", 1, "of the first run")
	flags.IntVar(&f.runs, "runs", 1, "how many, each with the next seed")
	flags.DurationVar(&f.until, "until", 0, "end the run after so much virtual time")
	flags.IntSliceVar(&f.without, "without", nil, "leave out the faults with these numbers")
	flags.StringVar(&f.inventory, "inventory", "", "nodes to simulate: a file, or \"mesh\" for those of the live one")
	flags.StringSliceVar(&f.jobs, "jobs", nil, "job files or folders to run instead of the scenario's jobs")
	flags.StringVar(&f.svg, "svg", "", "draw the run into this file")
	flags.BoolVar(&f.messages, "messages", false, "show every message too")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "show no timeline")
	return cmd
}

// scenario reads a scenario, and puts the user's own nodes and jobs into it.
func (c *command) scenario(cmd *cobra.Command, name string, f *simFlags) (sim.Scenario, error) {
	if f.nodes < 0 || f.nodes > sim.NodesMax {
		return sim.Scenario{}, misused(cmd, "--nodes %d is not between 1 and %d", f.nodes, sim.NodesMax)
	}
	if f.runs < 1 {
		return sim.Scenario{}, misused(cmd, "--runs %d is less than 1", f.runs)
	}
	s, err := readScenario(name)
	if err != nil {
		return s, err
	}
	if f.inventory != "" {
		if s.Machines, err = c.inventory(cmd, f.inventory); err != nil {
			return s, err
		}
		s.Nodes, s.NodesMax = len(s.Machines), 0
	}
	if len(f.jobs) > 0 {
		s.Jobs = nil
		for _, file := range f.jobs {
			jobs, err := readJobs(file)
			if err != nil {
				return s, err
			}
			s.Jobs = append(s.Jobs, jobs...)
		}
	}
	s.Defaults()
	return s, nil
}

// readScenario reads a scenario by the name of its file, or its own.
func readScenario(name string) (s sim.Scenario, err error) {
	s.Name = strings.TrimSuffix(path.Base(name), ".toml")
	if strings.ContainsAny(name, "./") {
		return s, configs.Read("scenario", name, &s)
	}
	data, err := shipped(name)
	if err != nil {
		return s, err
	}
	return s, configs.Parse(name, data, &s)
}

// shipped is the file of a scenario that comes with mn.
func shipped(name string) ([]byte, error) {
	data, err := fs.ReadFile(sim.Shipped, path.Join("scenarios", name+".toml"))
	if err == nil {
		return data, nil
	}
	f := mesh.Faultf(mesh.NotFound, "no scenario %q comes with mn", name)
	if near := mesh.Nearest(name, shippedNames()); near != "" {
		f.Hint("did you mean %q?", near)
	}
	return nil, f.Hint("mn sim ls lists them; a file of yours is named by its path, ./%s", name)
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// shippedNames are the scenarios that come with mn.
func shippedNames() []string {
	files, err := fs.Glob(sim.Shipped, "scenarios/*.toml")
	if err != nil {
		panic("the scenarios are not where they should be: " + err.Error())
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(path.Base(f), ".toml"))
	}
	return names
}

func scenarioNames(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return shippedNames(), cobra.ShellCompDirectiveDefault
}

// inventory reads the nodes to simulate.
func (c *command) inventory(cmd *cobra.Command, from string) ([]sim.Machine, error) {
	var nodes []api.Node
	if from == "mesh" {
		client, err := c.client()
		if err != nil {
			return nil, err
		}
		defer client.Close()
		if nodes, err = client.Nodes(cmd.Context()); err != nil {
			return nil, err
		}
	} else {
		data, err := os.ReadFile(from)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, mesh.Faultf(mesh.NotFound, "no inventory file %q", from).Hint("mn node ls --json > %s", from)
		}
		if err != nil {
			return nil, fmt.Errorf("read the inventory: %w", err)
		}
		if err := json.Unmarshal(data, &nodes); err != nil {
			return nil, mesh.Faultf(mesh.Invalid, "%s: %v", from, err).
				Hint("an inventory is what this prints: mn node ls --json")
		}
	}
	var machines []sim.Machine
	for _, n := range nodes {
		machines = append(machines, sim.Machine{Name: n.Name, Role: n.Role, Labels: n.Labels, Resources: n.Resources})
	}
	if len(machines) == 0 || len(machines) > sim.NodesMax {
		return nil, mesh.Faultf(mesh.Invalid, "%s has %d nodes; want 1 to %d", from, len(machines), sim.NodesMax)
	}
	return machines, nil
}

// readJobs reads a job, or all job files of a folder that is no job itself.
func readJobs(file string) ([]mesh.Job, error) {
	files := []string{file}
	if entries, err := os.ReadDir(file); err == nil && !exists(path.Join(file, "job.toml")) {
		files = nil
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".toml") {
				files = append(files, path.Join(file, e.Name()))
			}
		}
		if len(files) == 0 {
			return nil, mesh.Faultf(mesh.NotFound, "no job file in %q", file)
		}
	}
	var jobs []mesh.Job
	for _, f := range files {
		job, err := configs.ReadJob(f, configs.Variables{})
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, *job)
	}
	return jobs, nil
}

// simScenario is a scenario in a list.
type simScenario struct {
	Name  string        `json:"name"`
	Nodes int           `json:"nodes"`
	For   mesh.Duration `json:"for"`
	About string        `json:"about"`
}

func (c *command) simList() *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Short:   "List the scenarios that come with mn",
		Example: "  mn sim ls\n  mn sim ls --json | jq -r '.[].name'",
		Args:    needs(),
		RunE: func(*cobra.Command, []string) error {
			var list []simScenario
			for _, name := range shippedNames() {
				s, err := readScenario(name)
				if err != nil {
					return err
				}
				s.Defaults()
				list = append(list, simScenario{s.Name, s.Nodes, s.For, s.About})
			}
			return c.result(list, func() {
				b := newTable("NAME", "NODES", "FOR", "SHOWS")
				for _, s := range list {
					b.add(s.Name, s.Nodes, s.For, s.About)
				}
				c.table(b)
			})
		},
	}
}

func (c *command) simShow() *cobra.Command {
	return &cobra.Command{
		Use:               "show NAME",
		Short:             "Print a scenario's file, to make another of it",
		Example:           "  mn sim show swarm > mine.toml && mn sim run mine.toml",
		Args:              needs("NAME"),
		ValidArgsFunction: scenarioNames,
		RunE: func(_ *cobra.Command, args []string) error {
			data, err := shipped(args[0])
			if err == nil {
				c.printf("%s", data)
			}
			return err
		},
	}
}

func (c *command) simWords() *cobra.Command {
	return &cobra.Command{
		Use:     "words",
		Short:   "Explain the faults, requests, invariants and counts",
		Example: "  mn sim words\n  mn sim words --json | jq '.invariants'",
		Args:    needs(),
		RunE: func(*cobra.Command, []string) error {
			g := sim.Glossary()
			return c.result(g, func() {
				for i, part := range []struct {
					head string
					list []sim.Term
				}{
					{"FAULT", g.Faults}, {"REQUEST", g.Requests}, {"INVARIANT", g.Invariants}, {"COUNT", g.Counts},
				} {
					if i > 0 {
						c.printf("\n")
					}
					b := newTable(part.head, "MEANS")
					for _, t := range part.list {
						b.add(t.Name, t.About)
					}
					c.table(b)
				}
			})
		},
	}
}
