package main

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mn/mesh"
	"mn/mesh/api"
)

func (c *command) allocCommand() *cobra.Command {
	return group("alloc", "See the placed copies of jobs", c.allocList(), c.allocStatus())
}

func (c *command) allocList() *cobra.Command {
	var (
		again bool
		r     api.AllocsRequest
		job   string
	)
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List the placed copies, with a line for each task",
		Example: "  mn alloc ls --node box-1\n  mn alloc ls --job hello --all",
		Args:    needs(),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, _ []string) error {
			r.Job = mesh.JobID(job)
			return show(c, cmd.Context(), again,
				func(ctx context.Context) ([]api.Alloc, error) { return client.Allocs(ctx, r) },
				func(ctx context.Context, each func([]api.Alloc) error) error {
					return client.WatchAllocs(ctx, r, each)
				},
				func(allocs []api.Alloc) { c.showAllocs(allocs, r.All) })
		}),
	}
	f := cmd.Flags()
	f.StringVar(&job, "job", "", "only of this job")
	f.StringVar(&r.Node, "node", "", "only on this node")
	f.BoolVar(&r.All, "all", false, "those that have ended, too, also if they were replaced")
	_ = cmd.RegisterFlagCompletionFunc("job", c.completeFlag(jobNames))
	_ = cmd.RegisterFlagCompletionFunc("node", c.completeFlag(nodeNames))
	watchFlag(cmd, &again)
	return cmd
}

// showAllocs lists copies of many jobs: those that have not ended, and only with all the others,
// which come last.
func (c *command) showAllocs(allocs []api.Alloc, all bool) {
	lives := map[mesh.AllocID]bool{}
	for _, a := range allocs {
		lives[a.ID] = lives[a.ID] || !mesh.AllocState(a.Status).Final()
	}
	rows := slices.Clone(allocs)
	slices.SortStableFunc(rows, func(a, b api.Alloc) int {
		switch {
		case lives[a.ID] == lives[b.ID]:
			return 0
		case lives[a.ID]:
			return -1
		}
		return 1
	})
	over := 0
	for _, alive := range lives {
		if !alive {
			over++
		}
	}
	if !all && over > 0 {
		rows = slices.DeleteFunc(rows, func(a api.Alloc) bool { return !lives[a.ID] })
	}
	if len(rows) > 0 || over == 0 {
		c.table(c.allocTable(rows, true))
	}
	switch {
	case all || over == 0:
	case len(rows) == 0:
		c.printf("%s, and all have ended (--all)\n", copies(over))
	default:
		c.printf("and %d that have ended (--all)\n", over)
	}
}

// apart says whether a copy stands beside those that are used.
func apart(s mesh.Standing) bool { return s != "" && s != mesh.Primary }

// usual is the reason of most copies, which says nothing.
var usual = regexp.MustCompile(`^version [0-9]+ wants it$`)

// placeOf is a copy's index, and of an array that of it.
func placeOf(a *api.Alloc) string {
	if a.ArrayIndex == nil {
		return strconv.Itoa(a.Index)
	}
	return fmt.Sprintf("%d (%d)", a.Index, *a.ArrayIndex)
}

// allocTable lists copies, of many jobs or of one.
func (c *command) allocTable(allocs []api.Alloc, jobs bool) *table {
	index := "INDEX"
	if slices.ContainsFunc(allocs, func(a api.Alloc) bool { return a.ArrayIndex != nil }) {
		index = "INDEX (ARRAY)"
	}
	head := []string{"ID", "TASK", index, "NODE", "STATUS", "PID", "RESTARTS", "STARTED", "EXIT", "REASON"}
	if jobs {
		head = append([]string{"ID", "JOB"}, head[1:]...)
	}
	roles := slices.ContainsFunc(allocs, func(a api.Alloc) bool { return apart(a.Role) })
	if roles {
		head = slices.Insert(head, len(head)-1, "ROLE")
	}
	b := newTable(head...)
	for i := range allocs {
		a := &allocs[i]
		row := []any{a.ID}
		if jobs {
			row = append(row, a.Job)
		}
		exit := ""
		if a.ExitCode != nil {
			exit = strconv.Itoa(*a.ExitCode)
		}
		row = append(row, taskName(a.Task, a.Lifecycle), placeOf(a), a.Node, state(a.Status), number(a.PID),
			a.Restarts, ago(a.StartedAt), exit)
		if roles {
			row = append(row, state(string(a.Role)))
		}
		b.add(append(row, cmp.Or(a.Trouble, usual.ReplaceAllString(rounded(a.Reason), "")))...)
	}
	return b
}

// taskName is a task's name in a list: "setup (prestart)".
func taskName(name string, l mesh.Lifecycle) string {
	if l == "" {
		return name
	}
	return fmt.Sprintf("%s (%s)", name, l)
}

func (c *command) allocStatus() *cobra.Command {
	var again bool
	cmd := &cobra.Command{
		Use:               "status ID",
		Short:             "Show a placed copy",
		Long:              "Show a placed copy. ID is its id, or the beginning of it.",
		Example:           "  mn alloc status k3vx",
		Args:              needs("ID"),
		ValidArgsFunction: c.complete(allocIDs),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			id := mesh.AllocID(args[0])
			return show(c, cmd.Context(), again,
				func(ctx context.Context) (api.AllocDetail, error) { return client.Alloc(ctx, id) },
				func(ctx context.Context, each func(api.AllocDetail) error) error {
					return client.WatchAlloc(ctx, id, each)
				}, c.showAlloc)
		}),
	}
	watchFlag(cmd, &again)
	return cmd
}

func (c *command) showAlloc(a api.AllocDetail) {
	c.field("allocation", "%s", a.ID)
	c.field("copy", "%s of job %s version %d", copyIndex(a.Group, a.Index), a.Job, a.Version)
	c.field("node", "%s (%s)", a.Node, a.NodeID)
	c.field("status", "%s, should %s", c.paint(stateColour(a.Status), a.Status), a.Want)
	if apart(a.Role) {
		c.field("role", "%s of version %d, which is not promoted", c.paint(yellow, string(a.Role)), a.Version)
	}
	if a.Reason != "" {
		c.field("reason", "%s", rounded(a.Reason))
	}
	if a.Replaces != "" {
		c.field("replaces", "%s (generation %d)", a.Replaces, a.Generation)
	}
	placed := a.PlacedAt
	degraded := ""
	if a.Degraded {
		degraded = ", without a majority of voters"
	}
	c.field("placed", "%s by %s, fence %s%s", ago(&placed), a.Coordinator, fence(a.Fence), degraded)
	c.field("reserves", "%s", amounts(a.Resources))
	c.showGrants(a.Grants)
	c.printf("\n")
	b := newTable("TASK", "STATUS", "PID", "RESTARTS", "STARTED", "FINISHED", "EXIT", "REASON")
	for _, t := range a.Tasks {
		exit := ""
		if t.ExitCode != nil {
			exit = strconv.Itoa(*t.ExitCode)
		}
		b.add(taskName(t.Task, t.Lifecycle), state(t.Status), number(t.PID), t.Restarts, ago(t.StartedAt),
			ago(t.FinishedAt), exit, rounded(t.Reason))
	}
	c.table(b)
	if len(a.Services) > 0 {
		c.printf("\n")
		c.showServices(a.Services, &api.ServicesRequest{All: true})
	}
	for _, t := range a.Tasks {
		if t.Trouble != "" {
			c.field("trouble", "task %s: %s", t.Task, t.Trouble)
		}
		if t.IdleSince != nil {
			c.field("idle", "task %s uses its devices for nothing since %s", t.Task, ago(t.IdleSince))
		}
		c.showLeft("outputs", t.Task, t.Outputs)
		c.showLeft("log", t.Task, t.Log)
	}
	for _, t := range a.Tasks {
		if k := t.Checkpoint; k != nil {
			c.printf("\n")
			c.field("checkpoint", "%d of task %s, %v, %s, on %s",
				k.Number, t.Task, k.Bytes, ago(&k.At), strings.Join(k.Nodes, ", "))
			if k.Label != "" {
				c.field("it says", "%s", k.Label)
			}
			if t.FinishedAt == nil {
				c.field("at risk", "%s", atRisk(&t))
			}
		}
	}
}

// showGrants says which ports and devices a copy was given.
func (c *command) showGrants(g mesh.Grants) {
	for _, p := range g.Ports {
		c.field("port", "%s of task %s: %d/%s", p.Label, p.Task, p.Number, p.Protocol.Transport())
	}
	for _, d := range g.Devices {
		for _, given := range d.Given {
			part := ""
			if given.Part > 0 {
				part = fmt.Sprintf(", %v of its memory", given.Part)
			}
			c.field("device", "%s of task %s%s", given.ID, d.Task, part)
		}
	}
}

// showLeft says what is kept of a task, and by whom.
func (c *command) showLeft(what, task string, l *api.Left) {
	switch {
	case l == nil:
	case l.Fault != "":
		c.field(what, "of task %s: none is kept: %s", task, l.Fault)
	default:
		c.field(what, "of task %s: %v kept %s on %s", task, l.Bytes, ago(l.At), strings.Join(l.Nodes, ", "))
	}
}

// atRisk is how much work a task that is saved may lose.
func atRisk(t *api.TaskDetail) string {
	since := func(k *api.Checkpoint) mesh.Duration {
		return mesh.Duration(max(time.Since(k.At), 0).Round(time.Second))
	}
	switch text := fmt.Sprintf("at most %v of work", since(t.Checkpoint)); {
	case t.Kept == nil:
		return text + "; all of it if its node is lost, as no other has a checkpoint yet"
	case t.Kept.Number < t.Checkpoint.Number:
		return text + fmt.Sprintf("; %v if its node is lost", since(t.Kept))
	default:
		return text
	}
}
