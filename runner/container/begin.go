package container

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"

	"mn/health/clock"
	"mn/runner"
	"mn/runner/supervise"
)

// Bounds of the begin of a container.
const (
	knowTries = 40 // looks for its first process, which is there at once, but for a moment not itself
	knowEvery = 25 * time.Millisecond
)

// Start implements [supervise.Keeper].
func (k *keeper) Start(spec supervise.Spec, stdout, stderr io.Writer) (pid int, err error) {
	if err := k.read(spec.Attempt); err != nil {
		return 0, err
	}
	if k.c, err = dial(k.plan.Socket); err != nil {
		return 0, err
	}
	timeout := startTimeout
	if spec.Until > 0 {
		timeout = min(timeout, spec.Until-clock.Boot())
	}
	k.first = newFirst(&k.plan.Spec)
	ctx, done := context.WithTimeout(context.Background(), timeout)
	defer done()
	if err := k.alone(ctx); err != nil {
		return 0, errors.New(explain(err)) // nothing was made yet
	}
	if err = k.begin(ctx); err == nil {
		k.output = newOutput(stdout, stderr)
		go k.stay()
		return k.first.known(), nil
	}
	k.undo()
	return 0, errors.New(explain(err))
}

// alone removes all other containers of the task: of attempts whose supervisors have died, and
// what an engine has made that nobody waited for any more. Two attempts must not run beside
// each other.
func (k *keeper) alone(ctx context.Context) error {
	s := &k.plan.Spec
	all, err := list(ctx, k.c, k.plan.Node, labelAlloc+"="+string(s.Alloc), labelTask+"="+s.Task)
	if err != nil {
		return fmt.Errorf("look for containers of earlier attempts: %w", err)
	}
	for i := range all {
		if l := all[i].Labels; l[labelAlloc] != string(s.Alloc) || l[labelTask] != s.Task {
			continue
		}
		if err := remove(ctx, k.c, all[i].ID); err != nil {
			return fmt.Errorf("attempt %s still has a container: %w", clip(all[i].Labels[labelAttempt]), err)
		}
	}
	return nil
}

// undo returns when nothing is left of what could not be begun, however long that takes: what
// an engine was asked to make or start it may yet do after we have lost patience. A container
// that it makes later still was not asked to start; the next attempt removes it.
func (k *keeper) undo() {
	for pause := againFirst; k.sent; pause = min(2*pause, againLast) {
		ctx, done := context.WithTimeout(context.Background(), startTimeout)
		err := k.clear(ctx, k.plan.name())
		done()
		if !k.first.kill() && err == nil {
			return
		}
		time.Sleep(pause)
	}
}

// read reads the plan.
func (k *keeper) read(attempt int) error {
	f, err := os.Open(planFile)
	if err != nil {
		return fmt.Errorf("read plan of container: %w", err)
	}
	defer f.Close()
	if err := json.NewDecoder(io.LimitReader(f, planMax)).Decode(&k.plan); err != nil {
		return fmt.Errorf("read plan of container: %w", err)
	}
	if k.plan.Spec.Attempt != attempt || k.plan.Spec.Container == nil {
		return fmt.Errorf("read plan of container: it is of attempt %d, not %d", k.plan.Spec.Attempt, attempt)
	}
	return nil
}

// begin makes the container and starts it.
func (k *keeper) begin(ctx context.Context) error {
	image, err := k.c.ImageInspect(ctx, k.plan.Spec.Container.Image)
	if err != nil {
		return fmt.Errorf("look for image: %w", err)
	}
	workdir := ""
	k.stop = "SIGTERM"
	if image.Config != nil {
		workdir, k.stop = image.Config.WorkingDir, cmp.Or(image.Config.StopSignal, k.stop)
	}
	k.stop = cmp.Or(k.plan.Spec.Stop, k.stop)
	options := k.plan.options(workdir)
	if err := unchanged(k.plan.Binds); err != nil {
		return err
	}
	k.sent = true
	made, err := k.c.ContainerCreate(ctx, options)
	if errdefs.IsConflict(err) {
		if err = k.clear(ctx, options.Name); err == nil {
			made, err = k.c.ContainerCreate(ctx, options)
		}
	}
	if err != nil {
		return fmt.Errorf("make container: %w", err)
	}
	k.id = made.ID
	if err := unchanged(k.plan.Binds); err != nil {
		return err
	}
	if _, err := k.c.ContainerStart(ctx, k.id, client.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("start container: %w", err)
	}
	k.know(ctx)
	return k.shows(k.plan.Binds)
}

// know finds out the first process of a container that was started. It runs, or has run,
// whether that can be found out or not.
func (k *keeper) know(ctx context.Context) {
	for range knowTries {
		is, err := k.c.ContainerInspect(ctx, k.id, client.ContainerInspectOptions{})
		if err != nil {
			return // it is looked for again when the engine is there
		}
		if s := is.Container.State; s == nil || !s.Running || k.first.accept(k.id, s.Pid) {
			return
		}
		time.Sleep(knowEvery)
	}
}

// clear removes a container that has our name, if it is ours: of this attempt, by an engine
// that was slow, or in a life of the node that it has forgotten.
func (k *keeper) clear(ctx context.Context, name string) error {
	is, err := k.c.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	switch {
	case errdefs.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("look for container %q: %w", name, err)
	}
	if cfg := is.Container.Config; cfg == nil || cfg.Labels[labelNode] != string(k.plan.Node) {
		k.sent = false
		return fmt.Errorf("another container has the name %q, and is not ours to remove", name)
	}
	return remove(ctx, k.c, is.Container.ID)
}

// swapped is what is said of a folder in whose place there is another.
func swapped(b *runner.Bind) error {
	return fmt.Errorf("another folder was put in the place of %q while it was shown to the container", b.Source)
}

// unchanged says whether the folders to be shown are still those that were found: tasks that
// may write around them could have put others in their place.
func unchanged(binds []runner.Bind) error {
	for i := range binds {
		b := &binds[i]
		var is unix.Stat_t
		if b.Inode == 0 {
			continue
		}
		if err := unix.Lstat(b.Source, &is); err != nil {
			return fmt.Errorf("look at folder %q: %w", b.Source, err)
		}
		if is.Dev != b.Device || is.Ino != b.Inode {
			return swapped(b)
		}
	}
	return nil
}

// shows says whether the container that runs shows the folders that were found, as the engine
// has looked for them once more. Of one that has ended meanwhile nobody knows.
func (k *keeper) shows(binds []runner.Bind) error {
	pid := k.first.known()
	if pid == 0 {
		return nil
	}
	const path = unix.O_PATH | unix.O_CLOEXEC
	root, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/root", path|unix.O_DIRECTORY, 0)
	if err != nil || !k.first.alive() {
		return nil // it has ended, or is not for us to look into
	}
	defer unix.Close(root)
	for i := range binds {
		b := &binds[i]
		if b.Inode == 0 {
			continue
		}
		var is unix.Stat_t
		fd, err := unix.Openat2(root, b.Target, &unix.OpenHow{Flags: path, Resolve: unix.RESOLVE_IN_ROOT})
		if err == nil {
			err = unix.Fstat(fd, &is)
			unix.Close(fd)
		}
		if (err != nil || is.Dev != b.Device || is.Ino != b.Inode) && k.first.alive() {
			return swapped(b)
		}
	}
	return nil
}
