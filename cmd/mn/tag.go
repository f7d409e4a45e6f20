package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"mn/mesh"
	"mn/mesh/api"
)

func (c *command) jobTag() *cobra.Command {
	var remove string
	cmd := &cobra.Command{
		Use:   "tag JOB VERSION TAG",
		Short: "Give a version of a job a name",
		Long: `Give a version of a job a name, by which it can be told wherever a version is: to
revert, show and diff. VERSION is its number, the beginning of its hash, another tag,
or current. A tag that another version has is taken from it; the versions themselves
do not change. With --remove, no version has the tag any more.`,
		Example: `  mn job tag hello current stable
  mn job revert hello stable
  mn job tag hello --remove stable`,
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("remove") {
				return needs("JOB")(cmd, args)
			}
			return needs("JOB", "VERSION", "TAG")(cmd, args)
		},
		ValidArgsFunction: c.complete(jobNames, versionNumbers),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			r := api.TagRequest{Job: mesh.JobID(args[0]), Tag: remove, Remove: len(args) == 1}
			if !r.Remove {
				r.Version, r.Tag = args[1], args[2]
			}
			done, err := client.Tag(cmd.Context(), r)
			if err != nil {
				return err
			}
			for _, w := range done.Warnings {
				c.say("warning: %s", w)
			}
			return c.result(done, func() { c.printf("%s\n", toldTag(r, done)) })
		}),
	}
	cmd.Flags().StringVar(&remove, "remove", "", "take this tag away")
	_ = cmd.RegisterFlagCompletionFunc("remove", c.completeFlag(tagNames))
	return cmd
}

// toldTag says what has become of a tag.
func toldTag(r api.TagRequest, done api.Tagged) string {
	switch {
	case r.Remove:
		return fmt.Sprintf("version %d of job %q is not tagged %q any more", done.Version, done.ID, done.Tag)
	case !done.Changed:
		return fmt.Sprintf("version %d of job %q is tagged %q already", done.Version, done.ID, done.Tag)
	case done.Before > 0:
		return fmt.Sprintf("version %d of job %q is tagged %q, as version %d was",
			done.Version, done.ID, done.Tag, done.Before)
	}
	return fmt.Sprintf("version %d of job %q is tagged %q", done.Version, done.ID, done.Tag)
}

// tagNames are the tags of the job that is named before, if one is.
func tagNames(ctx context.Context, client *api.Client, before []string) ([]string, error) {
	if len(before) == 0 {
		return nil, nil
	}
	versions, err := client.History(ctx, mesh.JobID(before[0]))
	var names []string
	for _, v := range versions {
		names = append(names, v.Tags...)
	}
	return names, err
}
