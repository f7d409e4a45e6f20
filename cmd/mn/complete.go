package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"mn/mesh"
	"mn/mesh/api"
)

// completeWait bounds how long a press of the tab key may take.
const completeWait = time.Second

// completion completes the arguments of a command.
type completion = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// asked are words that a peer is asked for, to complete an argument that comes
// after others.
type asked = func(ctx context.Context, client *api.Client, before []string) ([]string, error)

// complete makes a completion of the first arguments, each of what the peer is asked
// for.
func (c *command) complete(arguments ...asked) completion {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= len(arguments) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return c.completeFlag(arguments[len(args)])(cmd, args, typed)
	}
}

// completeFlag makes a completion of what the peer is asked for, behind any arguments.
func (c *command) completeFlag(words asked) completion {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		const none = cobra.ShellCompDirectiveNoFileComp
		client, err := c.client()
		if err != nil {
			return nil, none
		}
		defer client.Close()
		ctx, cancel := context.WithTimeout(cmd.Context(), completeWait)
		defer cancel()
		// Without an answer there is nothing to offer, and nobody to tell.
		found, _ := words(ctx, client, args)
		return found, none
	}
}

func jobNames(ctx context.Context, client *api.Client, _ []string) ([]string, error) {
	jobs, err := client.Jobs(ctx)
	var names []string
	for _, j := range jobs {
		names = append(names, j.Name)
	}
	return names, err
}

// groupNames are the groups of the job that is named before.
func groupNames(ctx context.Context, client *api.Client, before []string) ([]string, error) {
	job, err := client.Job(ctx, mesh.JobID(before[0]))
	var names []string
	for _, g := range job.Groups {
		names = append(names, g.Group)
	}
	return names, err
}

// versionNumbers are the versions of the job that is named before, the last first, and
// their tags, if one is.
func versionNumbers(ctx context.Context, client *api.Client, before []string) ([]string, error) {
	if len(before) == 0 {
		return nil, nil
	}
	versions, err := client.History(ctx, mesh.JobID(before[0]))
	var numbers []string
	for _, v := range slices.Backward(versions) {
		numbers = append(numbers, fmt.Sprintf("%d\t%s", v.Number, v.Did()))
		for _, t := range v.Tags {
			numbers = append(numbers, fmt.Sprintf("%s\tversion %d", t, v.Number))
		}
	}
	return numbers, err
}

func nodeNames(ctx context.Context, client *api.Client, _ []string) ([]string, error) {
	nodes, err := client.Nodes(ctx)
	var names []string
	for _, n := range nodes {
		names = append(names, n.Name)
	}
	return names, err
}

func allocIDs(ctx context.Context, client *api.Client, _ []string) ([]string, error) {
	allocs, err := client.Allocs(ctx, api.AllocsRequest{})
	var ids []string
	for _, a := range allocs {
		ids = append(ids, string(a.ID)+"\t"+copyName(a.Task, a.Index, a.Node))
	}
	return ids, err
}

func tokenIDs(ctx context.Context, client *api.Client, _ []string) ([]string, error) {
	tokens, err := client.Tokens(ctx)
	var ids []string
	for _, t := range tokens {
		ids = append(ids, t.ID)
	}
	return ids, err
}

// jobFiles completes the path of a job file or folder.
func jobFiles(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return []string{"toml"}, cobra.ShellCompDirectiveFilterFileExt
}
