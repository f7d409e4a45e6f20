package main

import (
	"strings"

	"github.com/spf13/cobra"

	"mn/mesh/api"
)

func (c *command) meshRecover() *cobra.Command {
	var r api.RecoverRequest
	cmd := &cobra.Command{
		Use:   "recover --off NAME,… --reason TEXT",
		Short: "Go on without most of the voters, which are off for good",
		Long: `Go on without a majority of the voters. What must never run twice is decided by a
majority of them; with that gone, nobody can tell a fire from a split in which the others
go on. With --off you vouch for each node that it will never run anything again: they are
forgotten, as by "mn node forget", and the agent that is asked names new voters among the
nodes that it sees. It is refused while a majority of the voters is in sight, and unless
you name each voter that is not. Ask one agent only. Your reason is kept for good.

If one of the machines may come back, start it instead: a majority is enough.`,
		Example: "  mn mesh recover --off box-2,box-3 --reason \"the rack burnt down\" --dry-run\n" +
			"  mn mesh recover --off box-2,box-3 --reason \"the rack burnt down\"",
		Args: needs(),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, _ []string) error {
			if r.Reason == "" {
				return misused(cmd, "--reason is missing: it is kept for good")
			}
			done, err := client.Recover(cmd.Context(), r)
			if err != nil {
				return err
			}
			return c.result(done, func() { c.showRecovered(&done) })
		}),
	}
	cmd.Flags().StringSliceVar(&r.Off, "off", nil, "I vouch that these nodes are off, or will never run anything again")
	_ = cmd.RegisterFlagCompletionFunc("off", c.complete(nodeNames))
	cmd.Flags().BoolVar(&r.DryRun, "dry-run", false, "change nothing, and say what would")
	reasonFlag(cmd, &r.Reason)
	return cmd
}

func (c *command) showRecovered(r *api.Vouched) {
	c.field("voters were", "%s (epoch %d)", strings.Join(r.Was, ", "), r.Before)
	if r.DryRun {
		c.field("would be", "%s", strings.Join(r.Voters, ", "))
	} else {
		c.field("are", "%s (epoch %d)", strings.Join(r.Voters, ", "), r.Epoch)
	}
	if len(r.Forgotten) > 0 {
		c.field("forgotten", "%s", strings.Join(r.Forgotten, ", "))
	}
	if r.DryRun {
		c.printf("nothing was changed\n")
		return
	}
	c.printf("that is on %d disks by now\n", r.Copies)
}
