// Package disk is for what is asked of the disk beneath folders, whoever asks: how much room
// there is, that what was written stays, that what others made can be removed. Which room must
// stay, and for what, is for others.
package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Room says how many bytes are free for this process where a folder lies, and how many there are.
func Room(dir string) (free, all int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, fmt.Errorf("look at the disk of %q: %w", dir, err)
	}
	free, all = amounts(&s)
	return free, all, nil
}

// RoomIn is Room of an open folder, wherever it has been moved to.
func RoomIn(dir *os.Root) (free int64, err error) {
	at, err := dir.Open(".")
	if err != nil {
		return 0, fmt.Errorf("look at the disk: %w", err)
	}
	defer at.Close()
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(at.Fd()), &s); err != nil {
		return 0, fmt.Errorf("look at the disk of %q: %w", at.Name(), err)
	}
	free, _ = amounts(&s)
	return free, nil
}

func amounts(s *unix.Statfs_t) (free, all int64) {
	return int64(s.Bavail) * int64(s.Bsize), int64(s.Blocks) * int64(s.Bsize)
}

// Sync returns when all that was written where a folder lies is there after a power cut too.
func Sync(dir *os.File) error {
	if err := unix.Syncfs(int(dir.Fd())); err != nil {
		return &fs.PathError{Op: "syncfs", Path: dir.Name(), Err: err}
	}
	return nil
}

// RemoveAll removes what others have made: also from folders that nobody may write to.
func RemoveAll(in *os.Root, name string) error {
	err := in.RemoveAll(name)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = fs.WalkDir(in.FS(), name, func(at string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			_ = in.Chmod(at, 0o700) // what comes of that is seen below
		}
		return nil
	})
	return in.RemoveAll(name)
}
