package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"mn/mesh/api"
)

// completeWait bounds how long a press of the tab key may take.
const completeWait = time.Second

// completion completes a command's first argument.
type completion = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// complete makes a completion of what names asks the peer for.
func (c *command) complete(names func(context.Context, *api.Client) ([]string, error)) completion {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		const none = cobra.ShellCompDirectiveNoFileComp
		if len(args) > 0 {
			return nil, none
		}
		client, err := c.client()
		if err != nil {
			return nil, none
		}
		defer client.Close()
		ctx, cancel := context.WithTimeout(cmd.Context(), completeWait)
		defer cancel()
		// Without an answer there is nothing to offer, and nobody to tell.
		found, _ := names(ctx, client)
		return found, none
	}
}

func jobNames(ctx context.Context, client *api.Client) ([]string, error) {
	jobs, err := client.Jobs(ctx)
	var names []string
	for _, j := range jobs {
		names = append(names, j.Name)
	}
	return names, err
}

func nodeNames(ctx context.Context, client *api.Client) ([]string, error) {
	nodes, err := client.Nodes(ctx)
	var names []string
	for _, n := range nodes {
		names = append(names, n.Name)
	}
	return names, err
}

func allocIDs(ctx context.Context, client *api.Client) ([]string, error) {
	allocs, err := client.Allocs(ctx, api.AllocsRequest{})
	var ids []string
	for _, a := range allocs {
		ids = append(ids, string(a.ID)+"\t"+copyName(a.Task, a.Index, a.Node))
	}
	return ids, err
}

func tokenIDs(ctx context.Context, client *api.Client) ([]string, error) {
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
