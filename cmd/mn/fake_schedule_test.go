package main

import (
	"context"
	"time"

	"mn/crdt"
	"mn/mesh"
	"mn/mesh/api"
)

// due is when the fake's schedule was due last.
var due = time.Date(2026, 11, 28, 7, 0, 0, 0, time.UTC)

// scheduledFake is an agent of a mesh that has a schedule and a trigger besides.
type scheduledFake struct{ *fake }

func (f scheduledFake) Snapshot(ctx context.Context) (api.Snapshot, error) {
	snap, err := f.fake.Snapshot(ctx)
	scheduled(&snap)
	return snap, err
}

// scheduled puts a schedule and a trigger into a picture, each with a run.
func scheduled(snap *api.Snapshot) {
	origin := mesh.Origin{Job: "nightly", Version: 1, Cause: mesh.CauseTime, Due: due, Until: due.Add(time.Hour)}
	upload := mesh.Origin{
		Job: "index", Version: 1, Cause: mesh.CauseEvent, Due: due, Occurrence: "up-1", Event: "file_uploaded",
		Payload: []byte(`{"path":"/datasets/a"}`), Meta: map[string]string{"shard": "3", "owner": "ana"},
	}
	task := []mesh.Task{{Name: "eval", Command: []string{"eval"}}}
	for _, j := range []struct {
		job  mesh.Job
		due  *mesh.Due
		is   mesh.JobStatus
		text string
	}{
		{mesh.Job{
			Name: "index", Tasks: task, Parameters: &mesh.Parameters{}, Triggers: []mesh.Trigger{{
				Event: "file_uploaded", Filter: map[string]mesh.Condition{"path": {Prefix: "/datasets/"}},
			}},
		}, nil, mesh.JobPending, "waits for event file_uploaded"},
		{mesh.Job{Name: "index-abc", Tasks: task, Origin: &upload}, nil, mesh.JobRunning, ""},
		{mesh.Job{
			Name: "nightly", Tasks: task,
			Schedule: &mesh.Schedule{Crons: []string{"0 2 * * *"}, Timezone: "America/New_York"},
		}, &mesh.Due{Started: 4, Skipped: 1, Missed: 2}, mesh.JobPending, "waits"},
		{mesh.Job{Name: "nightly-20261128t0700z", Tasks: task, Origin: &origin}, nil, mesh.JobCompleted, ""},
	} {
		snap.View.Jobs = append(snap.View.Jobs, mesh.JobView{JobVersion: mesh.JobVersion{
			Job: j.job, Number: 1, Hash: "0123456789abcdef", At: due.Add(-time.Hour), By: "aaaa2222bbbb3333",
		}, Due: j.due, Scheduled: due.Add(-time.Hour)})
		snap.Outlooks = append(snap.Outlooks, api.Outlook{
			Status: j.is, Text: j.text, Coordinator: "aaaa2222bbbb3333", Fence: fenced,
		})
	}
}

func (f *fake) Firings(_ context.Context, id mesh.JobID) ([]api.Fired, error) {
	if id != "nightly" {
		return nil, nil
	}
	return []api.Fired{
		{Firing: mesh.Firing{
			Job: id, Run: "nightly-20261127t0700z", Result: mesh.FiringMissed, Reason: "2 times: nobody decided in time", Times: 2,
			Coordinator: "cccc4444dddd5555", At: due.Add(-23 * time.Hour),
			Origin: mesh.Origin{Cause: mesh.CauseTime, Due: due.Add(-24 * time.Hour)},
		}, Fence: crdt.Fence{Ballot: 3}},
		{Firing: mesh.Firing{
			Job: id, Run: "nightly-20261128t0700z", Result: mesh.FiringStarted, Coordinator: "aaaa2222bbbb3333",
			At: due.Add(12 * time.Millisecond), Origin: mesh.Origin{Cause: mesh.CauseTime, Due: due},
		}, Fence: fenced},
	}, nil
}

func (f *fake) RunNow(_ context.Context, r api.RunNowRequest) (api.RunMade, error) {
	if r.Job == "nightly" && r.Meta["owner"] == "nobody" {
		return api.RunMade{}, mesh.Faultf(mesh.Invalid, "the job takes no meta %q", "owner")
	}
	return api.RunMade{Job: r.Job, Run: r.Job + "-k2m4", Changed: r.ID != "twice"}, nil
}

func (f *fake) Emit(_ context.Context, o mesh.Occurrence) (api.Emitted, error) {
	return api.Emitted{ID: "up-2", Event: o.Event, Changed: o.ID != "twice"}, nil
}

func (f *fake) Occurrences(context.Context) ([]mesh.Occurrence, error) {
	return []mesh.Occurrence{{
		ID: "up-1", Event: "file_uploaded", Source: "ana", By: "cccc4444dddd5555", At: due,
		Payload: []byte(`{"path":"/datasets/eval.jsonl"}`),
	}}, nil
}
