package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"mn/mesh/api"
)

var update = flag.Bool("update", false, "rewrite what scripts expect")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mn": main})
}

// The scripts tell what people type and see. Each talks to a fake agent.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			socket := filepath.Join(env.WorkDir, "mn.sock")
			l, err := net.Listen("unix", socket)
			if err != nil {
				return err
			}
			var backend api.Backend = newFake()
			if filepath.Base(env.WorkDir) == "script-schedule" {
				backend = scheduledFake{newFake()}
			}
			s, done := api.NewServer(backend), make(chan error, 1)
			go func() { done <- s.Serve(l, api.Socket) }()
			env.Defer(func() {
				if err := errors.Join(s.Close(), <-done); err != nil {
					t.Error(err)
				}
			})
			env.Setenv("MN_ADDR", socket)
			env.Setenv("HOME", env.WorkDir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// exits runs a command that must end with a certain exit code: exits 2 mn job.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		got = failed.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("got exit code %d, want %d", got, want)
	}
}

// Every command says what it does, and how it is used.
func TestEveryCommandIsDocumented(t *testing.T) {
	t.Setenv("MN_ADDR", "")
	root := newRoot(newTerminal(os.Stdin, os.Stdout, os.Stderr))
	manual, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, below := range cmd.Commands() {
			walk(below)
		}
		switch {
		case cmd.Short == "" || strings.HasSuffix(cmd.Short, "."):
			t.Errorf("%s: got the summary %q, want one without a full stop", cmd.CommandPath(), cmd.Short)
		case cmd.HasSubCommands() || cmd.Hidden || cmd.HasParent() && cmd.Parent().Hidden:
		case cmd.Example == "":
			t.Errorf("%s has no example", cmd.CommandPath())
		case !bytes.Contains(manual, []byte("`"+cmd.CommandPath())):
			t.Errorf("docs/cli.md does not have %q", cmd.CommandPath())
		case cmd.Args == nil:
			t.Errorf("%s does not check its arguments", cmd.CommandPath())
		}
	}
	walk(root)
}

// wire is a terminal that calls back with each thing written to it.
type wire func(string)

func (w wire) Write(b []byte) (int, error) {
	w(string(b))
	return len(b), nil
}

// serveFake serves a fake agent, and returns the path of its socket.
func serveFake(t *testing.T) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "mn.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s, done := api.NewServer(newFake()), make(chan error, 1)
	go func() { done <- s.Serve(l, api.Socket) }()
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), <-done); err != nil {
			t.Error(err)
		}
	})
	return socket
}

func TestAWatchGoesOnUntilInterrupted(t *testing.T) {
	for _, args := range [][]string{
		{"job", "status", "hello", "--watch"},
		{"node", "ls", "-w", "--json"},
		{"events", "-f", "-n", "9"},
	} {
		ctx, interrupt := context.WithCancel(t.Context())
		var complaint bytes.Buffer
		term := &terminal{in: os.Stdin, out: wire(func(string) { interrupt() }), err: &complaint}
		if code := term.run(ctx, append(args, "--addr", serveFake(t))); code != exitInterrupted {
			t.Errorf("%v: got exit code %d, want %d", args, code, exitInterrupted)
		}
		if complaint.Len() > 0 {
			t.Errorf("%v: got %q on stderr", args, &complaint)
		}
	}
}

func TestColoursDoNotMoveColumns(t *testing.T) {
	show := func(colour bool) string {
		var out bytes.Buffer
		term := &terminal{in: os.Stdin, out: &out, err: os.Stderr, colour: colour}
		if code := term.run(t.Context(), []string{"node", "ls", "--addr", serveFake(t)}); code != exitOK {
			t.Fatalf("got exit code %d", code)
		}
		return out.String()
	}
	plain, coloured := show(false), show(true)
	if plain == coloured {
		t.Fatal("got no colour")
	}
	for _, code := range []string{"\x1b[31m", "\x1b[32m", "\x1b[0m"} {
		coloured = strings.ReplaceAll(coloured, code, "")
	}
	if plain != coloured {
		t.Errorf("got\n%q\nwithout its colours, want\n%q", coloured, plain)
	}
}
