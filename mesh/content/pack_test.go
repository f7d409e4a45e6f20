package content

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestAPipeDoesNotHoldUpThePacking: a task may put one in the place of anything, at any moment.
func TestAPipeDoesNotHoldUpThePacking(t *testing.T) {
	for _, victim := range []string{"dir", "dir/file"} {
		root := folder(t, map[string]string{"dir/file": "x"})
		swap := func(name string, _ bool) bool {
			if name != victim {
				return false
			}
			full := filepath.Join(root.Name(), name)
			if err := errors.Join(os.RemoveAll(full), syscall.Mkfifo(full, 0o600)); err != nil {
				t.Fatal(err)
			}
			held, err := os.OpenFile(full, os.O_RDWR, 0) // who reads from it waits for what is written
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { held.Close() })
			return false
		}
		if _, err := open(t).Pack(t.Context(), root, Packing{Skip: swap}); !errors.Is(err, ErrChanged) {
			t.Errorf("a pipe in the place of %q: %v, want %v", victim, err, ErrChanged)
		}
	}
	root := folder(t, map[string]string{"dir/file": "x"})
	name := filepath.Join(root.Name(), "dir")
	swap := func(string, bool) bool { // at which nobody writes
		if err := errors.Join(os.RemoveAll(name), syscall.Mkfifo(name, 0o600)); err != nil {
			t.Fatal(err)
		}
		return false
	}
	if _, err := open(t).Pack(t.Context(), root, Packing{Skip: swap}); !errors.Is(err, ErrChanged) {
		t.Errorf("a pipe without a writer: %v, want %v", err, ErrChanged)
	}
}
