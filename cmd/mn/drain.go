package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"mn/mesh"
	"mn/mesh/api"
)

func (c *command) nodeMaintenance() *cobra.Command {
	var enable, disable bool
	var reason string
	cmd := &cobra.Command{
		Use:   "maintenance NAME --enable|--disable",
		Short: "Keep new work from a node, or let it have some again",
		Long: `Keep new work from a node, or let it have some again. What runs on it stays.
It holds until somebody says otherwise, also when the node, or any other, restarts.`,
		Example: "  mn node maintenance box-3 --enable --reason \"new disk\"\n" +
			"  mn node maintenance box-3 --disable",
		Args:              needs("NAME"),
		ValidArgsFunction: c.complete(nodeNames),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			if enable == disable {
				return misused(cmd, "say one of --enable and --disable")
			}
			mode := mesh.InService
			if enable {
				mode = mesh.Maintenance
			}
			return c.administer(cmd.Context(), client, api.AdminRequest{Node: args[0], Mode: mode, Reason: reason})
		}),
	}
	cmd.Flags().BoolVar(&enable, "enable", false, "keep new work from it")
	cmd.Flags().BoolVar(&disable, "disable", false, "let it have work")
	reasonFlag(cmd, &reason)
	return cmd
}

func reasonFlag(cmd *cobra.Command, reason *string) {
	cmd.Flags().StringVar(reason, "reason", "", "why, for those who look at it later")
}

func (c *command) nodeUndrain() *cobra.Command {
	var eligible bool
	var reason string
	cmd := &cobra.Command{
		Use:   "undrain NAME",
		Short: "Cancel the drain of a node, or take it into service again",
		Long: `Cancel the drain of a node. What has moved stays where it is. The node is in
maintenance then, and takes no new work, unless --mark-eligible says that it does.`,
		Example:           "  mn node undrain box-3 --mark-eligible --reason \"disk is in\"",
		Args:              needs("NAME"),
		ValidArgsFunction: c.complete(nodeNames),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			mode := mesh.Maintenance
			if eligible {
				mode = mesh.InService
			} else if now, err := client.Node(cmd.Context(), args[0]); err != nil {
				return err
			} else if now.Mode == mesh.InService && now.State != "evicted" { // else that is said
				return mesh.Faultf(mesh.Conflict, "node %s is in service: there is no drain to cancel", now.Name).
					Hint("mn node maintenance %s --enable keeps new work from it", now.Name)
			}
			return c.administer(cmd.Context(), client, api.AdminRequest{Node: args[0], Mode: mode, Reason: reason})
		}),
	}
	cmd.Flags().BoolVar(&eligible, "mark-eligible", false, "it takes new work again")
	reasonFlag(cmd, &reason)
	return cmd
}

// administer says what is wanted of a node, and what that makes of it.
func (c *command) administer(ctx context.Context, client *api.Client, r api.AdminRequest) error {
	d, err := client.Administer(ctx, r)
	if err != nil {
		return err
	}
	return c.result(d, func() {
		text := "takes work"
		if d.Mode == mesh.Maintenance {
			text = "is in maintenance: it takes no new work, and keeps what it has"
		}
		if d.Status == mesh.DrainCancelled {
			text = "is drained no more, and " + text
		}
		c.printf("node %s %s\n", d.Node, text)
	})
}

func (c *command) nodeDrain() *cobra.Command {
	var (
		r                   api.AdminRequest
		deadline            string
		ignoreSystem        bool
		dryRun, wait, watch bool
	)
	cmd := &cobra.Command{
		Use:   "drain NAME",
		Short: "Move the work of a node elsewhere, and keep new work from it",
		Long: `Move the work of a node elsewhere, and keep new work from it.

Services move at once, at most update.max_parallel copies of a job at a time; the next
copy is healthy before the one on the node stops, where the job may have two. Batch jobs
run to their end, or move when the deadline is over. What never moves by itself waits
for a person. Nothing stops before another node has room for it. Jobs with a copy on
each node stay; with --ignore-system=false they stop at the deadline.

Nobody runs the drain: it goes on whichever node restarts or is lost, and ends with the
node in maintenance, until mn node undrain. With nothing but --wait or --monitor, a drain
that is under way is joined as it is; else it begins anew.`,
		Example: "  mn node drain box-3 --reason \"new disk\" --deadline 30m --wait\n" +
			"  mn node drain box-3 --dry-run",
		Args:              needs("NAME"),
		ValidArgsFunction: c.complete(nodeNames),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			if err := r.Deadline.UnmarshalText([]byte(deadline)); err != nil || r.Deadline <= 0 {
				return misused(cmd, "--deadline %q is no duration such as 30m or 90s", deadline)
			}
			r.Node, r.Mode = args[0], mesh.Draining
			r.System, r.DryRun = !ignoreSystem, dryRun
			if dryRun && (wait || watch) {
				return misused(cmd, "--dry-run changes nothing: there is nothing to wait for")
			}
			drain, err := c.drain(cmd, client, r, wait || watch)
			if err != nil {
				return err
			}
			if wait || watch {
				return c.followDrain(cmd.Context(), client, drain, watch)
			}
			return c.result(drain, func() { c.showDrain(drain) })
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&deadline, "deadline", mesh.Duration(mesh.DefaultDrainDeadline).String(),
		"when batch jobs move too, from now")
	flags.BoolVar(&ignoreSystem, "ignore-system", true, "jobs with a copy on each node stay")
	flags.BoolVar(&dryRun, "dry-run", false, "change nothing, and say what would happen")
	flags.BoolVar(&wait, "wait", false, "return when nothing is left on it")
	flags.BoolVar(&watch, "monitor", false, "as --wait, and tell what happens meanwhile")
	reasonFlag(cmd, &r.Reason)
	return cmd
}

// drain begins a drain, or joins one that is under way if it is only to be waited for.
func (c *command) drain(cmd *cobra.Command, client *api.Client, r api.AdminRequest, wait bool) (api.Drain, error) {
	changed := cmd.Flags().Changed
	if wait && !changed("deadline") && !changed("reason") && !changed("ignore-system") {
		now, err := client.Drain(cmd.Context(), r.Node)
		if err != nil || now.Mode == mesh.Draining && now.Status != mesh.DrainComplete {
			return now, err
		}
	}
	return client.Administer(cmd.Context(), r)
}

// showDrain says how far a drain has got, and what becomes of each copy.
func (c *command) showDrain(d api.Drain) {
	status := string(d.Status)
	if d.Would != "" {
		status += ", it would be " + string(d.Would)
	}
	c.field("node", "%s", d.Node)
	c.field("drain", "%s", c.paint(stateColour(string(d.Status)), status))
	if d.Reason != "" {
		c.field("reason", "%s", d.Reason)
	}
	if d.Deadline != nil {
		c.field("deadline", "%s", d.Deadline.Local().Format("2006-01-02 15:04:05"))
	}
	c.field("left", "%s", copies(d.Left))
	if len(d.Copies) > 0 {
		c.printf("\n")
		b := newTable("JOB", "COPY", "ID", "ACTION", "WHY")
		if d.Would != "" {
			b = newTable("JOB", "COPY", "ID", "ACTION", "TO", "WHY")
		}
		for _, o := range d.Copies {
			row := []any{o.Job, copyIndex(o.Group, o.Index), o.Alloc, state(string(o.Action))}
			if d.Would != "" {
				row = append(row, o.To)
			}
			b.add(append(row, o.Reason)...)
		}
		c.table(b)
	}
}

// errDrained ends a watch of a drain that is over.
var errDrained = errors.New("drained")

// followDrain returns when a drain is complete, or fails when it was cancelled.
func (c *command) followDrain(ctx context.Context, client *api.Client, first api.Drain, tell bool) error {
	last, told := first, map[mesh.AllocID]fate{}
	c.sayDrain(first)
	err := client.WatchDrain(ctx, string(first.NodeID), func(d api.Drain) error {
		if tell {
			c.tellDrain(d, told)
		}
		if d.Status != mesh.DrainNone && (d.Status != last.Status || d.Left != last.Left) {
			c.sayDrain(d)
		}
		last = d
		switch d.Status {
		case mesh.DrainComplete, mesh.DrainNone:
			return errDrained
		}
		return nil
	})
	switch {
	case err != nil && !errors.Is(err, errDrained):
		if ctx.Err() != nil {
			c.say("the drain goes on; mn node undrain %s ends it", first.Node)
		}
		return err
	case last.Status != mesh.DrainComplete:
		return fmt.Errorf("the drain of %s was cancelled", first.Node)
	}
	return c.result(last, func() { c.printf("node %s is drained, and in maintenance\n", last.Node) })
}

// sayDrain says how far a drain is, and whom it waits for if that is a person.
func (c *command) sayDrain(d api.Drain) {
	c.say("%s: %s left", d.Status, copies(d.Left))
	if d.Status == mesh.DrainPaused {
		c.say("hint: mn review ls says what waits for a person")
	}
}

// fate is what was last told of a copy.
type fate struct{ who, text string }

// tellDrain tells what is new about the copies of a node.
func (c *command) tellDrain(d api.Drain, told map[mesh.AllocID]fate) {
	there := map[mesh.AllocID]bool{}
	for _, o := range d.Copies {
		there[o.Alloc] = true
		now := fate{fmt.Sprintf("%s of %s", copyIndex(o.Group, o.Index), o.Job), string(o.Action) + ": " + o.Reason}
		if told[o.Alloc] != now {
			told[o.Alloc] = now
			c.say("%s %s", now.who, now.text)
		}
	}
	for id, last := range told {
		if !there[id] {
			c.say("%s has gone", last.who)
			delete(told, id)
		}
	}
}
