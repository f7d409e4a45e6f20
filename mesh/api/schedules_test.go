package api

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mn/crdt"
	"mn/mesh"
)

func fenceOf(epoch, ballot uint64) crdt.Fence { return crdt.Fence{Epoch: epoch, Ballot: ballot} }

func clientOf(t *testing.T, b Backend) *Client {
	_, c := serving(t, b, Socket)
	return c
}

// withSchedules adds to the world the schedule nightly, of which two runs are kept, and the trigger index,
// of which one runs.
func withSchedules(s *Snapshot) {
	task := []mesh.Task{{Name: "a", Command: []string{"a"}}}
	add := func(v mesh.JobView, o Outlook) {
		v.Job.Tasks, v.Hash, v.By, v.Number = task, "h", "aaaa1111", 1
		v.At, v.Scheduled = monday.Add(-24*time.Hour), monday.Add(-24*time.Hour)
		s.View.Jobs, s.Outlooks = append(s.View.Jobs, v), append(s.Outlooks, o)
	}
	run := func(name string, of mesh.JobID, o mesh.Origin, is mesh.JobStatus) {
		o.Job, o.Version = of, 1
		add(mesh.JobView{JobVersion: mesh.JobVersion{Job: mesh.Job{Name: name, Origin: &o}}}, Outlook{Status: is})
	}
	add(mesh.JobView{
		JobVersion: mesh.JobVersion{Job: mesh.Job{Name: "nightly", Schedule: &mesh.Schedule{Crons: []string{"0 8 * * *"}}}},
		Due:        &mesh.Due{Started: 5, Skipped: 1, Missed: 2},
	}, Outlook{Status: mesh.JobPending, Text: "waits", Coordinator: "bbbb2222"})
	run("nightly-1", "nightly", mesh.Origin{Cause: mesh.CauseTime, Due: monday.Add(-25 * time.Hour)}, mesh.JobFailed)
	run("nightly-20261123t0800z", "nightly", mesh.Origin{Cause: mesh.CauseTime, Due: monday.Add(-time.Hour)}, mesh.JobCompleted)
	add(mesh.JobView{JobVersion: mesh.JobVersion{Job: mesh.Job{
		Name:     "index",
		Triggers: []mesh.Trigger{{Event: "uploaded", Filter: map[string]mesh.Condition{"path": {Prefix: "/d/"}}}},
	}}}, Outlook{Status: mesh.JobRunning})
	run("index-new", "index", mesh.Origin{Cause: mesh.CauseEvent, Due: monday, Occurrence: "new"}, mesh.JobRunning)
}

func TestSchedulesShowWhatIsDueAndWhatWas(t *testing.T) {
	backend := newFake()
	backend.change(withSchedules)
	_, client := serving(t, backend, Socket)
	all, err := client.Schedules(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range all {
		last, next := "", ""
		if s.Last != nil {
			last = string(s.Last.ID)
		}
		if s.Next != nil {
			next = s.Next.Format(time.DateTime)
		}
		got = append(got, fmt.Sprint(s.Name, " ", s.Status, " next ", next, " last ", last, " ", s.Running, s.Started, s.Skipped, s.Missed))
	}
	want := []string{
		"nightly active next 2026-11-24 08:00:00 last nightly-20261123t0800z 0 5 1 2",
		"index active next  last index-new 1 0 0 0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	d, err := client.Schedule(t.Context(), "nightly")
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Upcoming) != 5 || len(d.Runs) != 2 || d.Runs[1].Status != mesh.JobFailed || d.Coordinator != "n2" || d.Reason != "waits" {
		t.Errorf("got %+v", d)
	}
	for status, how := range map[ScheduleStatus]func(j *mesh.JobView, o *Outlook){
		SchedulePaused:    func(j *mesh.JobView, _ *Outlook) { j.Paused = true },
		ScheduleStopped:   func(j *mesh.JobView, _ *Outlook) { j.Stopped = true },
		ScheduleCompleted: func(_ *mesh.JobView, o *Outlook) { o.Status = mesh.JobCompleted },
	} {
		other := newFake()
		other.change(withSchedules)
		other.change(func(s *Snapshot) { how(&s.View.Jobs[2], &s.Outlooks[2]) })
		d, err := clientOf(t, other).Schedule(t.Context(), "nightly")
		if err != nil || d.Status != status || len(d.Upcoming) != 0 || d.Next != nil {
			t.Errorf("got %s, %v, %v, want %s without a next time", d.Status, d.Upcoming, err, status)
		}
	}
	for id, want := range map[mesh.JobID]string{
		"nightli": `no schedule or trigger "nightli"`, "web": `job "web" has no schedule, trigger or parameters`,
		"nightly-1": `"nightly-1" is a run of "nightly"`,
	} {
		if _, err := client.Schedule(t.Context(), id); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if _, err := client.Audit(t.Context(), id); err == nil || err.Error() != want {
			t.Errorf("audit: got %v, want %s", err, want)
		}
	}
}

func TestAuditSaysWhoDecidedAndByWhichRight(t *testing.T) {
	backend := newFake()
	backend.change(withSchedules)
	all, err := clientOf(t, backend).Audit(t.Context(), "nightly")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range all {
		got = append(got, fmt.Sprint(f.Run, " ", f.Result, " ", f.Status, " by ", f.Coordinator, " ", f.Fence, " for ", f.Times))
	}
	want := []string{
		"nightly-20261123t0900z skipped  by gone 0.0 for 3",
		"nightly-20261123t0800z started completed by n2 1.7 for 1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestEventsSayWhatTheyHaveRun(t *testing.T) {
	backend := newFake()
	backend.change(withSchedules)
	_, client := serving(t, backend, Socket)
	done, err := client.Emit(t.Context(), EmitRequest{Event: "uploaded", Payload: []byte(`{"path":"/d/x"}`)})
	if err != nil || !slices.Equal(done.Triggers, []mesh.JobID{"index"}) {
		t.Errorf("got %+v, %v", done, err)
	}
	done, err = client.Emit(t.Context(), EmitRequest{Event: "uploaded", Payload: []byte(`{"path":"/e"}`)})
	if err != nil || len(done.Triggers) != 0 {
		t.Errorf("of another path: got %+v, %v", done, err)
	}
	all, err := client.Occurrences(t.Context())
	if err != nil || len(all) != 2 || all[0].ID != "new" || all[0].Node != "n2" || !slices.Equal(all[0].Runs, []mesh.JobID{"index-new"}) ||
		len(all[1].Runs) != 0 {
		t.Errorf("got %+v, %v", all, err)
	}
	made, err := client.RunNow(t.Context(), RunNowRequest{Job: "nightly", Payload: []byte("1"), ID: "again"})
	if err != nil || made.Changed || made.Run != "nightly-abc" {
		t.Errorf("got %+v, %v", made, err)
	}
}

func TestNobodySubmitsRuns(t *testing.T) {
	backend := newFake()
	job := mesh.Job{Name: "a", Tasks: []mesh.Task{{Name: "a", Command: []string{"a"}}}, Origin: &mesh.Origin{Job: "b"}}
	_, err := clientOf(t, backend).Run(t.Context(), job)
	if mesh.FaultOf(err).Kind != mesh.Invalid {
		t.Errorf("got %v", err)
	}
}
