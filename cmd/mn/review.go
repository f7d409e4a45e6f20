package main

import (
	"context"

	"github.com/spf13/cobra"

	"mn/mesh"
	"mn/mesh/api"
)

func (c *command) reviewCommand() *cobra.Command {
	return group("review", "Decide about copies that wait for a person",
		c.reviewList(), c.reviewApprove(), c.reviewReject())
}

func (c *command) reviewList() *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the copies that wait for a person, and why",
		Long: `List the copies that wait for a person, and why:

  failed   it ended before its work was done, and must not run twice by itself
  lost     its node is out of sight, or evicted, and it may still run
  drain    its node is to be drained, and it does not move by itself
  restore  nothing can be had of what was saved of its work, and it waits for that`,
		Example: "  mn review ls",
		Args:    needs(),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, _ []string) error {
			return show(c, cmd.Context(), watch, client.Reviews, client.WatchReviews, c.showReviews)
		}),
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "show it again after every change")
	return cmd
}

func (c *command) showReviews(reviews []api.Review) {
	if len(reviews) == 0 {
		c.printf("nothing waits for a person\n")
		return
	}
	b := newTable("JOB", "COPY", "ID", "NODE", "REVIEW", "SINCE", "WHY")
	for _, r := range reviews {
		b.add(r.Job, copyIndex(r.Group, r.Index), r.ID, r.Node, state(string(r.Kind)), ago(r.Since), r.Reason)
	}
	c.table(b)
}

func (c *command) reviewApprove() *cobra.Command {
	r := api.JudgeRequest{Approve: true}
	cmd := &cobra.Command{
		Use:   "approve JOB|ALLOC",
		Short: "Let what waits go on, once, as if it were safe",
		Long: `Let what waits go on, once, as if it were safe; of a job, all of it that waits.

  failed   another copy is placed at once, whatever the job's policies say
  lost     another copy is placed. Nobody can see whether the lost one still runs: with
           --yes you vouch that it does not, for as long as its node stays away; if it
           is there after all when its node comes back, it is stopped
  drain    it stops on its node, and starts again on another
  restore  it begins anew, as if nothing had been saved`,
		Example: "  mn review approve invoices --reason \"looked at the ledger: nothing was sent\"\n" +
			"  mn review approve 5iwyaz2v --yes",
	}
	cmd.Flags().BoolVar(&r.Dead, "yes", false, "of a copy that is lost: it does not run any more")
	return c.judgement(cmd, &r, "is approved")
}

func (c *command) reviewReject() *cobra.Command {
	r := api.JudgeRequest{}
	cmd := &cobra.Command{
		Use:   "reject JOB|ALLOC",
		Short: "Give up what waits",
		Long: `Give up what waits; of a job, all of it that waits. The job has failed then, until
a new version of it or mn job retry runs it again. What runs on a node that is
drained stays there instead, until it ends; and what waits for what was saved of it
waits on.`,
		Example: "  mn review reject invoices --reason \"sent by hand\"",
	}
	return c.judgement(cmd, &r, "is rejected")
}

// judgement completes a command that is a person's word.
func (c *command) judgement(cmd *cobra.Command, r *api.JudgeRequest, done string) *cobra.Command {
	cmd.Args = needs("JOB|ALLOC")
	cmd.ValidArgsFunction = c.complete(reviewed)
	cmd.RunE = c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
		r.Of = args[0]
		about, err := client.Judge(cmd.Context(), *r)
		if err != nil {
			return err
		}
		return c.result(about, func() {
			for _, one := range about {
				c.printf("%s of %s (%s, %s) %s\n", copyIndex(one.Group, one.Index), one.Job, one.ID, one.Kind, done)
			}
		})
	})
	reasonFlag(cmd, &r.Reason)
	return cmd
}

// reviewed are the jobs and copies that wait for a person.
func reviewed(ctx context.Context, client *api.Client, _ []string) ([]string, error) {
	reviews, err := client.Reviews(ctx)
	var names []string
	jobs := map[mesh.JobID]bool{}
	for _, r := range reviews {
		if !jobs[r.Job] {
			jobs[r.Job] = true
			names = append(names, string(r.Job))
		}
		names = append(names, string(r.ID)+"\t"+copyName(r.Group, r.Index, r.Node))
	}
	return names, err
}
