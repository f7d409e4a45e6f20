package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mn/configs"
	"mn/mesh"
	"mn/mesh/api"
)

func (c *command) scheduleCommand() *cobra.Command {
	return group("schedule", "Run jobs at certain times, and see what came of it",
		c.scheduleCreate(), c.scheduleDelay(), c.scheduleList(), c.scheduleStatus(), c.scheduleNext(),
		c.schedulePause(), c.scheduleResume(), c.scheduleRunNow(), c.scheduleAudit(), c.scheduleDelete())
}

// scheduleFlags are the flags that change a job's schedule.
type scheduleFlags struct {
	crons                     []string
	zone, name, at            string
	overlap, missed           string
	allow                     bool
	catchUp, keep             int
	window, after, missedLate mesh.Duration
	with                      configs.Variables
	conditions
}

func (f *scheduleFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.name, "name", "", "the job's `NAME`, in place of that of the file")
	flags.StringVar(&f.overlap, "overlap", "",
		"when a run has not ended: forbid (the default), allow, queue or replace")
	flags.BoolVar(&f.allow, "allow-overlap", false, "the same as --overlap allow")
	flags.StringVar(&f.missed, "missed", "",
		"about times that nobody saw to: skip (the default), catchup_one or catchup_all")
	flags.Var(durationFlag{&f.missedLate}, "missed-grace", "how late a time is not missed yet")
	flags.IntVar(&f.catchUp, "catchup-limit", 0,
		"of --missed catchup_all: for how many of them; 10 if nothing says otherwise")
	flags.IntVar(&f.keep, "keep", 0, "how many runs that have ended are kept; 20 if nothing says otherwise")
	flags.Var(durationFlag{&f.window}, "window", "for how long a run may go on")
	_ = cmd.RegisterFlagCompletionFunc("overlap", cobra.FixedCompletions(
		[]string{"forbid", "allow", "queue", "replace"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("missed", cobra.FixedCompletions(
		[]string{"skip", "catchup_one", "catchup_all"}, cobra.ShellCompDirectiveNoFileComp))
	variableFlags(cmd, &f.with)
	f.flags(cmd)
}

// apply changes a job as the flags say.
func (f *scheduleFlags) apply(cmd *cobra.Command, job *mesh.Job) error {
	if f.name != "" {
		job.Name = f.name
	}
	s := &mesh.Schedule{}
	if job.Schedule != nil {
		*s = *job.Schedule
	}
	if len(f.crons) > 0 {
		s.Crons = f.crons
	}
	if f.zone != "" {
		s.Timezone = f.zone
	}
	switch {
	case f.allow && f.overlap != "" && f.overlap != string(mesh.OverlapAllow):
		return misused(cmd, "--allow-overlap and --overlap %s say different things", f.overlap)
	case f.allow:
		s.Overlap = mesh.OverlapAllow
	case f.overlap != "":
		s.Overlap = mesh.Overlap(f.overlap)
	}
	if f.missed != "" {
		s.Missed = mesh.Missed(f.missed)
	}
	if f.catchUp != 0 {
		s.CatchUpLimit = f.catchUp
	}
	if f.keep != 0 {
		s.Keep = f.keep
	}
	if f.window != 0 {
		s.Window = f.window
	}
	if f.missedLate != 0 {
		s.MissedGrace = f.missedLate
	}
	job.Schedule = s
	return nil
}

// durationFlag is a flag with a duration as job files have them.
type durationFlag struct{ to *mesh.Duration }

func (d durationFlag) String() string {
	if d.to == nil || *d.to == 0 {
		return ""
	}
	return d.to.String()
}

func (d durationFlag) Set(s string) error { return d.to.UnmarshalText([]byte(s)) }
func (d durationFlag) Type() string       { return "duration" }

// submitChanged submits the job of a file or folder with something of it changed.
func (c *command) submitChanged(
	cmd *cobra.Command, path string, f *scheduleFlags, change func(*mesh.Job) error,
) (*mesh.Job, api.Submitted, error) {
	job, err := configs.ReadChanged(path, f.with, change)
	if err != nil {
		return nil, api.Submitted{}, err
	}
	if fault := job.Check(); fault != nil {
		return nil, api.Submitted{}, fault
	}
	client, err := c.client()
	if err != nil {
		return nil, api.Submitted{}, err
	}
	defer client.Close()
	if job.Payload, err = c.send(cmd.Context(), client, path, job); err != nil {
		return nil, api.Submitted{}, err
	}
	done, err := client.Submit(cmd.Context(), api.RunRequest{Job: *job, Reason: f.reason, Expect: f.expect()})
	if err == nil {
		c.warn(done)
	}
	return job, done, err
}

func (c *command) scheduleCreate() *cobra.Command {
	f := &scheduleFlags{}
	cmd := &cobra.Command{
		Use:   "create FILE|DIR",
		Short: "Run a job at certain times",
		Long: `Submit a job file, or a folder with job.toml in it, as a job that runs at certain times. What
is given here stands above what [schedule] of the file says; without --cron that has to say
when. The job has no copies of its own: each time makes a run, a job named after it and
the time. Doing it again with another time makes a new version of the job.`,
		Example: `  mn schedule create eval --cron "0 2 * * *" --timezone America/New_York
  mn schedule create eval.toml --cron "0 6 * * mon-fri" --cron "0 9 * * sat,sun" --name early-eval
  mn schedule create sync.toml --cron "@every 10m" --overlap queue --window 1h`,
		Args:              needs("FILE"),
		ValidArgsFunction: jobFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			job, done, err := c.submitChanged(cmd, args[0], f, func(job *mesh.Job) error {
				if len(f.crons) == 0 && !job.Schedule.Timed() {
					return misused(cmd, "say when job %q runs, with --cron or in [schedule] of the file", job.Name)
				}
				return f.apply(cmd, job)
			})
			if err != nil {
				return err
			}
			return c.scheduled(job, done)
		},
	}
	cmd.Flags().StringArrayVar(&f.crons, "cron", nil,
		"`EXPRESSION` of 5 or 6 fields, or such as @daily or \"@every 10m\"; several may be given")
	cmd.Flags().StringVar(&f.zone, "timezone", "", "IANA name of the `ZONE` of --cron; UTC if nothing says otherwise")
	_ = cmd.RegisterFlagCompletionFunc("timezone",
		func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return mesh.Zones(), cobra.ShellCompDirectiveNoFileComp
		})
	f.add(cmd)
	return cmd
}

// scheduled says what came of a schedule.
func (c *command) scheduled(job *mesh.Job, done api.Submitted) error {
	return c.result(done, func() {
		if !done.Changed {
			c.printf("schedule %q is at version %d already\n", done.ID, done.Version)
			return
		}
		c.printf("schedule %q is accepted, version %d\n", done.ID, done.Version)
		now := time.Now()
		if next := job.Schedule.Next(done.ID, now, now); !next.IsZero() {
			c.printf("it runs first at %s\n", c.when(job.Schedule, next))
		}
	})
}

func (c *command) scheduleDelay() *cobra.Command {
	f := &scheduleFlags{}
	cmd := &cobra.Command{
		Use:   "delay FILE|DIR --at TIME|--in DURATION",
		Short: "Run a job once, later",
		Long: `Submit a job file, or a folder with job.toml in it, as a job that runs once: at a time, or in a
while. A time without a zone is that of this machine. What [schedule] of the file says of
times does not count.`,
		Example: `  mn schedule delay train.toml --in 2h
  mn schedule delay train --at 2026-12-24T18:00 --name train-later
  mn schedule delay train --at 2026-12-24T18:00:00+01:00`,
		Args:              needs("FILE"),
		ValidArgsFunction: jobFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := f.once(cmd)
			if err != nil {
				return err
			}
			job, done, err := c.submitChanged(cmd, args[0], f, func(job *mesh.Job) error {
				if err := f.apply(cmd, job); err != nil {
					return err
				}
				job.Schedule.Crons, job.Schedule.Timezone, job.Schedule.In, job.Schedule.At = nil, "", 0, at
				return nil
			})
			if err != nil {
				return err
			}
			return c.scheduled(job, done)
		},
	}
	cmd.Flags().StringVar(&f.at, "at", "", "the `TIME`, such as 2026-12-24T18:00")
	cmd.Flags().Var(durationFlag{&f.after}, "in", "how long from now")
	f.add(cmd)
	return cmd
}

// onceLayouts are how people may write a time of their own zone.
var onceLayouts = []string{"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02 15:04:05"}

// once is the time that is meant by --at or --in.
func (f *scheduleFlags) once(cmd *cobra.Command) (time.Time, error) {
	now := time.Now()
	switch {
	case (f.at == "") == (f.after == 0):
		return now, misused(cmd, "say when: --at or --in, one of the two")
	case f.after < mesh.Duration(time.Second) && f.at == "":
		return now, misused(cmd, "--in must be at least 1s, not %v", f.after)
	case f.at == "":
		return now.Add(f.after.Std()).UTC().Truncate(time.Second), nil
	}
	at, err := time.Parse(time.RFC3339, f.at)
	for _, layout := range onceLayouts {
		if err == nil {
			break
		}
		at, err = time.ParseInLocation(layout, f.at, time.Local)
	}
	if err != nil {
		return at, misused(cmd, "--at %q is no time, such as 2026-12-24T18:00 or 2026-12-24T18:00:00+01:00", f.at)
	}
	if !at.After(now) {
		return at, misused(cmd, "--at %s has passed", at.Format(time.RFC3339))
	}
	return at.UTC().Truncate(time.Second), nil
}

func (c *command) scheduleList() *cobra.Command {
	var again bool
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the jobs that run at certain times, or when somebody asks",
		Example: "  mn schedule ls\n" +
			"  mn schedule ls --json | jq -r '.[] | select(.missed > 0) | .name'",
		Args: needs(),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, _ []string) error {
			timed := func(all []api.Schedule) []api.Schedule {
				return keep(all, func(s *api.Schedule) bool { return s.Schedule.Timed() || len(s.Triggers) == 0 })
			}
			return show(c, cmd.Context(), again,
				func(ctx context.Context) ([]api.Schedule, error) {
					all, err := client.Schedules(ctx)
					return timed(all), err
				},
				func(ctx context.Context, each func([]api.Schedule) error) error {
					return client.WatchSchedules(ctx, func(all []api.Schedule) error { return each(timed(all)) })
				},
				c.showSchedules)
		}),
	}
	watchFlag(cmd, &again)
	return cmd
}

// keep are those of a list that one wants.
func keep[T any](all []T, want func(*T) bool) []T {
	kept := []T{}
	for i := range all {
		if want(&all[i]) {
			kept = append(kept, all[i])
		}
	}
	return kept
}

func (c *command) showSchedules(all []api.Schedule) {
	if len(all) == 0 {
		c.printf("no job has a schedule\n")
		return
	}
	b := newTable("NAME", "STATUS", "WHEN", "NEXT", "LAST RUN", "RUNNING", "STARTED", "SKIPPED", "MISSED")
	for i := range all {
		s := &all[i]
		next := ""
		if s.Next != nil {
			next = "in " + until(*s.Next)
		}
		b.add(s.Name, state(string(s.Status)), whenDue(s), next, lastRun(s), s.Running, s.Started, s.Skipped, s.Missed)
	}
	c.table(b)
}

// whenDue says in a line when runs are made of a job.
func whenDue(s *api.Schedule) string {
	var parts []string
	if sch := s.Schedule; sch != nil {
		parts = append(parts, sch.Crons...)
		if sch.Timezone != "" && len(parts) > 0 {
			parts[len(parts)-1] += " " + sch.Timezone
		}
		if !sch.At.IsZero() {
			parts = append(parts, "at "+sch.At.UTC().Format(time.RFC3339))
		}
		if sch.In > 0 {
			parts = append(parts, "in "+sch.In.String())
		}
	}
	for _, t := range s.Triggers {
		parts = append(parts, "event "+t.Event)
	}
	if len(parts) == 0 {
		return "when asked for"
	}
	return strings.Join(parts, "; ")
}

// lastRun says what became of the run that was made last.
func lastRun(s *api.Schedule) string {
	if s.Last == nil {
		return ""
	}
	return fmt.Sprintf("%s, %s", s.Last.Status, ago(&s.Last.Due))
}

// until is how long it is until t, roughly.
func until(t time.Time) string {
	d := max(time.Until(t), 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

const timeLayout = "Mon 2006-01-02 15:04:05 MST"

// zoneOf is the zone in which a schedule is meant; UTC if this release does not know it.
func zoneOf(s *mesh.Schedule) *time.Location {
	if s != nil {
		if zone, err := mesh.Zone(s.Timezone); err == nil {
			return zone
		}
	}
	return time.UTC
}

// when is a time in the schedule's zone.
func (c *command) when(s *mesh.Schedule, t time.Time) string {
	return t.In(zoneOf(s)).Format(timeLayout) + ", in " + until(t)
}

func (c *command) scheduleStatus() *cobra.Command {
	var again bool
	cmd := &cobra.Command{
		Use:   "status NAME",
		Short: "Show when a job runs next, and what became of its runs",
		Example: "  mn schedule status nightly-eval\n" +
			"  mn schedule status nightly-eval --json | jq '.upcoming'",
		Args:              needs("NAME"),
		ValidArgsFunction: c.complete(scheduleNames),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			id := mesh.JobID(args[0])
			return show(c, cmd.Context(), again,
				func(ctx context.Context) (api.ScheduleDetail, error) { return client.Schedule(ctx, id) },
				func(ctx context.Context, each func(api.ScheduleDetail) error) error {
					return client.WatchSchedule(ctx, id, each)
				}, c.showSchedule)
		}),
	}
	watchFlag(cmd, &again)
	return cmd
}

func (c *command) showSchedule(s api.ScheduleDetail) {
	c.field("schedule", "%s (%s)", s.Name, s.Type)
	c.field("version", "%d", s.Version)
	c.field("status", "%s", c.paint(stateColour(string(s.Status)), string(s.Status)))
	if s.Reason != "" {
		c.field("reason", "%s", s.Reason)
	}
	c.field("when", "%s", whenDue(&s.Schedule))
	for _, t := range s.Triggers {
		if filter := filterText(&t); filter != "" {
			c.field("filter", "%s", filter)
		}
	}
	for _, t := range s.Upcoming {
		c.field("next", "%s", c.when(s.Schedule.Schedule, t))
	}
	c.field("overlap", "%s", s.Schedule.Schedule.Overlaps())
	c.field("missed", "%s, after %v", s.Schedule.Schedule.Misses(), mesh.Duration(s.Schedule.Schedule.Grace()))
	if sch := s.Schedule.Schedule; sch != nil && sch.Window > 0 {
		c.field("window", "%v", sch.Window)
	}
	if s.Coordinator != "" {
		c.field("coordinator", "%s", s.Coordinator)
	}
	c.field("so far", "%d started, %d skipped, %d missed, %d refused", s.Started, s.Skipped, s.Missed, s.Refused)
	if len(s.Runs) == 0 {
		return
	}
	c.printf("\n")
	b := newTable("RUN", "CAUSE", "DUE", "STATUS")
	for _, r := range s.Runs {
		b.add(r.ID, r.Cause, r.Due.In(zoneOf(s.Schedule.Schedule)).Format(timeLayout), state(string(r.Status)))
	}
	c.table(b)
}

func scheduleNames(ctx context.Context, client *api.Client, _ []string) ([]string, error) {
	all, err := client.Schedules(ctx)
	var names []string
	for i := range all {
		names = append(names, all[i].Name+"\t"+whenDue(&all[i]))
	}
	return names, err
}
