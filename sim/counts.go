package sim

import (
	"cmp"
	"slices"
	"time"

	"mn/mesh"
)

// Name names a count of things that a run has met. Those that matter for what
// a scenario is about must not stay zero, or it has shown nothing.
type Name string

// The counts.
const (
	Contested      Name = "leases_contested"
	Takeovers      Name = "takeovers"
	Expiries       Name = "leases_expired"
	StaleRefused   Name = "stale_fences_refused"
	Rosters        Name = "rosters_changed"
	NoMajority     Name = "majorities_lost"
	Barred         Name = "nodes_barred"
	Evictions      Name = "nodes_evicted"
	Vouched        Name = "rosters_forced"
	Replaced       Name = "copies_replaced"
	Refusals       Name = "reservations_refused"
	SurplusStopped Name = "surplus_stopped"
	Drained        Name = "copies_drained"
	SwitchFired    Name = "switches_fired"
	Adopted        Name = "tasks_adopted"
	FalseAlarms    Name = "false_alarms"
	CrashedWriting Name = "crashes_while_writing"
	CrashedActing  Name = "crashes_while_acting"
	DiskRefused    Name = "writes_refused"
	Acknowledged   Name = "writes_acknowledged"
	InDoubt        Name = "answers_lost"
	Dropped        Name = "messages_dropped"
	Repeated       Name = "messages_repeated"
	ClocksRefused  Name = "clocks_refused"
	ClocksCompared Name = "clocks_compared"
	Emptied        Name = "copies_emptied"
	Joins          Name = "nodes_joined"
	Overlaps       Name = "frozen_overlaps"
	Reviewed       Name = "reviews_opened"
	Approved       Name = "reviews_approved"
	Restarted      Name = "restarts_counted"
	Exhausted      Name = "restarts_exhausted"
	Moved          Name = "failures_moved"
	TimedOut       Name = "copies_timed_out"
	Cleaned        Name = "copies_cleaned_up"
	Throttled      Name = "copies_throttled"
	LimitReached   Name = "limits_reached"
	Skipped        Name = "groups_skipped"
	Followed       Name = "jobs_followed"
	GangsPlaced    Name = "gangs_placed"
	GangsRestarted Name = "gangs_restarted"
	Saved          Name = "checkpoints_saved"
	SavesCutOff    Name = "saves_cut_off"
	Kept           Name = "checkpoints_kept"
	FetchesCutOff  Name = "fetches_cut_off"
	Restored       Name = "checkpoints_restored"
	RestoredOlder  Name = "older_restored"
	Unrestored     Name = "restores_failed"
	Preempted      Name = "copies_preempted"
	Flipped        Name = "services_turned"
	ChecksHung     Name = "checks_hung"
	HintsFirst     Name = "hints_first"
	Unwell         Name = "restarts_for_checks"
	Awaited        Name = "services_awaited"
	Following      Name = "services_followed"
	Forced         Name = "services_forgone"
	Yielded        Name = "copies_yielded"
	RolledOut      Name = "deployments_successful"
	RollsFailed    Name = "deployments_failed"
	Promoted       Name = "deployments_promoted"
	Reverted       Name = "deployments_reverted"
	RunsMade       Name = "runs_made"
	RunsAgain      Name = "runs_made_again"
	RunsDone       Name = "runs_done"
	RunsForgotten  Name = "runs_forgotten"
	TicksLeftOut   Name = "ticks_left_out"
	TicksAlone     Name = "ticks_alone"
)

// counted is a count and what it counts.
type counted struct {
	name  Name
	about string
}

// allCounts are the counts, in the order in which they are shown.
var allCounts = []counted{
	{Contested, "a voter refused a ballot for a higher one"},
	{Takeovers, "a slot was taken by another node than before"},
	{Expiries, "a holder was not renewed in time"},
	{StaleRefused, "a node refused a coordinator that had been replaced"},
	{Rosters, "the voters have changed"},
	{NoMajority, "a node saw no majority of the voters"},
	{Barred, "a node that runs on a restored disk was found out"},
	{Evictions, "a node has learned that it was evicted"},
	{Vouched, "people had a node name new voters, as the old ones were gone for good"},
	{Replaced, "a copy was placed in the stead of one that was lost, had failed or was changed"},
	{Refusals, "a node had no room, or no reason to give it"},
	{SurplusStopped, "a second copy was ended after a split"},
	{Drained, "a copy was stopped because its node was to be drained"},
	{SwitchFired, "a copy stopped by itself, because nobody renewed it"},
	{Adopted, "a new agent found a task running"},
	{FalseAlarms, "gossip took a node for lost that ran"},
	{CrashedWriting, "an agent died while it wrote its disk"},
	{CrashedActing, "an agent died between what was durable and what followed from it"},
	{DiskRefused, "a disk was full"},
	{Acknowledged, "people were told that a write is kept"},
	{InDoubt, "people were never told whether a write is kept"},
	{Dropped, "a message did not arrive"},
	{Repeated, "a message arrived twice"},
	{ClocksRefused, "a write from a clock too far ahead was put aside"},
	{ClocksCompared, "a voter's clock was found to be too fast or too slow, or good again"},
	{Emptied, "a node back from beyond the horizon began anew"},
	{Joins, "a node joined the mesh"},
	{Overlaps, "a task of a machine that woke ran beside its replacement for a moment"},
	{Reviewed, "a copy began to wait for a person"},
	{Approved, "people let work go on that waited for them"},
	{Restarted, "a task was restarted on its node by its policy"},
	{Exhausted, "a task failed whose restarts were used up"},
	{Moved, "a copy was started in the stead of one that had failed"},
	{TimedOut, "the time of a copy was over"},
	{Cleaned, "a poststop task was started"},
	{Throttled, "a copy was the last that may run beside others"},
	{LimitReached, "a copy was the last that a shared limit allows"},
	{Skipped, "a group was never run, as those before it went otherwise"},
	{Followed, "the first copy of a job began, and the job comes after others"},
	{GangsPlaced, "a gang was placed"},
	{GangsRestarted, "a gang was placed again"},
	{Saved, "a task was saved"},
	{SavesCutOff, "an agent or a machine was gone before a task was saved"},
	{Kept, "a node said that it keeps what was saved on another"},
	{FetchesCutOff, "who had what was saved was gone before all of it had come"},
	{Restored, "a task went on from what was saved"},
	{RestoredOlder, "a task went on from an older checkpoint, as the latest could not be had"},
	{Unrestored, "a task did not start, as nothing could be had of what was saved"},
	{Preempted, "a copy was stopped to make room for a job of a higher priority"},
	{Flipped, "the services of a task began to fail, or were well again"},
	{ChecksHung, "a check was not answered in time"},
	{HintsFirst, "a service was hidden as gossip had said so before its record came (each second)"},
	{Unwell, "a task was to be restarted as its checks had failed"},
	{Awaited, "a job began that requires a service, which passed"},
	{Following, "a copy was placed again as what it needs had gone from its node"},
	{Forced, "a job began without a service that it requires, as people had said"},
	{Yielded, "a copy that ran was stopped for one of another version, and no other stood in"},
	{RolledOut, "a deployment was successful"},
	{RollsFailed, "a deployment has failed, or another version took its place"},
	{Promoted, "what a deployment had hidden was promoted"},
	{Reverted, "a job went back to the version before by itself"},
	{RunsMade, "a run of a job with a schedule or trigger was made"},
	{RunsAgain, "such a run was made once more, by who did not know of it"},
	{RunsDone, "the work of a run was done"},
	{RunsForgotten, "a run that had ended was forgotten"},
	{TicksLeftOut, "it was said of a time that nothing is made of it"},
	{TicksAlone, "a run of a time was looked for where somebody decided without a majority"},
}

// Count is how often something happened.
type Count struct {
	Name  Name  `json:"name"`
	Times int64 `json:"times"`
}

type counts map[Name]int64

func (c counts) add(n Name) { c[n]++ }

func (c counts) list() []Count {
	var list []Count
	for _, one := range allCounts {
		list = append(list, Count{one.name, c[one.name]})
	}
	return list
}

// Figures are what a run has measured, in virtual time.
type Figures struct {
	Failover Spread        `json:"failover"` // from a power cut to the copy running elsewhere, of eager jobs
	Takeover Spread        `json:"takeover"` // from the end of a coordinator's agent to another holding its slot
	Calm     mesh.Duration `json:"calm"`     // from the end of all faults to everything being well
	Moves    int64         `json:"moves"`    // copies placed in another's stead
	Traffic  []Usage       `json:"traffic"`  // by class, then in all
}

// Usage is what messages of a class cost.
type Usage struct {
	Class string `json:"class"`
	Traffic
	NodeMessages float64 `json:"node_messages"` // a node and a second
	NodeBytes    int64   `json:"node_bytes"`    // a node and a second
}

// Spread is a summary of durations.
type Spread struct {
	Count  int           `json:"count"`
	Median mesh.Duration `json:"median"`
	Worst  mesh.Duration `json:"worst"`
}

func spreadOf(all []time.Duration) Spread {
	if len(all) == 0 {
		return Spread{}
	}
	all = slices.Clone(all)
	slices.Sort(all)
	return Spread{len(all), mesh.Duration(all[len(all)/2]), mesh.Duration(all[len(all)-1])}
}

// classAll is the class of everything together.
const classAll = "all"

func (t Traffic) plus(o Traffic) Traffic { return Traffic{t.Messages + o.Messages, t.Bytes + o.Bytes} }

// usage sums up traffic over so many milliseconds of nodes' lives.
func usage(traffic map[class]Traffic, span int64) []Usage {
	var list []Usage
	total := Usage{Class: classAll}
	for c, t := range traffic {
		list = append(list, Usage{Class: string(c), Traffic: t})
		total.Traffic = total.plus(t)
	}
	slices.SortFunc(list, func(a, b Usage) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Class, b.Class))
	})
	list = append(list, total)
	for i := range list {
		if span > 0 {
			list[i].NodeMessages = float64(list[i].Messages*million/span) / 1000
			list[i].NodeBytes = list[i].Bytes * 1000 / span
		}
	}
	return list
}
