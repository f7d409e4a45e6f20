package cases

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mn/mesh"
	"mn/sim/lab/watch"
)

func TestCatalogueIsReadable(t *testing.T) {
	names := map[string]bool{}
	for _, c := range All() {
		if names[c.Name] || !mesh.ValidName(c.Name) {
			t.Errorf("case %q: want a name of its own", c.Name)
		}
		names[c.Name] = true
		if !strings.HasPrefix(c.Faults, "F") || len(c.Shows) < 40 || len(c.Shows) > 130 || c.run == nil {
			t.Errorf("case %q: faults %q, shows %q, runs: %v", c.Name, c.Faults, c.Shows, c.run != nil)
		}
		if c.CI && c.limit() > 4*time.Minute {
			t.Errorf("case %q takes too long for every change", c.Name)
		}
	}
	if _, ok := Find("split-3-2"); !ok {
		t.Error("a case of the catalogue is not found")
	}
	if c, ok := Find("nothing"); ok {
		t.Errorf("found %v", c)
	}
}

// TestNobodyTakesAwayWhatIsAskedForWithEachChange: these were promised.
func TestNobodyTakesAwayWhatIsAskedForWithEachChange(t *testing.T) {
	for _, name := range []string{
		"coordinator-blocked", "both-die", "split-3-2", "split-2-2", "one-way", "flapping", "agent-stopped",
		"kill-storm", "outage", "power-loss",
	} {
		if c, ok := Find(name); !ok || !c.CI {
			t.Errorf("case %q: found %v, in CI %v", name, ok, c.CI)
		}
	}
}

func TestUntilEndsTheCaseThatDoesNotHold(t *testing.T) {
	s := onStage(t)
	ended := func(limit time.Duration) (ended bool) {
		defer func() { ended = recover() == aborted{} }()
		s.until(limit, "never", func() (bool, string) { return false, "still not" })
		return false
	}
	if !ended(0) {
		t.Error("it went on")
	}
	s.expect(t, "still not")
	s.until(time.Hour, "at once", func() (bool, string) { return true, "" })
	s.expect(t, "still not")
	if _, ok := s.within(0, "never", func() (bool, string) { return false, "" }); ok {
		t.Error("what is not so was found to be")
	}
}

func TestWithinEndsWithTheCase(t *testing.T) {
	s := onStage(t)
	ctx, cancel := context.WithCancel(s.ctx)
	s.ctx = ctx
	cancel()
	if _, ok := s.within(time.Hour, "never", func() (bool, string) { return false, "" }); ok {
		t.Error("what is not so was found to be")
	}
	s.expect(t, "the case was ended")
}

func TestMustEndsTheCase(t *testing.T) {
	s := onStage(t)
	func() {
		defer func() {
			if recover() != (aborted{}) {
				t.Error("it went on")
			}
		}()
		s.must(errors.New("no such thing"))
	}()
	s.expect(t, "no such thing")
	s.must(nil)
}

func TestMeasures(t *testing.T) {
	s := onStage(t)
	s.atMost("takeover", 2*time.Second)
	s.atMost("takeover", 3*time.Second)
	s.atMost("takeover", time.Second)
	s.measure("kills", "%d", 7)
	if len(s.measures) != 2 || s.measures[0] != (Measure{"takeover", "3.0 s"}) || s.measures[1] != (Measure{"kills", "7"}) {
		t.Errorf("got %v", s.measures)
	}
}

func TestEdgesOfSets(t *testing.T) {
	if !among("a", nil) || !among("a", []string{"b", "a"}) || among("a", []string{"b"}) {
		t.Error("no names are all names, others are those named")
	}
	s := onStage(t, life("web", 0, "a", 1, 100), life("web", 1, "b", 1, 100), life("web", 2, "b", 1, 5))
	if got := s.live("web"); len(got) != 2 {
		t.Errorf("live are %v", got)
	}
	if got := s.live("web", "b"); len(got) != 1 || got[0].Index != 1 {
		t.Errorf("live on b are %v", got)
	}
	if got := describe(nil); got != "none" {
		t.Errorf("nobody is described as %q", got)
	}
}

// TestJobsOfAScene: they are valid, and write to where it reads.
func TestJobsOfAScene(t *testing.T) {
	s := onStage(t)
	s.fixture = []string{"/bin/mnlab", "task"}
	for _, job := range []mesh.Job{
		s.service("a", mesh.Eager, 2), s.service("b", mesh.Keep, 1), s.service("c", mesh.Majority, 1),
		s.batch("d", 1, time.Second), s.impossible("e"),
	} {
		if faults := job.Validate(); len(faults) > 0 {
			t.Errorf("job %q: %v", job.Name, faults)
		}
		if got := job.Tasks[0].Env["LAB_SINK"]; got != string(s.sink) {
			t.Errorf("job %q writes to %q", job.Name, got)
		}
	}
	for name, want := range map[string]bool{"a": false, "b": true, "c": true, "d": false} {
		if s.exclusive[name] != want {
			t.Errorf("job %q may run twice: %v", name, !want)
		}
	}
}

// TestRunSaysWhatIsMissing instead of beginning.
func TestRunSaysWhatIsMissing(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "none"))
	}
	results, err := Run(t.Context(), Options{}, nil)
	if err == nil || results != nil {
		t.Errorf("got %v, %v, want an error", results, err)
	}
}

var _ watcher = (*watch.Watcher)(nil)
