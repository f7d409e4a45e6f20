package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"mn/mesh"
	"mn/mesh/api"
)

// conditions are the flags of what makes a version of a job.
type conditions struct {
	reason string
	number uint64
	cmd    *cobra.Command
}

const expectFlag = "expect-version"

func (w *conditions) flags(cmd *cobra.Command) {
	w.cmd = cmd
	cmd.Flags().StringVar(&w.reason, "reason", "", "why, for those who look at the history later")
	cmd.Flags().Uint64Var(&w.number, expectFlag, 0, "do it only if this is the current version of the job")
}

// expect is the version that must be the current one, nil if any may.
func (w *conditions) expect() *uint64 {
	if !w.cmd.Flags().Changed(expectFlag) {
		return nil
	}
	return &w.number
}

// verb is a command that does something to a job and leaves its content as it is.
type verb struct {
	is                mesh.Verb
	short, long, more string
	already, done     string // what the job is; what it does, then its version
}

func (c *command) act(v verb) *cobra.Command {
	w, all := &conditions{}, false
	cmd := &cobra.Command{
		Use:               string(v.is) + " JOB",
		Short:             v.short,
		Long:              v.long,
		Example:           fmt.Sprintf("  mn job %s hello%s", v.is, v.more),
		Args:              needs("JOB"),
		ValidArgsFunction: c.complete(jobNames),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			done, err := client.Act(cmd.Context(), v.is, api.ActRequest{
				Job: mesh.JobID(args[0]), Reason: w.reason, Expect: w.expect(), All: all,
			})
			if err != nil {
				return err
			}
			c.warn(done)
			return c.result(done, func() {
				if !done.Changed {
					c.printf("job %q %s\n", done.ID, v.already)
					return
				}
				c.printf("job %q %s, version %d\n", done.ID, v.done, done.Version)
			})
		}),
	}
	w.flags(cmd)
	if v.is == mesh.VerbRetry {
		cmd.Flags().BoolVar(&all, "all", false, "run again also what has completed")
	}
	return cmd
}

func (c *command) jobStop() *cobra.Command {
	return c.act(verb{
		is: mesh.VerbStop, short: "Stop a job",
		long: `Stop all copies of a job, wherever they run. The job and its versions are kept:
running its file again starts it again.`,
		already: "is stopped already", done: "stops",
	})
}

func (c *command) jobCancel() *cobra.Command {
	return c.act(verb{
		is: mesh.VerbCancel, short: "Give up a batch job",
		long: `Stop a batch or sysbatch job and call it cancelled: its work is not wanted any more.
Unlike a stop it is for work that has an end, and is refused when that has come.
mn job retry takes it up again, without what has completed; running its file again
begins from the start.`,
		more:    " --reason \"wrong data\"",
		already: "is cancelled or stopped already", done: "is cancelled",
	})
}

func (c *command) jobPause() *cobra.Command {
	return c.act(verb{
		is: mesh.VerbPause, short: "Stop a job for now",
		long: `Stop all copies of a job and place none, until mn job resume. Each is sent SIGTERM
and has its kill_grace. What has completed stays so, and the counts of moves go on.`,
		more:    " --reason \"the disk is full\"",
		already: "is paused already", done: "pauses",
	})
}

func (c *command) jobResume() *cobra.Command {
	return c.act(verb{
		is: mesh.VerbResume, short: "Go on with a paused job",
		long: `Place the copies of a paused job again. Tasks start from their beginning; copies of
a batch job that had completed do not run again.`,
		already: "is not paused", done: "goes on",
	})
}

func (c *command) jobRetry() *cobra.Command {
	return c.act(verb{
		is: mesh.VerbRetry, short: "Run again what of a job has failed",
		long: `Run again the copies of a job that have failed, also of one that was stopped,
cancelled or paused. Restarts and moves are counted anew; a copy that waits for its
next restart starts at once. What has completed is kept, and what runs is left
alone. The history is kept: this is a version like any other.`,
		more:    "\n  mn job retry --all train     # also what has completed",
		already: "has nothing to retry", done: "is tried again",
	})
}

func (c *command) jobScale() *cobra.Command {
	w := &conditions{}
	cmd := &cobra.Command{
		Use:   "scale JOB [GROUP|TASK] N",
		Short: "Change how many copies of a job there are",
		Long: `Make a version of a job in which a group has N copies: the count of its tasks. The
group is named by itself or by a task in it, and need not be if there is only one.
Copies that are still wanted are left alone, what has completed stays so, and the
counts of failures and moves go on. A gang is placed anew. A paused job stays paused;
one that is stopped or has ended cannot be scaled.

The file that the job came from is not changed: running it again goes back to its
count. mn job show prints a file with the new one.`,
		Example:           "  mn job scale hello 4\n  mn job scale shop web 3 --reason \"more visitors\"",
		Args:              oneMayLack("JOB", "GROUP", "N"),
		ValidArgsFunction: c.complete(jobNames, groupNames),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			r := api.ScaleRequest{Job: mesh.JobID(args[0]), Reason: w.reason, Expect: w.expect()}
			last := len(args) - 1
			if last == 2 {
				r.Group = args[1]
			}
			count, err := strconv.Atoi(args[last])
			if err != nil {
				return misused(cmd, "%q is no number of copies", args[last])
			}
			r.Count = count
			done, err := client.Scale(cmd.Context(), r)
			if err != nil {
				return err
			}
			c.warn(done)
			return c.result(done, func() {
				if !done.Changed {
					c.printf("job %q has count = %d already, version %d\n", done.ID, count, done.Version)
					return
				}
				c.printf("job %q is accepted with count = %d, version %d\n", done.ID, count, done.Version)
			})
		}),
	}
	w.flags(cmd)
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if m := negative.FindStringSubmatch(err.Error()); m != nil {
			return misused(cmd, "%s is no number of copies", m[1])
		}
		return cmd.Parent().FlagErrorFunc()(cmd, err)
	})
	return cmd
}

// negative is what is said of a negative number, which looks like a flag.
var negative = regexp.MustCompile(`^unknown shorthand flag: '[0-9]' in (-[0-9]+)$`)

// oneMayLack checks that there is an argument for each of names, but perhaps for
// the last but one.
func oneMayLack(names ...string) cobra.PositionalArgs {
	last := len(names) - 1
	without := append(slices.Clone(names[:last-1]), names[last])
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > last {
			return needs(names...)(cmd, args)
		}
		return needs(without...)(cmd, args)
	}
}

func (c *command) jobRevert() *cobra.Command {
	w := &conditions{}
	cmd := &cobra.Command{
		Use:   "revert JOB VERSION",
		Short: "Run an earlier version of a job again",
		Long: `Make a version of a job with the content of an earlier one, and run it. VERSION is
a tag or its number; or, for one of several concurrent versions, the beginning of its
hash.`,
		Example:           "  mn job revert hello 3 --reason \"4 leaks memory\"",
		Args:              needs("JOB", "VERSION"),
		ValidArgsFunction: c.complete(jobNames, versionNumbers),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			done, err := client.Revert(cmd.Context(), api.RevertRequest{
				Job: mesh.JobID(args[0]), Version: args[1], Reason: w.reason, Expect: w.expect(),
			})
			if err != nil {
				return err
			}
			c.warn(done)
			return c.result(done, func() {
				if !done.Changed {
					c.printf("job %q runs with the content of version %s already, version %d\n",
						done.ID, args[1], done.Version)
					return
				}
				c.printf("job %q is accepted with the content of version %s, version %d\n",
					done.ID, args[1], done.Version)
			})
		}),
	}
	w.flags(cmd)
	return cmd
}
