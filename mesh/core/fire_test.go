package core

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mn/crdt"
	"mn/mesh"
)

// every is a batch job of one copy that is due each so often.
func every(name, period string) *mesh.Job {
	j := batch(name)
	j.Tasks[0].Count = 1
	j.Schedule = &mesh.Schedule{Crons: []string{"@every " + period}, Overlap: mesh.OverlapAllow}
	return j
}

// endRuns ends all tasks of runs of a job.
func (l *lab) endRuns(of mesh.JobID) {
	for _, run := range l.nodes[0].core.runs(of) {
		if !run.Over {
			l.exit(run.ID, 0, 0)
		}
	}
	l.after(100 * time.Millisecond)
}

// firings are those of a job in words, as a node has them.
func (l *lab) firings(h *host, of mesh.JobID) string {
	var lines []string
	for _, f := range h.core.Firings(of) {
		line := fmt.Sprintf("%s %s", f.Origin.Due.Sub(labEpoch)-time.Hour, f.Result)
		if f.Times > 0 {
			line += fmt.Sprintf(" x%d", f.Times)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "; ")
}

// leader is the host that coordinates a job.
func (l *lab) leader(id mesh.JobID) *host {
	for _, h := range l.nodes {
		if h.core == nil {
			continue
		}
		if _, granted, ok := h.core.right(mesh.SlotOf(id)); ok && granted {
			return h
		}
	}
	l.t.Fatalf("nobody leads %s\n%s", id, l.events())
	return nil
}

func TestEachTimeMakesOneRun(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: every("tick", "10s")})
	l.after(36 * time.Second)
	if got, want := l.firings(l.nodes[1], "tick"), "20s started; 30s started; 40s started; 50s started"; got != want {
		t.Errorf("firings are %q, want %q\n%s", got, want, l.events())
	}
	if l.total() != 4 {
		t.Errorf("%d tasks run, want 4\n%s", l.total(), l.events())
	}
	status, text := l.status("tick")
	if status != mesh.JobRunning || !strings.Contains(text, "4 runs have not ended; waits for") {
		t.Errorf("the job is %s: %s", status, text)
	}
}

func TestATimeIsTakenUpByWhoeverDecidesNext(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: every("tick", "10s")})
	l.after(4 * time.Second)
	h := l.leader("tick")
	l.kill(h, true)
	l.after(40 * time.Second)
	l.start(h)
	l.meet(h)
	l.after(20 * time.Second)
	for _, o := range l.nodes {
		got := l.firings(o, "tick")
		for at := 20; at <= 70; at += 10 {
			if !strings.Contains(got, (time.Duration(at)*time.Second).String()+" started") {
				t.Errorf("%s has %q: nothing about %ds\n%s", o.name, got, at, l.events())
			}
		}
	}
}

// What a job that is stopped says, and has waiting, is told of its runs.
func TestAStoppedTemplateTellsOfItsRuns(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	job := every("tick", "10s")
	job.Schedule.Overlap = mesh.OverlapQueue
	l.ask(l.nodes[0], Submit{Job: job})
	l.after(25 * time.Second)
	l.ask(l.nodes[1], Act{Job: "tick", Verb: mesh.VerbStop})
	l.after(time.Second)
	if status, text := l.status("tick"); status != mesh.JobStopped || text != "1 run has not ended" {
		t.Errorf("the job is %s: %s", status, text)
	}
	if got := l.firings(l.nodes[2], "tick"); !strings.HasSuffix(got, "started; 30s skipped; 40s skipped") {
		t.Errorf("the firings are %q", got)
	}
	l.endRuns("tick")
	l.after(time.Second)
	if status, text := l.status("tick"); status != mesh.JobStopped || text != "nothing runs" {
		t.Errorf("once its run has ended, the job is %s: %s", status, text)
	}
}

// A run that does not fit into a record, as its job just does, is refused once, and not again and again.
func TestARunThatDoesNotFitIsRefusedOnce(t *testing.T) {
	l := newLab(t, 1)
	l.after(15 * time.Second)
	job := every("big", "10s")
	for size := crdt.MaxValue; ; size -= 64 {
		job.Tasks[0].Command = []string{"echo", strings.Repeat("x", size)}
		if l.ask(l.nodes[0], Submit{Job: job}).Fault == nil {
			break
		}
	}
	l.after(20 * time.Second)
	due, refused := l.nodes[0].core.records.course.due["big"], 0
	for _, e := range l.nodes[0].log {
		if e.Kind == mesh.JobFired {
			refused++
		}
	}
	if refused != 2 || due.Started != 0 || due.Refused != 2 || len(due.Open) != 0 {
		t.Errorf("%d were fired, want 2 that are refused: %+v", refused, due)
	}
}

func TestRunsThatEndedAreForgotten(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	job := every("tick", "2s")
	job.Schedule.Keep = 3
	l.ask(l.nodes[0], Submit{Job: job})
	for range 25 {
		l.after(1900 * time.Millisecond)
		l.endRuns("tick")
	}
	l.after(time.Second)
	for _, h := range l.nodes {
		runs := h.core.runs("tick")
		if n := len(runs); n < 3 || n > 6 {
			t.Errorf("%s knows %d runs, want 3 and those under way", h.name, n)
		}
		if n := len(h.core.records.granted); n > 8 {
			t.Errorf("%s knows %d decisions about copies", h.name, n)
		}
		if n := len(h.core.records.statuses); n > 8 {
			t.Errorf("%s knows the statuses of %d copies", h.name, n)
		}
	}
	due := l.nodes[0].core.records.course.due["tick"]
	if due.Started < 20 || due.Skipped+due.Missed+due.Refused > 0 {
		t.Errorf("the counts are %+v", due)
	}
	made := map[string]int{}
	for _, h := range l.nodes {
		for _, e := range h.log {
			if e.Kind == mesh.TaskStarted {
				made[string(e.Job)]++
			}
		}
	}
	for run, n := range made {
		if n != 1 {
			t.Errorf("run %s was started %d times", run, n)
		}
	}
}

func TestWhatHappenedHasEachJobRunOnce(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	for _, name := range []string{"a", "b", "c"} {
		job := every(name, "1h")
		job.Schedule, job.Triggers = nil, []mesh.Trigger{{Event: "landed"}}
		l.ask(l.nodes[0], Submit{Job: job})
	}
	l.post(l.nodes[0], 0, Asked{ID: 1 << 40, Call: Emit{mesh.Occurrence{ID: "x1", Event: "landed"}}})
	l.post(l.nodes[1], 0, Asked{ID: 1 << 40, Call: Emit{mesh.Occurrence{ID: "x1", Event: "landed"}}})
	l.after(3 * time.Second)
	if l.total() != 3 {
		t.Errorf("%d tasks run, want one of each job\n%s", l.total(), l.events())
	}
	r := l.ask(l.nodes[2], Emit{mesh.Occurrence{ID: "x1", Event: "landed"}})
	if e, ok := r.Value.(Emitted); !ok || !e.Unchanged {
		t.Errorf("emitted again: %+v", r)
	}
	l.ask(l.nodes[2], Emit{mesh.Occurrence{Event: "landed", Payload: []byte(`{"n": 1}`)}})
	l.after(3 * time.Second)
	if l.total() != 6 {
		t.Errorf("%d tasks run, want two of each job\n%s", l.total(), l.events())
	}
	for _, name := range []mesh.JobID{"a", "b", "c"} {
		l.endRuns(name)
	}
	for _, o := range l.nodes[0].core.Occurrences() { // a day later nothing of it is remembered, nor done again
		o.At = o.At.Add(-mesh.OccurrenceAge)
		l.nodes[0].core.put(mesh.KeyOccurred(o.ID), o, crdt.Fence{})
	}
	l.after(2 * time.Minute)
	for _, h := range l.nodes {
		if n := len(h.core.Occurrences()); n > 0 {
			t.Errorf("%s remembers %d", h.name, n)
		}
	}
	if l.total() != 0 {
		t.Errorf("%d tasks run again", l.total())
	}
	if r := l.ask(l.nodes[0], Emit{mesh.Occurrence{ID: "x1", Event: "landed"}}); r.Fault == nil {
		t.Errorf("the id of an event that is forgotten was taken again")
	}
}

func TestARunIsOneHoweverItsEventWasTold(t *testing.T) {
	l := newLab(t, 1)
	c := l.nodes[0].core
	job := every("each", "1h")
	job.Schedule, job.Triggers = nil, []mesh.Trigger{{Event: "landed"}}
	view := &mesh.JobView{JobVersion: mesh.JobVersion{Job: *job, Number: 1, Hash: "1"}}
	here := mesh.Origin{Job: "each", Version: 1, Cause: mesh.CauseEvent, Occurrence: "x", Due: labEpoch}
	there, other := here, here
	there.Due, there.Payload = labEpoch.Add(4*time.Second), []byte(`{"n":1}`)
	other.Occurrence = "y"
	a, b, d := c.runOf(view, &here), c.runOf(view, &there), c.runOf(view, &other)
	if a.Job.Name != b.Job.Name || a.Hash != b.Hash {
		t.Errorf("the sides of a split make %s %s and %s %s of one event: it would be done on both",
			a.Job.Name, a.Hash, b.Job.Name, b.Hash)
	}
	if a.Job.Name == d.Job.Name || a.Hash == d.Hash {
		t.Errorf("two events have one run, %s %s", a.Job.Name, a.Hash)
	}
}

func TestAPersonsRunOfAKeyIsOne(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	job := every("report", "1h")
	job.Schedule, job.Parameters = nil, &mesh.Parameters{}
	l.ask(l.nodes[0], Submit{Job: job})
	if status, text := l.status("report"); status != mesh.JobPending || text != "waits for somebody to run it" {
		t.Errorf("the job is %s: %s", status, text)
	}
	var runs []mesh.JobID
	for i, h := range []*host{l.nodes[0], l.nodes[1], l.nodes[0]} {
		r := l.ask(h, RunNow{Job: "report", ID: "monday", Payload: []byte(`{"week": 5}`)})
		made, ok := r.Value.(RunMade)
		if !ok || made.Unchanged != (i > 0) || i == 0 && made.Copies != 2 || made.Differs {
			t.Fatalf("asked the %d. time: %+v %v", i+1, r.Value, r.Fault)
		}
		runs = append(runs, made.Run)
	}
	if len(slices.Compact(runs)) != 1 {
		t.Errorf("the runs are %v", runs)
	}
	l.after(2 * time.Second)
	if l.total() != 1 || !strings.Contains(l.firings(l.nodes[2], "report"), "started") {
		t.Errorf("%d tasks run, firings are %q\n%s", l.total(), l.firings(l.nodes[2], "report"), l.events())
	}
	for payload, differs := range map[string]bool{`{"week":5}`: false, `{"week":6}`: true, "": true} {
		r := l.ask(l.nodes[1], RunNow{Job: "report", ID: "monday", Payload: []byte(payload)})
		if made, ok := r.Value.(RunMade); !ok || !made.Unchanged || made.Differs != differs {
			t.Errorf("asked again with %q: %+v %v", payload, r.Value, r.Fault)
		}
	}
	if r := l.ask(l.nodes[0], RunNow{Job: "report", Payload: []byte(`{`)}); r.Fault == nil {
		t.Error("a payload was taken that is not JSON")
	}
	if r := l.ask(l.nodes[0], RunNow{Job: "nothing"}); r.Fault == nil || r.Fault.Kind != mesh.NotFound {
		t.Errorf("a job was run that is not there: %+v", r)
	}
}

// What the mesh itself tells has jobs run, once, and what follows from a job's own run does not.
func TestTheEndOfAJobHasAnotherRunAndNotItself(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	first := batch("first")
	l.ask(l.nodes[0], Submit{Job: first})
	report := every("report", "1h")
	report.Schedule, report.Triggers = nil, []mesh.Trigger{{Event: mesh.JobFinished}, {Event: mesh.JobHasFailed}}
	l.ask(l.nodes[0], Submit{Job: report})
	l.after(2 * time.Second)
	for i := range 3 {
		l.exit("first", i, 0)
	}
	l.after(2 * time.Second)
	runs := l.nodes[1].core.runs("report")
	if len(runs) != 1 || !strings.Contains(string(runs[0].Origin.Payload), `"job":"first"`) {
		t.Fatalf("the runs are %+v\n%s", runs, l.events())
	}
	l.exit(runs[0].ID, 0, 1)
	l.after(10 * time.Second)
	if n := len(l.nodes[1].core.runs("report")); n != 1 {
		t.Errorf("%d runs: the end of its run has the job run again\n%s", n, l.events())
	}
	if n := len(l.nodes[1].core.Occurrences()); n != 1 {
		t.Errorf("%d things are told, want the end of the first job: %+v", n, l.nodes[1].core.Occurrences())
	}
}

func TestALostNodeHasAJobRun(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	job := every("alarm", "1h")
	job.Schedule, job.Triggers = nil, []mesh.Trigger{{Event: mesh.NodeIsLost}}
	l.ask(l.nodes[0], Submit{Job: job})
	l.after(2 * time.Second)
	l.kill(l.nodes[2], true)
	l.after(15 * time.Second)
	if runs := l.nodes[0].core.runs("alarm"); len(runs) != 1 ||
		!strings.Contains(string(runs[0].Origin.Payload), `"node":"n3"`) {
		t.Errorf("the runs are %+v\n%s", runs, l.events())
	}
}

// A node is lost again if its agent is, also without a boot in between.
func TestANodeIsLostAgainWithItsNextAgent(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	l.alarm(mesh.NodeIsLost)
	for range 2 {
		l.kill(l.nodes[2], false)
		l.after(15 * time.Second)
		l.nodes[2].boots-- // the machine is the same
		l.start(l.nodes[2])
		l.meet(l.nodes[2])
		l.after(15 * time.Second)
	}
	l.ranFor(`"node":"n3"`, `"node":"n3"`)
}

// What no trigger is of is not told, nor what is told of a job's own runs: there would be a record of
// it for each run of each job.
func TestOnlyWhatAJobWaitsForIsTold(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	job := every("alarm", "1h")
	job.Schedule = nil
	job.Triggers = []mesh.Trigger{{
		Event: mesh.JobFinished, Filter: map[string]mesh.Condition{"source": {Is: []mesh.Value{"train", "alarm"}}},
	}}
	l.ask(l.nodes[0], Submit{Job: job})
	for _, name := range []string{"train", "other"} {
		once := batch(name)
		once.Tasks[0].Count = 1
		l.ask(l.nodes[0], Submit{Job: once})
		l.after(2 * time.Second)
		l.exit(mesh.JobID(name), 0, 0)
	}
	l.after(5 * time.Second)
	l.endRuns("alarm")
	l.after(5 * time.Second)
	l.ranFor(`"job":"train"`)
	if told := l.nodes[1].core.Occurrences(); len(told) != 1 || told[0].Source != "train" {
		t.Errorf("what was told is %+v", told)
	}
}

// Runs that follow from each other's ends come to an end.
func TestRunsThatFollowFromEachOtherComeToAnEnd(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	for _, name := range []string{"ping", "pong"} {
		job := every(name, "1h")
		job.Schedule, job.Triggers = nil, []mesh.Trigger{{Event: mesh.JobFinished}}
		l.ask(l.nodes[0], Submit{Job: job})
	}
	start := every("start", "1h")
	start.Schedule, start.Parameters = nil, &mesh.Parameters{}
	l.ask(l.nodes[0], Submit{Job: start})
	l.ask(l.nodes[0], RunNow{Job: "start"})
	for range 40 {
		l.after(300 * time.Millisecond)
		for _, of := range []mesh.JobID{"start", "ping", "pong"} {
			l.endRuns(of)
		}
	}
	due := l.nodes[0].core.records.course.due
	if n := due["ping"].Started + due["pong"].Started; n != 2*mesh.ChainMax || due["ping"].Refused == 0 {
		t.Errorf("%d runs, want %d: %+v", n, 2*mesh.ChainMax, due)
	}
}
