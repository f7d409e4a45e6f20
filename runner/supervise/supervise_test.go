package supervise

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func openState(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(t.TempDir(), StateFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestStateIsReadAsItWasWritten(t *testing.T) {
	f := openState(t)
	if s, err := ReadState(f); err != nil || s.Start.Attempt != 0 {
		t.Errorf("empty file: got %+v, %v, want the zero state", s, err)
	}
	long := State{Start: Start{Attempt: 7, PID: math.MaxInt32, PIDStart: math.MaxUint64, At: time.Now()}}
	short := State{Start: Start{Attempt: 8}, Exit: &Exit{Attempt: 8, Code: -1, Err: "x"}}
	for _, want := range []State{long, short} {
		if err := WriteState(f, want); err != nil {
			t.Fatal(err)
		}
		got, err := ReadState(f)
		if err != nil || got.Start.Attempt != want.Start.Attempt || got.Start.PIDStart != want.Start.PIDStart ||
			!got.Start.At.Equal(want.Start.At) || (got.Exit == nil) != (want.Exit == nil) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
		if info, err := f.Stat(); err != nil || info.Size() != stateMax {
			t.Errorf("the file has %d bytes, want always %d", info.Size(), stateMax)
		}
	}
}

func TestStateHoldsALongError(t *testing.T) {
	f := openState(t)
	exit := &Exit{Attempt: math.MaxInt, Dropped: math.MaxInt64, Err: strings.Repeat("\x00", 5000)}
	if err := WriteState(f, State{Exit: exit}); err != nil {
		t.Errorf("what is longest in JSON does not fit: %v", err)
	}
	exit.Err = strings.Repeat("ü", 5000)
	if err := WriteState(f, State{Exit: exit}); err != nil {
		t.Fatal(err)
	}
	s, err := ReadState(f)
	if err != nil || !strings.HasPrefix(s.Exit.Err, "üü") ||
		!strings.HasSuffix(s.Exit.Err, "...") || len(exit.Err) != 10000 {
		t.Errorf("got %v, error of %d bytes", err, len(s.Exit.Err))
	}
}

func TestStateThatIsBrokenIsAnError(t *testing.T) {
	f := openState(t)
	for _, text := range []string{"{", "null garbage", `{"start": 5}`} {
		if err := os.WriteFile(f.Name(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := ReadState(f); err == nil {
			t.Errorf("%q was read as %+v", text, s)
		}
	}
}

func TestLockIsHeldByOne(t *testing.T) {
	f := openState(t)
	if held, err := Lock(f); err != nil || held {
		t.Fatalf("first lock: held %v, %v", held, err)
	}
	g, err := os.OpenFile(f.Name(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if held, err := Lock(g); err != nil || !held {
		t.Errorf("second lock: held %v, %v, want it held", held, err)
	}
	f.Close()
	if held, err := Lock(g); err != nil || held {
		t.Errorf("after the first is gone: held %v, %v", held, err)
	}
}

func TestMainRefusesWhatItDoesNotUnderstand(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name string
		args []string
		want int
	}{
		{"no folder", nil, 2},
		{"too much", []string{dir, "3", "x"}, 2},
		{"no file number", []string{dir, "-1"}, 2},
		{"missing folder", []string{filepath.Join(dir, "missing")}, 1},
	} {
		if got := Main(tt.args); got != tt.want {
			t.Errorf("%s: exit code %d, want %d", tt.name, got, tt.want)
		}
	}
}

// Two supervisors of one attempt are what is left when an agent dies at the
// wrong moment: only one may start the task, whichever comes first.
func TestAttemptThatWasStartedIsNotStartedAgain(t *testing.T) {
	for _, tt := range []struct {
		name  string
		state State
		lock  bool
		want  bool // it is started
	}{
		{"by one that lives", State{}, true, false},
		{"by one that died", State{Start: Start{Attempt: 2}}, false, false},
		{"a later one", State{Start: Start{Attempt: 3}}, false, false},
		{"only one before", State{Start: Start{Attempt: 1}}, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := openState(t)
			if err := WriteState(f, tt.state); err != nil {
				t.Fatal(err)
			}
			if tt.lock {
				if _, err := Lock(f); err != nil {
					t.Fatal(err)
				}
			}
			// A command that cannot start: that it was tried is on record.
			dir := filepath.Dir(f.Name())
			spec := []byte(`{"attempt": 2, "command": ["no-such-command"], "dir": "/"}`)
			if err := os.WriteFile(filepath.Join(dir, SpecFile), spec, 0o600); err != nil {
				t.Fatal(err)
			}
			t.Chdir(dir) // and back, for Main changes it
			if code := Main([]string{dir}); code != 0 {
				t.Errorf("exit code %d", code)
			}
			s, err := ReadState(f)
			if tried := s.Exit != nil && s.Exit.Attempt == 2; err != nil || tried != tt.want {
				t.Errorf("tried %v, %v, want %v", tried, err, tt.want)
			}
		})
	}
}

func TestLookPath(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"run": 0o755, "data": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	env := []string{"A=b", "PATH=/nowhere:" + dir}
	for _, tt := range []struct {
		name string
		env  []string
		want string // "" for an error
	}{
		{"run", env, dir + "/run"},
		{"run", []string{"PATH=."}, dir + "/run"},
		{"./run", nil, "./run"},
		{"/x/run", nil, "/x/run"},
		{"data", env, ""},
		{"folder", env, ""},
		{"run", []string{"PATH="}, ""},
		{"run", nil, ""},
	} {
		got, err := lookPath(tt.name, tt.env, dir)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%q with %q: got %q, %v, want %q", tt.name, tt.env, got, err, tt.want)
		}
	}
}

func TestVmstat(t *testing.T) {
	text := []byte("nr_free 5\noom_kill 12\noom_kill_other 7\n")
	if got := vmstat(text, "oom_kill"); got != 12 {
		t.Errorf("got %d, want 12", got)
	}
	if got := vmstat(text, "oom"); got != 0 {
		t.Errorf("got %d of a name that is not there", got)
	}
}

func TestStartTicksNamesAProcess(t *testing.T) {
	a, err := StartTicks(os.Getpid())
	if err != nil || a == 0 {
		t.Errorf("got %d, %v", a, err)
	}
	if _, err := StartTicks(math.MaxInt32); !os.IsNotExist(unwrap(err)) {
		t.Errorf("got %v for a process that does not exist", err)
	}
}

func unwrap(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok || os.IsNotExist(err) {
			return err
		}
		err = u.Unwrap()
	}
}

// Whatever an agent writes, a command is one of two, with a duration that is
// not negative; what we write is read as what we meant.
func FuzzParseCommand(f *testing.F) {
	for _, s := range []string{"stop 5", "renew 9223372036854775807", "stop -1", "stop", "kill 9", "stop 1 2", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		c, err := parseCommand(line)
		if err != nil {
			return
		}
		written := StopCommand(c.value)
		if c.verb == verbRenew {
			written = RenewCommand(c.value)
		}
		again, err := parseCommand(strings.TrimSuffix(written, "\n"))
		if c.value < 0 || err != nil || again != c || len(written) > commandMax {
			t.Errorf("%q was read as %+v, which is written %q", line, c, written)
		}
	})
}

func FuzzParseTicks(f *testing.F) {
	f.Add("7 (a) b) c) S 1 7 7 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 12345 0")
	f.Add("7 (sh) S 1")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if n, err := parseTicks([]byte(text)); err == nil && n > 0 && !strings.Contains(text, ")") {
			t.Errorf("%q was read as %d", text, n)
		}
	})
}

// What was killed in a group for want of memory is why a task has failed, but not why one has
// ended that was told to.
func TestWantOfMemory(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "memory.events"), []byte("oom_kill 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		exit Exit
		want bool
	}{
		{Exit{Code: 137, Signal: 9}, true},
		{Exit{Code: 1}, true},
		{Exit{}, false},
		{Exit{Code: 143, Signal: 15, Stopped: true}, false},
		{Exit{Code: 143, Signal: 15, Stopped: true, Expired: true}, false},
	} {
		s := &supervisor{exit: tt.exit, spec: Spec{Groups: []string{dir}}}
		if s.wantOfMemory(0); s.exit.OOM != tt.want {
			t.Errorf("%+v: for want of memory: %v", tt.exit, s.exit.OOM)
		}
	}
}
