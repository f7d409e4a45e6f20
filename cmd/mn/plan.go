package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"mn/configs"
	"mn/mesh/api"
)

func (c *command) jobPlan() *cobra.Command {
	var with configs.Variables
	cmd := &cobra.Command{
		Use:   "plan FILE|DIR",
		Short: "Say what running a job would do, and do nothing",
		Long: `Say which copies would be placed where, which stopped and which kept, and give a
verdict: runnable_now; runnable_later, when it would fit if the mesh were empty, all
services were there that it needs, and it had nothing else to wait for; or not_runnable.
Of a job with [update] that is the first step, with how the version comes to run, and
what comes next.`,
		Example:           "  mn job plan job.toml\n  mn job plan job.toml --json | jq -r .verdict",
		Args:              needs("FILE"),
		ValidArgsFunction: jobFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			job, err := configs.ReadJob(args[0], with)
			if err != nil {
				return err
			}
			client, err := c.client()
			if err != nil {
				return err
			}
			defer client.Close()
			if job.Payload, _, err = c.look(cmd.Context(), args[0], job); err != nil {
				return err
			}
			plan, err := client.Plan(cmd.Context(), *job)
			if err != nil {
				return err
			}
			return c.result(plan, func() { c.showPlan(plan) })
		},
	}
	variableFlags(cmd, &with)
	return cmd
}

func (c *command) showPlan(p api.Plan) {
	c.field("job", "%s", p.ID)
	if p.Changed {
		c.field("version", "%d, new", p.Version)
	} else {
		c.field("version", "%d, as submitted", p.Version)
	}
	c.field("verdict", "%s", c.paint(stateColour(string(p.Verdict)), string(p.Verdict)))
	if p.How != "" {
		c.field("how", "%s", p.How)
	}
	c.field("keep", "%s", copies(p.Keep))
	if p.Next != "" {
		c.field("next", "%s", p.Next)
	}
	b := newTable("DO", "COPY", "NODE", "WHY")
	for _, s := range p.Stop {
		b.add("stop", copyIndex(s.Group, s.Index), s.Node, s.Reason)
	}
	for _, s := range p.Place {
		b.add("place", copyIndex(s.Group, s.Index), s.Node, s.Reason)
	}
	if len(b.rows) > 0 {
		c.printf("\n")
		c.table(b)
	}
	for _, w := range p.Waiting {
		c.printf("\n%s of group %s: %s\n", copies(w.Copies), w.Group, w.Reason)
	}
	for _, e := range p.Preempt {
		c.printf("\n%s of job %s on %s would be stopped to make room\n", copyIndex(e.Group, e.Index), e.Job, e.Node)
	}
	for _, blocked := range p.Blocked {
		what := fmt.Sprintf("%d of group %s fit on no node now", blocked.Copies, blocked.Group)
		if blocked.Copies == 0 { // of a job with a copy on each node that can run it
			what = fmt.Sprintf("no node can run a copy of group %s", blocked.Group)
		}
		if g := blocked.Gang; g != nil {
			what = fmt.Sprintf("there is room for %d of the gang's %d copies at once; then %s fits nowhere",
				g.Fit, g.Copies, copyIndex(g.Group, g.Index))
		}
		c.printf("\n%s:\n", what)
		c.table(whyTable(blocked.Nodes))
	}
}
