package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"mn/configs"
	"mn/mesh"
	"mn/mesh/api"
)

func (c *command) serviceCommand() *cobra.Command {
	return group("service", "See what tasks offer, and where it is",
		c.serviceList(), c.serviceResolve(), c.serviceCheck(), c.serviceWatch())
}

func (c *command) serviceList() *cobra.Command {
	var r api.ServicesRequest
	var again bool
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the services that can be used, or all there are",
		Long: `List the services that can be used: whose checks pass, of copies that run on nodes in
sight. With --all, those to which nobody is sent are listed too, with the reason: also the
canaries and candidates of a deployment that is not promoted.`,
		Example: "  mn service ls\n  mn service ls --all --watch\n  mn service ls --tag embedding --node gpu1",
		Args:    needs(),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, _ []string) error {
			return show(c, cmd.Context(), again,
				func(ctx context.Context) ([]api.Service, error) { return client.Services(ctx, r) },
				func(ctx context.Context, each func([]api.Service) error) error {
					return client.WatchServices(ctx, r, each)
				},
				func(all []api.Service) { c.showServices(all, &r) })
		}),
	}
	cmd.Flags().BoolVarP(&r.All, "all", "a", false, "those to which nobody is sent, too, and why")
	c.serviceFlags(cmd, &r)
	watchFlag(cmd, &again)
	return cmd
}

// serviceFlags are the flags by which services are chosen.
func (c *command) serviceFlags(cmd *cobra.Command, r *api.ServicesRequest) {
	cmd.Flags().StringVar(&r.Tag, "tag", "", "those that have the `TAG`; of several, separated by commas, all")
	cmd.Flags().StringVar(&r.Node, "node", "", "those on the `NODE`")
	cmd.Flags().StringVar(&r.Role, "role", "",
		"copies of the `ROLE` in a deployment: canary, candidate, or any; primary if not given")
	_ = cmd.RegisterFlagCompletionFunc("node", c.completeFlag(nodeNames))
	_ = cmd.RegisterFlagCompletionFunc("role",
		cobra.FixedCompletions(api.Roles(), cobra.ShellCompDirectiveNoFileComp))
}

func (c *command) showServices(all []api.Service, r *api.ServicesRequest) {
	if len(all) == 0 {
		c.printf("%s\n", noService(r))
		return
	}
	hidden := r.All
	heads := []string{"SERVICE", "ADDRESS", "TAGS", "JOB", "COPY", "NODE", "STATUS", "SINCE"}
	roles := slices.ContainsFunc(all, func(s api.Service) bool { return apart(s.Role) })
	if roles {
		heads = append(heads, "ROLE")
	}
	if hidden {
		heads = append(heads, "WHY")
	}
	b := newTable(heads...)
	for i := range all {
		s := &all[i]
		tags := "-"
		if len(s.Tags) > 0 {
			tags = strings.Join(s.Tags, ",")
		}
		cells := []any{
			s.Name, hostPort(s), tags, s.Job, copyIndex(s.Group, s.Index), s.Node, state(string(s.Status)),
			ago(s.Since),
		}
		if roles {
			cells = append(cells, state(string(s.Role)))
		}
		if hidden {
			cells = append(cells, whyHidden(s))
		}
		b.add(cells...)
	}
	c.table(b)
}

// noService says that there is none of those that were asked for.
func noService(r *api.ServicesRequest) string {
	need := mesh.ServiceNeed{Name: r.Service, Tags: r.Tags()}
	what, where := strings.Join(strings.Fields("service "+need.String()), " "), ""
	if r.Node != "" {
		where = " on node " + r.Node
	}
	if !r.All {
		return "no " + what + where + " can be used now (mn service ls --all)"
	}
	if r.Service == "" {
		what = "a " + what
	}
	return "nothing that runs" + where + " offers " + what
}

// whyHidden says why nobody is sent to a service, with what its checks say, and which of them begins to fail.
func whyHidden(s *api.Service) string {
	if s.Hidden == "" {
		for _, k := range s.Checks {
			if k.Failures > 0 {
				return fmt.Sprintf("passes still: check %q has failed %s: %s", k.Name, inARow(k.Failures), k.Reason)
			}
		}
		return "-"
	}
	if s.Hidden != string(s.Status) {
		return s.Hidden
	}
	for _, k := range s.Checks {
		if k.Health != mesh.Passing {
			return "check " + strconv.Quote(k.Name) + ": " + k.Reason
		}
	}
	return s.Hidden
}

func inARow(times int) string {
	if times == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times in a row", times)
}

// hostPort is where a service is.
func hostPort(s *api.Service) string {
	if s.Port == 0 {
		return s.Address
	}
	return net.JoinHostPort(s.Address, strconv.Itoa(s.Port))
}

func (c *command) serviceResolve() *cobra.Command {
	var r api.ServicesRequest
	cmd := &cobra.Command{
		Use:   "resolve NAME",
		Short: "Say where a service is: an address in each line",
		Long: `Say where a service is, as ADDRESS:PORT, one in each line: of all that can be used, on
nodes in sight. If there is none, it is an error that says why. The copies of a new
version that is not promoted are found with --role canary or candidate only.`,
		Example: "  mn service resolve vllm --tag embedding\n  mn service resolve vllm --role canary\n" +
			"  curl http://$(mn service resolve vllm | shuf -n 1)/v1/models",
		Args:              needs("NAME"),
		ValidArgsFunction: c.complete(serviceNames),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			r.Service = args[0]
			found, err := client.Resolve(cmd.Context(), r)
			if err != nil {
				return err
			}
			return c.result(found, func() {
				for i := range found {
					c.printf("%s\n", hostPort(&found[i]))
				}
			})
		}),
	}
	c.serviceFlags(cmd, &r)
	return cmd
}

func (c *command) serviceWatch() *cobra.Command {
	var r api.ServicesRequest
	cmd := &cobra.Command{
		Use:   "watch NAME",
		Short: "Show where a service is, now and whenever that changes",
		Long: `Show all instances of a service, with the reason of those to which nobody is sent, now and
whenever something of that changes. With --json it is a list in each line.`,
		Example: "  mn service watch vllm\n" +
			"  mn service watch vllm --json | jq -c 'map(select(.hidden == \"\").address)'",
		Args:              needs("NAME"),
		ValidArgsFunction: c.complete(serviceNames),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			r.Service, r.All = args[0], true
			return show(c, cmd.Context(), true, nil,
				func(ctx context.Context, each func([]api.Service) error) error {
					return client.WatchServices(ctx, r, each)
				},
				func(all []api.Service) { c.showServices(all, &r) })
		}),
	}
	c.serviceFlags(cmd, &r)
	return cmd
}

func serviceNames(ctx context.Context, client *api.Client, _ []string) ([]string, error) {
	all, err := client.Services(ctx, api.ServicesRequest{All: true})
	var names []string
	for i := range all {
		if len(names) == 0 || names[len(names)-1] != all[i].Name {
			names = append(names, all[i].Name)
		}
	}
	return names, err
}

func (c *command) serviceCheck() *cobra.Command {
	var with configs.Variables
	cmd := &cobra.Command{
		Use:   "check FILE|DIR",
		Short: "Say whether there is what a job needs",
		Long: `Check a job file, and say for each service that the job or a task of it needs whether there
is one that can be used, and where. The exit code is 1 if one is missing.`,
		Example:           "  mn service check embedding-worker.toml",
		Args:              needs("FILE"),
		ValidArgsFunction: jobFiles,
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			job, err := configs.ReadJob(args[0], with)
			if err != nil {
				return err
			}
			p, err := client.Preflight(cmd.Context(), *job)
			if err != nil {
				return err
			}
			if err := c.result(p, func() { c.showPreflight(p) }); err != nil {
				return err
			}
			if !p.Met {
				return exitCode(1)
			}
			return nil
		}),
	}
	variableFlags(cmd, &with)
	return cmd
}

func (c *command) showPreflight(p api.Preflight) {
	if len(p.Needs) == 0 {
		c.printf("job %q needs no service\n", p.Job)
		return
	}
	b := newTable("NEEDS", "WHO", "THERE", "WHERE")
	for _, n := range p.Needs {
		who, there, where := "the job, anywhere", "yes", n.Reason
		if n.Task != "" {
			who = "task " + n.Task + ", on its node"
		}
		if !n.Met {
			there = "no"
		} else {
			var all []string
			for i := range n.By {
				all = append(all, n.By[i].Node+" ("+hostPort(&n.By[i])+")")
			}
			where = strings.Join(all, ", ")
		}
		b.add(n.Need, who, there, where)
	}
	c.table(b)
}
