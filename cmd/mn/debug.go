package main

import (
	"github.com/spf13/cobra"

	"mn/mesh/api"
)

func (c *command) debugCommand() *cobra.Command {
	cmd := group("debug", "Look inside an agent", c.debugDigest(), c.debugAPI())
	cmd.Hidden = true
	return cmd
}

func (c *command) debugDigest() *cobra.Command {
	return &cobra.Command{
		Use:   "digest",
		Short: "Sum up the state that the agent has of the mesh",
		Long:  "Sum up the state that the agent has. Peers that have exchanged everything give the same digest.",
		Args:  needs(),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, _ []string) error {
			d, err := client.Digest(cmd.Context())
			if err != nil {
				return err
			}
			return c.result(d, func() {
				c.field("node", "%s (%s)", d.Node, d.NodeID)
				c.field("digest", "%s", d.Digest)
				c.field("entries", "%d", d.Entries)
				for _, w := range d.Waiting {
					c.field("kept aside", "%s", w)
				}
			})
		}),
	}
}

func (c *command) debugAPI() *cobra.Command {
	return &cobra.Command{
		Use:   "api",
		Short: "List the endpoints of the agent's API",
		Args:  needs(),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, _ []string) error {
			endpoints, err := client.Endpoints(cmd.Context())
			if err != nil {
				return err
			}
			return c.result(endpoints, func() {
				b := newTable("METHOD", "PATH", "ANSWERS", "WHAT")
				for _, e := range endpoints {
					answers := "once"
					switch {
					case e.Stream:
						answers = "stream"
					case e.Watch:
						answers = "once, or watch=1"
					}
					b.add(e.Method, e.Path, answers, e.Doc)
				}
				c.table(b)
			})
		}),
	}
}
