package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"mn/mesh"
	"mn/mesh/api"
	"mn/runner/files"
	"mn/runner/frames"
)

func (c *command) execCommand() *cobra.Command {
	var (
		tty  bool
		from copyFlags
	)
	cmd := &cobra.Command{
		Use:   "exec JOB[/TASK] -- CMD [ARG]...",
		Short: "Run a command within a task that runs, from any peer",
		Long: `Run a command where a task of a job runs, whatever node that is on: as the task's
user, in its folder, with its environment, under its limits, and with no more rights
than it has.

The command has a terminal if this one is one; -t gives it one anyway, and -t=false
never does: then its stdout and stderr stay apart. It ends with the task, and when
mn does, and all that it has started with it. The exit code is that of the command:
128 and the number of the signal if one has ended it.

Without --index or --alloc it is in the first copy that runs.`,
		Example: "  mn exec hello -- sh\n  mn exec shop/web --index 1 -- ps aux\n" +
			"  mn exec train -- cat metrics.json | jq .loss",
		Args:              needsCommand,
		ValidArgsFunction: c.complete(jobNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := c.client()
			if err != nil {
				return err
			}
			defer client.Close()
			job, task, _ := strings.Cut(args[0], "/")
			r := api.ExecRequest{
				Job: mesh.JobID(job), Task: task, Alloc: mesh.AllocID(from.alloc), Index: from.index, Command: args[1:],
			}
			in, out := terminalOf(c.in), terminalOf(c.out)
			if r.Terminal = tty || !cmd.Flags().Changed("tty") && in != nil && out != nil; !r.Terminal {
				in = nil
			}
			if r.Terminal {
				r.Term = os.Getenv("TERM")
				r.Rows, r.Columns = sizeOf(out)
			}
			return c.converse(cmd.Context(), client, r, in)
		},
	}
	cmd.Flags().BoolVarP(&tty, "tty", "t", false, "give the command a terminal; it has one by itself if this is one")
	c.copyFlags(cmd, &from)
	return cmd
}

// needsCommand checks that there are a job and a command.
func needsCommand(cmd *cobra.Command, args []string) error {
	switch dash := cmd.ArgsLenAtDash(); {
	case len(args) == 0 || dash == 0:
		return misused(cmd, "JOB is missing")
	case len(args) == 1 || args[1] == "":
		return misused(cmd, "CMD is missing")
	case dash > 1:
		return misused(cmd, "%q is one argument too many before --", args[1])
	}
	return nil
}

// copyFlags say which copy of a job is meant.
type copyFlags struct{ alloc, index string }

func (c *command) copyFlags(cmd *cobra.Command, f *copyFlags) {
	cmd.Flags().StringVar(&f.alloc, "alloc", "", "the copy with this id")
	cmd.Flags().StringVar(&f.index, "index", "", "the copy with this index in its group")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if f.alloc != "" && f.index != "" {
			return misused(cmd, "--alloc and --index both say which copy: give one")
		}
		return nil
	}
	_ = cmd.RegisterFlagCompletionFunc("alloc", c.completeFlag(allocIDs))
	_ = cmd.RegisterFlagCompletionFunc("index", cobra.NoFileCompletions)
}

// terminalOf is a stream as a terminal, or nil if it is none.
func terminalOf(stream any) *os.File {
	if w, ok := stream.(io.Writer); ok {
		stream = direct(w)
	}
	if f, ok := stream.(*os.File); ok && isTerminal(f) {
		return f
	}
	return nil
}

// sizeOf is the size of a terminal; nobody knows that of none.
func sizeOf(f *os.File) (rows, columns int) {
	if f == nil {
		return 0, 0
	}
	columns, rows, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0, 0
	}
	return rows, columns
}

// converse runs a command within a task, and is between it and the streams of this
// process. What is typed at tty, if it is not nil, is all the command's.
func (c *command) converse(ctx context.Context, client *api.Client, r api.ExecRequest, tty *os.File) error {
	conn, err := client.Exec(ctx, r)
	if err != nil {
		return err
	}
	defer conn.Close()
	if tty != nil {
		before, err := term.MakeRaw(int(tty.Fd()))
		if err != nil {
			return mesh.Faultf(mesh.Internal, "take over the terminal: %v", err)
		}
		defer term.Restore(int(tty.Fd()), before) //nolint:errcheck // nothing else can be done
	}
	s := &speaker{conn: conn, room: make(chan struct{}, frames.InputsMax)}
	go s.pass(c.in)
	if size := terminalOf(c.out); r.Terminal && size != nil {
		changed := make(chan os.Signal, 1)
		signal.Notify(changed, syscall.SIGWINCH)
		defer signal.Stop(changed)
		go s.resize(ctx, size, changed)
	}
	err = c.listen(conn, s)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// speaker says things to a command.
type speaker struct {
	conn io.Writer
	mu   sync.Mutex
	room chan struct{} // holds one for each input that was not taken yet
}

func (s *speaker) say(kind frames.Kind, payload []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return frames.Write(s.conn, kind, payload)
}

// pass passes on what comes in. Who listens hears if it cannot.
func (s *speaker) pass(in io.Reader) {
	buf := make([]byte, frames.PayloadMax)
	for {
		n, err := in.Read(buf)
		if n > 0 {
			s.room <- struct{}{}
			if s.say(frames.Input, buf[:n]) != nil {
				return
			}
		}
		if err != nil {
			_ = s.say(frames.Closed, nil)
			return
		}
	}
}

// resize passes on each new size of the terminal.
func (s *speaker) resize(ctx context.Context, tty *os.File, changed <-chan os.Signal) {
	for {
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
		rows, columns := sizeOf(tty)
		if s.say(frames.Size, []byte{byte(rows >> 8), byte(rows), byte(columns >> 8), byte(columns)}) != nil {
			return
		}
	}
}

// listen writes what a command says, until it ends: the error is its exit code.
func (c *command) listen(conn io.Reader, s *speaker) error {
	from := frames.NewReader(conn)
	for {
		kind, payload, err := from.Next()
		if err != nil {
			return mesh.Faultf(mesh.Unavailable, "the connection broke before the command had ended: %v", err).
				Hint("the command was ended with it")
		}
		switch kind {
		case frames.Stdout:
			_, err = direct(c.out).Write(payload)
		case frames.Stderr:
			_, err = direct(c.err).Write(payload)
		case frames.Taken:
			select {
			case <-s.room:
			default:
				return errNonsense
			}
		case frames.Exit:
			code, err := strconv.ParseUint(string(payload), 10, 8)
			if err != nil {
				return errNonsense
			}
			if code == 0 {
				return nil
			}
			return exitCode(code)
		case frames.Failed:
			return mesh.Faultf(mesh.Unavailable, "%s", files.Said(string(payload)))
		default:
			return errNonsense
		}
		if err != nil {
			return err
		}
	}
}

var errNonsense = errors.New("what came from the command makes no sense")
