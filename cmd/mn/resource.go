package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mn/mesh"
	"mn/mesh/api"
)

func (c *command) resourceCommand() *cobra.Command {
	return group("resource", "See what the machines share out, and who has it", c.resourceList(), c.resourcePorts(),
		c.resourceSet())
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
	all := newDeviceTable("NODE")
	for _, n := range nodes {
		free := 0
		for _, d := range n.Devices {
			addDevice(all, d, n.Node)
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
	for _, n := range nodes {
		c.showShare(n)
	}
	if len(all.rows) > 0 {
		c.printf("\n")
		c.table(all)
	}
}

// newDeviceTable is a table of devices, with more columns in front.
func newDeviceTable(front ...string) *table {
	return newTable(append(front,
		"DEVICE", "KIND", "MODEL", "DRIVER", "MEMORY", "FOREIGN", "FREE", "STATE", "USED BY")...)
}

// addDevice adds a device to a table of them.
func addDevice(b *table, d api.Device, front ...any) {
	is := state(d.State)
	if d.Sick != "" {
		is.text += ": " + d.Sick
	}
	memory, foreign, free := fmt.Sprint(d.Memory), fmt.Sprint(d.Foreign), fmt.Sprint(d.Free)
	if d.Memory == 0 {
		memory, foreign, free = "", "", ""
	}
	var by []string
	if users := usedBy(d.Users); users != "" {
		by = append(by, users)
	}
	for _, who := range d.ForeignBy {
		by = append(by, "foreign: "+who)
	}
	b.add(append(front, d.ID, d.Kind, d.Model, strings.TrimSpace(d.Driver+" "+d.APIVersion), memory, foreign, free, is,
		strings.Join(by, ", "))...)
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

// showShare says of a node of which the mesh may not have all how much that is.
func (c *command) showShare(n api.Resources) {
	if n.Share == (mesh.Allowance{}) {
		return
	}
	text := fmt.Sprintf("%s shares out %v of what it has", n.Node, n.Share)
	if n.Over != "" {
		text += "; over it, until what runs there ends: " + n.Over
	}
	c.printf("%s\n", text)
}

func (c *command) resourceSet() *cobra.Command {
	var share mesh.Allowance
	cmd := &cobra.Command{
		Use:   "set [NODE] [--cpu N] [--memory N] [--disk N] [--gpu N]",
		Short: "Say how much of a node the mesh may have",
		Long: `Say how much of a node the mesh may have, in percent from 1 to 100: of the cpu, memory and
disk that its agent shares out, and of the number of its GPUs (rounded down, and at least
one) that may be in use at once. What is left out stays as it is; 100 takes a bound away.
Without NODE it is the node of the agent that is asked.

It takes effect at once, and holds until somebody says otherwise, also when the node, or
any other, restarts. What runs stays, also if it is more; nothing new is placed beside it
until there is room again.`,
		Example: `  mn resource set --cpu 75 --memory 75 --gpu 100 --disk 75
  mn resource set box-3 --gpu 50`,
		Args:              atMost("NODE"),
		ValidArgsFunction: c.complete(nodeNames),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			some := false
			for _, name := range []string{"cpu", "memory", "disk", "gpu"} {
				f := cmd.Flags().Lookup(name)
				some = some || f.Changed
				if f.Changed && f.Value.String() == "0" {
					return misused(cmd, "--%s 0 is not between 1 and 100", name)
				}
			}
			if !some {
				return misused(cmd, "say what of it the mesh may have: --cpu, --memory, --disk or --gpu, in percent")
			}
			r := api.ShareRequest{Allowance: share}
			if len(args) > 0 {
				r.Node = args[0]
			} else if v, err := client.Version(cmd.Context()); err != nil {
				return err
			} else {
				r.Node = string(v.NodeID)
			}
			n, err := client.SetShare(cmd.Context(), r)
			if err != nil {
				return err
			}
			return c.result(n, func() {
				if n.Share == (mesh.Allowance{}) {
					c.printf("%s shares out all that it has\n", n.Node)
				}
				c.showShare(n)
			})
		}),
	}
	cmd.Flags().IntVar(&share.CPU, "cpu", 0, "percent of its cores")
	cmd.Flags().IntVar(&share.Memory, "memory", 0, "percent of its memory")
	cmd.Flags().IntVar(&share.Disk, "disk", 0, "percent of its disk")
	cmd.Flags().IntVar(&share.GPU, "gpu", 0, "percent of its GPUs")
	return cmd
}

func (c *command) resourcePorts() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ports [NODE]",
		Short: "List the ports that are in use, and by whom",
		Long: `List the ports that are in use, on all nodes or on one: those of tasks, and those on
which programs listen that are not of the mesh (foreign).`,
		Example: `  mn resource ports
  mn resource ports box-1 --json | jq '.[] | select(.foreign) | .port'`,
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
			rows := []nodePort{}
			for _, n := range nodes {
				for _, p := range n.Ports {
					rows = append(rows, nodePort{n.Node, n.NodeID, p})
				}
			}
			return c.result(rows, func() { c.showPorts(rows) })
		}),
	}
	return cmd
}

// nodePort is a port that is in use, and where.
type nodePort struct {
	Node   string      `json:"node"`
	NodeID mesh.NodeID `json:"node_id"`
	api.Port
}

func (c *command) showPorts(rows []nodePort) {
	if len(rows) == 0 {
		c.printf("no port is in use\n")
		return
	}
	b := newTable("NODE", "PORT", "TRANSPORT", "LABEL", "USED BY")
	for _, p := range rows {
		by := cell{"foreign", faint}
		switch {
		case p.User != nil:
			by = cell{text: usedBy([]api.User{*p.User})}
		case p.Agent != "":
			by = cell{"agent of " + p.Agent, faint}
		}
		b.add(p.Node, p.Port.Port, p.Transport, p.Label, by)
	}
	c.table(b)
}
