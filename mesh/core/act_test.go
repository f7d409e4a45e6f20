package core

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mn/crdt"
	"mn/mesh"
	"mn/runner"
)

// batch is a job of three copies that run until a test ends them.
func batch(name string) *mesh.Job {
	job := service(name, 3)
	never := 0
	job.Type, job.Restart = mesh.Batch, &mesh.RestartPolicy{Attempts: &never}
	job.Reschedule = &mesh.ReschedulePolicy{Attempts: &never}
	return job
}

// exit ends the task of one copy of a job, with an exit code.
func (l *lab) exit(job mesh.JobID, index, code int) {
	for _, h := range l.nodes {
		for key, o := range h.tasks {
			if a, ok := h.core.Alloc(o.Alloc); ok && a.Job == job && a.Index == index {
				delete(h.tasks, key)
				o.Kind, o.ExitCode, o.At = runner.Exited, code, l.clock().Wall
				l.post(h, labDelay, Observed{o})
			}
		}
	}
}

func (l *lab) status(job mesh.JobID) (mesh.JobStatus, string) {
	c := l.nodes[0].core
	plan, _, _ := c.Outlook(c.View().Job(job))
	return plan.Status, plan.Text
}

// TestTheVerbsOfAJob takes a batch job of three copies through all that people
// can do to it. Each line does something, says what comes of it, and what the job
// is soon after; a verb that is refused says why.
func TestTheVerbsOfAJob(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: batch("sum")})
	l.ask(l.nodes[0], Submit{Job: service("web", 1)})
	l.after(2 * time.Second)
	two := uint64(2)
	for i, tt := range []struct {
		do      func()
		act     Act
		want    string // version, "unchanged", or part of why it is refused
		becomes mesh.JobStatus
		runs    int // of the job's tasks
	}{
		{act: Act{Verb: mesh.VerbResume}, want: "unchanged", becomes: mesh.JobRunning, runs: 3},
		{act: Act{Verb: mesh.VerbRetry}, want: "unchanged", becomes: mesh.JobRunning, runs: 3},
		{
			do:   func() { l.exit("sum", 0, 0) },
			act:  Act{Verb: mesh.VerbPause, Reason: "dinner"},
			want: "2", becomes: mesh.JobPaused,
		},
		{act: Act{Verb: mesh.VerbPause}, want: "unchanged", becomes: mesh.JobPaused},
		{act: Act{Verb: mesh.VerbResume, Expect: new(uint64)}, want: "at version 2, not 0", becomes: mesh.JobPaused},
		{act: Act{Verb: mesh.VerbResume, Expect: &two}, want: "3", becomes: mesh.JobRunning, runs: 2},
		{
			do:   func() { l.exit("sum", 1, 1) },
			act:  Act{Verb: mesh.VerbRetry},
			want: "4", becomes: mesh.JobRunning, runs: 2,
		},
		{act: Act{Verb: mesh.VerbCancel, Reason: "wrong data"}, want: "5", becomes: mesh.JobCancelled},
		{act: Act{Verb: mesh.VerbCancel}, want: "unchanged", becomes: mesh.JobCancelled},
		{act: Act{Verb: mesh.VerbStop}, want: "unchanged", becomes: mesh.JobCancelled},
		{act: Act{Verb: mesh.VerbPause}, want: `job "sum" is cancelled`, becomes: mesh.JobCancelled},
		{act: Act{Verb: mesh.VerbResume}, want: `job "sum" is cancelled`, becomes: mesh.JobCancelled},
		{act: Act{Verb: mesh.VerbRetry}, want: "6", becomes: mesh.JobRunning, runs: 2},
		{
			do:   func() { l.exit("sum", 1, 0); l.exit("sum", 2, 0) },
			act:  Act{Verb: mesh.VerbPause},
			want: "has ended: completed", becomes: mesh.JobCompleted,
		},
		{act: Act{Verb: mesh.VerbCancel}, want: "has ended: completed", becomes: mesh.JobCompleted},
		{act: Act{Verb: mesh.VerbRetry}, want: "has completed", becomes: mesh.JobCompleted},
		{act: Act{Verb: mesh.VerbRetry, All: true}, want: "7", becomes: mesh.JobRunning, runs: 3},
		{act: Act{Verb: mesh.VerbStop}, want: "8", becomes: mesh.JobStopped},
		{act: Act{Verb: mesh.VerbCancel}, want: "9", becomes: mesh.JobCancelled},
		{act: Act{Verb: mesh.VerbStop}, want: "unchanged", becomes: mesh.JobCancelled},
		{act: Act{Job: "web", Verb: mesh.VerbCancel}, want: "only batch work is cancelled", becomes: mesh.JobCancelled},
		{act: Act{Job: "none", Verb: mesh.VerbPause}, want: `no job "none"`, becomes: mesh.JobCancelled},
		{
			act:  Act{Verb: mesh.VerbRetry, Reason: strings.Repeat("x", mesh.ReasonMax+1)},
			want: "the reason is not", becomes: mesh.JobCancelled,
		},
	} {
		if tt.do != nil {
			tt.do()
			l.after(time.Second)
		}
		if tt.act.Job == "" {
			tt.act.Job = "sum"
		}
		got := answer(l.ask(l.nodes[i%3], tt.act))
		if got != tt.want && !(len(tt.want) > 1 && strings.Contains(got, tt.want)) {
			t.Fatalf("%d: %s: got %q, want %q\n%s", i, tt.act.Verb, got, tt.want, l.events())
		}
		l.after(3 * time.Second)
		if status, text := l.status("sum"); status != tt.becomes || l.total() != tt.runs+1 {
			t.Fatalf("%d: after %s it is %s (%s), and %d tasks run; want %s and %d\n%s", i, tt.act.Verb,
				status, text, l.total()-1, tt.becomes, tt.runs, l.events())
		}
	}
}

// TestScaling takes a batch job through changes of its count: what has completed stays
// so, what runs goes on, and a job that is paused stays so.
func TestScaling(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: batch("sum")})
	each := service("each", 1)
	each.Type, each.Tasks[0].Count = mesh.System, 0
	l.ask(l.nodes[0], Submit{Job: each})
	l.after(2 * time.Second)
	four := uint64(4)
	for i, tt := range []struct {
		do      func()
		call    Call
		want    string // version, "unchanged", or part of why it is refused
		becomes mesh.JobStatus
		copies  int // of the job that run
	}{
		{call: Scale{Job: "sum", Count: 3}, want: "unchanged", becomes: mesh.JobRunning, copies: 3},
		{
			do:   func() { l.exit("sum", 0, 0) },
			call: Scale{Job: "sum", Count: 5, Reason: "more data"},
			want: "2", becomes: mesh.JobRunning, copies: 4,
		},
		{call: Scale{Job: "sum", Group: "loop", Count: 2}, want: "3", becomes: mesh.JobRunning, copies: 1},
		{call: Act{Job: "sum", Verb: mesh.VerbPause}, want: "4", becomes: mesh.JobPaused},
		{call: Scale{Job: "sum", Count: 9, Expect: new(uint64)}, want: "at version 4, not 0", becomes: mesh.JobPaused},
		{call: Scale{Job: "sum", Count: 4, Expect: &four}, want: "5", becomes: mesh.JobPaused},
		{call: Act{Job: "sum", Verb: mesh.VerbResume}, want: "6", becomes: mesh.JobRunning, copies: 3},
		{call: Scale{Job: "sum", Count: 10001}, want: "count: must be from 1 to 10000, not 10001", becomes: mesh.JobRunning, copies: 3},
		{call: Scale{Job: "sum", Group: "web", Count: 2}, want: `no task or group "web"`, becomes: mesh.JobRunning, copies: 3},
		{call: Scale{Job: "none", Count: 2}, want: `no job "none"`, becomes: mesh.JobRunning, copies: 3},
		{call: Scale{Job: "each", Count: 2}, want: "one copy on each node", becomes: mesh.JobRunning, copies: 3},
		{
			do: func() {
				for i := range 4 {
					l.exit("sum", i, 0)
				}
			},
			call: Scale{Job: "sum", Count: 6}, want: "has ended: completed", becomes: mesh.JobCompleted,
		},
		{call: Act{Job: "sum", Verb: mesh.VerbStop}, want: "7", becomes: mesh.JobStopped},
		{call: Scale{Job: "sum", Count: 6}, want: `job "sum" is stopped`, becomes: mesh.JobStopped},
	} {
		if tt.do != nil {
			tt.do()
			l.after(time.Second)
		}
		got := answer(l.ask(l.nodes[i%3], tt.call))
		if got != tt.want && !(len(tt.want) > 1 && strings.Contains(got, tt.want)) {
			t.Fatalf("%d: %+v: got %q, want %q\n%s", i, tt.call, got, tt.want, l.events())
		}
		l.after(3 * time.Second)
		if status, text := l.status("sum"); status != tt.becomes || l.total() != tt.copies+3 {
			t.Fatalf("%d: after %+v it is %s (%s), and %d copies run; want %s and %d\n%s", i, tt.call,
				status, text, l.total()-3, tt.becomes, tt.copies, l.events())
		}
	}
	if v := l.nodes[0].core.History("sum")[1]; v.Verb != "scale loop 5" || v.Reason != "more data" {
		t.Errorf("version 2 says that a person did %q: %s", v.Verb, v.Reason)
	}
}

// answer is what came of a call that changes a job, as text.
func answer(r Reply) string {
	if r.Fault != nil {
		return r.Fault.Text
	}
	if s := r.Value.(Submitted); !s.Unchanged {
		return strconv.FormatUint(s.Version.Number, 10)
	}
	return "unchanged"
}

// TestARetryIsLaterThanWhatItAnswers has a copy fail on a node whose clock is
// ahead: seen from it, the retry would come before the failure, and answer
// nothing.
func TestARetryIsLaterThanWhatItAnswers(t *testing.T) {
	l := newLab(t, 1)
	l.after(15 * time.Second)
	job := batch("sum")
	job.Tasks[0].Count = 1
	l.ask(l.nodes[0], Submit{Job: job})
	l.after(2 * time.Second)
	l.exit("sum", 0, 1)
	l.after(time.Second)
	h := l.nodes[0]
	s := *h.core.View().Allocs[0].Status
	s.At = s.At.Add(30 * time.Second)
	h.core.put(mesh.KeyStatus(s.Alloc, s.Node), s, crdt.Fence{})
	l.ask(h, Act{Job: "sum", Verb: mesh.VerbRetry})
	l.after(2 * time.Second)
	if status, text := l.status("sum"); status != mesh.JobRunning {
		t.Errorf("after the retry the job is %s: %s", status, text)
	}
}

// TestARetryIsLaterThanTheRestartsThatItEnds is the same where the copy waits for its
// restart: another takes its place at once.
func TestARetryIsLaterThanTheRestartsThatItEnds(t *testing.T) {
	l := newLab(t, 1)
	l.after(15 * time.Second)
	job := batch("sum")
	job.Tasks[0].Count, job.Restart = 1, &mesh.RestartPolicy{Delay: mesh.Duration(time.Hour)}
	l.ask(l.nodes[0], Submit{Job: job})
	l.after(2 * time.Second)
	l.exit("sum", 0, 1)
	l.after(time.Second)
	h := l.nodes[0]
	s := *h.core.View().Allocs[0].Status
	s.At, s.Tasks = s.At.Add(30*time.Second), slices.Clone(s.Tasks)
	s.Tasks[0].FinishedAt = s.At
	h.core.put(mesh.KeyStatus(s.Alloc, s.Node), s, crdt.Fence{})
	l.ask(h, Act{Job: "sum", Verb: mesh.VerbRetry})
	l.after(2 * time.Second)
	if status, text := l.status("sum"); status != mesh.JobRunning {
		t.Errorf("after the retry the job is %s: %s", status, text)
	}
}

// TestRunningAPausedJobResumesIt: nothing of its content has changed.
func TestRunningAPausedJobResumesIt(t *testing.T) {
	l := newLab(t, 1)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: batch("sum")})
	l.after(2 * time.Second)
	l.exit("sum", 0, 0)
	l.after(time.Second)
	l.ask(l.nodes[0], Act{Job: "sum", Verb: mesh.VerbPause})
	l.after(time.Second)
	l.ask(l.nodes[0], Submit{Job: batch("sum")})
	l.after(2 * time.Second)
	if status, text := l.status("sum"); status != mesh.JobRunning || l.total() != 2 {
		t.Errorf("%d tasks run, and it is %s: %s; want the two that had not completed", l.total(), status, text)
	}
}

// TestAPauseAndAnEditOfTheSameVersionAreAConflict: two sides of a split make a
// version of the same one; when they meet both are there, and one stands.
func TestAPauseAndAnEditOfTheSameVersionAreAConflict(t *testing.T) {
	l := newLab(t, 2)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: service("web", 1)})
	l.after(2 * time.Second)
	l.cut = func(a, b mesh.NodeID) bool { return true }
	l.ask(l.nodes[0], Act{Job: "web", Verb: mesh.VerbPause})
	l.ask(l.nodes[1], Submit{Job: service("web", 2)})
	l.cut = func(a, b mesh.NodeID) bool { return false }
	l.after(10 * time.Second)
	for _, h := range l.nodes {
		job := h.core.View().Job("web")
		if job.Number != 2 || job.Paused || len(job.Conflicts) != 1 || !job.Conflicts[0].Paused {
			t.Errorf("%s: got %+v, want the later edit, in conflict with the pause", h.name, job)
		}
	}
}

// TestJobAfterAnother: it begins as soon as the other has completed, wherever that is led.
// Two that come after each other wait for ever, and cost nothing.
func TestJobAfterAnother(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	submit := func(name string, of mesh.JobType, after ...string) {
		job := service(name, 1)
		job.Type, job.After = of, after
		if r := l.ask(l.nodes[0], Submit{Job: job}); r.Fault != nil {
			t.Fatal(r.Fault)
		}
	}
	submit("serve", mesh.Service, "fetch", "clean")
	submit("clean", mesh.Batch)
	submit("chicken", mesh.Service, "egg")
	submit("egg", mesh.Batch, "chicken")
	l.after(5 * time.Second)
	if status, text := l.status("serve"); status != mesh.JobPending {
		t.Fatalf("after a job that there is not: got %s, %s", status, text)
	}
	submit("fetch", mesh.Batch)
	l.after(5 * time.Second)
	l.exit("fetch", 0, 0)
	l.after(5 * time.Second)
	if status, text := l.status("serve"); status != mesh.JobPending {
		t.Errorf("with one of two completed: got %s, %s", status, text)
	}
	l.exit("clean", 0, 0)
	l.after(time.Second)
	if status, text := l.status("serve"); status != mesh.JobRunning {
		t.Errorf("with both completed: got %s, %s", status, text)
	}
	if status, text := l.status("egg"); status != mesh.JobPending {
		t.Errorf("egg: got %s, %s", status, text)
	}
}
