package exec

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"mn/mesh"
	"mn/runner"
	"mn/runner/supervise"
)

// volumesDir is the folder in a task's own in which links lead to its volumes.
const volumesDir = mesh.VolumesDir

// volumes finds the volumes of a task, and makes links to them. It returns what a
// sandbox is to show, and what a container.
func (d *Driver) volumes(k key, s runner.Spec) ([]supervise.Volume, []runner.Bind, error) {
	dir := filepath.Join(runner.WorkDir(k.alloc, k.task), volumesDir)
	if len(s.Volumes) == 0 {
		return nil, nil, nil
	}
	// The task may have put there what it likes.
	if err := errors.Join(d.removeAll(dir), d.root.Mkdir(dir, 0o755)); err != nil {
		return nil, nil, fmt.Errorf("make folder of volumes: %w", err)
	}
	var all []supervise.Volume
	var binds []runner.Bind
	for i := range s.Volumes {
		v := &s.Volumes[i]
		found, bind, err := d.volume(v, s.Contained())
		if err == nil {
			err = d.root.Symlink(v.At(s.Contained()), filepath.Join(dir, v.Name))
		}
		if err != nil {
			return nil, nil, fmt.Errorf("volume %q: %w", v.Name, err)
		}
		all = append(all, found)
		binds = append(binds, bind)
	}
	return all, binds, nil
}

// volume finds a volume. It must be a folder, wherever links lead within what is
// shared, and have nothing of the agent's. The bind is where it is, without links.
func (d *Driver) volume(v *mesh.Volume, contained bool) (found supervise.Volume, b runner.Bind, err error) {
	shared := mesh.Lender(d.cfg.Volumes, v.Source)
	found = supervise.Volume{
		Shared: shared, Path: strings.TrimPrefix(strings.TrimPrefix(v.Source, shared), "/"),
		Target: v.At(contained), Write: v.Mode == mesh.ReadWrite,
	}
	switch {
	case shared == "":
		return found, b, fmt.Errorf("%q is in no folder that this node shares", v.Source)
	case !found.Write && !contained:
		return found, b, errors.New("nothing keeps a plain process from writing to it")
	case found.Path == "":
		found.Path = "."
	}
	// A task that writes there may have put a pipe in the place of a folder: do not wait at it.
	root, err := os.OpenRoot(shared + "/.")
	if err != nil {
		return found, b, fmt.Errorf("open what is shared: %w", err)
	}
	defer root.Close()
	f, err := root.OpenFile(found.Path, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if errors.Is(err, syscall.ENOTDIR) {
		return found, b, fmt.Errorf("%q is no folder", v.Source)
	}
	if err != nil {
		return found, b, fmt.Errorf("%q in %q: %w", found.Path, shared, errors.Unwrap(err))
	}
	defer f.Close()
	var is unix.Stat_t
	real, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err == nil {
		err = unix.Fstat(int(f.Fd()), &is)
	}
	if err != nil {
		return found, b, fmt.Errorf("find where %q is: %w", v.Source, err)
	}
	b = runner.Bind{Source: real, Target: found.Target, Write: found.Write, Device: is.Dev, Inode: is.Ino}
	for _, hidden := range d.hidden() {
		if mesh.Within(real, hidden) || mesh.Within(hidden, real) {
			return found, b, fmt.Errorf("%q has the agent's own data in it", v.Source)
		}
	}
	if d.cfg.Containers == nil {
		return found, b, nil
	}
	for _, barred := range d.cfg.Containers.Barred() {
		if mesh.Within(barred, real) {
			return found, b, fmt.Errorf("%q has %q in it, by which one has the whole node", v.Source, barred)
		}
	}
	return found, b, nil
}
