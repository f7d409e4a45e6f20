package exec

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mn/mesh"
	"mn/runner"
	"mn/runner/supervise"
)

// begin spawns a supervisor, unless the attempt has been started before. It
// returns the connection and that the task runs, or only how it ended.
func (t *task) begin(s runner.Spec) (r *bufio.Reader, o runner.Observation, err error) {
	if !t.key.valid() {
		return nil, o, fmt.Errorf("start task %q: not a name", t.key.String())
	}
	ctx, done := t.unlessStopped()
	defer done()
	found := false
	place, launches := t.d.starts, t.d.starts
	if s.Container != nil {
		place, launches = t.d.contains, t.d.contains
		err = t.d.within(ctx, place, func() (err error) {
			r, o, err, found = t.before(s.Attempt)
			return err
		})
		if err == nil && !found {
			s.User, err = t.image(ctx, s)
		}
		if found || err != nil {
			return r, o, err
		}
	}
	if t.d.lacksArtifacts(t.key, &s) { // which take as long as others let them
		if r, o, err, found := t.before(s.Attempt); found {
			return r, o, err
		}
		if err := t.d.fetchArtifacts(ctx, t.key, s); err != nil {
			return nil, o, err
		}
	}
	if t.d.fetches(t.key, s) {
		place = t.d.restores
	}
	var spec supervise.Spec
	err = t.d.within(ctx, place, func() (err error) {
		if r, o, err, found = t.before(s.Attempt); !found {
			err = t.d.portTaken(s)
		}
		if !found && err == nil {
			spec, err = t.d.prepare(ctx, t.key, s)
		}
		return err
	})
	if found || err != nil {
		return r, o, err
	}
	spec.Until = t.renewed(spec.Until)
	if err := t.d.writeSpec(t.key, spec); err != nil {
		spec.Groups.Remove()
		return nil, o, err
	}
	err = t.d.within(t.d.ctx, launches, func() (err error) {
		r, o, err = t.launch(spec)
		return err
	})
	if late := (lateError{}); errors.As(err, &late) {
		return t.hear(late.conn, late.r, spec, 0)
	}
	return r, o, err
}

// fetches says whether there is something to be had before a task can start, which may take
// long.
func (d *Driver) fetches(k key, s runner.Spec) bool {
	if s.Saving != nil && len(s.Saving.From) > 0 {
		return true
	}
	if s.Payload == nil {
		return false
	}
	done, _ := d.unpacked(k, s.Payload)
	return !done
}

// within does something when there is a place for it. The error is [os.ErrClosed] if the
// driver closes before.
func (d *Driver) within(ctx context.Context, places chan struct{}, do func() error) error {
	select {
	case places <- struct{}{}:
	case <-d.closing:
		return os.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-places }()
	return do()
}

// launch spawns a supervisor for what was prepared, and waits for its first word.
func (t *task) launch(spec supervise.Spec) (r *bufio.Reader, o runner.Observation, err error) {
	c, err := t.spawn()
	if err != nil {
		t.d.ungroup(t.key, spec.Attempt)
		return nil, o, err
	}
	timeout := startTimeout
	if t.contained {
		timeout = containTimeout
	}
	return t.hear(c, bufio.NewReaderSize(c, lineMax), spec, timeout)
}

// lateError is of a supervisor that has said nothing yet, and is not to be killed for that.
type lateError struct {
	conn conn
	r    *bufio.Reader
}

// Error implements error.
func (lateError) Error() string { return "its supervisor is late" }

// hear waits for the first word of a supervisor; without end if timeout is 0.
func (t *task) hear(c conn, r *bufio.Reader, spec supervise.Spec, timeout time.Duration) (
	_ *bufio.Reader, o runner.Observation, err error,
) {
	var by time.Time
	if timeout > 0 {
		by = time.Now().Add(timeout)
	}
	c.SetReadDeadline(by)
	if t.contained {
		// It may wait for an engine as long as that takes. The next agent finds it.
		stop := context.AfterFunc(t.d.ctx, func() { c.SetReadDeadline(time.Unix(1, 0)) })
		defer stop()
	}
	hello, err := readHello(r)
	switch {
	case err == nil && hello.Err == "":
		c.SetReadDeadline(time.Time{})
		if !t.attach(c) {
			return nil, o, os.ErrClosed
		}
		return r, running(t.key, runner.Started, hello.Start), nil
	case errors.Is(err, os.ErrDeadlineExceeded) && t.contained && t.d.isClosing():
		c.Close()
		return nil, o, os.ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded) && t.contained:
		// What it has asked an engine for may be done yet: who else would see to that?
		t.d.cfg.Log.Warn("container takes long to start, or to remove", "task", t.key.String())
		return nil, o, lateError{c, r}
	case errors.Is(err, os.ErrDeadlineExceeded):
		// It may hang in a disk that does not answer. It must not start the
		// task after we have said that it did not.
		syscall.Kill(t.child, syscall.SIGKILL)
	}
	c.Close()
	t.reap()
	if hello.Err != "" && !hello.Expired { // else its record says more
		t.d.ungroup(t.key, spec.Attempt)
		return nil, o, errors.New(hello.Err)
	}
	if r, o, err, ok := t.before(spec.Attempt); ok {
		return r, o, err
	}
	t.d.ungroup(t.key, spec.Attempt)
	t.d.uncontain(t.key, spec.Attempt)
	if words := t.d.lastWords(t.key); words != "" {
		return nil, o, errors.New(words)
	}
	return nil, o, errors.New("its supervisor ended before it had started the task")
}

// hello is the first that a supervisor says: that the task runs, or why it
// could not be started.
type hello struct {
	supervise.Start
	Err     string `json:"error"`
	Expired bool   `json:"expired"`
}

func readHello(r *bufio.Reader) (hello, error) {
	var h hello
	err := readLine(r, &h)
	return h, err
}

// before says what has become of the attempt, if it has been started before.
func (t *task) before(attempt int) (r *bufio.Reader, o runner.Observation, err error, ok bool) {
	found, err := t.d.inspect(t.key)
	switch {
	case err != nil:
		return nil, o, err, true
	case found.live:
		r = t.connect(&found.start)
		if found.start.Attempt != attempt {
			return nil, o, fmt.Errorf("attempt %d still runs", found.start.Attempt), true
		}
		return r, running(t.key, runner.Started, found.start), nil, true
	case found.exit != nil && found.exit.Attempt >= attempt:
		return nil, t.d.ended(t.key, *found.exit), nil, true
	}
	return nil, o, nil, false
}

// prepare makes the task's folders, and what its supervisor must know.
func (d *Driver) prepare(ctx context.Context, k key, s runner.Spec) (supervise.Spec, error) {
	spec := supervise.Spec{
		Attempt: s.Attempt,
		Boot:    d.boot,
		Command: s.Command,
		Env:     s.Env,
		Dir:     s.Dir,
		Grace:   s.Grace,
		Until:   s.Until,
		Stop:    int(unix.SignalNum(s.Stop)), // 0 if it has none
		Warn:    int(unix.SignalNum(s.Warn)),

		WarnTime: s.WarnTime,
	}
	work := filepath.Join(d.cfg.Root, runner.WorkDir(k.alloc, k.task))
	if spec.Dir == "" {
		spec.Dir = work
	}
	if !filepath.IsAbs(spec.Dir) {
		return spec, fmt.Errorf("start in folder %q: not an absolute path", spec.Dir)
	}
	if mark := mark(work); !slices.Contains(spec.Env, mark) {
		spec.Env = append(slices.Clone(spec.Env), mark)
	}
	if err := d.house(k, s, &spec); err != nil {
		return spec, err
	}
	if err := d.preparePayload(ctx, k, s, spec.User); err != nil {
		return spec, err
	}
	if err := d.prepareArtifacts(k, &s, spec.User); err != nil {
		return spec, err
	}
	if err := d.prepareTemplates(k, &s, &spec); err != nil {
		return spec, err
	}
	volumes, binds, err := d.volumes(k, s)
	if err != nil {
		return spec, err
	}
	if spec.Sandbox != nil {
		spec.Sandbox.Volumes = volumes
	}
	if err := d.preparePython(k, s, &spec); err != nil {
		return spec, err
	}
	seen, err := d.prepareSaving(ctx, k, s.Saving, spec.User)
	if err != nil {
		return spec, err
	}
	if seen != nil {
		seen.Attempt = s.Attempt
		d.observe(*seen)
	}
	if err := d.prepareKeeping(k, &s); err != nil {
		return spec, err
	}
	if err := d.contain(k, s, binds); err != nil || s.Container != nil {
		return spec, err
	}
	spec.Groups, err = d.limit(k, s)
	return spec, err
}

// writeSpec replaces the spec of a task whole. It may hold secrets.
func (d *Driver) writeSpec(k key, spec supervise.Spec) error {
	text, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("encode what to start: %w", err)
	}
	next := k.file(supervise.SpecFile + ".next")
	if err := d.root.WriteFile(next, text, 0o600); err != nil {
		return fmt.Errorf("write what to start: %w", err)
	}
	if err := d.root.Rename(next, k.file(supervise.SpecFile)); err != nil {
		return fmt.Errorf("write what to start: %w", err)
	}
	return nil
}

// readSpec reads what a task was started with last.
func (d *Driver) readSpec(k key) (spec supervise.Spec, err error) {
	text, err := d.root.ReadFile(k.file(supervise.SpecFile))
	if err == nil {
		err = json.Unmarshal(text, &spec)
	}
	return spec, err
}

// house finds out as whom a task runs, and makes its folders.
func (d *Driver) house(k key, s runner.Spec, spec *supervise.Spec) (err error) {
	open := false
	if s.Container != nil {
		spec.User, open = containedUser(s.User)
	} else {
		spec.User, spec.Sandbox, err = d.isolated(k, s)
	}
	if err != nil {
		return err
	}
	if err = d.makeFolders(k, spec.User); err == nil && open {
		err = d.openTo(k)
	}
	if err != nil {
		return fmt.Errorf("make folders of task %s: %w", k, err)
	}
	return nil
}

// mark is what every process of a task has in its environment, unless it has
// taken pains to get rid of it: its own folder.
func mark(work string) string { return "MN_TASK_DIR=" + work }

// makeFolders makes a task's folders. Others may pass through those above the
// task's own, for it may run as another user; they cannot list them.
func (d *Driver) makeFolders(k key, u *supervise.User) error {
	work, shared := runner.WorkDir(k.alloc, k.task), runner.SharedDir(k.alloc)
	if err := errors.Join(d.root.MkdirAll(k.folder(), 0o711), d.finishStrip(k)); err != nil {
		return err
	}
	for _, dir := range []string{work, shared} {
		if err := d.root.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	if err := d.root.Remove(retiredFile(k.alloc)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if u == nil {
		return nil
	}
	if err := d.openWay(work, shared); err != nil {
		return err
	}
	if err := d.root.Chown(work, int(u.UID), int(u.GID)); err != nil {
		return err
	}
	// The tasks of a group may run as different users.
	return d.root.Chmod(shared, 0o777|os.ModeSticky)
}

// openWay lets others pass to some folders of an allocation, but for the folders themselves.
// The umask of whoever has started the agent may have closed what was made open.
func (d *Driver) openWay(to ...string) error {
	const pass = 0o011
	for _, dir := range to {
		for dir = filepath.Dir(dir); ; dir = filepath.Dir(dir) {
			info, err := d.root.Lstat(dir)
			if err == nil && info.IsDir() && info.Mode()&pass != pass {
				err = d.root.Chmod(dir, info.Mode().Perm()|pass)
			}
			if err != nil {
				return err
			}
			if dir == "." {
				break
			}
		}
	}
	return nil
}

// lookUser finds the user to run as; nil for the agent's own.
func lookUser(name string) (*supervise.User, error) {
	if name == "" {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("run as user %q: %w", name, err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("run as user %q: read uid %q: %w", name, u.Uid, err)
	}
	if int(uid) == os.Geteuid() {
		return nil, nil
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("run as user %q: only an agent that runs as root can do that", name)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("run as user %q: read gid %q: %w", name, u.Gid, err)
	}
	su := &supervise.User{UID: uint32(uid), GID: uint32(gid), Name: name}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("run as user %q: list groups: %w", name, err)
	}
	for _, id := range ids {
		if gid, err := strconv.ParseUint(id, 10, 32); err == nil {
			su.Groups = append(su.Groups, uint32(gid))
		}
	}
	return su, nil
}

// agentFD is the number that the connection has in the supervisor.
const agentFD = 3

// spawn starts a supervisor in a session of its own and returns our end of the
// connection to it.
func (t *task) spawn() (conn, error) {
	program, environ := t.d.cfg.Program, supervise.Environ()
	if t.contained {
		program, environ = t.d.cfg.Container, containerEnviron()
	}
	const kind = syscall.SOCK_STREAM | syscall.SOCK_CLOEXEC | syscall.SOCK_NONBLOCK
	pair, err := syscall.Socketpair(syscall.AF_UNIX, kind, 0)
	if err != nil {
		return nil, fmt.Errorf("spawn supervisor: %w", err)
	}
	defer syscall.Close(pair[1])
	ours := os.NewFile(uintptr(pair[0]), "supervisor of "+t.key.String())
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		ours.Close()
		return nil, fmt.Errorf("spawn supervisor: %w", err)
	}
	defer null.Close()
	const fresh = os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	words, err := t.d.root.OpenFile(t.key.file(supervise.ErrorFile), fresh, 0o600)
	if err != nil {
		ours.Close()
		return nil, fmt.Errorf("spawn supervisor: %w", err)
	}
	defer words.Close()
	argv := append([]string{"mn"}, program[1:]...)
	argv = append(argv, filepath.Join(t.d.cfg.Root, t.key.folder()), strconv.Itoa(agentFD))
	t.child, err = syscall.ForkExec(program[0], argv, &syscall.ProcAttr{
		Dir:   "/",
		Env:   environ,
		Files: []uintptr{null.Fd(), null.Fd(), words.Fd(), uintptr(pair[1])},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		ours.Close()
		return nil, fmt.Errorf("spawn supervisor %q: %w", strings.Join(program, " "), err)
	}
	return ours, nil
}

// nodeBroken says whether a task could not be started for want of something that is the
// node's to have, and no mistake of its job.
func nodeBroken(err error) bool {
	for _, errno := range []syscall.Errno{
		syscall.ENOSPC, syscall.EROFS, syscall.EIO, syscall.EMFILE, syscall.ENFILE, syscall.EAGAIN, syscall.ENOMEM,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// portTakenError says that a port of a task is in use.
type portTakenError struct{ port mesh.Port }

func (e portTakenError) Error() string {
	return fmt.Sprintf("port %d/%s is in use by a program that is not of the mesh", e.port.Number, e.port.Transport)
}

// portTaken is an error if a program listens on a port of a task that is about to start: the node looks
// at its ports now and then only, and gave it out before it had seen that.
func (d *Driver) portTaken(s runner.Spec) error {
	if d.cfg.Listens == nil {
		return nil
	}
	for i := range s.Ports {
		if p := s.Ports[i].Port(); d.cfg.Listens(p) {
			return portTakenError{p}
		}
	}
	return nil
}
