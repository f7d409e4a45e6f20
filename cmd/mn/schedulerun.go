package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mn/configs"
	"mn/mesh"
	"mn/mesh/api"
)

// handed are the flags of what a run or an event is handed.
type handed struct {
	payload string
	meta    []string
	id      string
}

func (h *handed) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&h.payload, "payload-json", "", "`JSON` that is handed over")
	flags.StringArrayVar(&h.meta, "meta", nil, "`NAME=VALUE` that is handed over; several may be given")
	flags.StringVar(&h.id, "id", "", "`KEY` under which this counts once, however often and wherever it is said")
}

// read checks what is handed over.
func (h *handed) read(cmd *cobra.Command) (payload json.RawMessage, meta map[string]string, err error) {
	if h.payload != "" && !json.Valid([]byte(h.payload)) {
		return nil, nil, misused(cmd, "--payload-json is no JSON: %q", h.payload)
	}
	for _, one := range h.meta {
		name, value, ok := strings.Cut(one, "=")
		if !ok || name == "" {
			return nil, nil, misused(cmd, "--meta %q is not NAME=VALUE", one)
		}
		if meta == nil {
			meta = map[string]string{}
		}
		meta[name] = value
	}
	return json.RawMessage(h.payload), meta, nil
}

func (c *command) scheduleRunNow() *cobra.Command {
	var h handed
	var reason string
	var wait bool
	cmd := &cobra.Command{
		Use:   "run-now NAME",
		Short: "Run a job now, whether it is due or not",
		Long: `Make a run of a job that has a schedule, a trigger or parameters, at once and whatever else
runs of it, also while it is paused. When it is due next does not change. With --id there is
one run of that key, however often it is asked for, and at whichever peer.`,
		Example: `  mn schedule run-now nightly-eval --wait
  mn schedule run-now index --payload-json '{"path":"/datasets/eval.jsonl"}' --meta owner=ana
  mn schedule run-now nightly-eval --id release-7`,
		Args:              needs("NAME"),
		ValidArgsFunction: c.complete(scheduleNames),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			payload, meta, err := h.read(cmd)
			if err != nil {
				return err
			}
			made, err := client.RunNow(cmd.Context(), api.RunNowRequest{
				Job: mesh.JobID(args[0]), Payload: payload, Meta: meta, ID: h.id, Reason: reason,
			})
			if err != nil {
				return err
			}
			for _, w := range made.Warnings {
				c.say("warning: %s", w)
			}
			if wait {
				run := &mesh.Job{Name: string(made.Run), Type: mesh.Batch}
				return c.waitFor(cmd.Context(), client, run, api.Submitted{ID: made.Run, Version: 1})
			}
			return c.result(made, func() {
				if !made.Changed {
					c.printf("run %q is there already\n", made.Run)
					return
				}
				c.printf("run %q is accepted\n", made.Run)
			})
		}),
	}
	h.add(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for those who look at the run later")
	cmd.Flags().BoolVar(&wait, "wait", false, "return when the run has ended, with the exit code of its task")
	return cmd
}

// How many times are listed.
const (
	nextDefault = 10
	nextMost    = 1000
)

// dueTime is a time at which a job is due.
type dueTime struct {
	At    time.Time `json:"at"`    // UTC
	Zone  string    `json:"zone"`  // as clocks of the schedule's zone show it
	Local string    `json:"local"` // as this machine's do
}

func (c *command) scheduleNext() *cobra.Command {
	n := nextDefault
	var with configs.Variables
	cmd := &cobra.Command{
		Use:   "next NAME|FILE|DIR",
		Short: "Say when a job runs next",
		Long: `Say when a job runs the next times, as clocks of its zone and as those of this machine show it.
Of a job file, or a folder with job.toml in it, this needs no agent; where there is a job
of that name in the mesh, that counts, unless it is written as a path, such as ./eval.`,
		Example:           "  mn schedule next nightly-eval\n  mn schedule next eval.toml -n 3",
		Args:              needs("NAME"),
		ValidArgsFunction: c.complete(scheduleNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if n < 1 || n > nextMost {
				return misused(cmd, "-n must be from 1 to %d, not %d", nextMost, n)
			}
			id, s, since, err := c.scheduleOf(cmd, args[0], with)
			if err != nil {
				return err
			}
			if !s.Timed() {
				return mesh.Faultf(mesh.Invalid, "job %q is due at no time", id).Hint("mn schedule run-now %s", id)
			}
			times := []dueTime{}
			for at := time.Now(); len(times) < n; {
				if at = s.Next(id, at, since); at.IsZero() {
					break
				}
				times = append(times, dueTime{at, at.In(zoneOf(s)).Format(timeLayout), at.Local().Format(timeLayout)})
			}
			return c.result(times, func() {
				if len(times) == 0 {
					c.printf("job %q is never due again\n", id)
					return
				}
				b := newTable("IN ITS ZONE", "HERE", "IN")
				for _, t := range times {
					b.add(t.Zone, t.Local, until(t.At))
				}
				c.table(b)
			})
		},
	}
	cmd.Flags().IntVarP(&n, "count", "n", nextDefault, "how many times")
	variableFlags(cmd, &with)
	return cmd
}

// scheduleOf is the schedule of a job of the mesh, or else of a job file or folder. A folder is often
// called as its job is, which counts then as it is in the mesh; a path is a path.
func (c *command) scheduleOf(
	cmd *cobra.Command, name string, with configs.Variables,
) (id mesh.JobID, s *mesh.Schedule, since time.Time, err error) {
	_, statErr := os.Stat(name)
	isPath := strings.ContainsRune(name, filepath.Separator) || filepath.Ext(name) == ".toml"
	if statErr != nil || !isPath {
		d, err := c.scheduleNamed(cmd, mesh.JobID(name))
		known := err == nil || mesh.FaultOf(err).Kind != mesh.NotFound && mesh.FaultOf(err).Kind != mesh.Unavailable
		if known || statErr != nil {
			if d.Status == api.ScheduleStopped || d.Status == api.SchedulePaused {
				c.say("warning: schedule %q is %s: until it goes on there are no runs at these times", d.ID, d.Status)
			}
			return d.ID, d.Schedule.Schedule, d.Since, err
		}
	}
	job, err := configs.ReadJob(name, with)
	if err != nil {
		return "", nil, since, err
	}
	return mesh.JobID(job.Name), job.Schedule, time.Now(), nil
}

func (c *command) scheduleNamed(cmd *cobra.Command, id mesh.JobID) (d api.ScheduleDetail, err error) {
	client, err := c.client()
	if err != nil {
		return d, err
	}
	defer client.Close()
	return client.Schedule(cmd.Context(), id)
}

func (c *command) scheduleAudit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit NAME",
		Short: "Show each time at which a job was due: who decided, by which right, and what came of it",
		Long: `Show what was made of the times and events at which a job was due, the latest first: the run,
which node decided about it and under which fence, and what became of the run. A fence
that begins with 0 is that of a side without a majority of the voters.`,
		Example: "  mn schedule audit nightly-eval\n" +
			"  mn schedule audit nightly-eval --json | jq '.[] | select(.result != \"started\")'",
		Args:              needs("NAME"),
		ValidArgsFunction: c.complete(scheduleNames),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			all, err := client.Audit(cmd.Context(), mesh.JobID(args[0]))
			if err != nil {
				return err
			}
			return c.result(all, func() {
				if len(all) == 0 {
					c.printf("nothing was decided about job %q yet\n", args[0])
					return
				}
				b := newTable("DUE", "CAUSE", "RESULT", "RUN", "STATUS", "BY", "FENCE", "AFTER", "WHY")
				for _, f := range all {
					late := max(f.At.Sub(f.Due), 0).Round(time.Millisecond).String()
					b.add(f.Due.UTC().Format(time.RFC3339), f.Cause, state(string(f.Result)), f.Run,
						state(string(f.Status)), f.Coordinator, f.Fence, late, f.Reason)
				}
				c.table(b)
			})
		}),
	}
	return cmd
}

// actOn is a command that does something to a job that has a schedule or trigger.
func (c *command) actOn(noun string, v verb, use string) *cobra.Command {
	w := &conditions{}
	cmd := &cobra.Command{
		Use:               use + " NAME",
		Short:             v.short,
		Long:              v.long,
		Example:           "  mn " + noun + " " + use + " nightly-eval" + v.more,
		Args:              needs("NAME"),
		ValidArgsFunction: c.complete(scheduleNames),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			id := mesh.JobID(args[0])
			if _, err := client.Schedule(cmd.Context(), id); err != nil {
				return err
			}
			done, err := client.Act(cmd.Context(), v.is, api.ActRequest{Job: id, Reason: w.reason, Expect: w.expect()})
			if err != nil {
				return err
			}
			c.warn(done)
			return c.result(done, func() {
				if !done.Changed {
					c.printf("%s %q %s\n", noun, done.ID, v.already)
					return
				}
				c.printf("%s %q %s, version %d\n", noun, done.ID, v.done, done.Version)
			})
		}),
	}
	w.flags(cmd)
	return cmd
}

func (c *command) schedulePause() *cobra.Command {
	return c.actOn("schedule", verb{
		is: mesh.VerbPause, short: "Make no runs of a job for now",
		long: `Make no runs of a job, until mn schedule resume. What runs goes on, and mn schedule run-now
makes a run also meanwhile. Times that pass are missed.`,
		more: " --reason \"the data is late\"", already: "is paused already", done: "is paused",
	}, "pause")
}

func (c *command) scheduleResume() *cobra.Command {
	return c.actOn("schedule", verb{
		is: mesh.VerbResume, short: "Make runs of a paused job again",
		long: `Make runs of a paused job again. Whether there is one for what was missed meanwhile is said by
its missed setting.`,
		already: "is not paused", done: "goes on",
	}, "resume")
}

func (c *command) scheduleDelete() *cobra.Command {
	return c.actOn("schedule", verb{
		is: mesh.VerbStop, short: "Make no more runs of a job",
		long: `Make no more runs of a job. What runs goes on. The job and its versions are kept: creating
it again goes on from there.`,
		already: "is deleted already", done: "is deleted",
	}, "delete")
}
