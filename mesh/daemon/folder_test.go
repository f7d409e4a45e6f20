package daemon

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"mn/mesh/fetch"
)

// Others pass through the data folder of an agent that runs tasks as others, and get no further
// than to the allocations.
func TestDataFolderLetsOthersInNowhereButToAllocations(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root's agent runs tasks as others")
	}
	first := newAgent(t, "first")
	first.cfg.Data = filepath.Join(first.cfg.Data, "data") // made as init makes it
	if _, err := Init(first.cfg.Data, InitOptions{Name: "first"}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a fresh one, and one that is there
		first.start()
		dir, err := os.Stat(first.cfg.Data)
		if err != nil {
			t.Fatal(err)
		}
		if got := dir.Mode().Perm(); got != 0o711 {
			t.Errorf("the data folder has mode %04o, want 0711", got)
		}
		entries, err := os.ReadDir(first.cfg.Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				t.Fatal(err)
			}
			got, want := info.Mode().Perm(), os.FileMode(0)
			if e.Name() == allocsDir || e.Name() == fetchDir && !fetch.Closed() {
				want = pass
			}
			if got&ofAll != want {
				t.Errorf("%s has mode %04o, want %04o for others", e.Name(), got, want)
			}
		}
		if len(entries) < 6 {
			t.Errorf("only %v are there: what else is there was not seen", entries)
		}
		first.stop()
	}
}

// A folder above that only root gets through is told, as no plain task of another user could start.
func TestAFolderAboveThatIsClosedIsTold(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root's agent runs tasks as others")
	}
	for _, test := range []struct {
		mode   os.FileMode
		owner  int
		closed bool
	}{
		{0o700, 0, true},
		{0o755, 0, false},
		{0o711, 0, false},
		{0o710, 0, false},
		{0o700, 1, false}, // its tasks start
	} {
		base := t.TempDir()
		above := filepath.Join(base, "above")
		data := filepath.Join(above, "some", "data")
		for _, err := range []error{
			os.Chmod(filepath.Dir(base), 0o755), os.Chmod(base, 0o755), os.MkdirAll(data, 0o755),
			os.Chmod(above, test.mode), os.Chown(above, test.owner, 0),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		want := ""
		if test.closed {
			want = above
		}
		if got := closedAbove(data); got != want {
			t.Errorf("above with mode %04o, of user %d: got %q, want %q", test.mode, test.owner, got, want)
		}
	}
}

// What a closed folder alone has kept from others is closed by itself before it is opened.
func TestWhatTheDataFolderHasClosedStaysClosed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root's agent runs tasks as others")
	}
	for _, test := range []struct{ dir, dirThen, file, fileThen os.FileMode }{
		{0o700, 0o711, 0o644, 0o600},
		{0o700, 0o711, 0o600, 0o600},
		{0o750, 0o751, 0o644, 0o640},
		{0o755, 0o755, 0o644, 0o644},
	} {
		dir := t.TempDir()
		file, allocs := filepath.Join(dir, "notes"), filepath.Join(dir, allocsDir)
		elsewhere := filepath.Join(t.TempDir(), "elsewhere")
		for _, err := range []error{
			os.WriteFile(file, nil, 0o600), os.Chmod(file, test.file), os.Mkdir(allocs, 0o711),
			os.WriteFile(elsewhere, nil, 0o644), os.Chmod(elsewhere, 0o644),
			os.Symlink(elsewhere, filepath.Join(dir, "link")), os.Chmod(dir, test.dir),
			openData(dir, slog.New(slog.DiscardHandler)),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		for name, want := range map[string]os.FileMode{
			dir: test.dirThen, file: test.fileThen, allocs: 0o711, elsewhere: 0o644,
		} {
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			if got := info.Mode().Perm(); got != want {
				t.Errorf("of a folder with mode %04o: %s has mode %04o, want %04o", test.dir, name, got, want)
			}
		}
	}
}
