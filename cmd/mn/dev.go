package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"mn/configs"
	"mn/sim/lab"
)

const (
	devNodes    = 3
	devNodesMax = 32
)

func (c *command) devCommand() *cobra.Command {
	var nodes int
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a throwaway mesh on this machine",
		Long: `Run a mesh of several nodes on loopback, each with an agent of its own, in a
temporary directory. Ctrl-C ends it, with all that runs on it, and leaves nothing.`,
		Example: "  mn dev\n  mn dev --nodes 5",
		Args:    needs(),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if nodes < 1 || nodes > devNodesMax {
				return misused(cmd, "--nodes %d is not between 1 and %d", nodes, devNodesMax)
			}
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find the mn that runs: %w", err)
			}
			dir, err := os.MkdirTemp("", "mn-dev-")
			if err != nil {
				return fmt.Errorf("make a temporary directory: %w", err)
			}
			defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
			if err := writeExamples(dir); err != nil {
				return err
			}
			c.say("%d nodes start in %s", nodes, dir)
			l, err := lab.Start(cmd.Context(), lab.Options{Binary: self, Dir: dir, Nodes: nodes})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, l.Close()) }()
			c.introduce(l, dir)
			<-cmd.Context().Done()
			c.say("the mesh ends, and all that runs on it")
			return nil
		},
	}
	cmd.Flags().IntVar(&nodes, "nodes", devNodes, "how many")
	return cmd
}

// introduce says how to talk to the mesh, so that its lines can be pasted.
func (c *command) introduce(l *lab.Lab, dir string) {
	var names []string
	for _, n := range l.Nodes() {
		names = append(names, n.Name+" at "+n.Address())
	}
	c.printf("# A mesh of %s.\n# Ctrl-C here ends it. In another terminal:\n\n", strings.Join(names, ", "))
	c.printf("export MN_DATA=%s\n", l.Nodes()[0].Dir)
	c.printf("mn node ls\nmn job run %s\nmn job status hello\nmn logs hello -f\n",
		filepath.Join(dir, "examples", "hello.toml"))
}

// writeExamples puts the example jobs where the introduction says.
func writeExamples(dir string) error {
	if err := os.CopyFS(dir, configs.Examples); err != nil {
		return fmt.Errorf("write the examples: %w", err)
	}
	return nil
}
