package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mn/mesh"
	"mn/mesh/api"
	"mn/mesh/content"
)

func (c *command) resultCommand() *cobra.Command {
	return group("result", "List and get the files that tasks have left", c.resultList(), c.resultGet())
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
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			all, err := client.Results(cmd.Context(), api.ResultsRequest{Job: mesh.JobID(args[0])})
			if err != nil {
				return err
			}
			return c.result(all, func() { c.showResults(args[0], all) })
		}),
	}
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
			b.add(who, f.Path, f.Size, f.Hash[:min(len(f.Hash), 16)], strings.Join(r.Kept, ", "))
		}
	}
	c.table(b)
	for i := range all {
		if r := &all[i]; r.Fault != "" {
			c.say("%s: %s", copyName(r.Task, r.Index, r.Node), r.Fault)
		}
	}
}

func (c *command) resultGet() *cobra.Command {
	var dir, alloc string
	cmd := &cobra.Command{
		Use:   "get JOB [-o DIR]",
		Short: "Get the outputs of a job, from any peer",
		Long: `Get the files that the tasks of a job have left, from whichever nodes have them. Those of
each copy come into a folder of its own, TASK-INDEX, in a folder of the job's name, or in
DIR. No file that is there is written over; each is checked before it is written.`,
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
			g := getter{c: c, dir: dir, told: time.Now()}
			var faults []error
			for i := range all {
				r := &all[i]
				switch {
				case alloc != "" && !strings.HasPrefix(string(r.Alloc), alloc):
					continue
				case r.Fault != "":
					faults = append(faults, fmt.Errorf("%s: %s", copyName(r.Task, r.Index, r.Node), r.Fault))
					continue
				}
				g.all += r.Bytes
				g.wanted = append(g.wanted, r)
			}
			if len(g.wanted) == 0 && len(faults) == 0 {
				return mesh.Faultf(mesh.NotFound, "job %q has left nothing", job).
					Hint("outputs = [...] of a task says what is kept when it has ended")
			}
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
				c.printf("%d files, %v, are in %s\n", len(g.got), g.bytes, dir)
			})
		}),
	}
	cmd.Flags().StringVarP(&dir, "out", "o", "", "folder to write them in; of the job's name if not said otherwise")
	cmd.Flags().StringVar(&alloc, "alloc", "", "only of the copy whose id begins so")
	return cmd
}

// getter writes files that come from a peer.
type getter struct {
	c          *command
	dir        string
	wanted     []*api.Result
	got        []gotFile
	bytes, all mesh.Bytes
	told       time.Time
}

// gotFile is a file that was written.
type gotFile struct {
	Path string     `json:"path"`
	Size mesh.Bytes `json:"size"`
	Hash string     `json:"sha256"` // as of `mn result ls`
}

// get writes the files of one task.
func (g *getter) get(r *api.Result, in io.Reader) error {
	var tree content.Hash
	if err := tree.UnmarshalText([]byte(r.Tree)); err != nil {
		return err
	}
	name := fmt.Sprintf("%s-%d", r.Task, r.Index)
	to := filepath.Join(g.dir, name)
	if err := os.MkdirAll(to, 0o777); err != nil {
		return err
	}
	root, err := os.OpenRoot(to)
	if err != nil {
		return err
	}
	defer root.Close()
	_, err = content.Receive(in, tree, func(e *content.Entry) (io.WriteCloser, error) {
		if err := root.MkdirAll(path.Dir(e.Path), 0o777); err != nil {
			return nil, err
		}
		f, err := root.OpenFile(e.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, e.Mode.Perm()|0o600)
		if err != nil {
			return nil, err
		}
		g.got = append(g.got, gotFile{path.Join(name, e.Path), mesh.Bytes(e.Size), e.Sum().String()})
		return &toldFile{File: f, g: g, root: root, of: e}, nil
	})
	return err
}

// toldFile is a file of which what is written is told now and then.
type toldFile struct {
	*os.File
	g    *getter
	root *os.Root
	of   *content.Entry
	has  int64
}

// Close removes what did not come whole.
func (f *toldFile) Close() error {
	err := f.File.Close()
	if f.has < f.of.Size {
		f.g.got = f.g.got[:len(f.g.got)-1]
		err = errors.Join(err, f.root.Remove(f.of.Path))
	}
	return err
}

func (f *toldFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	f.has += int64(n)
	g := f.g
	g.bytes += mesh.Bytes(n)
	if now := time.Now(); now.Sub(g.told) >= sayEvery {
		g.told = now
		g.c.say("files: %v of %v are here", g.bytes, g.all)
	}
	return n, err
}
