package daemon

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Permissions of others, and of all but the owner.
const (
	ofOthers = 0o007
	ofAll    = 0o077
	pass     = 0o011 // through a folder, without seeing what is in it
)

// openData lets others pass through the data folder, where tasks may run as other users: the
// folder of allocations is below it. What was closed by the folder alone is closed by itself
// first, so that others have no more than that way. The folders above are not ours to open.
func openData(dir string, log *slog.Logger) error {
	if os.Geteuid() != 0 {
		return nil // its tasks are its own user's
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("look at data folder: %w", err)
	}
	mode := info.Mode().Perm()
	if mode&pass != pass {
		denied := os.FileMode(ofOthers)
		if mode&pass&^ofOthers == 0 {
			denied = ofAll
		}
		if err := closeAll(dir, denied); err != nil {
			return fmt.Errorf("close what is in the data folder to others: %w", err)
		}
		if err := os.Chmod(dir, mode|pass); err != nil {
			return fmt.Errorf("let tasks of other users through the data folder: %w", err)
		}
	}
	if above := closedAbove(dir); above != "" {
		log.Warn("tasks of other users cannot start here: a folder lets nobody but root through",
			"folder", above, "data", dir)
	}
	return nil
}

// closedAbove is the folder above the data folder that lets nobody but root through, "" if there is
// none. One that is another user's, or that some group may pass, is not it: that user's tasks start.
func closedAbove(dir string) string {
	if os.Geteuid() != 0 {
		return ""
	}
	for above := filepath.Dir(dir); ; above = filepath.Dir(above) {
		var info unix.Stat_t
		if err := unix.Stat(above, &info); err == nil && info.Uid == 0 && info.Mode&pass == 0 {
			return above
		}
		if above == filepath.Dir(above) {
			return ""
		}
	}
}

// closeAll takes permissions from all that is in the data folder, but from the folder of
// allocations. What is behind a link lies elsewhere, and was not closed by this folder.
func closeAll(dir string, denied os.FileMode) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return err
		}
		if e.Name() == allocsDir || info.Mode()&os.ModeSymlink != 0 || info.Mode()&denied == 0 {
			continue
		}
		if err := os.Chmod(filepath.Join(dir, e.Name()), info.Mode().Perm()&^denied); err != nil {
			return err
		}
	}
	return nil
}
