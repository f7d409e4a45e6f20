package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"mn/configs"
	"mn/mesh"
	"mn/mesh/api"
)

func (c *command) deploymentCommand() *cobra.Command {
	return group("deployment", "Bring new versions of jobs to run, step by step",
		c.deploymentDeploy(), c.deploymentList(), c.deploymentStatus(), c.deploymentHistory(),
		c.deploymentPromote(), c.deploymentRollback(), c.deploymentPause(), c.deploymentResume(), c.deploymentFail())
}

// updating is the flags of how a version takes the place of the one before: what is given stands above
// what the job file says.
type updating struct {
	cmd                          *cobra.Command
	strategy, order, check       string
	parallel, canary             int
	healthy, healthyIn, progress string
	autoPromote, autoRevert      bool
}

func (u *updating) flags(cmd *cobra.Command) {
	u.cmd = cmd
	f := cmd.Flags()
	f.StringVar(&u.strategy, "strategy", "", "rolling, canary or blue-green")
	f.IntVar(&u.parallel, "max-parallel", 0, "how many copies are replaced at a time")
	f.IntVar(&u.canary, "canary", 0, "how many new copies of each group come first, and wait to be promoted")
	f.StringVar(&u.healthy, "min-healthy", "", "for how long a new copy has to be healthy, as 10s")
	f.StringVar(&u.healthyIn, "healthy-deadline", "", "by when after its placement a new copy has to be healthy")
	f.StringVar(&u.progress, "progress-deadline", "", "by when after the last one another has to be healthy")
	f.StringVar(&u.check, "health-check", "", "what makes a copy healthy: checks or task_states")
	f.BoolVar(&u.autoPromote, "auto-promote", false, "promote as soon as all hidden copies are healthy")
	f.BoolVar(&u.autoRevert, "auto-revert", false, "go back to the version before when it fails")
	f.StringVar(&u.order, "order", "", "start_first or stop_first")
	for name, words := range map[string][]string{
		"strategy":     {string(mesh.Rolling), string(mesh.Canary), string(mesh.BlueGreen)},
		"health-check": {string(mesh.ByChecks), string(mesh.ByStates)},
		"order":        {string(mesh.StartFirst), string(mesh.StopFirst)},
	} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
}

// into puts what was given into a job, which has an update policy then.
func (u *updating) into(job *mesh.Job) error {
	is := mesh.UpdatePolicy{}
	if job.Update != nil {
		is = *job.Update
	}
	given := u.cmd.Flags().Changed
	if given("strategy") {
		is.Strategy = mesh.UpdateStrategy(u.strategy)
	}
	if given("order") {
		is.Order = mesh.UpdateOrder(u.order)
	}
	if given("health-check") {
		is.HealthCheck = mesh.HealthCheck(u.check)
	}
	if given("auto-promote") {
		is.AutoPromote = u.autoPromote
	}
	if given("auto-revert") {
		is.AutoRevert = u.autoRevert
	}
	for _, n := range []struct {
		flag     string
		from     int
		to       *int
		smallest int
	}{{"max-parallel", u.parallel, &is.MaxParallel, 1}, {"canary", u.canary, &is.Canary, 0}} {
		if !given(n.flag) {
			continue
		}
		if n.from < n.smallest {
			return misused(u.cmd, "--%s %d is less than %d", n.flag, n.from, n.smallest)
		}
		*n.to = n.from
	}
	for _, d := range []struct {
		flag, from string
		to         **mesh.Duration
	}{
		{"min-healthy", u.healthy, &is.MinHealthy},
		{"healthy-deadline", u.healthyIn, &is.HealthyDeadline},
		{"progress-deadline", u.progress, &is.ProgressDeadline},
	} {
		if !given(d.flag) {
			continue
		}
		var v mesh.Duration
		if err := v.UnmarshalText([]byte(d.from)); err != nil {
			return misused(u.cmd, "--%s %q is no duration such as 30s or 10m", d.flag, d.from)
		}
		*d.to = &v
	}
	job.Update = &is
	return nil
}

func (c *command) deploymentDeploy() *cobra.Command {
	var (
		key                  string
		wait, detach, dryRun bool
		with                 configs.Variables
	)
	w, u := &conditions{}, &updating{}
	cmd := &cobra.Command{
		Use:   "deploy PATH",
		Short: "Deploy a job, or a new version of it, step by step",
		Long: `Submit a job file or folder, as mn job run does, to take the place of the version that
runs: copy by copy, each healthy before the next one's turn. The job's name is the key of
its deployments; --key gives it another. The other flags stand above [update] of the file.

With --strategy canary, some new copies run beside the old ones first, and with blue-green
all of them; nobody who looks for a service is sent to them until mn deployment promote.

It returns when the version is accepted, and the deployment goes on whichever node is lost;
with --wait, when it is successful, has failed (then with exit code 1), or waits to be
promoted. With --dry-run nothing is changed.`,
		Example: `  mn deployment deploy ./bundle --key agent-api --strategy rolling --max-parallel 1
  mn deployment deploy api.toml --strategy canary --canary 2 --auto-revert --wait
  mn deployment deploy api.toml --dry-run`,
		Args:              needs("PATH"),
		ValidArgsFunction: jobFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case dryRun && wait:
				return misused(cmd, "--dry-run changes nothing: there is nothing to wait for")
			case detach && wait:
				return misused(cmd, "--detach and --wait contradict each other")
			}
			job, err := configs.ReadChanged(args[0], with, func(job *mesh.Job) error {
				if cmd.Flags().Changed("key") {
					job.Name = key
				}
				return u.into(job)
			})
			if err != nil {
				return err
			}
			if fault := job.Check(); fault != nil {
				return fault
			}
			client, err := c.client()
			if err != nil {
				return err
			}
			defer client.Close()
			if dryRun {
				return c.rehearse(cmd.Context(), client, args[0], job)
			}
			return c.deploy(cmd.Context(), client, args[0], job, w, wait)
		},
	}
	w.flags(cmd)
	u.flags(cmd)
	variableFlags(cmd, &with)
	cmd.Flags().StringVar(&key, "key", "", "the job's name, if it is not that of the file")
	cmd.Flags().BoolVar(&wait, "wait", false, "return when it is successful, has failed, or waits to be promoted")
	cmd.Flags().BoolVar(&detach, "detach", false, "return when the version is accepted, as without --wait")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "change nothing, and say what would happen")
	_ = cmd.RegisterFlagCompletionFunc("key", c.completeFlag(jobNames))
	return cmd
}

// deploy submits a job, and if wanted follows its deployment.
func (c *command) deploy(
	ctx context.Context, client *api.Client, path string, job *mesh.Job, w *conditions, wait bool,
) (err error) {
	if job.Payload, err = c.send(ctx, client, path, job); err != nil {
		return err
	}
	done, err := client.Submit(ctx, api.RunRequest{Job: *job, Reason: w.reason, Expect: w.expect()})
	if err != nil {
		return err
	}
	c.warn(done)
	if wait {
		return c.awaitDeployment(ctx, client, done)
	}
	return c.result(done, func() {
		if !done.Changed {
			c.printf("job %q is at version %d already\n", done.ID, done.Version)
			return
		}
		c.printf("version %d of job %q is to be deployed (%s)\n", done.Version, done.ID, job.UpdateText())
		c.printf("mn deployment status %s shows how far it is\n", done.ID)
	})
}

// rehearse says what a deployment would do.
func (c *command) rehearse(ctx context.Context, client *api.Client, path string, job *mesh.Job) (err error) {
	if job.Payload, _, err = c.look(ctx, path, job); err != nil {
		return err
	}
	plan, err := client.Plan(ctx, *job)
	if err != nil {
		return err
	}
	return c.result(plan, func() { c.showPlan(plan) })
}

func (c *command) deploymentList() *cobra.Command {
	var again bool
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the deployments, the last of each job",
		Example: "  mn deployment ls\n" +
			"  mn deployment ls --json | jq -r '.[] | select(.status == \"failed\") | .deployment_key'",
		Args: needs(),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, _ []string) error {
			return show(c, cmd.Context(), again, client.Deployments, client.WatchDeployments, c.showDeployments)
		}),
	}
	watchFlag(cmd, &again)
	return cmd
}

func (c *command) showDeployments(all []api.Deployment) {
	if len(all) == 0 {
		c.printf("no job has a deployment: mn deployment deploy, or [update] in a job file, gives it one\n")
		return
	}
	b := newTable("KEY", "VERSION", "FROM", "STRATEGY", "STATUS", "HEALTHY", "OLD", "HIDDEN", "BEGAN", "NEXT")
	for i := range all {
		d := &all[i]
		how, healthy := string(d.Strategy), fmt.Sprintf("%d/%d", d.Healthy, d.Wanted)
		if d.Status == mesh.VersionRecorded {
			how, healthy = "", ""
		}
		b.add(d.Key, d.Version, number(int(d.From)), how, state(string(d.Status)), healthy, number(d.Old),
			number(d.Hidden), ago(d.Began), whatNext(d))
	}
	c.table(b)
}

// whatNext is what happens next of a deployment, or how it came to its end.
func whatNext(d *api.Deployment) string {
	if d.Next == "" || d.Status.Final() {
		return rounded(d.Reason)
	}
	return rounded(d.Next)
}

func (c *command) deploymentHistory() *cobra.Command {
	return &cobra.Command{
		Use:   "history KEY",
		Short: "List the deployments that a job has had",
		Long: `List the deployments that a job has had, the oldest first: of which version each was, and
what became of it. Versions that changed no copy, as a scale, had none: mn job history
lists them all.`,
		Example:           "  mn deployment history agent-api",
		Args:              needs("KEY"),
		ValidArgsFunction: c.complete(deploymentKeys),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			all, err := client.DeploymentHistory(cmd.Context(), mesh.JobID(args[0]))
			if err != nil {
				return err
			}
			return c.result(all, func() {
				b := newTable("VERSION", "FROM", "STATUS", "BEGAN", "ENDED", "REASON")
				for i := range all {
					d := &all[i]
					b.add(d.Version, number(int(d.From)), state(string(d.Status)), ago(d.Began), ago(d.Ended),
						rounded(d.Reason))
				}
				c.table(b)
			})
		}),
	}
}

// deploymentKeys are the jobs that have a deployment.
func deploymentKeys(ctx context.Context, client *api.Client, _ []string) ([]string, error) {
	all, err := client.Deployments(ctx)
	var keys []string
	for i := range all {
		keys = append(keys, string(all[i].Key)+"\t"+string(all[i].Status))
	}
	return keys, err
}
