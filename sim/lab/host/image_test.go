package host

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"mn/sim/lab/wire"
)

// TestImageLosesWhatWasNotSynced, and keeps what was.
func TestImageLosesWhatWasNotSynced(t *testing.T) {
	needsRoot(t)
	_, noTool := exec.LookPath("mkfs.ext4")
	if _, noLoop := os.Stat("/dev/loop-control"); noTool != nil || noLoop != nil {
		t.Log("only one case of the whole catalogue needs this, and here it cannot be:", noTool, noLoop)
		return
	}
	dir := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	i, err := MountImage(dir, 32<<20)
	if err != nil {
		t.Fatal(err)
	}
	s := wire.New(1)
	h, err := New(Config{
		Name: "h", Dir: filepath.Dir(dir), Disk: dir, Switch: s, Prefix: netip.MustParsePrefix("10.77.0.1/24"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(h.Close(), s.Close(), i.Close()); err != nil {
			t.Error(err)
		}
	})
	write := func(name string, sync bool) {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(name); err != nil {
			t.Fatal(err)
		}
		if sync {
			if err := f.Sync(); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("synced", true)
	write("lost", false)
	if err := i.Fail(h); err != nil {
		t.Fatal(err)
	}
	seen := exec.Command("grep", "-q", "synced", filepath.Join(dir, "synced"))
	if err := errors.Join(h.Start(seen), seen.Wait()); err != nil {
		t.Errorf("a process on the host does not see it: %v", err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "synced")); err != nil || string(text) != "synced" {
		t.Errorf("what was synced: %q, %v", text, err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "lost")); err == nil && string(text) == "lost" {
		t.Error("what was not synced is there")
	}
}
