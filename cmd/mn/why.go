package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mn/mesh"
	"mn/mesh/api"
)

func (c *command) whyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "why JOB",
		Short: "Explain where a job runs, or why it does not",
		Long: `Show for each group of a job what every node said to one more copy: which filter
refused it, or the score and what it is made of.`,
		Example:           "  mn why hello",
		Args:              needs("JOB"),
		ValidArgsFunction: c.complete(jobNames),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			why, err := client.Why(cmd.Context(), mesh.JobID(args[0]))
			if err != nil {
				return err
			}
			c.sayWhoHas(cmd.Context(), client, why.ID)
			return c.result(why, func() { c.showWhy(why) })
		}),
	}
}

func (c *command) showWhy(w api.Why) {
	c.field("job", "%s", w.ID)
	c.field("status", "%s", c.paint(stateColour(string(w.Status)), string(w.Status)))
	if w.Text != "" {
		c.field("reason", "%s", w.Text)
	}
	if g := w.Gang; g != nil {
		c.field("gang",
			"there is room for %d of its %d copies at once, and none starts before there is for all; "+
				"first missing is %s",
			g.Fit, g.Copies, copyIndex(g.Group, g.Index))
		c.field("", "what FITS says below is of one copy alone")
	}
	for _, g := range w.Groups {
		c.printf("\ngroup %s: %d of %d running, %s; each copy reserves %s\n",
			g.Group, g.Running, g.Count, g.Strategy, amounts(g.Resources))
		c.table(whyTable(g.Nodes))
	}
}

// amounts are resources in words, without those that are none.
func amounts(r mesh.Resources) string {
	var all []string
	if r.CPU > 0 {
		all = append(all, r.CPU.Words())
	}
	if r.Memory > 0 {
		all = append(all, fmt.Sprintf("%v of memory", r.Memory))
	}
	if r.Disk > 0 {
		all = append(all, fmt.Sprintf("%v of disk", r.Disk))
	}
	if len(all) == 0 {
		return "no cpu, memory or disk"
	}
	return strings.Join(all, ", ")
}

// whyTable is each node's part in a placement.
func whyTable(nodes []api.WhyNode) *table {
	b := newTable("NODE", "COPIES", "FITS", "SCORE", "WHY")
	for _, n := range nodes {
		if !n.Fits {
			b.add(n.Node, n.Copies, state("no"), "", refusal(n))
			continue
		}
		var terms []string
		for _, t := range n.Terms {
			terms = append(terms, fmt.Sprintf("%s %.2f", t.Name, t.Value))
		}
		b.add(n.Node, n.Copies, state("yes"), fmt.Sprintf("%.2f", n.Score), strings.Join(terms, ", "))
	}
	return b
}

// refusal is the filter's name and its reason, if that does not name it anyway.
func refusal(n api.WhyNode) string {
	if n.Filter == "" || strings.HasPrefix(n.Reason, n.Filter) {
		return n.Reason
	}
	return n.Filter + ": " + n.Reason
}

// copyIndex names a copy that has no node yet: web[2].
func copyIndex(group string, index int) string { return fmt.Sprintf("%s[%d]", group, index) }

// copies counts copies in words.
func copies(n int) string { return mesh.Counted(n, "copy", "copies") }
