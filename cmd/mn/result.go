package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mn/mesh"
	"mn/mesh/api"
)

func (c *command) resultCommand() *cobra.Command {
	cmd := group("result [JOB]", "List and get the files that tasks have left", c.resultList(), c.resultGet())
	cmd.Example = "  mn result train            # what it has left, as mn result ls\n  mn result get train -o out"
	cmd.Args = atMost("JOB")
	cmd.ValidArgsFunction = c.complete(jobNames)
	help, list := cmd.RunE, c.ask(c.listResults)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return help(cmd, args)
		}
		return list(cmd, args)
	}
	return cmd
}

func (c *command) resultList() *cobra.Command {
	return &cobra.Command{
		Use:   "ls JOB",
		Short: "List the outputs of a job that are kept",
		Long: `List the files that the tasks of a job have left: what matches their outputs = [...] when
they ended. They are kept on the node where the task ran and on two others, for as long as
the copy is on record. The hash is the SHA-256 of the file; of one of more than 1 MiB, of
the SHA-256 of each MiB of it, one after the other.`,
		Example: `  mn result ls train
  mn result ls train --json | jq -r '.[].files[].path'`,
		Args:              needs("JOB"),
		ValidArgsFunction: c.complete(jobNames),
		RunE:              c.ask(c.listResults),
	}
}

func (c *command) listResults(cmd *cobra.Command, client *api.Client, args []string) error {
	all, err := client.Results(cmd.Context(), api.ResultsRequest{Job: mesh.JobID(args[0])})
	if err != nil {
		return err
	}
	if len(all) == 0 {
		c.sayWhoHas(cmd.Context(), client, mesh.JobID(args[0]))
	}
	return c.result(all, func() { c.showResults(args[0], all) })
}

func (c *command) showResults(job string, all []api.Result) {
	if len(all) == 0 {
		c.printf("job %s has left nothing\n", job)
		return
	}
	b := newTable("COPY", "FILE", "SIZE", "SHA256", "KEPT BY")
	for i := range all {
		r := &all[i]
		who := copyName(r.Task, r.Index, r.Node)
		if r.Fault != "" || len(r.Files) == 0 {
			b.add(who, "-", r.Bytes, "-", strings.Join(r.Kept, ", "))
		}
		for _, f := range r.Files {
			b.add(who, quoted(f.Path), f.Size, f.Hash[:min(len(f.Hash), 16)], strings.Join(r.Kept, ", "))
		}
	}
	c.table(b)
	for i := range all {
		if r := &all[i]; r.Fault != "" {
			c.say("%s: %s", copyName(r.Task, r.Index, r.Node), mesh.Plain(r.Fault, mesh.TextMax))
		}
	}
}

// quoted is a name that somebody has given to a file: as it is, or in quotes if it has
// characters that are not for terminals.
func quoted(name string) string {
	if mesh.Plain(name, len(name)) == name {
		return name
	}
	return strconv.Quote(name)
}

func (c *command) resultGet() *cobra.Command {
	var dir, alloc string
	cmd := &cobra.Command{
		Use:   "get JOB [-o DIR]",
		Short: "Get the outputs of a job, from any peer",
		Long: `Get the files that the tasks of a job have left, from whichever nodes have them. Those of
each copy come into a folder of its own in a folder of the job's name, or in DIR: TASK-INDEX,
or TASK-NODE of a job that runs on every node. No file that is there is written over; one
that is the same is passed over. Each is checked, and there whole or not at all.`,
		Example: `  mn result get train
  mn result get train -o /data/runs/7`,
		Args:              needs("JOB"),
		ValidArgsFunction: c.complete(jobNames),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			job := mesh.JobID(args[0])
			all, err := client.Results(cmd.Context(), api.ResultsRequest{Job: job, Names: true})
			if err != nil {
				return err
			}
			if dir == "" {
				dir = args[0]
			}
			g := getter{c: c, told: time.Now(), folders: map[string]bool{}}
			var faults []error
			for i := range all {
				r := &all[i]
				switch {
				case alloc != "" && !strings.HasPrefix(string(r.Alloc), alloc):
					continue
				case r.Fault != "":
					why := mesh.Plain(r.Fault, mesh.TextMax)
					faults = append(faults, fmt.Errorf("%s: %s", copyName(r.Task, r.Index, r.Node), why))
					continue
				}
				g.all += r.Bytes
				g.wanted = append(g.wanted, r)
			}
			if len(g.wanted) == 0 && len(faults) == 0 {
				c.sayWhoHas(cmd.Context(), client, job)
				return mesh.Faultf(mesh.NotFound, "job %q has left nothing", job).
					Hint("outputs = [...] of a task says what is kept when it has ended")
			}
			if err := g.open(dir); err != nil {
				return err
			}
			defer g.close()
			for _, r := range g.wanted {
				err := client.Result(cmd.Context(), job, r.Tree, func(in io.Reader) error { return g.get(r, in) })
				if err != nil {
					faults = append(faults, fmt.Errorf("%s: %w", copyName(r.Task, r.Index, r.Node), err))
				}
			}
			if err := errors.Join(faults...); err != nil {
				return err
			}
			return c.result(g.got, func() {
				c.printf("%s, %v in all, now in %s\n", mesh.Counted(len(g.got), "file", "files"), g.bytes, dir)
			})
		}),
	}
	cmd.Flags().StringVarP(&dir, "out", "o", "", "folder to write them in; of the job's name if not said otherwise")
	cmd.Flags().StringVar(&alloc, "alloc", "", "only of the copy whose id begins so")
	return cmd
}
