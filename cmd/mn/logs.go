package main

import (
	"bufio"
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"mn/mesh"
	"mn/mesh/api"
)

// followTail is how many lines of each copy come before what is followed.
const followTail = 10

func (c *command) logsCommand() *cobra.Command {
	var (
		follow bool
		tail   int
		alloc  string
		since  string
		times  bool
	)
	cmd := &cobra.Command{
		Use:   "logs JOB[/TASK]",
		Short: "Read what the copies of a job wrote, from any peer",
		Long: `Read what all copies of a job, or of one of its tasks, wrote to stdout and stderr,
wherever they run. Each line begins with task[index]@node.

Without -f, all that is kept is shown, by when it was written, to a second, by the
clocks of the nodes where it was; with it, the last ten lines of each copy and then what
is written, by copies that start later too. --tail N shows the last N lines of each task
of each copy, stdout and stderr together, in either case, and --since those that were
begun since then.`,
		Example: "  mn logs hello -f\n  mn logs shop/web --tail 100\n" +
			"  mn logs shop --since 10m -t\n  mn logs hello --json | jq -r .line",
		Args:              needs("JOB"),
		ValidArgsFunction: c.complete(jobNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			job, task, _ := strings.Cut(args[0], "/")
			switch {
			case !cmd.Flags().Changed("tail") && follow && since == "":
				tail = followTail
			case !cmd.Flags().Changed("tail"):
				tail = -1
			case tail < 0:
				return misused(cmd, "--tail %d is less than none", tail)
			}
			r := api.LogsRequest{
				Job: mesh.JobID(job), Task: task, Alloc: mesh.AllocID(alloc), Tail: tail, Times: times, Follow: follow,
			}
			var err error
			if since != "" {
				if r.Since, err = sinceTime(cmd, since); err != nil {
					return err
				}
			}
			client, err := c.client()
			if err != nil {
				return err
			}
			defer client.Close()
			p := printer{terminal: c.terminal, out: bufio.NewWriter(c.out)}
			lines := 0
			err = p.close(client.Logs(cmd.Context(), r, func(l api.LogLine) error {
				lines++
				if c.asJSON {
					return c.json(l, true)
				}
				return p.line(l, times, follow)
			}))
			return c.sayWhoWrites(cmd.Context(), client, r.Job, lines, err)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&follow, "follow", "f", false, "go on with what is written")
	f.IntVar(&tail, "tail", 0, "only the last lines of each copy")
	f.StringVar(&since, "since", "", "only lines since then: 10m ago, or a time like 2026-11-23T09:00:00Z")
	f.BoolVarP(&times, "timestamps", "t", false, "begin each line with when it was written, if that is known")
	f.StringVar(&alloc, "alloc", "", "only of the copy with this id")
	_ = cmd.RegisterFlagCompletionFunc("alloc", c.completeFlag(allocIDs))
	return cmd
}

// sayWhoWrites says where to look of a job that wrote nothing as only runs of it have copies.
func (c *command) sayWhoWrites(ctx context.Context, client *api.Client, id mesh.JobID, lines int, err error) error {
	if err == nil && lines == 0 {
		c.sayWhoHas(ctx, client, id)
	}
	return err
}

// sayWhoHas says of a job of which only runs have copies where to look for those.
func (c *command) sayWhoHas(ctx context.Context, client *api.Client, id mesh.JobID) {
	if j, err := client.Job(ctx, id); err == nil && j.Template {
		c.say("job %q has no copies of its own, its runs have: mn schedule status %s lists them", id, id)
	}
}

// printer writes log lines, each after the name of who wrote it.
type printer struct {
	*terminal
	out   *bufio.Writer
	width int // of the longest name so far
}

func (p *printer) line(l api.LogLine, times, now bool) error {
	who := copyName(l.Task, l.Index, l.Node)
	if l.Task == "" { // of all copies there
		who = l.Node
	}
	if l.Stream == "mn" { // not of the task, but about its log
		p.say("%s: %s", who, l.Line)
		return nil
	}
	n := utf8.RuneCountInString(who)
	p.width = max(p.width, n)
	at := ""
	switch {
	case !l.At.IsZero():
		at = l.At.UTC().Format(time.RFC3339) + " "
	case times:
		at = strings.Repeat(" ", len(time.RFC3339)-len("07:00")+1)
	}
	name := who + strings.Repeat(" ", p.width-n) + " |"
	_, err := p.out.WriteString(at + p.paint(tintOf(who), name) + " " + l.Line + "\n")
	if now && err == nil {
		err = p.out.Flush()
	}
	return err
}

func (p *printer) close(err error) error { return errors.Join(err, p.out.Flush()) }
