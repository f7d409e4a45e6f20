//go:build mntestclock

package clock

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// set replaces what the test clock's file says, and has it read again.
func set(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(variable, path)
	latest.Lock()
	latest.at = 0
	latest.Unlock()
}

func TestClocksGoAsTheFileSays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clock")
	const slack = 10 * time.Second // of a slow machine
	tests := []struct {
		text       string
		boot, wall time.Duration
	}{
		{"0s 0s 0 0s", 0, 0},
		{"1h 0s 0 0s", time.Hour, 0},
		{"0s -24h 0 0s", 0, -24 * time.Hour},
		// Twice as fast, and for 1000 s already.
		{
			"1h 2h 1000000 " + (kernel() - 1000*time.Second).String(),
			time.Hour + 1000*time.Second, 2*time.Hour + 1000*time.Second,
		},
	}
	for _, test := range tests {
		set(t, path, test.text)
		now := kernel()
		if got := Boot() - now - test.boot; got < 0 || got > slack {
			t.Errorf("%q: time since boot is off by %v", test.text, got)
		}
		if got := time.Until(Wall()) - test.wall; got < -slack || got > slack {
			t.Errorf("%q: time of day is off by %v", test.text, got)
		}
	}
}

func TestClockWithoutAFileIsTheKernels(t *testing.T) {
	set(t, filepath.Join(t.TempDir(), "clock"), "1h 1h 0 0s")
	t.Setenv(variable, filepath.Join(t.TempDir(), "none"))
	now := kernel()
	if got := Boot() - now; got < 0 || got > time.Minute {
		t.Errorf("it is off by %v", got)
	}
}

func TestParseShiftRefusesWhatIsNone(t *testing.T) {
	for _, text := range []string{"", "1s", "1s 1s 1", "1s 1s 1.5 1s", "1 1s 1 1s", "1s 1s 1 1s 1s"} {
		if s, err := parseShift([]byte(text)); err == nil {
			t.Errorf("%q was read as %+v", text, s)
		}
	}
}

func TestChildrenHaveTheSameClock(t *testing.T) {
	t.Setenv(variable, "/some/file")
	if got := Environ(); len(got) != 1 || got[0] != "MN_TEST_CLOCK=/some/file" {
		t.Errorf("got %q", got)
	}
	t.Setenv(variable, "")
	if got := Environ(); got != nil {
		t.Errorf("got %q without a test clock", got)
	}
}
