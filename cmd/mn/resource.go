package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mn/mesh/api"
)

func (c *command) resourceCommand() *cobra.Command {
	return group("resource", "See what the machines share out, and who has it", c.resourceList(), c.resourcePorts())
}

func (c *command) resourceList() *cobra.Command {
	var again bool
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List what the nodes share out and what is used, with their devices",
		Example: `  mn resource list
  mn resource list --json | jq -r '.[].devices[] | select(.state == "free") | .id'`,
		Args: needs(),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, _ []string) error {
			return show(c, cmd.Context(), again, client.Resources, client.WatchResources, c.showResources)
		}),
	}
	watchFlag(cmd, &again)
	return cmd
}

func (c *command) showResources(nodes []api.Resources) {
	b := newTable("NODE", "STATUS", "CPU", "MEMORY", "DISK", "DEVICES")
	some := false
	for _, n := range nodes {
		free := 0
		for _, d := range n.Devices {
			some = true
			if d.State == "free" {
				free++
			}
		}
		devices := "-"
		if len(n.Devices) > 0 {
			devices = fmt.Sprintf("%d of %d free", free, len(n.Devices))
		}
		b.add(n.Node, state(n.Status), fmt.Sprintf("%v/%v", n.Used.CPU, n.Resources.CPU),
			fmt.Sprintf("%v/%v", n.Used.Memory, n.Resources.Memory),
			fmt.Sprintf("%v/%v", n.Used.Disk, n.Resources.Disk), devices)
	}
	c.table(b)
	if !some {
		return
	}
	c.printf("\n")
	b = newTable("NODE", "DEVICE", "KIND", "MODEL", "DRIVER", "MEMORY", "FOREIGN", "FREE", "STATE", "USED BY")
	for _, n := range nodes {
		for _, d := range n.Devices {
			driver := strings.TrimSpace(d.Driver + " " + d.APIVersion)
			is := state(d.State)
			if d.Sick != "" {
				is.text += ": " + d.Sick
			}
			memory, foreign, free := fmt.Sprint(d.Memory), fmt.Sprint(d.Foreign), fmt.Sprint(d.Free)
			if d.Memory == 0 {
				memory, foreign, free = "", "", ""
			}
			b.add(n.Node, d.ID, d.Kind, d.Model, driver, memory, foreign, free, is, usedBy(d.Users))
		}
	}
	c.table(b)
}

// usedBy names tasks, with their parts of what they share.
func usedBy(users []api.User) string {
	var all []string
	for _, u := range users {
		text := fmt.Sprintf("%s/%s %s", u.Job, u.Task, u.Alloc)
		if u.Part > 0 {
			text += fmt.Sprintf(" (%v)", u.Part)
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

func (c *command) resourcePorts() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ports [NODE]",
		Short: "List the ports that are in use, and by whom",
		Long: `List the ports that are in use, on all nodes or on one: those of tasks, and those on
which programs listen that are not of the mesh (foreign).`,
		Example:           "  mn resource ports\n  mn resource ports box-1",
		Args:              atMost("NODE"),
		ValidArgsFunction: c.complete(nodeNames),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			get := func(ctx context.Context) ([]api.Resources, error) {
				all, err := client.Resources(ctx)
				if err != nil || len(args) == 0 {
					return all, err
				}
				n, err := client.Node(ctx, args[0])
				return slices.DeleteFunc(all, func(r api.Resources) bool { return r.NodeID != n.ID }), err
			}
			nodes, err := get(cmd.Context())
			if err != nil {
				return err
			}
			return c.result(nodes, func() { c.showPorts(nodes) })
		}),
	}
	return cmd
}

func (c *command) showPorts(nodes []api.Resources) {
	b := newTable("NODE", "PORT", "TRANSPORT", "LABEL", "USED BY")
	for _, n := range nodes {
		for _, p := range n.Ports {
			by := cell{"foreign", faint}
			if p.User != nil {
				by = cell{text: usedBy([]api.User{*p.User})}
			}
			b.add(n.Node, p.Port, p.Transport, p.Label, by)
		}
	}
	if len(b.rows) == 0 {
		c.printf("no port is in use\n")
		return
	}
	c.table(b)
}
