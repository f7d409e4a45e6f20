package exec

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"mn/mesh"
	"mn/runner"
	"mn/runner/disk"
)

// What is kept of retired allocations, the newest first: their folders as long as all of
// them hold no more, and what they have said, which is bounded by itself, of so many.
const (
	retiredMax      = 50
	retiredBytesMax = 1 << 30
	// sweepPause is between two sweeps: one measures all that is kept, and where a thousand
	// short tasks end one after the other, one for each would take longer than they do.
	sweepPause = 2 * time.Second
)

// retiredFile marks an allocation as retired; its time says since when.
func retiredFile(alloc mesh.AllocID) string { return filepath.Join(string(alloc), "retired") }

// Retire implements [runner.Driver].
func (d *Driver) Retire(alloc mesh.AllocID) {
	if !mesh.ValidName(string(alloc)) {
		return
	}
	err := d.root.WriteFile(retiredFile(alloc), nil, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return // nothing of it has ever been here
	}
	if err != nil {
		d.cfg.Log.Error("retire allocation", "alloc", string(alloc), "error", err)
		return
	}
	d.sweepSoon()
	d.uncontainAll(alloc)
}

// Remove implements [runner.Driver].
func (d *Driver) Remove(alloc mesh.AllocID) {
	if !mesh.ValidName(string(alloc)) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.busy(alloc) {
		return
	}
	d.work.Go(func() {
		if err := d.remove(alloc); err != nil {
			d.cfg.Log.Error("remove allocation", "alloc", string(alloc), "error", err)
		}
	})
}

// busy says whether a task of an allocation is in hand. The lock must be held.
func (d *Driver) busy(alloc mesh.AllocID) bool {
	for k := range d.tasks {
		if k.alloc == alloc {
			return true
		}
	}
	return false
}

func (d *Driver) remove(alloc mesh.AllocID) error {
	if err := d.removeAll(string(alloc)); err != nil {
		return fmt.Errorf("remove folder of allocation %s: %w", alloc, err)
	}
	return nil
}

// removeAll removes what a task may have made, or its job brought: also from folders that it
// may not be removed from.
func (d *Driver) removeAll(name string) error { return disk.RemoveAll(d.root, name) }

// sweepSoon sees to it that a sweep begins after now.
func (d *Driver) sweepSoon() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.sweeping {
		d.unswept = d.sweeping
		return
	}
	d.sweeping = true
	d.work.Go(func() {
		for again := true; again; {
			if err := errors.Join(d.sweep(), d.sweepPython()); err != nil {
				d.cfg.Log.Error("sweep retired allocations", "error", err)
			}
			d.pause(d.sweepPause)
			d.mu.Lock()
			again = d.unswept && !d.closed
			d.sweeping, d.unswept = again, false
			d.mu.Unlock()
		}
	})
}

// pause passes some time, unless the driver closes.
func (d *Driver) pause(length time.Duration) {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.closing:
	}
}

// sweep removes the oldest retired allocations beyond the bounds. Where they hold too much,
// what they have said stays: it is what people look for.
func (d *Driver) sweep() error {
	entries, err := fs.ReadDir(d.root.FS(), ".")
	if err != nil {
		return fmt.Errorf("list allocations: %w", err)
	}
	type retired struct {
		alloc mesh.AllocID
		since time.Time
	}
	var all []retired
	for _, e := range entries {
		alloc := mesh.AllocID(e.Name())
		if info, err := d.root.Stat(retiredFile(alloc)); err == nil {
			all = append(all, retired{alloc, info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b retired) int { return b.since.Compare(a.since) })
	var bytes int64
	var failed error // one that stays must not keep the others
	for i, r := range all {
		if i < retiredMax {
			if bytes += d.size(string(r.alloc)); bytes <= retiredBytesMax {
				continue
			}
		}
		d.mu.Lock()
		busy := d.busy(r.alloc)
		d.mu.Unlock()
		if busy {
			continue
		}
		remove := d.remove
		if i < retiredMax {
			remove = d.strip
		}
		failed = errors.Join(failed, remove(r.alloc))
	}
	return failed
}

// strip removes what an allocation's tasks have worked with.
func (d *Driver) strip(alloc mesh.AllocID) error {
	tasks, err := fs.ReadDir(d.root.FS(), filepath.Dir(runner.TaskDir(alloc, "any")))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("list tasks of allocation %s: %w", alloc, err)
	}
	failed := d.removeAll(runner.SharedDir(alloc))
	for _, t := range tasks {
		failed = errors.Join(failed, d.stripTask(key{alloc, t.Name()}))
	}
	if failed != nil {
		return fmt.Errorf("remove files of allocation %s: %w", alloc, failed)
	}
	return nil
}

// strippedFile, in a task's folder, says that what the task has worked with is being removed. It may
// be wanted once more, and then half of it must not be taken for all.
const strippedFile = "stripping"

// worked is what a task has worked with, and what says that it is there.
func worked(k key) []string {
	return []string{
		k.file(payloadFile), k.file(artifactsDir),
		runner.WorkDir(k.alloc, k.task), runner.CheckpointDir(k.alloc, k.task),
	}
}

// stripTask removes what a task has worked with. Whoever is killed while doing so has left a mark.
func (d *Driver) stripTask(k key) error {
	if err := d.note(k, k.file(strippedFile), ""); err != nil {
		return err
	}
	for _, name := range worked(k) {
		if err := d.removeAll(name); err != nil {
			return err
		}
	}
	return d.root.Remove(k.file(strippedFile))
}

// finishStrip goes on where an agent was killed that has begun to strip a task.
func (d *Driver) finishStrip(k key) error {
	_, err := d.root.Lstat(k.file(strippedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return d.stripTask(k)
}

// size is how much the files of a folder hold.
func (d *Driver) size(dir string) (bytes int64) {
	fs.WalkDir(d.root.FS(), dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // gone meanwhile, or not for us to see: counted as nothing
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
		return nil
	})
	return bytes
}
