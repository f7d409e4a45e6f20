package exec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mn/mesh"
	"mn/runner"
	"mn/runner/cgroup"
	"mn/runner/supervise"
)

// probeTimeout bounds the trial of a sandbox.
const probeTimeout = 10 * time.Second

// probePrefix is how names of folders of trials begin; no name of an allocation does.
const probePrefix = ".probe-"

// nobody is the user, and group, whose sandboxed tasks are that name none: what
// they may read of the machine's settings is what everybody may.
const nobody = 65534

// offer is what a driver has to keep tasks apart with.
type offer struct {
	groups *cgroup.Home // nil if there can be none
	lacks  map[mesh.Isolation]string
}

// Isolation has each way in which tasks can be kept apart, and why this node does
// not have it; "" if it does. Each was tried once.
func (d *Driver) Isolation() map[mesh.Isolation]string { return d.offer().lacks }

// try finds out what there is, and removes what agents before this one have left.
func (d *Driver) try() offer {
	o := offer{lacks: map[mesh.Isolation]string{mesh.IsolateNone: "", mesh.IsolateCgroup: ""}}
	var err error
	if o.groups, err = cgroup.Open("/", d.cfg.Groups); err != nil {
		o.groups, o.lacks[mesh.IsolateCgroup] = nil, err.Error()
	} else {
		d.home.Store(o.groups)
		d.sweepGroups(o.groups)
	}
	if err := d.trySandbox(); err != nil {
		o.lacks[mesh.IsolateSandbox] = err.Error()
	} else {
		o.lacks[mesh.IsolateSandbox] = ""
	}
	return o
}

// trySandbox has a sandbox made for no task.
func (d *Driver) trySandbox() error {
	if real, err := filepath.EvalSymlinks(d.cfg.Root); err != nil || real != d.cfg.Root {
		return fmt.Errorf("its folder %q is behind a symbolic link", d.cfg.Root)
	}
	left, _ := fs.Glob(d.root.FS(), probePrefix+"*") // by an agent that was killed
	for _, name := range left {
		if err := d.root.RemoveAll(name); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp(d.cfg.Root, probePrefix)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	work := filepath.Join(dir, "work")
	spec := supervise.Spec{Attempt: 1, Dir: work, Sandbox: d.sandbox(work)}
	if spec.User, err = sandboxUser(""); err != nil {
		return err
	}
	if err := os.Mkdir(work, 0o755); err != nil {
		return err
	}
	text, err := json.Marshal(spec)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, supervise.SpecFile), text, 0o600)
	}
	if err != nil {
		return err
	}
	ctx, done := context.WithTimeout(d.ctx, probeTimeout)
	defer done()
	args := append(slices.Clone(d.cfg.Program[1:]), supervise.ProbeWord, dir)
	cmd := osexec.CommandContext(ctx, d.cfg.Program[0], args...)
	cmd.Env = supervise.Environ()
	out, err := cmd.Output()
	if err != nil && len(out) > 0 {
		return errors.New(strings.TrimSpace(string(out)))
	}
	return err
}

// sandbox is what a sandbox is to show.
func (d *Driver) sandbox(writable ...string) *supervise.Sandbox {
	return &supervise.Sandbox{Writable: writable, Hidden: d.hidden()}
}

// hidden are the folders of the agent's own, without those that are in others of them.
func (d *Driver) hidden() []string {
	var all []string
	for _, dir := range append([]string{d.cfg.Root}, d.cfg.Hidden...) {
		if slices.ContainsFunc(all, func(h string) bool { return mesh.Within(dir, h) }) {
			continue
		}
		all = append(slices.DeleteFunc(all, func(h string) bool { return mesh.Within(h, dir) }), dir)
	}
	return all
}

// isolated is the user as whom a task runs, and how it is kept apart. It makes
// nothing yet.
func (d *Driver) isolated(k key, s runner.Spec) (*supervise.User, *supervise.Sandbox, error) {
	if s.Isolation == "" || s.Isolation == mesh.IsolateNone {
		u, err := lookUser(s.User)
		return u, nil, err
	}
	switch why, known := d.offer().lacks[s.Isolation]; {
	case !known:
		return nil, nil, fmt.Errorf("isolation %q is not known to this agent", s.Isolation)
	case why != "":
		return nil, nil, fmt.Errorf("isolation %q is not available: %s", s.Isolation, why)
	case s.Isolation != mesh.IsolateSandbox:
		u, err := lookUser(s.User)
		return u, nil, err
	}
	dirs := []string{runner.WorkDir(k.alloc, k.task), runner.SharedDir(k.alloc)}
	if s.Saving != nil {
		dirs = append(dirs, runner.CheckpointDir(k.alloc, k.task))
	}
	for i := range dirs {
		dirs[i] = filepath.Join(d.cfg.Root, dirs[i])
	}
	u, err := sandboxUser(s.User)
	if err != nil {
		return nil, nil, err
	}
	box := d.sandbox(dirs...)
	box.Devices = deviceNodes(s.Devices)
	u.Groups = append(u.Groups, deviceGroups(box.Devices)...)
	return u, box, nil
}

// driverNodes are what programs need in /dev to use any device of a driver.
var driverNodes = map[string][]string{
	"cuda": {"/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset"},
	"rocm": {"/dev/kfd"},
}

// deviceNodes are the devices in /dev that a sandbox shows, of those that are there.
func deviceNodes(given []mesh.GivenDevice) []string {
	var all []string
	for _, g := range given {
		for _, name := range append([]string{g.Path}, driverNodes[g.Driver]...) {
			name = filepath.Clean(name)
			info, err := os.Stat(name)
			if err != nil || info.Mode()&os.ModeDevice == 0 || !mesh.Within(name, "/dev") {
				continue
			}
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return all
}

// deviceGroups are the groups that devices are for, but root's: only who is in them may open
// such a device. An agent that is not root's cannot give them; its tasks have its own.
func deviceGroups(names []string) []uint32 {
	if os.Geteuid() != 0 {
		return nil
	}
	const readWrite = 0o060
	var all []uint32
	for _, name := range names {
		var info syscall.Stat_t
		if err := syscall.Stat(name, &info); err != nil || info.Mode&readWrite != readWrite || info.Gid == 0 {
			continue
		}
		if !slices.Contains(all, info.Gid) {
			all = append(all, info.Gid)
		}
	}
	return all
}

// sandboxUser is as whom a sandboxed task runs. It is never root: much of what a
// sandbox shows of the machine is root's to read alone.
func sandboxUser(name string) (*supervise.User, error) {
	u, err := lookUser(name)
	switch {
	case err != nil || u != nil:
		return u, err
	case os.Geteuid() != 0:
		return &supervise.User{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}, nil
	case name != "":
		return nil, fmt.Errorf("run as user %q: no sandbox is root's: leave user out, or name another", name)
	}
	return &supervise.User{UID: nobody, GID: nobody}, nil
}

// limit makes the control group of an attempt, if it is to have one.
func (d *Driver) limit(k key, s runner.Spec) (cgroup.Group, error) {
	r := s.Resources
	reserves := r.CPU > 0 || r.Memory > 0
	switch s.Isolation {
	case mesh.IsolateNone:
		return nil, nil
	case "":
		if !reserves || d.offer().groups == nil {
			return nil, nil
		}
	}
	groups := d.offer().groups
	if groups == nil {
		if s.Isolation == mesh.IsolateSandbox && !reserves {
			return nil, nil // it is for what it sees
		}
		return nil, fmt.Errorf("limit its resources: %s", d.offer().lacks[mesh.IsolateCgroup])
	}
	g, err := groups.Make(k.group()+strconv.Itoa(s.Attempt),
		cgroup.Limits{CPU: int64(r.CPU), Memory: int64(r.Memory), PIDs: cgroup.PIDsMax})
	if err != nil {
		return nil, fmt.Errorf("limit its resources: %w", err)
	}
	return g, nil
}

// ungroup removes the control group of an attempt that has ended, if it has one,
// and kills what is in it.
func (d *Driver) ungroup(k key, attempt int) {
	spec, err := d.readSpec(k)
	if err != nil || spec.Attempt != attempt {
		return // it has none
	}
	if err := spec.Groups.Remove(); err != nil {
		d.cfg.Log.Error("remove control group", "task", k.String(), "error", err)
	}
}

// group is how the names of a task's control groups begin: the attempt follows.
func (k key) group() string { return string(k.alloc) + "." + k.task + "." }

// sweepGroups removes the control groups that are not of tasks which run, or may run.
func (d *Driver) sweepGroups(groups *cgroup.Home) {
	live, unread := map[string]bool{}, slices.Clone(d.unread)
	d.mu.Lock()
	for k := range d.tasks {
		if spec, err := d.readSpec(k); err != nil {
			unread = append(unread, k.group())
		} else if len(spec.Groups) > 0 {
			live[filepath.Base(spec.Groups[0])] = true
		}
	}
	d.mu.Unlock()
	for _, name := range groups.Names() {
		if live[name] || slices.ContainsFunc(unread, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		if err := groups.Group(name).Remove(); err != nil {
			d.cfg.Log.Error("remove control group", "group", name, "error", err)
		}
	}
}
