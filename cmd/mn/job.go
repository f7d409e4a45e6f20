package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"mn/configs"
	"mn/mesh"
	"mn/mesh/api"
)

func (c *command) jobCommand() *cobra.Command {
	return group("job", "Run jobs and see what becomes of them",
		c.jobInit(), c.jobRun(), c.jobPlan(), c.jobList(), c.jobStatus(), c.jobStop(), c.jobCancel(),
		c.jobPause(), c.jobResume(), c.jobRetry(), c.jobScale(), c.jobRevert(), c.jobTag(), c.jobHistory(), c.jobDiff(),
		c.jobShow(), c.jobExplain(), c.jobEvents(), c.jobValidate(),
		c.jobFmt(), c.jobSchema(), c.jobImport())
}

func (c *command) jobRun() *cobra.Command {
	var wait, force bool
	var with configs.Variables
	w := &conditions{}
	cmd := &cobra.Command{
		Use:   "run FILE|DIR",
		Short: "Run a job, or a new version of it",
		Long: `Submit a job file, or a folder with job.toml in it. The job has a new version if
the file differs from the last one. It is accepted once it is safe on the disks of
two machines, if there are two.

The other files of the folder travel with the job: a task finds them in its own folder,
which it starts in. What .mnignore names, as .dockerignore does, stays here, as do .git
and job.toml. What the mesh has of them already is not sent again.

With --expect-version N, only if N is the current version: nobody else has changed
the job meanwhile. 0 is for a job that there is not yet.

A job that requires services begins once an instance of each passes; with --force at
once, which is kept with the version.

With --wait, return when all copies of a service have run for a second, or when a
batch job has ended, then with the exit code of its task.`,
		Example: `  mn job run hello.toml
  mn job run --wait train.toml && echo trained
  mn job run train.toml --var-file lab.toml --var model=small`,
		Args:              needs("FILE"),
		ValidArgsFunction: jobFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			job, err := configs.ReadJob(args[0], with)
			if err != nil {
				return err
			}
			if wait && job.Template() {
				return mesh.Faultf(mesh.Invalid, "--wait: job %q runs at its times, or when asked: leave it out",
					job.Name).Hint("mn schedule run-now %s --wait is about one run", job.Name)
			}
			client, err := c.client()
			if err != nil {
				return err
			}
			defer client.Close()
			if job.Payload, err = c.send(cmd.Context(), client, args[0], job); err != nil {
				return err
			}
			done, err := client.Submit(cmd.Context(), api.RunRequest{
				Job: *job, Reason: w.reason, Expect: w.expect(), Force: force,
			})
			if err != nil {
				return err
			}
			c.warn(done)
			if wait {
				return c.waitFor(cmd.Context(), client, job, done)
			}
			return c.result(done, func() {
				if !done.Changed {
					c.printf("job %q is at version %d already\n", done.ID, done.Version)
					return
				}
				c.printf("job %q is accepted, version %d\n", done.ID, done.Version)
			})
		},
	}
	w.flags(cmd)
	variableFlags(cmd, &with)
	cmd.Flags().BoolVar(&wait, "wait", false, "return when the job runs, or for batch, has ended")
	cmd.Flags().BoolVar(&force, "force", false, "do not wait for the services that the job requires")
	return cmd
}

func (c *command) warn(done api.Submitted) {
	for _, w := range done.Warnings {
		c.say("warning: %s", w)
	}
}

func (c *command) jobList() *cobra.Command {
	var again, runs bool
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the jobs",
		Long: `List the jobs. Of those with a schedule or trigger the runs that have not ended are listed, too;
with --runs all that are kept.`,
		Example: "  mn job ls\n  mn job ls --json | jq -r '.[] | select(.status == \"failed\") | .name'",
		Args:    needs(),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, _ []string) error {
			shown := func(all []api.JobRow) []api.JobRow {
				return keep(all, func(j *api.JobRow) bool { return runs || j.RunOf == "" || !over(j.Status) })
			}
			get := func(ctx context.Context) ([]api.JobRow, error) {
				all, err := client.Jobs(ctx)
				return shown(all), err
			}
			watch := func(ctx context.Context, each func([]api.JobRow) error) error {
				return client.WatchJobs(ctx, func(all []api.JobRow) error { return each(shown(all)) })
			}
			return show(c, cmd.Context(), again, get, watch, func(jobs []api.JobRow) {
				b := newTable("NAME", "TYPE", "VERSION", "STATUS", "RUNNING", "COMPLETED", "SUBMITTED")
				for _, j := range jobs {
					b.add(j.Name, j.Type, j.Version, state(j.Status),
						fmt.Sprintf("%d/%d", j.Running, j.Count), completed(j), ago(&j.SubmittedAt))
				}
				c.table(b)
				for _, j := range jobs {
					if j.Conflict {
						c.say("warning: job %q has concurrent versions; one of them runs", j.Name)
					}
				}
			})
		}),
	}
	watchFlag(cmd, &again)
	cmd.Flags().BoolVar(&runs, "runs", false, "also the runs of jobs with a schedule or trigger that have ended")
	return cmd
}

// over says whether a job is at its end.
func over(s mesh.JobStatus) bool {
	switch s {
	case mesh.JobCompleted, mesh.JobFailed, mesh.JobStopped, mesh.JobCancelled:
		return true
	}
	return false
}

// completed is how much of a job's work is done, if it has an end: "4/7, 2 skipped".
func completed(j api.JobRow) string {
	if j.Type.Long() {
		return ""
	}
	text := fmt.Sprintf("%d/%d", j.Completed, max(j.Count, j.Completed))
	if j.Skipped > 0 {
		text += fmt.Sprintf(", %d skipped", j.Skipped)
	}
	return text
}

// watchFlag lets a listing or status go on.
func watchFlag(cmd *cobra.Command, again *bool) {
	cmd.Flags().BoolVarP(again, "watch", "w", false, "go on, and show it again whenever it changes")
}

func (c *command) jobStatus() *cobra.Command {
	var again bool
	cmd := &cobra.Command{
		Use:               "status JOB",
		Short:             "Show what runs of a job, and where",
		Example:           "  mn job status hello\n  mn job status hello --json | jq '.allocations[].node'",
		Args:              needs("JOB"),
		ValidArgsFunction: c.complete(jobNames),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			id := mesh.JobID(args[0])
			return show(c, cmd.Context(), again,
				func(ctx context.Context) (api.Job, error) { return client.Job(ctx, id) },
				func(ctx context.Context, each func(api.Job) error) error {
					return client.WatchJob(ctx, id, each)
				}, c.showJob)
		}),
	}
	watchFlag(cmd, &again)
	return cmd
}

func (c *command) showJob(j api.Job) {
	c.field("job", "%s (%s)", j.Name, j.Type)
	c.field("version", "%d, submitted %s at %s", j.Version, ago(&j.SubmittedAt), j.SubmittedBy)
	c.showOrigin(j.Origin)
	status := c.paint(stateColour(string(j.Status)), string(j.Status))
	if j.Template {
		c.field("status", "%s", status)
		c.field("runs", "mn schedule status %s lists them", j.ID)
	} else {
		beside := ""
		if j.Beside > 0 {
			beside = fmt.Sprintf(", %d more beside them", j.Beside)
		}
		c.field("status", "%s, %d of %d copies running%s", status, j.Running, j.Count, beside)
	}
	asItShould := j.Status == mesh.JobRunning && j.Running == j.Count &&
		j.Reason == fmt.Sprintf("%d of %d running", j.Count, j.Count)
	if j.Reason != "" && !asItShould {
		c.field("reason", "%s", rounded(j.Reason))
	}
	for _, g := range j.Groups {
		if g.Skipped > 0 {
			c.field("skipped", "%s of group %s: %s", copies(g.Skipped), g.Group, g.SkippedReason)
		}
	}
	if j.NextAt != nil {
		c.field("next", "goes on in %v", mesh.Duration(max(time.Until(*j.NextAt), 0).Round(time.Second)))
	}
	if d := j.Deployment; d != nil && d.Status != mesh.Deployed && d.Status != mesh.VersionRecorded {
		c.field("deployment", "version %d, %s; mn deployment status %s", d.Version, howFar(d), d.Key)
	}
	if j.Coordinator != "" {
		c.field("coordinator", "%s, fence %s", j.Coordinator, fence(j.Fence))
	} else {
		c.field("coordinator", "none known")
	}
	c.field("recovery", "%s", recovery(j.Recovery))
	c.field("partition", "%s", j.OnPartition)
	for _, hash := range j.Conflicts {
		c.field("conflict", "version %s was submitted at the same time, and does not run", hash)
	}
	if len(j.Allocations) > 0 {
		c.printf("\n")
		c.table(c.allocTable(j.Allocations, false))
	}
	c.showPolicies(j.Policies)
}

// recovery is the mode that was requested, what it comes to, and why.
func recovery(r mesh.EffectiveRecovery) string {
	text := string(r.Requested)
	switch {
	case r.Degraded:
		text += ", degraded to " + string(r.Effective)
	case r.Effective != r.Requested:
		text += ", now " + string(r.Effective)
	}
	return text + ": " + r.Reason
}

func (c *command) jobValidate() *cobra.Command {
	var with configs.Variables
	cmd := &cobra.Command{
		Use:   "validate FILE|DIR",
		Short: "Check a job file, or a job's folder, without an agent",
		Long: `Check a job file, without an agent. Of a folder with job.toml in it, its other files are
checked, too: what .mnignore says, how large they are, where links lead, and whether their
names are in the way of what tasks find in their folders.`,
		Example: `  mn job validate job.toml
  mn job validate train.toml --var model=small
  mn job validate shop`,
		Args:              needs("FILE"),
		ValidArgsFunction: jobFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			job, err := configs.ReadJob(args[0], with)
			if err != nil {
				return err
			}
			files, _, err := c.look(cmd.Context(), args[0], job)
			if err != nil {
				return err
			}
			job.Defaults()
			return c.result(job, func() {
				c.printf("job %q is good\n", job.Name)
				if files != nil {
					c.printf("with it go %s, %v in all\n", mesh.Counted(files.Files, "file", "files"), files.Bytes)
				}
			})
		},
	}
	variableFlags(cmd, &with)
	return cmd
}

// variableFlags are the values of a job file's variables.
func variableFlags(cmd *cobra.Command, with *configs.Variables) {
	flags := cmd.Flags()
	flags.StringArrayVar(&with.Given, "var", nil,
		"value of a variable of the job file, as `NAME=VALUE`; several may be given")
	flags.StringArrayVar(&with.Files, "var-file", nil, "`FILE` of such values, a TOML file of NAME = VALUE")
	_ = cmd.MarkFlagFilename("var-file", "toml")
}
