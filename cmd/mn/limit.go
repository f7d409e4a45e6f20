package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"mn/mesh/api"
)

func (c *command) limitCommand() *cobra.Command {
	return group("limit", "See the limits that jobs share", c.limitList())
}

func (c *command) limitList() *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the limits that jobs share, and who has what of them",
		Long: `List the limits that jobs share, and who has what of them. A job shares one by its
limit key: at most so many copies run at once, of all jobs that name the same key.`,
		Example: "  mn limit ls --watch",
		Args:    needs(),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, _ []string) error {
			return show(c, cmd.Context(), watch, client.Limits, client.WatchLimits, c.showLimits)
		}),
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "show it again after every change")
	return cmd
}

func (c *command) showLimits(limits []api.Limit) {
	if len(limits) == 0 {
		c.printf("no job shares a limit\n")
		return
	}
	held := map[string]int{}
	for _, l := range limits {
		held[l.Key] += l.Held
	}
	b := newTable("LIMIT", "IN ALL", "JOB", "MAX", "RUNNING", "WAITING")
	for _, l := range limits {
		most := "-" // its current version does not name it
		if l.Max > 0 {
			most = fmt.Sprint(l.Max)
		}
		b.add(l.Key, held[l.Key], l.Job, most, l.Held, l.Waiting)
	}
	c.table(b)
}
