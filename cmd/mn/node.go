package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mn/mesh/api"
)

func (c *command) nodeCommand() *cobra.Command {
	return group("node", "See the machines of the mesh, and say what is wanted of them", c.nodeList(), c.nodeStatus(),
		c.nodeMaintenance(), c.nodeDrain(), c.nodeUndrain(),
		c.nodeReconcile(), c.nodeLabel(), c.nodeEvict(), c.nodeForget())
}

func (c *command) nodeList() *cobra.Command {
	var again bool
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List the nodes, what they have and what is used",
		Example: "  mn node ls\n  mn node ls --json | jq -r '.[] | select(.status != \"alive\") | .name'",
		Args:    needs(),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, _ []string) error {
			return show(c, cmd.Context(), again, client.Nodes, client.WatchNodes, func(nodes []api.Node) {
				b := newTable("NAME", "ID", "STATUS", "ADDRESS", "CPU", "MEMORY", "DISK", "VOTER", "STATE")
				for _, n := range nodes {
					voter := ""
					if n.Voter {
						voter = "yes"
					}
					b.add(n.Name, n.ID.Short(), state(n.Status), n.Address,
						fmt.Sprintf("%v/%v", n.Used.CPU, n.Resources.CPU),
						fmt.Sprintf("%v/%v", n.Used.Memory, n.Resources.Memory),
						fmt.Sprintf("%v/%v", n.Used.Disk, n.Resources.Disk), voter, state(n.State))
				}
				c.table(b)
			})
		}),
	}
	watchFlag(cmd, &again)
	return cmd
}

func (c *command) nodeStatus() *cobra.Command {
	var again, all bool
	cmd := &cobra.Command{
		Use:   "status NAME",
		Short: "Show a node and what runs on it",
		Long: `Show a node and what runs on it. NAME is its name, its id, the beginning of that, or its
address.`,
		Example:           "  mn node status box-1",
		Args:              needs("NAME"),
		ValidArgsFunction: c.complete(nodeNames),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			return show(c, cmd.Context(), again,
				func(ctx context.Context) (api.NodeDetail, error) { return client.Node(ctx, args[0]) },
				func(ctx context.Context, each func(api.NodeDetail) error) error {
					return client.WatchNode(ctx, args[0], each)
				}, func(n api.NodeDetail) { c.showNode(n, all) })
		}),
	}
	cmd.Flags().BoolVar(&all, "all", false, "copies that have ended, too")
	watchFlag(cmd, &again)
	return cmd
}

func (c *command) nodeLabel() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "label NAME KEY=VALUE|KEY-...",
		Short: "Give labels to a node, or take some away",
		Long: `Give labels to a node, or take them away: KEY- has it be without one. They go over those of
the agent's file. Jobs see them at once; a copy that runs stays, whatever it asked for.
They hold until somebody says otherwise, also when the node, or any other, restarts.`,
		Example:           "  mn node label box-3 rack=b room=cellar\n  mn node label box-3 rack-",
		Args:              atLeast("NAME", "KEY=VALUE|KEY-"),
		ValidArgsFunction: c.complete(nodeNames),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			r := api.LabelRequest{Node: args[0], Set: map[string]string{}}
			for _, arg := range args[1:] {
				key, value, set := strings.Cut(arg, "=")
				without, remove := strings.CutSuffix(arg, "-")
				switch _, twice := r.Set[key]; {
				case twice:
					return misused(cmd, "%s is said twice", key)
				case set:
					r.Set[key] = value
				case remove:
					r.Remove = append(r.Remove, without)
				default:
					return misused(cmd, "%q is neither KEY=VALUE nor KEY-", arg)
				}
			}
			n, err := client.Label(cmd.Context(), r)
			if err != nil {
				return err
			}
			return c.result(n, func() {
				var all []string
				for _, k := range slices.Sorted(maps.Keys(n.Labels)) {
					all = append(all, k+"="+n.Labels[k])
				}
				c.printf("node %s has %s\n", n.Name, cmp.Or(strings.Join(all, " "), "no labels"))
			})
		}),
	}
	return cmd
}

func (c *command) nodeEvict() *cobra.Command {
	var reason string
	var yes bool
	cmd := &cobra.Command{
		Use:   "evict NAME",
		Short: "Have the mesh do without a node for good",
		Long: "Have the mesh do without a node for good: it was stolen, or is to be used for something else.\n" +
			"Its key is never let in again. It stops what it runs when it hears of it, and its agent ends.\n" +
			"Its copies move: of eager jobs soon, of majority jobs when they have stopped for sure. Of keep jobs,\n" +
			"and of those that never move work, they wait until it is forgotten: " +
			"nobody knows that they have stopped.\n" +
			"It asks whether you are sure; where it cannot, it wants --yes.",
		Example:           "  mn node evict box-3 --reason \"stolen\"",
		Args:              needs("NAME"),
		ValidArgsFunction: c.complete(nodeNames),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			n, err := client.Node(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			what := "node " + n.Name + " is put out for good, and its key never let in again"
			if err := c.sure(cmd, yes, what); err != nil {
				return err
			}
			e, err := client.Evict(cmd.Context(), api.EvictRequest{Node: string(n.ID), Reason: reason})
			if err != nil {
				return err
			}
			return c.result(e, func() {
				c.printf("node %s (%s) is evicted; that is on %d disks by now\n", e.Name, e.ID.Short(), e.Copies)
			})
		}),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "I am sure: do not ask")
	reasonFlag(cmd, &reason)
	return cmd
}

func (c *command) nodeForget() *cobra.Command {
	var r api.EvictRequest
	cmd := &cobra.Command{
		Use:   "forget NAME --off",
		Short: "Forget a node that is off for good",
		Long: `Forget a node whose machine is off, or will never run anything again. With --off you
vouch for that: nobody can find it out, and jobs that must never run twice have their
copies replaced on your word. It is refused while the agent that is asked sees the node.

The node is evicted, if it was not: its key is never let in again, and should it come
back after all, it stops what it runs. It is shown no more, nobody waits for it, and all
its copies are replaced, also of keep jobs and of those that never move by themselves.`,
		Example:           "  mn node forget box-3 --off --reason \"burnt down\"",
		Args:              needs("NAME"),
		ValidArgsFunction: c.complete(nodeNames),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			if !r.Off {
				return misused(cmd, "nobody but you can know that %q will never run anything again: say so, with --off",
					args[0])
			}
			r.Node = args[0]
			e, err := client.Evict(cmd.Context(), r)
			if err != nil {
				return err
			}
			return c.result(e, func() {
				c.printf("node %s (%s) is forgotten; that is on %d disks by now\n", e.Name, e.ID.Short(), e.Copies)
			})
		}),
	}
	cmd.Flags().BoolVar(&r.Off, "off", false, "I vouch that it is off, or will never run anything again")
	reasonFlag(cmd, &r.Reason)
	return cmd
}
