package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"mn/mesh"
	"mn/mesh/api"
)

// eventsTail is how many events are shown if nothing is said about it.
const eventsTail = 100

// eventFlags are the flags of the commands that show events.
type eventFlags struct {
	node, since, after string
	kinds              []string
	last               int
	follow             bool
}

const eventsHelp = `Each line says when, which node saw or decided it, what kind of thing it is, what it
is about, and why; decisions with the fence under which they were taken. A node keeps
the last few thousand, over restarts of its agent.

The last 100 are shown, or as many as -n says; with --since, all from then on. With
-f it goes on with what happens. --kind takes a kind, or the first word of some: task
is task_started, task_exited and others. --node takes what a node saw and what is
about it.

Each line of --json has a cursor: --after goes on behind that line, on every node,
with all that the stream has not had, whatever was restarted meanwhile. What is gone
by then is said by a line of kind gap. A node that cannot be asked is named in a
warning, and asked again while -f goes on.`

func (c *command) eventsCommand() *cobra.Command {
	var job string
	cmd := c.eventsOf(&cobra.Command{
		Use:   "events",
		Short: "Show what happened in the mesh, and follow it",
		Long:  "Show what all nodes in sight have seen and decided, by time.\n\n" + eventsHelp,
		Example: "  mn events -f\n  mn events --job hello --kind task --since 10m\n" +
			"  mn events --after \"$CURSOR\" --json | jq -r .text",
		Args: needs(),
	}, func([]string) mesh.JobID { return mesh.JobID(job) })
	cmd.Flags().StringVar(&job, "job", "", "only about this job")
	_ = cmd.RegisterFlagCompletionFunc("job", c.completeFlag(jobNames))
	return cmd
}

func (c *command) jobEvents() *cobra.Command {
	return c.eventsOf(&cobra.Command{
		Use:               "events JOB",
		Short:             "Show what happened to a job, and follow it",
		Long:              "Show what all nodes in sight have seen and decided about a job, by time.\n\n" + eventsHelp,
		Example:           "  mn job events hello\n  mn job events hello -f --json",
		Args:              needs("JOB"),
		ValidArgsFunction: c.complete(jobNames),
	}, func(args []string) mesh.JobID { return mesh.JobID(args[0]) })
}

// eventsOf makes cmd show events; job says of which job, or "" for all.
func (c *command) eventsOf(cmd *cobra.Command, job func(args []string) mesh.JobID) *cobra.Command {
	var f eventFlags
	cmd.RunE = c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
		r, err := f.request(cmd)
		if err != nil {
			return err
		}
		r.Job = job(args)
		return c.showEvents(cmd, client, r)
	})
	flags := cmd.Flags()
	flags.BoolVarP(&f.follow, "follow", "f", false, "go on with what happens")
	flags.IntVarP(&f.last, "last", "n", eventsTail, "only the last of them")
	flags.StringVar(&f.node, "node", "", "only what this node saw, or is about it")
	flags.StringSliceVar(&f.kinds, "kind", nil, "only of this kind; can be given more than once")
	flags.StringVar(&f.since, "since", "", "only since then: 10m ago, or a time like 2026-11-23T09:00:00Z")
	flags.StringVar(&f.after, "after", "", "go on after the line with this cursor")
	_ = cmd.RegisterFlagCompletionFunc("node", c.completeFlag(nodeNames))
	_ = cmd.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions(kindNames(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func kindNames() []string {
	var names []string
	for _, k := range mesh.EventKinds {
		names = append(names, string(k))
	}
	return names
}

// request is what the flags ask for.
func (f *eventFlags) request(cmd *cobra.Command) (r api.EventsRequest, err error) {
	given := cmd.Flags().Changed
	r = api.EventsRequest{Node: f.node, Kinds: f.kinds, Tail: f.last, Follow: f.follow}
	switch {
	case given("after") && (given("since") || given("last")):
		return r, misused(cmd, "--after says where to begin, and so do --since and -n")
	case given("last") && (f.last < 0 || f.last > api.EventsTailMax):
		return r, misused(cmd, "-n %d is not between 0 and %d", f.last, api.EventsTailMax)
	case given("after"):
		r.After, err = api.ParseCursor(f.after)
	case given("since"):
		if r.Since, err = sinceTime(cmd, f.since); !given("last") {
			r.Tail = -1
		}
	}
	return r, err
}

// sinceTime is the time that text names, or that is as long ago.
func sinceTime(cmd *cobra.Command, text string) (time.Time, error) {
	var ago mesh.Duration
	if ago.UnmarshalText([]byte(text)) == nil && ago >= 0 {
		return time.Now().Add(-ago.Std()).UTC(), nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.UTC(), nil
	}
	return time.Time{}, misused(cmd,
		"--since %q is neither a duration like 10m nor a time like 2026-11-23T09:00:00Z", text)
}

// showEvents writes the events that r asks for.
func (c *command) showEvents(cmd *cobra.Command, client *api.Client, r api.EventsRequest) error {
	p := eventPrinter{about: eventAboutWidth}
	shown := 0
	warned := map[string]bool{} // since the last line: what is filtered out may have many gaps
	err := client.Events(cmd.Context(), r, func(l api.EventLine) error {
		if l.Kind == api.EventUnasked || l.Kind == api.EventGap && !c.asJSON {
			if text := l.Node + ": " + l.Text; !warned[text] {
				warned[text] = true
				c.say("warning: %s", text)
			}
			return nil
		}
		shown++
		clear(warned)
		if c.asJSON {
			return c.json(l, true)
		}
		p.print(c.terminal, l)
		return nil
	})
	if err == nil && shown == 0 {
		c.say("nothing that is still known has happened, of what was asked for")
	}
	return err
}

// eventPrinter writes events in columns, which grow with what comes.
type eventPrinter struct{ node, about int }

func (p *eventPrinter) print(t *terminal, l api.EventLine) {
	about := eventSubject(&l)
	text := rounded(eventText(&l, about))
	p.node = max(p.node, utf8.RuneCountInString(l.Node))
	p.about = max(p.about, utf8.RuneCountInString(about))
	fence := ""
	if l.Fence != "" {
		fence = t.paint(faint, " (fence "+l.Fence+")")
	}
	line := fmt.Sprintf("%s  %s  %s  %s  %s%s", t.paint(faint, l.At.Local().Format("Jan _2 15:04:05.000")),
		t.paint(tintOf(l.Node), padded(l.Node, p.node)),
		t.paint(eventColour(l.Kind), padded(string(l.Kind), eventKindWidth)),
		padded(about, p.about), text, fence)
	t.printf("%s\n", strings.TrimRight(line, " "))
}

// The widths of columns: of the longest kind, and of most things that events are about.
const (
	eventKindWidth  = len(mesh.NodeMaintenanceDisabled)
	eventAboutWidth = 26
)

// eventText is what an event says, without the node's name that is in the column before.
func eventText(l *api.EventLine, about string) string {
	rest, named := strings.CutPrefix(l.Text, about)
	if !named || about != l.Peer {
		return l.Text
	}
	for _, after := range []string{": ", ", ", "; "} {
		if text, is := strings.CutPrefix(rest, after); is {
			return text
		}
	}
	if rest == "" {
		return ""
	}
	return l.Text
}

func padded(s string, n int) string {
	return s + strings.Repeat(" ", max(n-utf8.RuneCountInString(s), 0))
}

// eventSubject is what an event is about: the job and copy, and the node, if
// it is another than the one that saw it.
func eventSubject(l *api.EventLine) string {
	about := string(l.Job)
	if l.Alloc != "" {
		about += "/" + string(l.Alloc)
	}
	switch {
	case about == "" && l.Peer != "":
		return l.Peer
	case about != "" && l.Peer != "" && l.PeerID != l.NodeID:
		return about + "@" + l.Peer
	case about == "":
		return "-"
	}
	return about
}

// eventColour is that of a kind: by whether it is good news.
func eventColour(k mesh.EventKind) colour {
	switch k {
	case mesh.NodeJoined, mesh.NodeAdmitted, mesh.AllocPlaced, mesh.TaskStarted, mesh.TaskAdopted:
		return green
	case mesh.NodeLeft, mesh.AllocRefused, mesh.AllocBlocked, mesh.AllocReplaced, mesh.AllocStopped,
		mesh.TaskExited, mesh.TaskRestarting, mesh.LeaseLost, mesh.MajorityChanged, mesh.LeadChanged:
		return yellow
	case mesh.NodeLost, mesh.NodeEvicted, mesh.NodeForgotten, mesh.NodeOut, mesh.ClockRefused, mesh.RecordRefused,
		mesh.AllocFailed, mesh.TaskFailed:
		return red
	}
	return plain
}
