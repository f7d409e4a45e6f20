package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mn/mesh"
)

// monday is when the jobs of these tests were submitted.
var monday = time.Date(2030, 1, 7, 0, 0, 0, 0, time.UTC)

// bench is a template as a coordinator sees it from step to step: what it decides is what it knows
// in the next.
type bench struct {
	t Template
}

func newBench(s *mesh.Schedule) *bench {
	job := &mesh.JobView{Scheduled: monday}
	job.Job = mesh.Job{Name: "tick", Type: mesh.Batch, Schedule: s}
	job.Number, job.At = 1, monday
	return &bench{Template{
		Job: job, Granted: true, Now: monday, Taken: func(mesh.JobID) bool { return false },
	}}
}

// look goes on to an instant after monday, carries out what is to be done, and says what that was.
func (b *bench) look(after time.Duration) string {
	b.t.Now = monday.Add(after)
	out := Fire(&b.t)
	var said []string
	for _, f := range out.Fire {
		text := fmt.Sprintf("%s %s", f.Origin.Due.Sub(monday), f.Result)
		if f.Times > 0 {
			text += fmt.Sprintf(" x%d", f.Times)
		}
		said = append(said, text)
		b.t.Firings = slices.DeleteFunc(b.t.Firings, func(g mesh.Firing) bool { return g.Run == f.Run })
		b.t.Firings = append(b.t.Firings, f)
		known := slices.ContainsFunc(b.t.Runs, func(r mesh.RunView) bool { return r.ID == f.Run })
		if f.Result == mesh.FiringStarted && !known {
			o := f.Origin
			b.t.Runs = append(b.t.Runs, mesh.RunView{ID: f.Run, Origin: &o, Status: mesh.JobRunning})
		}
	}
	for _, c := range out.Cancel {
		said = append(said, "cancel "+string(c.Run))
	}
	for _, run := range out.Forget {
		said = append(said, "forget "+string(run))
		b.t.Runs = slices.DeleteFunc(b.t.Runs, func(r mesh.RunView) bool { return r.ID == run })
	}
	for _, run := range out.Drop {
		b.t.Firings = slices.DeleteFunc(b.t.Firings, func(g mesh.Firing) bool { return g.Run == run })
	}
	if b.t.Granted {
		due := out.Due
		b.t.Job.Due = &due
	}
	return strings.Join(said, ", ")
}

// end has all runs end.
func (b *bench) end() {
	for i := range b.t.Runs {
		b.t.Runs[i].Over, b.t.Runs[i].Status = true, mesh.JobCompleted
	}
}

func each(period string) *mesh.Schedule {
	return &mesh.Schedule{Crons: []string{"@every " + period}}
}

// TestWhatIsMadeOfTheTimes looks at schedules at several instants: what is decided at each.
func TestWhatIsMadeOfTheTimes(t *testing.T) {
	type step struct {
		at   time.Duration
		ends bool // all runs so far have
		want string
	}
	const m = time.Minute
	for _, tt := range []struct {
		name  string
		set   func(*mesh.Schedule)
		steps []step
	}{
		{"forbid", nil, []step{
			{at: 9 * m, want: ""},
			{at: 10 * m, want: "10m0s started"},
			{at: 10*m + time.Second, want: ""},
			{at: 20 * m, want: "20m0s skipped"},
			{at: 30 * m, ends: true, want: "30m0s started"},
		}},
		{"allow", func(s *mesh.Schedule) { s.Overlap = mesh.OverlapAllow }, []step{
			{at: 10 * m, want: "10m0s started"},
			{at: 20 * m, want: "20m0s started"},
		}},
		{"queue", func(s *mesh.Schedule) { s.Overlap = mesh.OverlapQueue }, []step{
			{at: 10 * m, want: "10m0s started"},
			{at: 20 * m, want: "20m0s queued"},
			{at: 30 * m, want: "30m0s queued"},
			{at: 31 * m, ends: true, want: "20m0s started"},
			{at: 32 * m, want: ""},
			{at: 33 * m, ends: true, want: "30m0s started"},
		}},
		{"replace", func(s *mesh.Schedule) { s.Overlap = mesh.OverlapReplace }, []step{
			{at: 10 * m, want: "10m0s started"},
			{at: 20 * m, want: "20m0s queued, cancel tick-20300107t0010z"},
			{at: 30 * m, want: "20m0s skipped, 30m0s queued, cancel tick-20300107t0010z"},
			{at: 31 * m, ends: true, want: "30m0s started"},
		}},
		{"late within the grace", func(s *mesh.Schedule) { s.MissedGrace = mesh.Duration(25 * m) }, []step{
			{at: 34 * m, want: "10m0s started, 20m0s skipped, 30m0s skipped"},
		}},
		{"skip what was missed", nil, []step{
			{at: 35 * m, want: "30m0s missed x3"},
			{at: 40*m + 30*time.Second, want: "40m0s started"},
		}},
		{"catch up with one", func(s *mesh.Schedule) { s.Missed = mesh.CatchUpOne }, []step{
			{at: 35 * m, want: "20m0s missed x2, 30m0s started"},
		}},
		{"catch up with two", func(s *mesh.Schedule) {
			s.Missed, s.CatchUpLimit, s.Overlap = mesh.CatchUpAll, 2, mesh.OverlapAllow
		}, []step{
			{at: 35 * m, want: "10m0s missed, 20m0s started, 30m0s started"},
		}},
		{"catch up with all, one after the other", func(s *mesh.Schedule) { s.Missed = mesh.CatchUpAll }, []step{
			{at: 39 * m, want: "10m0s started, 20m0s queued, 30m0s queued"},
			{at: 40 * m, want: "40m0s skipped"},
			{at: 41 * m, ends: true, want: "20m0s started"},
			{at: 42 * m, ends: true, want: "30m0s started"},
			{at: 50 * m, ends: true, want: "50m0s started"},
			{at: 60 * m, want: "1h0m0s skipped"},
		}},
		{"no window for what is late", func(s *mesh.Schedule) {
			s.Missed, s.Window = mesh.CatchUpAll, mesh.Duration(6*m)
		}, []step{
			{at: 35 * m, want: "20m0s missed x2, 30m0s started"},
			{at: 47 * m, ends: true, want: "40m0s missed"},
		}},
		{"a window ends while it waits", func(s *mesh.Schedule) {
			s.Overlap, s.Window = mesh.OverlapQueue, mesh.Duration(15*m)
		}, []step{
			{at: 10 * m, want: "10m0s started"},
			{at: 20 * m, want: "20m0s queued"},
			{at: 35 * m, want: "20m0s skipped, 30m0s missed"},
		}},
		{"off for a year", func(s *mesh.Schedule) { s.Missed = mesh.CatchUpOne }, []step{
			{at: 365 * 24 * time.Hour, want: "8759h40m0s missed x1098, 8759h50m0s started, 8760h0m0s skipped"},
		}},
	} {
		s := each("10m")
		if tt.set != nil {
			tt.set(s)
		}
		b := newBench(s)
		for _, step := range tt.steps {
			if step.ends {
				b.end()
			}
			if got := b.look(step.at); got != step.want {
				t.Errorf("%s: at %v: %q, want %q", tt.name, step.at, got, step.want)
			}
		}
	}
}

// What waited when its job was stopped does not begin when the job is there again; while it is paused,
// it waits on.
func TestWhatWaitsEndsWithItsJob(t *testing.T) {
	s := each("10m")
	s.Overlap = mesh.OverlapQueue
	b := newBench(s)
	b.look(10 * time.Minute)
	b.look(20 * time.Minute)
	b.t.Job.Paused = true
	if got := b.look(25 * time.Minute); got != "" {
		t.Errorf("while it is paused: %q", got)
	}
	b.t.Job.Paused, b.t.Job.Stopped = false, true
	b.t.Granted, b.t.Job.Job.Recovery.OnPartition = false, mesh.Majority
	if got := b.look(26 * time.Minute); got != "" {
		t.Errorf("without a majority: %q", got)
	}
	b.t.Granted = true
	if got := b.look(27 * time.Minute); got != "20m0s skipped" {
		t.Errorf("when it was stopped: %q", got)
	}
	b.end()
	b.t.Job.Stopped, b.t.Job.Scheduled = false, monday.Add(28*time.Minute)
	if got := b.look(29 * time.Minute); got != "" {
		t.Errorf("when it is there again: %q", got)
	}
}

func TestAPausedTemplateIsNotDue(t *testing.T) {
	b := newBench(each("10m"))
	b.t.Job.Paused = true
	if got := b.look(25 * time.Minute); got != "" {
		t.Errorf("while it is paused: %q", got)
	}
	b.t.Job.Paused = false
	if got, want := b.look(25*time.Minute), "20m0s missed x2"; got != want {
		t.Errorf("when it goes on: %q, want %q", got, want)
	}
}

// A side without a majority fires for eager jobs alone; what it has made is not made again.
func TestWithoutAMajorityOnlyEagerJobsAreDue(t *testing.T) {
	for _, partition := range []mesh.OnPartition{mesh.Keep, mesh.Majority, mesh.Eager} {
		b := newBench(each("10m"))
		b.t.Job.Job.Schedule.Overlap = mesh.OverlapAllow
		b.t.Job.Job.Recovery.OnPartition = partition
		b.t.Granted = false
		got := b.look(10*time.Minute) + " | " + b.look(20*time.Minute) + " | " + b.look(20*time.Minute+time.Second)
		b.t.Granted = true
		got += " | " + b.look(30*time.Minute)
		want := " |  |  | 20m0s missed x2, 30m0s started"
		if partition == mesh.Eager {
			want = "10m0s started | 20m0s started |  | 30m0s started"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", partition, got, want)
		}
	}
}

// What a coordinator has begun and said, and whose record got lost with it, is made again.
func TestARunThatGotLostIsMadeAgain(t *testing.T) {
	b := newBench(each("10m"))
	b.look(10 * time.Minute)
	b.t.Runs = nil
	b.t.Job.Number = 2
	if got, want := b.look(11*time.Minute), "10m0s started"; got != want {
		t.Fatalf("decided %q, want %q", got, want)
	}
	if got := b.t.Runs[0].Origin.Version; got != 1 {
		t.Errorf("it is made of version %d, and was of 1", got)
	}
	if got := b.t.Job.Due.Started; got != 1 {
		t.Errorf("it counts as %d runs", got)
	}
}

// What another side has forgotten had ended: it is not made again, nor told again and again.
func TestARunThatWasForgottenIsNotMadeAgain(t *testing.T) {
	b := newBench(each("10m"))
	b.look(10 * time.Minute)
	b.t.Runs = nil
	b.t.Gone = func(*mesh.Origin) bool { return true }
	if got := b.look(11*time.Minute) + b.look(12*time.Minute); got != "" || len(b.t.Job.Due.Open) != 0 {
		t.Errorf("decided %q, and %v is open", got, b.t.Job.Due.Open)
	}
}

// Records of runs and firings are bounded, and nothing that they were about happens again.
func TestRunsAndFiringsAreBounded(t *testing.T) {
	b := newBench(each("10m"))
	b.t.Job.Job.Schedule.Keep = 5
	started := 0
	for i := range 1000 {
		b.end()
		started += strings.Count(b.look(time.Duration(i)*10*time.Minute), "started")
		if len(b.t.Runs) > 7 || len(b.t.Firings) > mesh.FiringsKept+10 {
			t.Fatalf("%d runs and %d firings are known", len(b.t.Runs), len(b.t.Firings))
		}
	}
	if started != 999 || b.t.Job.Due.Started != 999 || len(b.t.Firings) < mesh.FiringsKept {
		t.Errorf("%d runs were made, %d counted, %d firings kept", started, b.t.Job.Due.Started, len(b.t.Firings))
	}
}

func TestWhatHappenedIsDecidedOnce(t *testing.T) {
	b := newBench(nil)
	b.t.Job.Job.Triggers = []mesh.Trigger{{Event: "landed"}}
	for i, at := range []time.Duration{-time.Minute, 0, time.Minute} {
		id := mesh.OccurrenceID(fmt.Sprintf("x%d", i))
		b.t.Occurrences = append(b.t.Occurrences, mesh.Occurrence{ID: id, Event: "landed", At: monday.Add(at)})
		b.t.Exists = append(b.t.Exists, id)
	}
	b.t.Occurrences[2].Depth = mesh.ChainMax + 1
	if got, want := b.look(2*time.Minute), "0s started, 1m0s refused"; got != want {
		t.Errorf("decided %q, want %q", got, want)
	}
	if got := b.look(3 * time.Minute); got != "" {
		t.Errorf("decided again: %q", got)
	}
	b.end()
	b.t.Firings = nil
	b.t.Runs = nil
	if got := b.look(25 * time.Hour); got != "" {
		t.Errorf("a day later: %q", got)
	}
}
