package main

import (
	"github.com/spf13/cobra"

	"mn/mesh"
	"mn/mesh/api"
)

// steering is a command by which a person steers a deployment.
type steering struct {
	is                mesh.Steer
	short, long, more string
	already, done     string // what the deployment is; what it does
}

func (c *command) steer(s steering) *cobra.Command {
	w := &conditions{}
	cmd := &cobra.Command{
		Use:               string(s.is) + " KEY",
		Short:             s.short,
		Long:              s.long,
		Example:           "  mn deployment " + string(s.is) + " agent-api" + s.more,
		Args:              needs("KEY"),
		ValidArgsFunction: c.complete(deploymentKeys),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			done, err := client.Steer(cmd.Context(), api.SteerRequest{
				Job: mesh.JobID(args[0]), Verb: s.is, Reason: w.reason, Expect: w.expect(),
			})
			if err != nil {
				return err
			}
			for _, text := range done.Warnings {
				c.say("warning: %s", text)
			}
			return c.result(done, func() {
				what := s.done
				if !done.Changed {
					what = s.already
				}
				c.printf("the deployment of version %d of job %q %s\n", done.Version, done.Key, what)
			})
		}),
	}
	w.flags(cmd)
	return cmd
}

func (c *command) deploymentPromote() *cobra.Command {
	return c.steer(steering{
		is: mesh.SteerPromote, short: "Let the hidden copies take the place of the old ones",
		long: `Let the canaries, or the candidates of a blue-green deployment, take the place of the old
copies: from now on who looks for a service is sent to them. The others follow, as many
at a time as max_parallel says. It is refused as long as one of them is not healthy.`,
		more:    " --reason \"looks good\"",
		already: "is promoted already", done: "is promoted, and goes on",
	})
}

func (c *command) deploymentPause() *cobra.Command {
	return c.steer(steering{
		is: mesh.SteerPause, short: "Stop a deployment where it is",
		long: `Have a deployment take no further step until mn deployment resume. The copies that run stay,
old and new; one that is lost is replaced by one of the same version. Deadlines wait, too.`,
		more:    " --reason \"errors in the log\"",
		already: "is paused already", done: "is paused",
	})
}

func (c *command) deploymentResume() *cobra.Command {
	return c.steer(steering{
		is: mesh.SteerResume, short: "Go on with a paused deployment",
		long:    "Have a deployment go on that was paused.",
		already: "is not paused", done: "goes on",
	})
}

func (c *command) deploymentFail() *cobra.Command {
	return c.steer(steering{
		is: mesh.SteerFail, short: "Give up a deployment",
		long: `Call a deployment failed, as if a deadline had passed: no further step is taken, and with
auto_revert the version that ran before is deployed again. Else what runs stays as it is,
until mn deployment rollback or another version.`,
		more:    " --reason \"wrong results\"",
		already: "is given up already", done: "is given up",
	})
}

func (c *command) deploymentRollback() *cobra.Command {
	w, version := &conditions{}, ""
	cmd := &cobra.Command{
		Use:   "rollback KEY",
		Short: "Deploy an earlier version again",
		Long: `Make a version of a job with the content of an earlier one, and deploy it as that one's
[update] says: the last that was deployed with other content than the job has now, or
the one that --version names, by a tag, its number or the beginning of its hash.`,
		Example: "  mn deployment rollback agent-api --reason \"5 is slow\"\n" +
			"  mn deployment rollback agent-api --version 3",
		Args:              needs("KEY"),
		ValidArgsFunction: c.complete(deploymentKeys),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			if version == "" && cmd.Flags().Changed("version") {
				return misused(cmd, "--version is empty: leave it out to go back to the last that was deployed")
			}
			done, err := client.Rollback(cmd.Context(), api.RollbackRequest{
				Job: mesh.JobID(args[0]), Version: version, Reason: w.reason, Expect: w.expect(),
			})
			if err != nil {
				return err
			}
			c.warn(done)
			return c.result(done, func() {
				if !done.Changed {
					c.printf("job %q has that content already, version %d\n", done.ID, done.Version)
					return
				}
				c.printf("job %q goes back, as version %d\n", done.ID, done.Version)
			})
		}),
	}
	w.flags(cmd)
	cmd.Flags().StringVar(&version, "version", "", "tag, number, or beginning of the hash of the version to go back to")
	_ = cmd.RegisterFlagCompletionFunc("version", c.completeFlag(versionNumbers))
	return cmd
}
