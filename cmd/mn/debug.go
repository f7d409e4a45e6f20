package main

import (
	"github.com/spf13/cobra"

	"mn/mesh"
	"mn/mesh/api"
)

func (c *command) debugCommand() *cobra.Command {
	cmd := group("debug", "Look inside an agent", c.debugDigest(), c.debugEvents(), c.debugAPI())
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

func (c *command) debugEvents() *cobra.Command {
	var job string
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Follow what the agent sees and decides",
		Args:  needs(),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, _ []string) error {
			r := api.EventsRequest{Job: mesh.JobID(job)}
			return client.Events(cmd.Context(), r, func(e mesh.Event) error {
				if c.asJSON {
					return c.json(e, true)
				}
				about := string(e.Alloc)
				if about == "" {
					about = string(e.Job)
				}
				if about == "" {
					about = e.Peer.Short()
				}
				c.printf("%s  %-16s %-14s %s\n", e.At.Local().Format("15:04:05.000"), e.Kind, about, e.Text)
				return nil
			})
		}),
	}
	cmd.Flags().StringVar(&job, "job", "", "only of this job")
	return cmd
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
