package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"

	"mn/crdt"
)

// smallDisk is a file system of its own.
func smallDisk(t *testing.T, bytes int) string {
	t.Helper()
	dir := t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes))
	if errors.Is(err, syscall.EPERM) {
		t.Skip("needs the right to mount a file system")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestAFullDiskRefusesAndComesBack(t *testing.T) {
	disk := smallDisk(t, reserveBytes+12<<20)
	dir := filepath.Join(disk, "store")
	s := mustOpen(t, dir)
	r := replica(t, crdt.Kept{})
	noise := rand.NewChaCha8([32]byte{1}) // tables are compressed
	commit := func() error {
		value := make([]byte, 64<<10)
		_, _ = noise.Read(value)
		r.Put(fmt.Sprintf("k%d", r.Len()), value, crdt.Fence{}, noon)
		return s.Commit(r.Flush(), nil)
	}
	acked := 0
	var err error
	for err = commit(); err == nil && acked < 10_000; err = commit() {
		acked++
	}
	var full *SpaceError
	if !errors.As(err, &full) || !errors.Is(err, syscall.ENOSPC) || full.Dir != dir {
		t.Fatalf("after %d commits: got %v, want an error that names the full disk", acked, err)
	}
	if err := commit(); err == nil {
		t.Error("acknowledged on a full disk")
	}
	if st := s.Stats(); st.Refused != 2 {
		t.Errorf("%d refused, want 2", st.Refused)
	}
	larger := fmt.Sprintf("size=%d", 4*reserveBytes)
	if err := syscall.Mount("", disk, "", syscall.MS_REMOUNT, larger); err != nil {
		t.Fatal(err)
	}
	r.Put("space", []byte("is back"), crdt.Fence{}, noon)
	mustCommit(t, s, r.Flush())
	mustClose(t, s)
	s = mustOpen(t, dir)
	kept, _ := mustLoad(t, s)
	mustClose(t, s)
	if len(kept.Entries) != acked+1 || len(kept.Damage) > 0 {
		t.Errorf("%d entries, want the %d that were acknowledged; damage %v",
			len(kept.Entries), acked+1, kept.Damage)
	}
}

func TestAFullDiskIsNotOpened(t *testing.T) {
	disk := smallDisk(t, reserveBytes/2)
	if _, err := Open(filepath.Join(disk, "store"), quiet); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
}
