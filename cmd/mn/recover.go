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
forgotten, as by "mn node forget". The agent that is asked decides alone then, until others
in its sight have learned from it and vote, too. Each node out of its sight must be named,
also those that are no voters. It is refused while a majority of the voters is in sight.

Ask one agent only: one that has been there all the time, and knows who the voters were.
Your reason is kept for good. If one of the machines may come back, start it instead.`,
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
		c.field("would be", "%s, and whoever has learned from it", r.Voter)
	} else {
		c.field("are", "%s, and soon whoever has learned from it (epoch %d)", r.Voter, r.Epoch)
	}
	if len(r.Forgotten) > 0 {
		c.field("forgotten", "%s", strings.Join(r.Forgotten, ", "))
	}
	if r.DryRun {
		c.printf("nothing was changed\n")
	} else {
		c.printf("that they are is on %d disks by now\n", r.Copies)
	}
	if !r.CAKey {
		c.say("warning: %s has not got the key of the mesh's CA: it asks those in sight for it; "+
			"until one has it, no machine can join, and no certificate is renewed", r.Voter)
	}
}
