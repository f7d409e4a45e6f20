package cases

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mn/mesh"
	"mn/mesh/api"
	"mn/sim/lab/watch"
)

// seen is a watcher that has seen what a test says.
type seen []watch.Life

func (s seen) Lives(string) []watch.Life   { return s }
func (s seen) Changed() <-chan struct{}    { return make(chan struct{}) }
func (s seen) Gap() (time.Duration, error) { return 0, nil }

// onStage is a scene without a mesh, in which these lives were seen.
func onStage(t *testing.T, lives ...watch.Life) *scene {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return &scene{
		ctx: ctx, dir: t.TempDir(), watcher: seen(lives), sink: watch.Sink(filepath.Join(t.TempDir(), "sink")),
		say: t.Logf, jobs: map[string]mesh.Job{}, exclusive: map[string]bool{"db": true}, gone: map[string]bool{},
	}
}

// life is a run of a job's index on a node, from and to so many seconds.
func life(job string, index int, node string, from, to int) watch.Life {
	return watch.Life{
		Job: job, Task: "t", Index: index, Node: node, Alloc: node, PID: 100*from + index,
		Seen: time.Duration(from) * time.Second, Last: time.Duration(to) * time.Second, Ended: to < 100,
	}
}

// expect compares what has failed with what should: each of the texts in one
// failure, and no other.
func (s *scene) expect(t *testing.T, want ...string) {
	t.Helper()
	for i, text := range want {
		if i >= len(s.failures) || !strings.Contains(s.failures[i].Oracle+": "+s.failures[i].Text, text) {
			t.Errorf("no failure with %q", text)
		}
	}
	if len(s.failures) != len(want) {
		t.Errorf("got failures %v, want %d", s.failures, len(want))
	}
}

func TestNever2(t *testing.T) {
	s := onStage(t,
		life("web", 0, "a", 1, 100), life("web", 0, "b", 2, 100), // may run twice
		life("db", 0, "a", 1, 5), life("db", 0, "b", 6, 100), // one after the other
		life("db", 1, "a", 1, 5), life("db", 1, "b", 4, 100), // twice
	)
	s.never2()
	s.expect(t, "db[1] a on a")
}

func TestNever2ExcusesAFrozenHost(t *testing.T) {
	s := onStage(t, life("db", 0, "a", 1, 20), life("db", 0, "b", 10, 100))
	s.frozen(9*time.Second, 20*time.Second)
	s.never2()
	s.expect(t)
	s.allowed = nil
	s.frozen(9*time.Second, 19*time.Second) // it went on for too long
	s.never2()
	s.expect(t, "I1")
}

func TestTokensGrow(t *testing.T) {
	s := onStage(t)
	for _, token := range []watch.Token{
		{At: 1, Job: "db", Fence: 5, Alloc: "x", Node: "a", What: "tick"},
		{At: 2, Job: "web", Fence: 9, Alloc: "x", Node: "a", What: "tick"},
		{At: 3, Job: "web", Fence: 1, Alloc: "x", Node: "a", What: "tick"}, // may be
		{At: 4, Job: "db", Fence: 4, Alloc: "y", Node: "b", What: "tick"},
	} {
		if err := s.sink.Write(token); err != nil {
			t.Fatal(err)
		}
	}
	s.tokensGrow()
	s.expect(t, "I2")
}

func TestUndisturbed(t *testing.T) {
	s := onStage(t,
		life("web", 0, "a", 1, 100), // runs on
		life("web", 1, "a", 1, 5),   // over before
		life("web", 2, "a", 1, 15),  // ended
		life("web", 2, "b", 16, 100),
		life("db", 0, "a", 1, 12), // of another job
	)
	since := 10 * time.Second
	s.undisturbed(since, nil, "web")
	if len(s.failures) != 2 {
		t.Errorf("got %v, want one that ended and one that began", s.failures)
	}
	s.failures = nil
	s.undisturbed(since, func(l watch.Life) bool { return l.Index == 2 }, "web")
	s.expect(t)
	s.undisturbed(since, func(l watch.Life) bool { return l.Index == 2 })
	s.expect(t, "db[0]")
}

func TestMovesAtMost(t *testing.T) {
	s := onStage(t, life("web", 0, "a", 11, 12), life("web", 0, "b", 13, 14), life("web", 1, "b", 13, 14),
		life("web", 1, "a", 1, 9))
	s.movesAtMost(10*time.Second, 2, "web")
	s.expect(t)
	s.movesAtMost(10*time.Second, 1, "web")
	s.expect(t, "web[0] began more than 1 times")
}

func TestLedgerKnowsWhatWasPromised(t *testing.T) {
	var l ledger
	refused := context.DeadlineExceeded
	l.note("kept", "a", api.Submitted{Version: 1, Hash: "x"}, false, nil)
	l.note("kept", "a", api.Submitted{Version: 2, Hash: "y"}, false, nil)
	l.note("stopped", "b", api.Submitted{Version: 3, Hash: "z"}, true, nil)
	l.note("doubtful", "b", api.Submitted{}, true, refused)
	l.note("again", "b", api.Submitted{Version: 4}, true, nil)
	l.note("again", "b", api.Submitted{}, false, refused) // may have been done
	if got := l.kept()["kept"]; len(got) != 2 || got[1].hash != "y" || got[0].node != "a" {
		t.Errorf("kept %v", got)
	}
	if got := l.stopped(); len(got) != 1 || got[0] != "stopped" {
		t.Errorf("stopped for sure: %v", got)
	}
	if acked, refused := l.counts(); acked != 4 || refused != 2 {
		t.Errorf("counted %d and %d", acked, refused)
	}
}

func TestReadLogFindsWhatOnlyABugSays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	text := "level=INFO msg=fine\npanic: runtime error\ngoroutine 1 [running]:\nWARNING: DATA RACE\n" +
		"level=INFO msg=joined token=mn1.abc.def\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	size, bad, err := readLog(path)
	if err != nil || size != int64(len(text)) || len(bad) != 3 {
		t.Errorf("got %d bytes, %q, %v", size, bad, err)
	}
	if size, bad, err := readLog(path + "x"); size != 0 || bad != nil || err != nil {
		t.Errorf("without a log: %d bytes, %q, %v", size, bad, err)
	}
}

func TestUsedBytes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for text, want := range map[string]int64{"": 1, "abc": 3, "abc\x00\x00": 3, "\x00\x00": 1} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := usedBytes(path); got != want || err != nil {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
	}
}

func TestMoreThanFitAtOnceAreFound(t *testing.T) {
	var lives []watch.Life
	for i := range roomFor {
		lives = append(lives, life("web", i, "a", 1, 100), life("web", i, "b", 10*i+1, 10*i+10))
	}
	s := onStage(t, lives...)
	s.overCapacity()
	s.expect(t)
	s = onStage(t, append(lives, life("short", 0, "a", 55, 60), life("short", 1, "b", 55, 60))...)
	s.overCapacity()
	s.expect(t, "a ran 7 copies at once at 55.000 s, and 6 fit")
}

func TestFewest(t *testing.T) {
	life := func(seen, last int, ended bool) watch.Life {
		return watch.Life{Seen: time.Duration(seen), Last: time.Duration(last), Ended: ended}
	}
	lives := []watch.Life{life(0, 90, false), life(0, 20, true), life(10, 50, true), life(52, 90, false), life(30, 90, false)}
	for _, c := range []struct{ from, to, want int }{
		{0, 90, 2},   // at first, and when the second ends before the fifth begins
		{30, 49, 3},  // the third is there still
		{30, 90, 2},  // and is gone for a moment
		{60, 90, 3},  // the fourth has come
		{15, 18, 3},  // nothing ends in it
		{95, 100, 3}, // what was seen last before, and has not ended
	} {
		if got := fewest(lives, time.Duration(c.from), time.Duration(c.to)); got != c.want {
			t.Errorf("from %d to %d: %d, want %d", c.from, c.to, got, c.want)
		}
	}
}
