package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mn/mesh/api"
)

func (c *command) queueCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "queue",
		Short: "List the jobs that wait for room, in whose turn, and for what",
		Long: `List the jobs that wait for room, in whose turn, and for what: by their priorities, then
by when they came. What one of them would fit into is left to it by those after it. A
gang waits beside the others. mn why JOB has each node.`,
		Example: "  mn queue\n  mn queue --json | jq -r '.[0].groups[].ends[].alloc'",
		Args:    needs(),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, _ []string) error {
			jobs, err := client.Queue(cmd.Context())
			if err != nil {
				return err
			}
			return c.result(jobs, func() { c.showQueue(jobs) })
		}),
	}
}

func (c *command) showQueue(jobs []api.QueuedJob) {
	if len(jobs) == 0 {
		c.printf("no job waits for room\n")
		return
	}
	b := newTable("TURN", "JOB", "PRIORITY", "GROUP", "COPIES", "SINCE", "WOULD FIT", "WHY")
	for _, j := range jobs {
		turn := "-"
		if j.Position > 0 {
			turn = fmt.Sprint(j.Position)
		}
		for _, g := range j.Groups {
			b.add(turn, j.Job, j.Priority, g.Group, g.Copies, ago(j.Since), wouldFit(g.Ends), g.Why)
		}
	}
	c.table(b)
}

// wouldFit says when one more copy fits.
func wouldFit(ends []api.Ending) string {
	var preempted, ending []string
	for _, e := range ends {
		text := fmt.Sprintf("%s of job %s on %s", copyIndex(e.Group, e.Index), e.Job, e.Node)
		if e.Preempts {
			preempted = append(preempted, text)
		} else {
			ending = append(ending, text)
		}
	}
	switch {
	case len(preempted) > 0:
		return "when " + strings.Join(preempted, " and ") + " has stopped for it"
	case len(ending) > 0:
		return "when " + strings.Join(ending, " and ") + " has ended"
	}
	return ""
}
