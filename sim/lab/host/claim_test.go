package host

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// claimed is a claim in a folder for temporary files of the test's own.
func claimed(t *testing.T) *Claim {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	c, err := NewClaim("lab-")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// disown makes a claim look like that of a dead process.
func (c *Claim) disown(t *testing.T) {
	t.Helper()
	// A pid that somebody has, but who started at another time.
	text := "1 x\n"
	if err := os.WriteFile(filepath.Join(c.Dir, ownerFile), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func there(dir string) bool {
	_, err := os.Stat(dir)
	return err == nil
}

func TestSweepSparesTheLiving(t *testing.T) {
	c := claimed(t)
	err := Sweep("lab-", func(dir string) error { return errors.New("was to end what lives") })
	if err != nil || !there(c.Dir) {
		t.Errorf("got %v, the folder is there: %v", err, there(c.Dir))
	}
	if err := c.Close(); err != nil || there(c.Dir) {
		t.Errorf("closed: got %v, the folder is there: %v", err, there(c.Dir))
	}
}

func TestSweepSparesWhatIsNobodys(t *testing.T) {
	c := claimed(t)
	for _, text := range []string{"", "x", "x y", "7"} {
		if err := os.WriteFile(filepath.Join(c.Dir, ownerFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Sweep("lab-", func(string) error { return nil }); err != nil || !there(c.Dir) {
			t.Errorf("owner %q: got %v, the folder is there: %v", text, err, there(c.Dir))
		}
	}
}

func TestSweepClearsAwayWhatTheDeadLeft(t *testing.T) {
	needsRoot(t)
	c := claimed(t)
	for _, name := range []string{"a", "b"} {
		dir := filepath.Join(c.Dir, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := Mount(dir, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	g, err := LimitCPU(c.Name+"-x", 0.5)
	if err != nil {
		t.Fatal(err)
	}
	c.disown(t)
	var ended []string
	err = Sweep("lab-", func(dir string) error {
		ended = append(ended, dir)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(ended, []string{c.Dir}) {
		t.Errorf("ended the processes of %q", ended)
	}
	if there(c.Dir) || there(g.dir) {
		t.Errorf("the folder is there: %v, the cgroup: %v", there(c.Dir), there(g.dir))
	}
}

func TestSweepLeavesWhatIsKept(t *testing.T) {
	c := claimed(t)
	if err := c.Keep(); err != nil {
		t.Fatal(err)
	}
	c.disown(t)
	if err := Sweep("lab-", func(string) error { return nil }); err != nil || !there(c.Dir) {
		t.Errorf("got %v, the folder is there: %v", err, there(c.Dir))
	}
}
