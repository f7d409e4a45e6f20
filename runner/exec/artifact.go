package exec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mn/mesh"
	"mn/runner"
	"mn/runner/archive"
	"mn/runner/supervise"
)

// An artifact is fetched into the content store, made whole in a folder that no task can enter,
// noted, and only then renamed into the task's own folder: whenever the agent is killed, it
// is there as a whole or not at all, and the next agent sees by the note what is left to do.

const (
	artifactsDir = "artifacts" // in a task's folder
	wholeName    = "whole"     // in that of an artifact, what the task is to have
	noteSuffix   = ".done"

	downloadsMax  = 16 // artifacts that are fetched at the same time
	jobLoadsMax   = 4  // of one job: its server may be slow
	artifactTries = 4
	progressEvery = 5 * time.Second
)

// artifactDelays are between the tries to fetch something.
var artifactDelays = mesh.Delays{Function: mesh.Exponential, Base: time.Second, Max: 15 * time.Second}

// Unfetched says why an artifact has not come.
type Unfetched struct {
	Err   error
	Final bool // to try again would change nothing
}

// Error is that of Err.
func (u Unfetched) Error() string { return u.Err.Error() }

// Unwrap is Err.
func (u Unfetched) Unwrap() error { return u.Err }

// artifact is one on its way.
type artifact struct {
	*mesh.Artifact
	d       *Driver
	k       key
	attempt int
	job     mesh.JobID
	dir     string // its own folder
	note    string // that it is whole
	text    []byte // of the note: what it was fetched for
}

func (d *Driver) artifact(k key, s *runner.Spec, i int) (*artifact, error) {
	text, err := json.Marshal(&s.Artifacts[i])
	if err != nil {
		return nil, fmt.Errorf("encode artifact: %w", err)
	}
	dir := filepath.Join(k.file(artifactsDir), strconv.Itoa(i))
	return &artifact{&s.Artifacts[i], d, k, s.Attempt, s.Job, dir, dir + noteSuffix, text}, nil
}

// fetchArtifacts makes the artifacts whole that a task still lacks. It waits for others, and so holds
// none of the places that those need who do not, but while it does what they do.
func (d *Driver) fetchArtifacts(ctx context.Context, k key, s runner.Spec) error {
	if d.cfg.Content == nil {
		return errors.New("fetch artifacts: this agent keeps none")
	}
	var spec supervise.Spec
	err := d.within(ctx, d.restores, func() error {
		if err := d.house(k, s, &spec); err != nil {
			return err
		}
		return d.preparePayload(ctx, k, s, spec.User)
	})
	if err != nil {
		return err
	}
	if err := d.root.Mkdir(k.file(artifactsDir), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("fetch artifacts: %w", err)
	}
	return d.eachArtifact(k, &s, func(a *artifact) error { return a.make(ctx, spec.User) })
}

// prepareArtifacts has the artifacts of a task, which are whole, in its own folder before the first
// attempt. Later ones find them as the one before has left them.
func (d *Driver) prepareArtifacts(k key, s *runner.Spec, u *supervise.User) error {
	return d.eachArtifact(k, s, func(a *artifact) error {
		if !a.noted() {
			return errors.New("it was removed as soon as it had come")
		}
		return a.put(u)
	})
}

func (d *Driver) eachArtifact(k key, s *runner.Spec, do func(a *artifact) error) error {
	for i := range s.Artifacts {
		a, err := d.artifact(k, s, i)
		if err == nil {
			err = do(a)
		}
		if err != nil {
			return fmt.Errorf("artifact %s: %w", s.Artifacts[i].Shown(), err)
		}
	}
	return nil
}

// jobLoads are the places of a job for what is fetched for it.
type jobLoads struct {
	places chan struct{}
	users  int // who have a place, or wait for one
}

// load does something when its job has a place for it, and there is one at all.
func (d *Driver) load(ctx context.Context, job mesh.JobID, do func() error) error {
	d.mu.Lock()
	l := d.loads[job]
	if l == nil {
		l = &jobLoads{places: make(chan struct{}, jobLoadsMax)}
		d.loads[job] = l
	}
	l.users++
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(d.loads, job)
		}
	}()
	return d.within(ctx, l.places, func() error { return d.within(ctx, d.downloads, do) })
}

// lacksArtifacts says whether some are still to be fetched.
func (d *Driver) lacksArtifacts(k key, s *runner.Spec) bool {
	if _, err := d.root.Lstat(k.file(strippedFile)); err == nil {
		return len(s.Artifacts) > 0
	}
	for i := range s.Artifacts {
		if a, err := d.artifact(k, s, i); err != nil || !a.noted() {
			return true
		}
	}
	return false
}

// noted says whether it was whole once.
func (a *artifact) noted() bool {
	text, err := a.d.root.ReadFile(a.note)
	return err == nil && string(text) == string(a.text)
}

// make makes it whole, unless it is.
func (a *artifact) make(ctx context.Context, u *supervise.User) error {
	if a.noted() {
		return nil
	}
	a.say(runner.Fetching, "")
	from, err := a.fetch(ctx, u)
	if err != nil {
		return err
	}
	a.say(runner.Fetched, from)
	return nil
}

// say tells how far it is.
func (a *artifact) say(kind runner.Kind, far string) {
	a.d.observe(runner.Observation{
		Alloc: a.k.alloc, Task: a.k.task, Attempt: a.attempt, Kind: kind, At: time.Now(), Err: a.Shown() + far,
	})
}

// progress tells now and then how much has come.
func (a *artifact) progress() func(have, all int64) {
	last := time.Now()
	return func(have, all int64) {
		if time.Since(last) < progressEvery {
			return
		}
		last = time.Now()
		far := fmt.Sprintf(": %d MiB", have>>20)
		if all > 0 {
			far += fmt.Sprintf(" of %d MiB", all>>20)
		}
		a.say(runner.FetchedSome, far)
	}
}

// fetch tries some times to make it whole, and says from where it has come if not from its source.
func (a *artifact) fetch(ctx context.Context, u *supervise.User) (from string, err error) {
	for try := 1; ; try++ {
		from, err = a.attemptFetch(ctx, u)
		why := Unfetched{}
		again := errors.Is(err, ErrMissing) || errors.As(err, &why) && !why.Final
		switch {
		case err == nil || ctx.Err() != nil || !again:
			return from, err
		case try == artifactTries:
			return "", fmt.Errorf("%w (the last of %d tries)", err, try)
		}
		a.say(runner.FetchedSome, fmt.Sprintf(": %v; trying again", err))
		wait := time.NewTimer(artifactDelays.After(try))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return "", ctx.Err()
		}
	}
}

// attemptFetch makes it whole, in its own folder, and notes that it is.
func (a *artifact) attemptFetch(ctx context.Context, u *supervise.User) (from string, err error) {
	var tree string
	err = a.d.load(ctx, a.job, func() (err error) {
		tree, from, err = a.d.cfg.Content.Artifact(ctx, a.Artifact, a.progress())
		return err
	})
	if err != nil {
		return "", err
	}
	return from, a.d.within(ctx, a.d.restores, func() error {
		if err := a.restore(ctx, tree); err != nil {
			return err
		}
		return a.finish(u)
	})
}

// restore makes what has come whole, in its own folder.
func (a *artifact) restore(ctx context.Context, tree string) error {
	in, root := filepath.Join(a.dir, "in"), a.d.root
	err := errors.Join(a.d.removeAll(a.note), a.d.removeAll(a.dir), root.Mkdir(a.dir, 0o700), root.Mkdir(in, 0o755))
	if err != nil {
		return err
	}
	if err := a.d.cfg.Content.Restore(ctx, &mesh.Checkpoint{Tree: tree}, filepath.Join(a.d.cfg.Root, in)); err != nil {
		return err
	}
	whole := filepath.Join(a.dir, wholeName)
	switch {
	case a.IsGit():
		return root.Rename(in, whole)
	case a.Suffix() != "":
		return a.unpack(ctx, in, whole)
	case a.Executable:
		if err := root.Chmod(filepath.Join(in, fileOf), 0o755); err != nil {
			return err
		}
	}
	return root.Rename(filepath.Join(in, fileOf), whole)
}

// fileOf is the name of the one file in the content of an artifact that is no repository.
const fileOf = "file"

// unpack unpacks an archive.
func (a *artifact) unpack(ctx context.Context, in, whole string) error {
	f, err := a.d.root.Open(filepath.Join(in, fileOf))
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := a.d.root.Mkdir(whole, 0o755); err != nil {
		return err
	}
	into, err := a.d.root.OpenRoot(whole)
	if err != nil {
		return err
	}
	defer into.Close()
	return archive.Unpack(ctx, a.Suffix(), f, info.Size(), into, archive.Defaults)
}

// finish gives it to the task's user, and notes that it is whole: after a power cut too, all of
// it is there if the note is.
func (a *artifact) finish(u *supervise.User) error {
	err := a.d.removeAll(filepath.Join(a.dir, "in"))
	if err == nil && u != nil {
		err = a.d.giveTo(a.dir, u)
	}
	if err != nil {
		return err
	}
	return a.d.note(a.k, a.note, string(a.text))
}

// put renames what is whole to its place in the task's folder, unless that was done. The
// folder may be a hostile one: it has the job's files, and its user has other tasks.
func (a *artifact) put(u *supervise.User) error {
	work, err := a.d.root.OpenRoot(runner.WorkDir(a.k.alloc, a.k.task))
	if err != nil {
		return err
	}
	defer work.Close()
	_, err = a.d.root.Lstat(filepath.Join(a.dir, wholeName))
	if errors.Is(err, fs.ErrNotExist) {
		return a.there(work)
	}
	if err != nil {
		return err
	}
	parent, base := path.Split(a.Place())
	parent = path.Clean(parent)
	var to *os.File
	if err = makeParents(work, parent, u); err == nil {
		to, err = work.OpenFile(parent, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	}
	if err != nil {
		return fmt.Errorf("make the folder of its destination %q: %w", a.Place(), err)
	}
	defer to.Close()
	from, err := a.d.root.Open(a.dir)
	if err != nil {
		return err
	}
	defer from.Close()
	err = renameFresh(from, wholeName, to, base)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("its destination %q is there already, as one of the job's files: name another", a.Place())
	}
	if err != nil {
		return fmt.Errorf("put it at %q: %w", a.Place(), err)
	}
	return a.d.removeAll(a.dir)
}

// there says whether it is where it was put. Of attempts before, the task may have removed it; before
// the first nobody has, and it has to be fetched once more.
func (a *artifact) there(work *os.Root) error {
	_, err := work.Lstat(a.Place())
	if a.attempt > 1 || err == nil {
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.Join(fmt.Errorf("it is not at %q, where it was put: it is fetched once more", a.Place()),
			a.d.removeAll(a.note))
	}
	return err
}

// makeParents makes the folders that lead to a place, the task's user's own.
func makeParents(work *os.Root, parent string, u *supervise.User) error {
	if parent == "." {
		return nil
	}
	at := ""
	for part := range strings.SplitSeq(parent, "/") {
		at = path.Join(at, part)
		err := work.Mkdir(at, 0o755)
		if err == nil && u != nil {
			err = work.Lchown(at, int(u.UID), int(u.GID))
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// renameFresh renames to a name that nothing has.
func renameFresh(from *os.File, name string, to *os.File, as string) error {
	err := unix.Renameat2(int(from.Fd()), name, int(to.Fd()), as, unix.RENAME_NOREPLACE)
	if err != unix.EINVAL && err != unix.ENOSYS {
		return err
	}
	var info unix.Stat_t // the file system knows no such renaming
	if err := unix.Fstatat(int(to.Fd()), as, &info, unix.AT_SYMLINK_NOFOLLOW); err == nil {
		return unix.EEXIST
	}
	return unix.Renameat(int(from.Fd()), name, int(to.Fd()), as)
}
