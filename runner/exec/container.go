package exec

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	// Image sees to it that the image of a task is here. It returns as whom the task runs:
	// a user of the image, by name or number, "" for root.
	Image(ctx context.Context, s runner.Spec) (user string, err error)
	// Plan is what the task's supervisor must know of its container.
	Plan(s runner.Spec, binds []runner.Bind) ([]byte, error)
	// Remove ends and removes the containers of a task.
	Remove(ctx context.Context, alloc mesh.AllocID, task string) error
	// Barred are files that no container may be shown: who has them has the node.
	Barred() []string
}

// PlanFile, in a task's folder, is what its supervisor must know of its container. Only the
// folders of tasks in containers have one.
const PlanFile = "container.json"

// removeTimeout bounds the removal of what a dead supervisor's container has left. What is not
// removed by then is when the engine is seen again.
const removeTimeout = 10 * time.Second

// containedUser is as whom the task of a container runs, as far as the node can know: nil if
// that is root, or a name that only the image knows. Whoever that is may write then to the
// folders of the task.
func (d *Driver) containedUser(ctx context.Context, s runner.Spec) (u *supervise.User, open bool, err error) {
	if d.cfg.Containers == nil {
		return nil, false, errors.New("run in a container: this agent runs none")
	}
	name, err := d.cfg.Containers.Image(ctx, s)
	if err != nil {
		return nil, false, err
	}
	user, group, _ := strings.Cut(name, ":")
	if user == "" || user == "root" || user == "0" {
		return nil, false, nil
	}
	uid, err := strconv.ParseUint(user, 10, 32)
	if err != nil || os.Geteuid() != 0 {
		return nil, true, nil
	}
	gid, err := strconv.ParseUint(group, 10, 32)
	if err != nil {
		gid = 0 // as the engine has it where nothing else is said
	}
	return &supervise.User{UID: uint32(uid), GID: uint32(gid)}, false, nil
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
	text, err := d.cfg.Containers.Plan(s, append(binds, volumes...))
	if err != nil {
		return fmt.Errorf("plan container: %w", err)
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

// uncontain removes what a task's containers have left. Their processes are dead by then.
func (d *Driver) uncontain(k key) {
	if d.cfg.Containers == nil || !d.contained(k) {
		return
	}
	ctx, done := context.WithTimeout(d.ctx, removeTimeout)
	defer done()
	if err := d.cfg.Containers.Remove(ctx, k.alloc, k.task); err != nil {
		d.cfg.Log.Warn("remove container", "task", k.String(), "error", err)
	}
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
		if k := (key{alloc, t.Name()}); k.valid() && d.contained(k) {
			d.work.Go(func() { d.uncontain(k) })
		}
	}
}

// Has says whether a task is in hand.
func (d *Driver) Has(alloc mesh.AllocID, task string) bool { return d.task(key{alloc, task}) != nil }
