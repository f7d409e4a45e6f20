package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mn/configs"
	"mn/mesh"
	"mn/mesh/api"
)

func (c *command) jobHistory() *cobra.Command {
	return &cobra.Command{
		Use:   "history JOB",
		Short: "List the versions of a job",
		Long: `List the versions of a job: what a person did, when, by way of which node, and why.
Concurrent versions have the same number; the one that runs is current.`,
		Example:           "  mn job history hello\n  mn job history hello --json | jq '.[-1].job'",
		Args:              needs("JOB"),
		ValidArgsFunction: c.complete(jobNames),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			versions, err := client.History(cmd.Context(), mesh.JobID(args[0]))
			if err != nil {
				return err
			}
			return c.result(versions, func() {
				b := newTable("VERSION", "HASH", "SUBMITTED", "AT", "DID", "REASON", "TAGS", "CURRENT")
				for _, v := range versions {
					current := ""
					if v.Current {
						current = "yes"
					}
					did := string(v.Verb)
					if v.All {
						did += " --all"
					}
					if v.Forced && v.Verb == mesh.VerbRun {
						did += " --force"
					}
					b.add(v.Number, v.Hash, ago(&v.At), v.Node, did, v.Reason, strings.Join(v.Tags, " "), current)
				}
				c.table(b)
			})
		}),
	}
}

// past is the versions of a job, the one of them that is current, and the job as it is.
type past struct {
	all     []mesh.JobVersion
	current *mesh.JobVersion
	job     mesh.JobView
}

func pastOf(ctx context.Context, client *api.Client, id mesh.JobID) (past, error) {
	rows, err := client.History(ctx, id)
	if err != nil {
		return past{}, err
	}
	var v past
	for _, r := range rows {
		v.all = append(v.all, r.JobVersion)
		for _, t := range r.Tags {
			v.job.Tags = append(v.job.Tags, mesh.Tag{Job: id, Name: t, Version: r.Number, Hash: r.Hash})
		}
	}
	at := slices.IndexFunc(rows, func(r api.JobVersion) bool { return r.Current })
	if at < 0 {
		return past{}, mesh.Faultf(mesh.Unavailable, "job %q has just changed", id).Hint("ask again")
	}
	v.current, v.job.JobVersion = &v.all[at], v.all[at]
	return v, nil
}

// find is the version that ref names: the current one if it is empty.
func (v past) find(ref string) (*mesh.JobVersion, error) {
	if ref == "" {
		return v.current, nil
	}
	return mesh.FindVersion(v.all, &v.job, ref)
}

// before is the version that the current one was made from, or nil.
func (v past) before() *mesh.JobVersion {
	at := slices.IndexFunc(v.all, func(o mesh.JobVersion) bool { return o.Hash == v.current.Parent })
	if at < 0 {
		return nil
	}
	return &v.all[at]
}

func (c *command) jobShow() *cobra.Command {
	var ref string
	cmd := &cobra.Command{
		Use:   "show JOB",
		Short: "Print the job file of a version",
		Long: `Print a job as the file that it could have been read from: mn job run takes it. The
version is the current one, or the one with that tag, number or beginning of its hash.`,
		Example:           "  mn job show hello > hello.toml\n  mn job show hello --version 3",
		Args:              needs("JOB"),
		ValidArgsFunction: c.complete(jobNames),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			all, err := pastOf(cmd.Context(), client, mesh.JobID(args[0]))
			if err != nil {
				return err
			}
			v, err := all.find(ref)
			if err != nil {
				return err
			}
			return c.result(v, func() {
				c.printf("# Version %d of job %q: %s.\n%s", v.Number, v.Job.Name, v.Did(), configs.WriteJob(&v.Job))
			})
		}),
	}
	cmd.Flags().StringVar(&ref, "version", "", "tag, number, or beginning of the hash of another version")
	_ = cmd.RegisterFlagCompletionFunc("version", c.completeFlag(versionNumbers))
	return cmd
}

// difference is what `mn job diff` says.
type difference struct {
	From     uint64           `json:"from"`
	FromVerb mesh.Verb        `json:"from_verb"`
	To       uint64           `json:"to"`
	ToVerb   mesh.Verb        `json:"to_verb"`
	Changes  []configs.Change `json:"changes"`
}

func (c *command) jobDiff() *cobra.Command {
	return &cobra.Command{
		Use:   "diff JOB [FROM [TO]]",
		Short: "Say in which settings two versions of a job differ",
		Long: `Say in which settings two versions of a job differ, each by its tag, its number or the
beginning of its hash. TO is the current version if it is not given, and FROM the
one that it was made from. What a file leaves out counts as its default. The exit
code is 0 whether they differ or not.`,
		Example:           "  mn job diff hello\n  mn job diff hello 3\n  mn job diff hello 3 5 --json",
		Args:              from1to3,
		ValidArgsFunction: c.complete(jobNames, versionNumbers, versionNumbers),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			all, err := pastOf(cmd.Context(), client, mesh.JobID(args[0]))
			if err != nil {
				return err
			}
			from, to := all.before(), all.current
			if len(args) > 1 {
				from, err = all.find(args[1])
			}
			if err == nil && len(args) > 2 {
				to, err = all.find(args[2])
			}
			if err != nil {
				return err
			}
			if from == nil {
				return mesh.Faultf(mesh.Invalid, "job %q has no version before version %d", args[0], to.Number)
			}
			return c.showDiff(from, to)
		}),
	}
}

// from1to3 checks the arguments of a diff.
func from1to3(cmd *cobra.Command, args []string) error {
	return needs([]string{"JOB", "FROM", "TO"}[:min(max(len(args), 1), 3)]...)(cmd, args)
}

func (c *command) showDiff(from, to *mesh.JobVersion) error {
	d := difference{from.Number, from.Did(), to.Number, to.Did(), configs.Diff(&from.Job, &to.Job)}
	return c.result(d, func() {
		c.printf("version %d (%s) -> version %d (%s)\n", from.Number, from.Did(), to.Number, to.Did())
		for _, change := range d.Changes {
			c.printf("%s\n", change)
		}
		if len(d.Changes) == 0 {
			c.printf("no setting differs\n")
		}
	})
}
