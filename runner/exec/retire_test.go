package exec

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// What cannot be removed does not keep the rest; and what its owner has forbidden itself to
// change can be.
func TestSweepGoesOn(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else for a moment")
	}
	const agentUser = 12345
	w := suite().NewWorld(t)
	d := w.Driver.(*Driver)
	for i := range retiredMax + 2 { // the last two are too many
		dir := filepath.Join(w.Root, fmt.Sprintf("alloc%d", i))
		deep := filepath.Join(dir, "tasks/web/work/deep")
		if err := os.MkdirAll(deep, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{filepath.Join(dir, "retired"), filepath.Join(deep, "file")} {
			if err := os.WriteFile(name, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		since := time.Now().Add(-time.Duration(i) * time.Hour)
		if err := os.Chtimes(filepath.Join(dir, "retired"), since, since); err != nil {
			t.Fatal(err)
		}
		if err := filepath.WalkDir(dir, func(name string, _ os.DirEntry, err error) error {
			if name == deep && i == retiredMax {
				return err // it is somebody else's
			}
			return os.Chown(name, agentUser, agentUser)
		}); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(deep, 0o555); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(w.Root, agentUser, agentUser); err != nil {
		t.Fatal(err)
	}
	swept := make(chan error)
	go func() {
		runtime.LockOSThread() // to the end: the thread is not used again
		if err := syscall.Setfsuid(agentUser); err != nil {
			swept <- nil
			return
		}
		swept <- d.sweep()
	}()
	if err := <-swept; err == nil {
		t.Error("what is somebody else's was removed")
	}
	for i, want := range map[int]bool{retiredMax - 1: true, retiredMax: true, retiredMax + 1: false} {
		if _, err := os.Stat(filepath.Join(w.Root, fmt.Sprintf("alloc%d", i))); (err == nil) != want {
			t.Errorf("allocation %d is there: %v", i, err == nil)
		}
	}
}
