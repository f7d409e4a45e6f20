package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mn/mesh"
	"mn/mesh/api"
)

// suppositions are the flags that say what might happen, each by nodes.
var suppositions = []string{"lose", "drain", "partition"}

func (c *command) whatIfCommand() *cobra.Command {
	var r api.WhatIfRequest
	var partition string
	cmd := &cobra.Command{
		Use:   "whatif --lose NODE,...|--drain NODE|--partition NODE,.../NODE,...",
		Short: "Say what would move, wait or not fit if nodes were lost, drained or cut off",
		Long: `Say what would become of each copy that it is about, by the plans that the mesh would
make, and change nothing.

--lose: the nodes are lost for good, and all the time has passed that anybody waits.
--drain: people drain the node. Batch work is still there; it moves at the deadline.
--partition: the sides do not see each other. Nodes that are not named are one more
side. Each side's plan is shown; that of the side with a majority of the voters counts.`,
		Example: "  mn whatif --lose box-3\n" +
			"  mn whatif --drain box-3 --json | jq '.sides[0].counts'\n" +
			"  mn whatif --partition box-1,box-2/box-3",
		Args: needs(),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, _ []string) error {
			given := 0
			for _, name := range suppositions {
				if c.flags(name) {
					given++
				}
			}
			if given != 1 {
				return misused(cmd, "say one of --lose, --drain and --partition")
			}
			if partition != "" {
				for side := range strings.SplitSeq(partition, "/") {
					r.Partition = append(r.Partition, strings.Split(side, ","))
				}
			}
			w, err := client.WhatIf(cmd.Context(), r)
			if err != nil {
				return err
			}
			return c.result(w, func() { c.showWhatIf(w) })
		}),
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&r.Lose, "lose", nil, "these nodes are lost for good")
	flags.StringVar(&r.Drain, "drain", "", "this node is drained")
	flags.StringVar(&partition, "partition", "", "these sides do not see each other: a,b/c")
	for _, name := range suppositions {
		_ = cmd.RegisterFlagCompletionFunc(name, c.completeFlag(nodeNames))
	}
	return cmd
}

func (c *command) showWhatIf(w api.WhatIf) {
	for i, s := range w.Sides {
		if i > 0 {
			c.printf("\n")
		}
		has := "a majority of the voters"
		if !s.Majority {
			has = "no majority of the voters: each job's on_partition decides"
		}
		c.field("in sight", "%s", strings.Join(s.Nodes, ", "))
		c.field("has", "%s", has)
		if len(s.Copies) > 0 {
			b := newTable("JOB", "COPY", "FROM", "BECOMES", "TO", "WHY")
			for _, o := range s.Copies {
				b.add(o.Job, copyIndex(o.Group, o.Index), o.Node, state(string(o.Becomes)), o.To, o.Reason)
			}
			c.printf("\n")
			c.table(b)
			c.printf("\n")
		}
		c.printf("%s\n", counted(s.Counts))
	}
}

// counted is what becomes of how many: "3 move, 1 waits".
func counted(counts map[mesh.Becoming]int) string {
	words := map[mesh.Becoming][2]string{
		mesh.Moves:        {"moves", "move"},
		mesh.StartsBeside: {"starts beside", "start beside"},
		mesh.Stays:        {"stays", "stay"},
		mesh.Waits:        {"waits", "wait"},
		mesh.NoRoom:       {"does not fit", "do not fit"},
		mesh.ForReview:    {"is paused for review", "are paused for review"},
		mesh.Ends:         {"stops", "stop"},
	}
	var parts []string
	for _, b := range mesh.Becomings {
		switch n := counts[b]; n {
		case 0:
		case 1:
			parts = append(parts, "1 "+words[b][0])
		default:
			parts = append(parts, fmt.Sprintf("%d %s", n, words[b][1]))
		}
	}
	if len(parts) == 0 {
		return "no copy is affected"
	}
	return strings.Join(parts, ", ")
}
