package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mn/mesh"
	"mn/mesh/api"
)

// command is what all commands share: the terminal and the global flags.
type command struct {
	*terminal
	data, addr string
	asJSON     bool
	flags      func(name string) bool // whether a flag was given
}

func newRoot(t *terminal) *cobra.Command {
	c := &command{terminal: t}
	root := &cobra.Command{
		Use:   "mn",
		Short: "Run work on a mesh of machines that has no server",
		Long: `mn runs services and batch jobs on a few machines, and keeps them running when
one of them dies. Every machine runs "mn agent"; together they are the mesh. Any
of them takes any command.`,
		Example: `  mn dev                           # try it: a throwaway mesh on this machine
  mn mesh init && mn agent         # the first machine of a real one
  mn job run job.toml              # run a job
  mn job status hello              # where it runs`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
		PersistentPreRun: func(cmd *cobra.Command, _ []string) {
			c.flags = cmd.Flags().Changed
		},
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(t.in)
	root.SetOut(t.out)
	root.SetErr(t.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return misused(cmd, "%s", flagFault(err))
	})
	f := root.PersistentFlags()
	f.StringVar(&c.data, "data", "", "directory of the agent to use (MN_DATA)")
	f.StringVar(&c.addr, "addr", "", "peer to use: path of its socket or loopback host:port (MN_ADDR)")
	f.BoolVar(&c.asJSON, "json", false, "write JSON for scripts")
	root.AddCommand(c.jobCommand(), c.nodeCommand(), c.allocCommand(), c.logsCommand(),
		c.execCommand(), c.fsCommand(),
		c.eventsCommand(), c.whyCommand(), c.whatIfCommand(), c.reviewCommand(), c.limitCommand(), c.serviceCommand(),
		c.scheduleCommand(), c.triggerCommand(), c.eventCommand(), c.resourceCommand(), c.resultCommand(),
		c.queueCommand(), c.meshCommand(), c.agentCommand(), c.devCommand(),
		c.simCommand(), c.versionCommand(), c.debugCommand())
	refuseUnknownHelp(root)
	return root
}

// refuseUnknownHelp has help on a command that does not exist fail as that
// command does: the library's own answers with the usage, as if all were well.
func refuseUnknownHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	help, _, err := root.Find([]string{"help"})
	if err != nil {
		panic("the library has no help command: " + err.Error())
	}
	help.Example = "  mn help job run"
	help.Args = func(_ *cobra.Command, args []string) error {
		about, rest, err := root.Find(args)
		if err != nil {
			return err
		}
		return noSuchCommand(about, rest)
	}
}

// group is a command that only has commands below it.
func group(use, short string, below ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  noSuchCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(below...)
	return cmd
}

// noSuchCommand refuses an argument of a group, which is a mistyped command.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	f := mesh.Faultf(mesh.Invalid, "no command %q", cmd.CommandPath()+" "+args[0])
	cmd.SuggestionsMinimumDistance = 2
	for _, near := range cmd.SuggestionsFor(args[0]) {
		f.Hint("did you mean %q?", cmd.CommandPath()+" "+near)
	}
	return f.Hint("%s --help lists them", cmd.CommandPath())
}

// needs makes a check that there is one argument for each of names.
func needs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return misused(cmd, "%s is missing", strings.Join(names[len(args):], " "))
		case len(args) > len(names):
			return misused(cmd, "%q is one argument too many", args[len(names)])
		}
		return nil
	}
}

// atMost makes a check that there are no more arguments than names.
func atMost(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		return needs(names[:min(len(args), len(names))]...)(cmd, args)
	}
}

// atLeast makes a check that there is an argument for each name, and more of the last.
func atLeast(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		return needs(names...)(cmd, args[:min(len(args), len(names))])
	}
}

// misused is the error of a command that was called wrongly.
func misused(cmd *cobra.Command, format string, args ...any) error {
	return mesh.Faultf(mesh.Invalid, format, args...).
		Hint("usage: %s", cmd.UseLine()).
		Hint("%s --help says more", cmd.CommandPath())
}

// dataDir is the data directory that is meant.
func (c *command) dataDir() (string, error) {
	dir := c.data
	if dir == "" {
		dir = os.Getenv("MN_DATA")
	}
	if dir == "" && os.Getuid() == 0 {
		dir = "/var/lib/mn"
	}
	if dir == "" {
		base := os.Getenv("XDG_DATA_HOME")
		if base == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", mesh.Faultf(mesh.Invalid, "find the data directory: %v", err).
					Hint("give one with --data or MN_DATA")
			}
			base = filepath.Join(home, ".local", "share")
		}
		dir = filepath.Join(base, "mn")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find the data directory %q: %w", dir, err)
	}
	return abs, nil
}

// socketName is the name of an agent's socket in its data directory.
const socketName = "mn.sock"

// peer is the address of the peer to talk to. What is given as a flag is
// meant more than what is set in the environment.
func (c *command) peer() (string, error) {
	switch env := os.Getenv("MN_ADDR"); {
	case c.addr != "":
		return c.addr, nil
	case c.data == "" && env != "":
		return env, nil
	}
	dir, err := c.dataDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, socketName), nil
}

// client is a client of the peer to talk to.
func (c *command) client() (*api.Client, error) {
	addr, err := c.peer()
	if err != nil {
		return nil, err
	}
	return api.ClientOf(addr)
}

// sure asks whether a person is sure of what cannot be undone, unless they have said so.
func (c *command) sure(cmd *cobra.Command, yes bool, what string) error {
	if yes {
		return nil
	}
	if in, ok := c.in.(*os.File); ok && !isTerminal(in) {
		return misused(cmd, "%s: say that you are sure, with --yes", what)
	}
	fmt.Fprintf(c.err, "mn: %s. Do it? [y/N] ", what)
	answer, err := bufio.NewReader(c.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return mesh.Faultf(mesh.Conflict, "nothing was changed")
}

// ask is a command that asks a peer.
func (c *command) ask(
	run func(cmd *cobra.Command, client *api.Client, args []string) error,
) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		defer client.Close()
		return run(cmd, client, args)
	}
}

// show writes what get reads: once, or with watch again after every change.
func show[T any](
	c *command, ctx context.Context, again bool,
	get func(context.Context) (T, error), watch func(context.Context, func(T) error) error,
	render func(T),
) error {
	if !again {
		v, err := get(ctx)
		if err != nil {
			return err
		}
		return c.result(v, func() { render(v) })
	}
	first := true
	return watch(ctx, func(v T) error {
		if c.asJSON {
			return c.json(v, true)
		}
		switch {
		case c.colour:
			io.WriteString(direct(c.out), "\x1b[H\x1b[2J")
		case !first:
			c.printf("\n")
		}
		first = false
		render(v)
		return nil
	})
}

// result writes a result: as JSON, or as render does.
func (c *command) result(v any, render func()) error {
	if c.asJSON {
		return c.json(v, false)
	}
	render()
	return nil
}

// flagFault says what is wrong with a flag, in words that are not those of the library.
func flagFault(err error) string {
	var bad *pflag.InvalidValueError
	if !errors.As(err, &bad) {
		return err.Error()
	}
	want := "what it wants"
	switch kind := bad.GetFlag().Value.Type(); kind {
	case "bool":
		want = "true or false"
	case "int":
		want = "a whole number"
	case "uint", "uint64":
		want = "a whole number from 0"
	case "duration":
		want = "a duration such as 30s or 10m"
	}
	return fmt.Sprintf("--%s %q is not %s", bad.GetFlag().Name, bad.GetValue(), want)
}
