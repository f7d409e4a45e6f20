package host

import (
	"fmt"
	"io"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// Image is a disk whose power can fail: what nobody has asked the kernel to
// make durable is lost then, as it is on a machine. It is a file system in a
// file, of which the file has what was written through and the page cache the
// rest. Like a Disk it must be there before the host that uses it.
type Image struct{ dir, file string }

// commitSeconds keeps the journal from being written through by itself.
const commitSeconds = 900

// MountImage makes a disk of that many bytes at a folder, in a file beside it.
func MountImage(dir string, bytes int64) (*Image, error) {
	i := &Image{dir, dir + ".image"}
	f, err := os.OpenFile(i.file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make disk image: %w", err)
	}
	defer f.Close()
	if err := f.Truncate(bytes); err != nil {
		return nil, fmt.Errorf("make disk image: %w", err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", i.file).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make a file system in %q: %w\n%s", i.file, err, out)
	}
	return i, i.mount()
}

func (i *Image) mount() error {
	options := fmt.Sprintf("loop,commit=%d", commitSeconds)
	if out, err := exec.Command("mount", "-t", "ext4", "-o", options, i.file, i.dir).CombinedOutput(); err != nil {
		return fmt.Errorf("mount %q at %q: %w\n%s", i.file, i.dir, err, out)
	}
	return nil
}

// Fail keeps of the disk what was durable at this instant, and nothing else.
// Nothing may use it any more but the host that it is for, which has no process.
func (i *Image) Fail(of *Host) error { return of.powerFails(i) }

func (i *Image) fail() error {
	durable := i.file + ".durable"
	if err := copyFile(durable, i.file); err != nil {
		return fmt.Errorf("keep what is durable of %q: %w", i.dir, err)
	}
	if err := i.Close(); err != nil {
		return err
	}
	if err := os.Rename(durable, i.file); err != nil {
		return fmt.Errorf("keep what is durable of %q: %w", i.dir, err)
	}
	return i.mount()
}

// Close takes the disk away.
func (i *Image) Close() error {
	if err := unix.Unmount(i.dir, 0); err != nil {
		return fmt.Errorf("unmount %q: %w", i.dir, err)
	}
	return nil
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
