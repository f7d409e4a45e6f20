package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestRoomIsThatOfTheDisk(t *testing.T) {
	dir := t.TempDir()
	free, all, err := Room(dir)
	if err != nil || free <= 0 || free > all {
		t.Errorf("got %d of %d, %v", free, all, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	// It is the folder's, whatever is where it was.
	if err := os.Rename(dir, dir+"-moved"); err != nil {
		t.Fatal(err)
	}
	if in, err := RoomIn(root); err != nil || in <= 0 || in > all {
		t.Errorf("of an open folder: got %d of %d, %v", in, all, err)
	}
	if _, _, err := Room(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of no folder: got %v", err)
	}
}

func TestRemoveAllIsNotKeptFromClosedFolders(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	closed := filepath.Join(dir, "a", "closed")
	if err := errors.Join(os.MkdirAll(closed, 0o755), os.WriteFile(filepath.Join(closed, "x"), nil, 0o444),
		os.Chmod(closed, 0), os.Chmod(filepath.Dir(closed), 0o500)); err != nil {
		t.Fatal(err)
	}
	if err := RemoveAll(root, "a"); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "a")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is there: %v", err)
	}
	if err := RemoveAll(root, "a"); err != nil {
		t.Errorf("of nothing: %v", err)
	}
}

func TestSync(t *testing.T) {
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := Sync(dir); err != nil {
		t.Error(err)
	}
	dir.Close()
	if err := Sync(dir); err == nil {
		t.Error("what cannot be synced is said to be")
	}
}
