package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mn/configs"
	"mn/mesh"
	"mn/mesh/api"
)

func (c *command) jobExplain() *cobra.Command {
	var with configs.Variables
	cmd := &cobra.Command{
		Use:   "explain FILE|DIR|JOB",
		Short: "Say what happens to a job when something goes wrong",
		Long: `Say what happens when a task of a job fails, again and again, when its node is lost,
when the network splits, and when a new version comes: from the policies of a job file,
without an agent; or of a job, with what its copies have used up of them. What exists as
a file or folder, ends in .toml or has a slash in it is taken for a file.`,
		Example:           "  mn job explain train.toml\n  mn job explain train",
		Args:              needs("FILE|JOB"),
		ValidArgsFunction: c.complete(jobNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if isFile(args[0]) {
				job, err := configs.ReadJob(args[0], with)
				if err != nil {
					return err
				}
				return c.showExplanation(api.Explanation{Forecast: mesh.ForecastOf(job), Copies: []api.CopyCount{}})
			}
			client, err := c.client()
			if err != nil {
				return err
			}
			defer client.Close()
			e, err := client.Explain(cmd.Context(), mesh.JobID(args[0]))
			if err != nil {
				return err
			}
			return c.showExplanation(e)
		},
	}
	variableFlags(cmd, &with)
	return cmd
}

// isFile says whether an argument means a job file, not a job.
func isFile(arg string) bool {
	_, err := os.Stat(arg)
	return err == nil || strings.HasSuffix(arg, ".toml") || strings.ContainsRune(arg, filepath.Separator)
}

func (c *command) showExplanation(e api.Explanation) error {
	return c.result(e, func() {
		c.field("job", "%s (%s), recovery mode %q", e.Job, e.Type, e.Mode)
		if e.Due != "" {
			c.field("runs", "%s", e.Due)
		}
		if e.Begins != "" {
			c.field("begins", "%s", e.Begins)
		}
		c.field("fails if", "%s", e.Fails)
		same := !slices.ContainsFunc(e.Tasks, func(t mesh.TaskForecast) bool {
			return !slices.Equal(t.Then, e.Tasks[0].Then)
		})
		for i, t := range e.Tasks {
			switch {
			case !same:
				c.showSteps("task "+t.Task, t.Then)
			case i == 0:
				c.showSteps("then", t.Then)
			}
		}
		c.perTask("ended", e.Tasks, func(t mesh.TaskForecast) string { return t.Ended })
		c.perTask("idle", e.Tasks, func(t mesh.TaskForecast) string { return t.Idle })
		if e.TimesOut != "" {
			c.field("timed out", "%s", e.TimesOut)
		}
		c.field("node lost", "%s", e.NodeLost)
		c.field("split", "%s", e.Partition)
		if e.Update != "" {
			c.field("new version", "%s", e.Update)
		}
		if len(e.Copies) == 0 {
			return
		}
		c.printf("\n")
		b := newTable("ID", "TASK", "INDEX", "NODE", "STATUS", "RESTARTS", "MOVES", "NEXT")
		for _, n := range e.Copies {
			b.add(n.ID, n.Task, n.Index, n.Node, state(n.Status), used(n.Restarts), used(n.Moves), next(&n))
		}
		c.table(b)
	})
}

// next is what follows for a copy, and when, if that is known: "restarts here (in 9s)".
func next(n *api.CopyCount) string {
	if n.NextAt == nil {
		return n.Next
	}
	return fmt.Sprintf("%s (in %v)", n.Next, mesh.Duration(max(time.Until(*n.NextAt), 0).Round(time.Second)))
}

// showPolicies lists what the copies of a job have used up of its policies, if they have of any,
// and what follows.
func (c *command) showPolicies(all []api.CopyCount) {
	b := newTable("COPY", "RESTARTS", "MOVES", "NEXT")
	for _, n := range all {
		if n.Restarts.Used > 0 || n.Moves.Used > 0 || n.NextAt != nil {
			b.add(copyName(n.Task, n.Index, n.Node), used(n.Restarts), used(n.Moves), next(&n))
		}
	}
	if len(b.rows) > 0 {
		c.printf("\n")
		c.table(b)
	}
}

// perTask writes what is said of tasks: once, if it is the same of all.
func (c *command) perTask(name string, tasks []mesh.TaskForecast, says func(mesh.TaskForecast) string) {
	same := !slices.ContainsFunc(tasks, func(t mesh.TaskForecast) bool { return says(t) != says(tasks[0]) })
	for i, t := range tasks {
		switch text := says(t); {
		case text == "":
		case !same:
			c.field(name, "task %s: %s", t.Task, text)
			name = ""
		case i == 0:
			c.field(name, "%s", text)
		}
	}
}

// showSteps writes what follows, a line for each step.
func (c *command) showSteps(name string, steps []string) {
	for _, s := range steps {
		c.field(name, "%s", s)
		name = ""
	}
}

// used is how much of a policy is used up: 2 of 3 in 10m.
func used(u api.Used) string {
	switch {
	case u.Unlimited:
		return fmt.Sprintf("%d in %v", u.Used, u.Interval)
	case u.Allowed == 0:
		return ""
	}
	return fmt.Sprintf("%d of %d in %v", u.Used, u.Allowed, u.Interval)
}
