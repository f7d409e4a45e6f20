package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mn/mesh"
	"mn/mesh/api"
)

func (c *command) deploymentStatus() *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:   "status KEY",
		Short: "Show how far a deployment is",
		Long: `Show how far the deployment of a job is: how many copies are new and healthy, or old, what
comes next and when, and until when that has to happen. With --follow, go on until the
deployment has ended; on a terminal it is one picture that changes.`,
		Example: "  mn deployment status agent-api\n  mn deployment status agent-api -f\n" +
			"  mn deployment status agent-api --json | jq -r .status",
		Args:              needs("KEY"),
		ValidArgsFunction: c.complete(deploymentKeys),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			key := mesh.JobID(args[0])
			if follow {
				return c.followDeployment(cmd.Context(), client, key)
			}
			d, err := client.Deployment(cmd.Context(), key)
			if err != nil {
				return err
			}
			return c.result(d, func() { c.showDeployment(&d) })
		}),
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until it has ended")
	return cmd
}

// watchDeployment has see look at a deployment at every change, and on a terminal once a second, as
// times that are told change by themselves, until it says that it is over.
func (c *command) watchDeployment(
	ctx context.Context, client *api.Client, key mesh.JobID, see func(*api.DeploymentDetail) (over bool),
) error {
	inner, stop := context.WithCancel(ctx)
	looks, gone := make(chan api.DeploymentDetail), make(chan struct{})
	var broken error // why the watch ended; to be read when it is gone
	go func() {
		defer close(gone)
		broken = client.WatchDeployment(inner, key, func(d api.DeploymentDetail) error {
			select {
			case looks <- d:
				return nil
			case <-inner.Done():
				return inner.Err()
			}
		})
	}()
	defer func() { stop(); <-gone }()
	var tick <-chan time.Time
	if c.colour && !c.asJSON {
		t := time.NewTicker(time.Second)
		defer t.Stop()
		tick = t.C
	}
	var last *api.DeploymentDetail
	for {
		select {
		case d := <-looks:
			last = &d
		case <-tick:
		case <-gone:
			return broken
		}
		if last != nil && see(last) {
			return nil
		}
	}
}

// followDeployment shows a deployment until it has ended.
func (c *command) followDeployment(ctx context.Context, client *api.Client, key mesh.JobID) error {
	first := true
	var wrong error
	err := c.watchDeployment(ctx, client, key, func(d *api.DeploymentDetail) bool {
		switch {
		case c.asJSON:
			wrong = c.json(d, true)
		case c.colour:
			io.WriteString(direct(c.out), "\x1b[H\x1b[2J")
			c.showDeployment(d)
		default:
			if !first {
				c.printf("\n")
			}
			c.showDeployment(d)
		}
		first = false
		return wrong != nil || d.Status.Final()
	})
	return cmp.Or(wrong, err)
}

// awaitDeployment follows the deployment of a version that was accepted until no more becomes of it by
// itself.
func (c *command) awaitDeployment(ctx context.Context, client *api.Client, done api.Submitted) error {
	var last api.DeploymentDetail
	told := ""
	err := c.watchDeployment(ctx, client, done.ID, func(d *api.DeploymentDetail) bool {
		if d.JobVersion < done.Version {
			return false // the peer has not seen our version yet
		}
		last = *d
		if text := howFar(&d.Deployment); text != told && d.Version <= done.Version {
			told = text
			c.say("%s", text)
		}
		return d.Status.Final() || d.Status == mesh.AwaitingPromotion || d.Version > done.Version ||
			d.JobVersion > done.Version && ended(d.JobStatus)
	})
	switch {
	case err != nil:
		if ctx.Err() != nil {
			c.say("the deployment goes on; mn deployment status %s shows it", done.ID)
		}
		return err
	case last.Version > done.Version:
		return c.overtaken(ctx, client, done, last.Version)
	case last.Status == mesh.DeploymentFailed:
		if c.asJSON {
			return errors.Join(c.json(last, false), exitCode(1))
		}
		return mesh.Faultf(mesh.Internal, "the deployment of version %d of job %q has failed: %s",
			last.Version, done.ID, rounded(last.Reason)).
			Hint("%s", cmp.Or(rounded(last.Next), "mn deployment status "+string(done.ID)))
	case last.JobVersion > done.Version && ended(last.JobStatus): // by a person, and its deployment waits
		return endedMeanwhile(done.ID, last.JobStatus)
	}
	return c.result(last, func() {
		switch last.Status {
		case mesh.AwaitingPromotion:
			c.printf("version %d of job %q waits to be promoted: mn deployment promote %s\n",
				last.Version, done.ID, done.ID)
		case mesh.VersionRecorded:
			if !done.Changed {
				c.printf("job %q is at version %d already\n", done.ID, last.Version)
				return
			}
			c.printf("version %d of job %q is recorded, and the job runs anew\n", last.Version, done.ID)
		default:
			c.printf("version %d of job %q is deployed\n", last.Version, done.ID)
		}
	})
}

// overtaken is what to say of a version that another has followed: one that has failed goes back by itself.
func (c *command) overtaken(ctx context.Context, client *api.Client, done api.Submitted, by uint64) error {
	past, err := client.DeploymentHistory(ctx, done.ID)
	if err != nil {
		return err
	}
	for i := range past {
		if d := &past[i]; d.Version == done.Version && d.Hash == done.Hash && d.Status == mesh.DeploymentFailed {
			return mesh.Faultf(mesh.Internal, "the deployment of version %d of job %q has failed: %s",
				d.Version, done.ID, rounded(d.Reason)).Hint("version %d has followed: mn job history %s", by, done.ID)
		}
	}
	return mesh.Faultf(mesh.Conflict, "version %d has replaced version %d of job %q", by, done.Version, done.ID)
}

// howFar is how far a deployment is, in one line without what changes all the time.
func howFar(d *api.Deployment) string {
	if d.Status == mesh.VersionRecorded {
		return string(d.Status)
	}
	text := fmt.Sprintf("%s: %d of %d healthy", d.Status, d.Healthy, d.Wanted)
	if d.Old > 0 {
		text += fmt.Sprintf(", %d old", d.Old)
	}
	if d.Hidden > 0 {
		text += fmt.Sprintf(", %d hidden", d.Hidden)
	}
	return text
}

// showDeployment shows a deployment: how far it is, what comes next, and each copy.
func (c *command) showDeployment(d *api.DeploymentDetail) {
	from := ""
	if d.From > 0 {
		from = fmt.Sprintf(", after version %d", d.From)
	}
	c.field("deployment", "%s, version %d%s", d.Key, d.Version, from)
	c.field("status", "%s", c.paint(stateColour(string(d.Status)), string(d.Status)))
	if d.Reason != "" {
		c.field("reason", "%s", rounded(d.Reason))
	}
	if d.SaidAt != nil {
		why := ""
		if d.SaidReason != "" {
			why = ": " + d.SaidReason
		}
		c.field("steered", "by a person, %s at %s%s", ago(d.SaidAt), d.SaidBy, why)
	}
	if d.Strategy != "" && d.Status != mesh.VersionRecorded {
		c.field("how", "%s", howItGoes(&d.Deployment))
	}
	c.field("began", "%s", strings.Join(timesOf(&d.Deployment), ", "))
	if d.Next != "" {
		c.field("next", "%s%s", rounded(d.Next), in(d.NextAt))
	}
	if !d.Status.Final() {
		if d.HealthyBy != nil {
			c.field("healthy by", "%s%s, or it fails", clockTime(d.HealthyBy), in(d.HealthyBy))
		}
		if d.ProgressBy != nil {
			c.field("one more by", "%s%s, or it fails", clockTime(d.ProgressBy), in(d.ProgressBy))
		}
	}
	if len(d.Groups) > 0 {
		c.printf("\n")
		b := newTable("GROUP", "PROGRESS", "HEALTHY", "NEW", "OLD", "HIDDEN", "WANTED")
		for _, g := range d.Groups {
			b.add(g.Group, bar(g), g.Healthy, g.Placed, g.Old, g.Hidden, g.Wanted)
		}
		c.table(b)
	}
	if len(d.Allocations) > 0 {
		c.printf("\n")
		c.table(copiesTable(d.Allocations))
	}
}

// copiesTable lists the copies of a job by their versions.
func copiesTable(allocs []api.Alloc) *table {
	b := newTable("COPY", "ID", "VERSION", "ROLE", "NODE", "STATUS", "STARTED", "REASON")
	for i := range allocs {
		a := &allocs[i]
		b.add(fmt.Sprintf("%s[%d]", a.Task, a.Index), a.ID, a.Version, state(string(a.Role)), a.Node, state(a.Status),
			ago(a.StartedAt), cmp.Or(a.Trouble, usual.ReplaceAllString(rounded(a.Reason), "")))
	}
	return b
}

// howItGoes is how the copies of a deployment are replaced.
func howItGoes(d *api.Deployment) string {
	text := fmt.Sprintf("%s, %d at a time, %s", d.Strategy, d.MaxParallel, d.Order)
	if d.Strategy == mesh.BlueGreen {
		text = fmt.Sprintf("%s, %s", d.Strategy, d.Order)
	}
	if d.OrderReason != "" {
		text += " as " + d.OrderReason
	}
	if d.AutoPromote {
		text += ", promotes itself"
	}
	if d.AutoRevert {
		text += ", goes back if it fails"
	}
	return text
}

// timesOf are when a deployment began, came forward last, and ended.
func timesOf(d *api.Deployment) []string {
	times := []string{cmp.Or(ago(d.Began), "-")}
	if d.Ended != nil {
		times = append(times, "ended "+ago(d.Ended))
	} else if d.Progress != nil && d.Began != nil && d.Progress.After(*d.Began) {
		times = append(times, "came forward "+ago(d.Progress))
	}
	if d.Coordinator != "" {
		times = append(times, "decided by "+d.Coordinator)
	}
	return times
}

// in is in how long something is: " (in 12s)".
func in(at *time.Time) string {
	if at == nil {
		return ""
	}
	return fmt.Sprintf(" (in %v)", mesh.Duration(max(time.Until(*at), 0).Round(time.Second)))
}

func clockTime(at *time.Time) string { return at.Local().Format("15:04:05") }

const barWidth = 20 // at most, in columns

// bar draws a group: a "#" for each healthy copy, "+" for one that is placed, and "." for what is
// missing; of many copies for each of so many parts.
func bar(g mesh.RolloutGroup) string {
	all := max(g.Wanted, g.Placed)
	if all == 0 {
		return ""
	}
	width := min(all, barWidth)
	healthy := g.Healthy * width / all
	placed := max(g.Placed*width/all, healthy)
	return strings.Repeat("#", healthy) + strings.Repeat("+", placed-healthy) + strings.Repeat(".", width-placed)
}
