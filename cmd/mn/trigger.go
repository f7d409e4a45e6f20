package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mn/mesh"
	"mn/mesh/api"
)

func (c *command) triggerCommand() *cobra.Command {
	return group("trigger", "Run jobs for events", c.triggerCreate(), c.triggerList(), c.triggerDelete())
}

func (c *command) triggerCreate() *cobra.Command {
	f := &scheduleFlags{}
	var event, filter, path string
	cmd := &cobra.Command{
		Use:   "create FILE|DIR --event EVENT",
		Short: "Run a job for each event of a kind",
		Long: `Submit a job file, or a folder with job.toml in it, as a job that runs for each event of a kind, if
the filter holds of it: a JSON object from dotted paths in the event's payload to values,
lists of values, or {"prefix": …} and {"contains": …}. What is given here stands in place of
the [[trigger]] tables of the file.`,
		Example: `  mn trigger create index --event file_uploaded --filter-json '{"path":{"prefix":"/datasets/"}}'
  mn trigger create index --event file_appeared --path "/srv/inbox/*.csv"
  mn trigger create alarm.toml --event job_failed --filter-json '{"source":["train","eval"]}'`,
		Args:              needs("FILE"),
		ValidArgsFunction: jobFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			t := mesh.Trigger{Event: event, Path: path}
			if filter != "" {
				if err := json.Unmarshal([]byte(filter), &t.Filter); err != nil {
					var other *json.UnmarshalTypeError
					if errors.As(err, &other) {
						err = fmt.Errorf(`want an object, such as {"path":{"prefix":"/data/"}}, not %s`, other.Value)
					}
					return misused(cmd, "--filter-json: %v", err)
				}
			}
			_, done, err := c.submitChanged(cmd, args[0], f, func(job *mesh.Job) error {
				if event == "" && len(job.Triggers) == 0 {
					return misused(cmd, "say for which events job %q runs, with --event or in [[trigger]] of the file",
						job.Name)
				}
				if event == "" && (filter != "" || path != "") {
					return misused(cmd, "--filter-json and --path are of an --event, which is missing")
				}
				if event != "" {
					job.Triggers = []mesh.Trigger{t}
				}
				had := job.Schedule
				if err := f.apply(cmd, job); err != nil {
					return err
				}
				if had == nil && reflect.ValueOf(*job.Schedule).IsZero() {
					job.Schedule = nil
				}
				return nil
			})
			if err != nil {
				return err
			}
			return c.result(done, func() {
				if !done.Changed {
					c.printf("trigger %q is at version %d already\n", done.ID, done.Version)
					return
				}
				c.printf("trigger %q is accepted, version %d\n", done.ID, done.Version)
			})
		},
	}
	cmd.Flags().StringVar(&event, "event", "", "the kind of `EVENT`")
	cmd.Flags().StringVar(&filter, "filter-json", "", "what has to hold of it, as a `JSON` object")
	cmd.Flags().StringVar(&path, "path", "", "of file_appeared: the `PATTERN` of files")
	_ = cmd.RegisterFlagCompletionFunc("event", cobra.FixedCompletions(builtEvents, cobra.ShellCompDirectiveNoFileComp))
	f.add(cmd)
	return cmd
}

// builtEvents are the kinds of events that the mesh tells by itself.
var builtEvents = []string{
	mesh.JobFinished, mesh.JobHasFailed, mesh.NodeHasJoined, mesh.NodeIsLost, mesh.ServiceCritical, mesh.DeviceFreed,
	mesh.FileAppeared,
}

// triggerRow is a trigger in a list.
type triggerRow struct {
	Name    string                    `json:"name"`
	Status  api.ScheduleStatus        `json:"status"`
	Event   string                    `json:"event"`
	Filter  map[string]mesh.Condition `json:"filter"`
	Path    string                    `json:"path"`
	Last    *api.Run                  `json:"last"`
	Running int                       `json:"running"`
}

func (c *command) triggerList() *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Short:   "List the jobs that run for events",
		Example: "  mn trigger ls\n  mn trigger ls --json | jq -r '.[] | select(.event == \"file_uploaded\") | .name'",
		Args:    needs(),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, _ []string) error {
			all, err := client.Schedules(cmd.Context())
			if err != nil {
				return err
			}
			rows := []triggerRow{}
			b := newTable("NAME", "STATUS", "EVENT", "FILTER", "LAST RUN", "RUNNING")
			for i := range all {
				s := &all[i]
				for _, t := range s.Triggers {
					rows = append(rows, triggerRow{s.Name, s.Status, t.Event, t.Filter, t.Path, s.Last, s.Running})
					b.add(s.Name, state(string(s.Status)), t.Event, filterText(&t), lastRun(s), s.Running)
				}
			}
			return c.result(rows, func() {
				if len(rows) == 0 {
					c.printf("no job has a trigger\n")
					return
				}
				c.table(b)
			})
		}),
	}
}

// filterText is what has to hold of an event, in a line.
func filterText(t *mesh.Trigger) string {
	text := t.Path
	if len(t.Filter) > 0 {
		b, err := json.Marshal(t.Filter)
		if err != nil {
			return text
		}
		text = strings.TrimSpace(text + " " + string(b))
	}
	return text
}

func (c *command) triggerDelete() *cobra.Command {
	return c.actOn("trigger", verb{
		is: mesh.VerbStop, short: "Make no more runs of a job for events",
		long: `Make no more runs of a job. What runs goes on. The job and its versions are kept: creating
it again goes on from there.`,
		already: "is deleted already", done: "is deleted",
	}, "delete")
}

func (c *command) eventCommand() *cobra.Command {
	return group("event", "Say what has happened, for jobs that wait for it", c.eventEmit(), c.eventList())
}

func (c *command) eventEmit() *cobra.Command {
	var h handed
	var source string
	cmd := &cobra.Command{
		Use:   "emit EVENT",
		Short: "Say that something has happened",
		Long: `Say that something has happened: a run is made of each job with a trigger that matches. It is
accepted once it is safe on the disks of two machines, if there are two. What is said twice
under one --id has happened once, at whichever peers it is said.`,
		Example: `  mn event emit file_uploaded --payload-json '{"path":"/datasets/eval.jsonl"}'
  mn event emit release --id v1.7 --source ci --meta branch=main`,
		Args:              needs("EVENT"),
		ValidArgsFunction: c.complete(eventNames),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			payload, meta, err := h.read(cmd)
			if err != nil {
				return err
			}
			done, err := client.Emit(cmd.Context(), api.EmitRequest{
				Event: args[0], Payload: payload, Meta: meta, Source: source, ID: h.id,
			})
			if err != nil {
				return err
			}
			for _, w := range done.Warnings {
				c.say("warning: %s", w)
			}
			return c.result(done, func() {
				switch {
				case !done.Changed:
					c.printf("event %q was known already\n", done.ID)
					return
				case len(done.Triggers)+len(done.Refused) == 0:
					c.printf("event %s is accepted, id %s: no job waits for it\n", done.Event, done.ID)
					return
				}
				c.printf("event %s is accepted, id %s\n", done.Event, done.ID)
				for _, job := range done.Triggers {
					c.printf("it has job %q run\n", job)
				}
				for _, job := range slices.Sorted(maps.Keys(done.Refused)) {
					c.say("warning: job %q does not run for it: %s", job, done.Refused[job])
				}
			})
		}),
	}
	h.add(cmd)
	cmd.Flags().StringVar(&source, "source", "", "`WHO` says so, for filters")
	return cmd
}

// eventNames are the events for which there are triggers.
func eventNames(ctx context.Context, client *api.Client, _ []string) ([]string, error) {
	all, err := client.Schedules(ctx)
	var names []string
	for i := range all {
		for _, t := range all[i].Triggers {
			names = append(names, t.Event+"\t"+all[i].Name)
		}
	}
	return names, err
}

func (c *command) eventList() *cobra.Command {
	var events []string
	most := 0
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List what has happened, and the runs that there are for it",
		Long: `List the events that people and the mesh have said, the latest first, with the runs that were
made for them. They are remembered for a day. What happened in the mesh besides is in
mn events.`,
		Example: "  mn event ls\n  mn event ls --event file_uploaded -n 5\n" +
			"  mn event ls --json | jq '.[0].payload'",
		Args: needs(),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, _ []string) error {
			if most < 0 {
				return misused(cmd, "-n must not be negative, as %d is", most)
			}
			all, err := client.Occurrences(cmd.Context())
			if err != nil {
				return err
			}
			if len(events) > 0 {
				all = keep(all, func(o *api.Occurrence) bool { return slices.Contains(events, o.Event) })
			}
			if most > 0 {
				all = all[:min(most, len(all))]
			}
			return c.result(all, func() { c.showOccurrences(all) })
		}),
	}
	cmd.Flags().StringArrayVar(&events, "event", nil, "only of this kind of `EVENT`; several may be given")
	cmd.Flags().IntVarP(&most, "count", "n", 0, "only the last `N`; 0 for all")
	_ = cmd.RegisterFlagCompletionFunc("event", c.completeFlag(eventNames))
	return cmd
}

// payloadMost is how much of a payload a list shows, in bytes.
const payloadMost = 100

// showOccurrences lists what has happened. The ids of what the mesh itself says are long, and of no use to
// people.
func (c *command) showOccurrences(all []api.Occurrence) {
	if len(all) == 0 {
		c.printf("no event is remembered\n")
		return
	}
	b := newTable("AT", "EVENT", "ID", "SOURCE", "PEER", "PAYLOAD", "RUNS")
	for i := range all {
		o := &all[i]
		id := string(o.ID)
		if o.Built() {
			id = ""
		}
		payload := mesh.Plain(string(o.Payload), payloadMost)
		if len(o.Payload) > payloadMost {
			payload += "…"
		}
		b.add(o.At.UTC().Format(time.RFC3339), o.Event, id, o.Source, o.Node, payload, joined(o.Runs))
	}
	c.table(b)
}

func joined(runs []mesh.JobID) string {
	var names []string
	for _, r := range runs {
		names = append(names, string(r))
	}
	return strings.Join(names, ", ")
}
