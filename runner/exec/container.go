package exec

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"mn/mesh"
	"mn/runner"
	"mn/runner/supervise"
)

// Containers is what runs tasks in containers; package runner/container has one. Such a task
// has a supervisor as others have, with a program of its own; folders, payload, checkpoints,
// logs and records are no different.
type Containers interface {
	// Pulls says whether the image of a task is to be fetched, as far as the engine says.
	Pulls(ctx context.Context, s runner.Spec) bool
	// Image sees to it that the image of a task is here. It returns as whom the task runs:
	// a user of the image, by name or number, "" for root.
	Image(ctx context.Context, s runner.Spec) (user string, err error)
	// Plan is what the task's supervisor must know of its container.
	Plan(s runner.Spec, binds []runner.Bind) ([]byte, error)
	// Remove ends and removes the containers of a task: of an attempt, and of those before.
	Remove(ctx context.Context, alloc mesh.AllocID, task string, attempt int) error
	// Join runs a command in the container of an attempt until it ends, or the other end of
	// the connection goes, on which the conversation is that of package frames.
	Join(ctx context.Context, alloc mesh.AllocID, task string, attempt int, c runner.Command, conn net.Conn)
	// Barred are files that no container may be shown: who has them has the node.
	Barred() []string
}

// PlanFile, in a task's folder, is what its supervisor must know of its container. Only the
// folders of tasks in containers have one.
const PlanFile = "container.json"

// Bounds of what an engine is asked for.
const (
	// removeTimeout is of the removal of what a dead supervisor's container has left. What is
	// not removed by then is before the next attempt starts, or when the engine is seen again.
	removeTimeout = 10 * time.Second
	containsMax   = 8 // tasks for which an engine is asked at the same time, but for their images
)

// engineFault is what an engine, or what is asked of it, has against a task. Whatever it is
// made of, it says nothing of whether the node is broken: tasks that are processes start there.
type engineFault struct{ text string }

// Error implements error.
func (f engineFault) Error() string { return f.text }

// blunt is an error of an engine, or nil.
func blunt(what string, err error) error {
	if err == nil {
		return nil
	}
	return engineFault{what + err.Error()}
}

// image sees to it that the image of a task is here, and returns as whom it runs. To fetch it
// takes as long as registries let it.
func (t *task) image(ctx context.Context, s runner.Spec) (user string, err error) {
	engine := t.d.cfg.Containers
	if engine == nil {
		return "", errors.New("run in a container: this agent runs none")
	}
	get := func() error {
		var err error
		user, err = engine.Image(ctx, s)
		return blunt("", err)
	}
	pulls := false
	err = t.d.within(ctx, t.d.contains, func() error {
		if pulls = engine.Pulls(ctx, s); pulls {
			return nil
		}
		return get()
	})
	if err == nil && pulls {
		err = t.d.within(ctx, t.d.downloads, get)
	}
	return user, err
}

// containedUser is as whom the task of a container runs, as far as the node can know: nil if
// that is root, or a name that only the image knows. Whoever that is may write then to the
// folders of the task.
func containedUser(name string) (u *supervise.User, open bool) {
	user, group, _ := strings.Cut(name, ":")
	if user == "" || user == "root" || user == "0" {
		return nil, false
	}
	uid, err := strconv.ParseUint(user, 10, 32)
	if err != nil || os.Geteuid() != 0 {
		return nil, true
	}
	gid, err := strconv.ParseUint(group, 10, 32)
	if err != nil {
		gid = 0 // as the engine has it where nothing else is said
	}
	return &supervise.User{UID: uint32(uid), GID: uint32(gid)}, false
}

// openTo lets everybody write to a task's folders, and remove there what is theirs.
func (d *Driver) openTo(k key) error {
	for _, dir := range []string{runner.WorkDir(k.alloc, k.task), runner.SharedDir(k.alloc)} {
		if err := d.root.Chmod(dir, 0o777|os.ModeSticky); err != nil {
			return err
		}
	}
	return nil
}

// contain writes the plan of a task's container: it shows the task's folders where the task is
// told that they are, and its volumes. A task that is a process has none.
func (d *Driver) contain(k key, s runner.Spec, volumes []runner.Bind) error {
	if s.Container == nil {
		if err := d.root.Remove(k.file(PlanFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove plan of container: %w", err)
		}
		return nil
	}
	var binds []runner.Bind
	dirs := []string{runner.WorkDir(k.alloc, k.task), runner.SharedDir(k.alloc)}
	if s.Saving != nil {
		dirs = append(dirs, runner.CheckpointDir(k.alloc, k.task))
	}
	for _, dir := range dirs {
		dir = filepath.Join(d.cfg.Root, dir)
		binds = append(binds, runner.Bind{Source: dir, Target: dir, Write: true})
	}
	binds = append(binds, volumes...)
	for _, b := range binds {
		if strings.ContainsAny(b.Source+b.Target, mesh.NoMount) {
			return fmt.Errorf("show %q at %q: engines take no folder with a comma, a quote or a new line in its path",
				b.Source, b.Target)
		}
	}
	if mark := mark(filepath.Join(d.cfg.Root, runner.WorkDir(k.alloc, k.task))); !slices.Contains(s.Env, mark) {
		s.Env = append(slices.Clone(s.Env), mark)
	}
	text, err := d.cfg.Containers.Plan(s, binds)
	if err != nil {
		return blunt("plan container: ", err)
	}
	if err := d.root.WriteFile(k.file(PlanFile), text, 0o600); err != nil {
		return fmt.Errorf("write plan of container: %w", err)
	}
	return nil
}

// containerEnviron is the environment of a container's supervisor, which is more of a program
// than others are: no tight limit of memory, and no proxy between it and its engine.
func containerEnviron() []string {
	keep := []string{"GOMAXPROCS=2"}
	for _, v := range supervise.Environ() {
		if name, _, _ := strings.Cut(v, "="); name != "GOMAXPROCS" && name != "GOGC" && name != "GOMEMLIMIT" {
			keep = append(keep, v)
		}
	}
	return append(keep, "GOMEMLIMIT=128MiB", "PATH="+os.Getenv("PATH"))
}

// contained says whether a task was started in a container last.
func (d *Driver) contained(k key) bool {
	_, err := d.root.Lstat(k.file(PlanFile))
	return err == nil
}

// uncontain removes what a task's containers have left, up to an attempt. Their processes are
// dead by then, as far as they were found.
func (d *Driver) uncontain(k key, attempt int) {
	if d.cfg.Containers == nil || !d.contained(k) {
		return
	}
	ctx, done := context.WithTimeout(d.ctx, removeTimeout)
	defer done()
	if err := d.cfg.Containers.Remove(ctx, k.alloc, k.task, attempt); err != nil {
		d.cfg.Log.Warn("remove container", "task", k.String(), "error", err)
	}
}

// uncontainSoon does so in the background, a few at a time.
func (d *Driver) uncontainSoon(k key, attempt int) {
	d.work.Go(func() {
		_ = d.within(d.ctx, d.contains, func() error { // else the driver closes
			d.uncontain(k, attempt)
			return nil
		})
	})
}

// uncontainAll removes what the containers of an allocation have left, of which nothing runs.
// It was removed when they ended, unless their engine was away.
func (d *Driver) uncontainAll(alloc mesh.AllocID) {
	tasks, err := fs.ReadDir(d.root.FS(), filepath.Dir(runner.TaskDir(alloc, "any")))
	if err != nil {
		return // it has none
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.busy(alloc) {
		return
	}
	for _, t := range tasks {
		k := key{alloc, t.Name()}
		if !k.valid() || !d.contained(k) {
			continue
		}
		if spec, err := d.readSpec(k); err == nil { // else a sweep finds them
			d.uncontainSoon(k, spec.Attempt)
		}
	}
}

// Has says whether an attempt of a task is in hand, or may be: not everything could be read.
func (d *Driver) Has(alloc mesh.AllocID, task string, attempt int) bool {
	k := key{alloc, task}
	if t := d.task(k); t != nil && t.attempt == attempt {
		return true
	}
	return slices.ContainsFunc(d.unread, func(begin string) bool { return strings.HasPrefix(k.group(), begin) })
}
