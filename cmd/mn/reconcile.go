package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mn/mesh"
	"mn/mesh/api"
)

func (c *command) nodeReconcile() *cobra.Command {
	var r api.ReconcileRequest
	var timeout string
	cmd := &cobra.Command{
		Use:   "reconcile NAME",
		Short: "Recover what ran on a node that is out of sight, at once",
		Long: `Recover what ran on a node that is out of sight, at once: no job gives the node its
lost_after to come back. What jobs promise holds all the same: copies of a majority job
still have to have stopped for sure, those of a keep job wait for a word from mn node
forget, and unsafe work waits for a person.

It returns when what can be recovered runs elsewhere, and says of each copy that is meant
to run on the node what has become of it. It holds for this absence of the node alone.`,
		Example: "  mn node reconcile box-3 --dry-run\n" +
			"  mn node reconcile box-3 --reason \"its power supply is gone\"",
		Args:              needs("NAME"),
		ValidArgsFunction: c.complete(nodeNames),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			var wait mesh.Duration
			if err := wait.UnmarshalText([]byte(timeout)); err != nil || wait <= 0 {
				return misused(cmd, "--timeout %q is no duration such as 30s or 5m", timeout)
			}
			r.Node = args[0]
			rec, err := client.Reconcile(cmd.Context(), r)
			if err != nil {
				return err
			}
			if !r.DryRun {
				if err := c.recovered(cmd.Context(), client, &rec, wait.Std()); err != nil {
					return err
				}
			}
			if err := c.result(rec, func() { c.showRecovery(rec) }); err != nil {
				return err
			}
			if n := rec.Counts[api.Failed]; n > 0 {
				return mesh.Faultf(mesh.Unavailable,
					"not elsewhere after %v: %d of %s", wait, n,
					mesh.Counted(rec.Counts[api.Checked], "copy", "copies")).
					Hint("mn job status JOB says what they wait for")
			}
			return nil
		}),
	}
	flags := cmd.Flags()
	flags.BoolVar(&r.DryRun, "dry-run", false, "change nothing, and say what would happen")
	flags.StringVar(&timeout, "timeout", "1m", "how long to wait for what is to run elsewhere")
	reasonFlag(cmd, &r.Reason)
	return cmd
}

// errRecovered ends a watch of copies that all run elsewhere.
var errRecovered = errors.New("recovered")

// recovered waits until others run in the place of those copies that are to be
// recovered, and marks those as failed for which none does in time.
func (c *command) recovered(ctx context.Context, client *api.Client, rec *api.Recovery, limit time.Duration) error {
	if rec.Counts[api.Recovered] == 0 {
		return nil
	}
	c.say("%s: copies that are to run elsewhere: %d", rec.Node, rec.Counts[api.Recovered])
	inner, stop := context.WithTimeout(ctx, limit)
	defer stop()
	var waited []awaited
	for i := range rec.Copies {
		if o := &rec.Copies[i]; o.Result == api.Recovered {
			waited = append(waited, awaited{o, o.Reason})
		}
	}
	look := func(all []api.Alloc) error {
		left := 0
		for _, w := range waited {
			if !w.succeeded(all) {
				left++
			}
		}
		if left == 0 {
			return errRecovered
		}
		return nil
	}
	_ = look(nil) // as it is if nobody answers in time
	err := client.WatchAllocs(inner, api.AllocsRequest{All: true}, look)
	switch {
	case ctx.Err() != nil:
		c.say("what has begun goes on; mn node status %s shows what is left", rec.Node)
		return err
	case !errors.Is(err, errRecovered) && inner.Err() == nil:
		return err
	}
	rec.Count()
	return nil
}

// awaited is a copy that another is to take the place of, and why.
type awaited struct {
	*api.RecoveredCopy
	why string
}

// succeeded says whether another runs, or has run, in the place of a copy, and notes
// what is known of it: as long as none does, it has failed.
func (o awaited) succeeded(all []api.Alloc) bool {
	o.Result, o.To, o.ToID, o.Reason = api.Failed, "", "", "no other copy is placed yet"
	for i := range all {
		a := &all[i]
		if a.Job != o.Job || a.Group != o.Group || a.Index != o.Index || a.Generation <= o.Generation {
			continue
		}
		o.To, o.ToID = a.Node, a.NodeID
		switch a.Status {
		case string(mesh.Running), string(mesh.Complete):
			o.Result, o.Reason = api.Recovered, o.why
			return true
		default:
			o.Reason = fmt.Sprintf("the copy on %s is %s", a.Node, a.Status)
		}
	}
	return false
}

// showRecovery says what has become of the copies of a node.
func (c *command) showRecovery(rec api.Recovery) {
	c.field("node", "%s", rec.Node)
	c.field("state", "%s", c.paint(stateColour(rec.State), rec.State))
	if len(rec.Copies) > 0 {
		b := newTable("JOB", "COPY", "ID", "RESULT", "TO", "WHY")
		for _, o := range rec.Copies {
			result := string(o.Result)
			if rec.DryRun && o.Result != api.Skipped {
				result = "would be " + result
			}
			b.add(o.Job, copyIndex(o.Group, o.Index), o.Alloc, result, o.To, o.Reason)
		}
		c.printf("\n")
		c.table(b)
		c.printf("\n")
	}
	var parts []string
	for _, w := range api.RecoveryWords {
		parts = append(parts, fmt.Sprintf("%s %d", w, rec.Counts[w]))
	}
	c.printf("%s\n", strings.Join(parts, ", "))
}
