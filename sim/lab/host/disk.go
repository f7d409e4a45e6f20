package host

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Disk is a small disk: a folder that can be filled to the last byte. It must
// be there before the host that uses it, which does not see later mounts.
type Disk struct{ dir string }

// ballast is the file that fills a disk.
const ballast = "ballast"

// Mount makes a disk of that many bytes at a folder that exists.
func Mount(dir string, bytes int64) (*Disk, error) {
	if err := unix.Mount("mnlab", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", bytes)); err != nil {
		return nil, fmt.Errorf("mount a disk at %q: %w", dir, err)
	}
	return &Disk{dir}, nil
}

// Fill takes all that is free on the disk.
func (d *Disk) Fill() error {
	f, err := os.OpenFile(filepath.Join(d.dir, ballast), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("fill disk %q: %w", d.dir, err)
	}
	_, err = io.Copy(f, zeros{})
	if errors.Is(err, unix.ENOSPC) {
		err = nil
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("fill disk %q: %w", d.dir, err)
	}
	return nil
}

// Free gives back what Fill has taken.
func (d *Disk) Free() error {
	if err := os.Remove(filepath.Join(d.dir, ballast)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("free disk %q: %w", d.dir, err)
	}
	return nil
}

// Close takes the disk away with all that is on it, once nothing uses it.
func (d *Disk) Close() error {
	if err := unix.Unmount(d.dir, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %q: %w", d.dir, err)
	}
	return nil
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
