package exec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"mn/mesh"
	"mn/runner"
	"mn/runner/supervise"
)

// Content saves folders, and brings back what was saved, here or on another node.
type Content interface {
	// Save keeps a folder as it is. It returns nil if somebody writes to it just then.
	Save(ctx context.Context, dir string) (*mesh.Checkpoint, error)
	// Restore writes what was saved into an empty folder. The error is [ErrMissing] if
	// not all of it can be had now.
	Restore(ctx context.Context, from *mesh.Checkpoint, dir string) error
	// Artifact has an artifact here, from whoever has it, and returns the name of its content:
	// of a repository its files, else one that is called "file". Progress is told now and then
	// how much has come, and of how much, which is 0 if nobody knows. From says, in words that follow
	// its source, where else it was; "" if nowhere. The error is an [Unfetched].
	Artifact(ctx context.Context, a *mesh.Artifact, progress func(have, all int64)) (tree, from string, err error)
}

// ErrMissing says that nobody who can be asked has all of what was saved.
var ErrMissing = errors.New("no node in sight has all of it")

const (
	savingFile = "saving"         // in a task's folder: what the agent must know of it after a restart
	readyEvery = time.Second / 4  // how often is looked whether a task says that it is to be saved
	saveAgain  = 10 * time.Second // after a save that went wrong
	// changesAgain is after somebody was writing to a folder that is saved unasked.
	changesAgain = time.Second
)

// prepareSaving makes the folder of a task that is saved as it was saved last, and says what
// it goes on from, if there is something. The error may be an unrestoredError.
func (d *Driver) prepareSaving(
	ctx context.Context, k key, s *runner.Saving, u *supervise.User,
) (*runner.Observation, error) {
	if s == nil {
		return nil, nil
	}
	if d.cfg.Content == nil {
		return nil, errors.New("prepare its checkpoint: this agent keeps none")
	}
	note := *s
	last, err := d.saveLast(ctx, k)
	var seen *runner.Observation
	switch {
	case err != nil:
		return nil, fmt.Errorf("save what the attempt before has called whole: %w", err)
	case last != nil: // and the folder is as it was saved
		seen, note.From = last, []mesh.Checkpoint{*last.Checkpoint}
	default:
		if seen, err = d.restore(ctx, k, s); seen != nil {
			note.From = []mesh.Checkpoint{*seen.Checkpoint}
		} else {
			note.From = nil
		}
	}
	if err == nil && u != nil {
		err = d.giveTo(runner.CheckpointDir(k.alloc, k.task), u)
	}
	text, failed := json.Marshal(&note)
	if err = errors.Join(err, failed); err == nil {
		err = d.root.WriteFile(k.file(savingFile), text, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("prepare its checkpoint: %w", err)
	}
	if last != nil {
		d.taken(k, nil)
	}
	return seen, nil
}

// saveLast saves what the attempt before has called whole and nobody was there to save: its
// agent was gone when it ended. It returns that, if there is something.
func (d *Driver) saveLast(ctx context.Context, k key) (*runner.Observation, error) {
	word := d.ready(k)
	if word == nil {
		return nil, nil
	}
	saved, err := d.cfg.Content.Save(ctx, filepath.Join(d.cfg.Root, runner.CheckpointDir(k.alloc, k.task)))
	if err != nil {
		return nil, err
	}
	if saved == nil {
		return nil, errors.New("somebody writes to it")
	}
	saved.Label, saved.At = word.label, time.Now()
	return &runner.Observation{Alloc: k.alloc, Task: k.task, Kind: runner.Saved, At: saved.At, Checkpoint: saved}, nil
}

// unrestoredError says that nothing can be had of what was saved of a task, and why.
type unrestoredError struct{ why []string }

func (e unrestoredError) Error() string { return strings.Join(e.why, "; ") }

// restore makes the folder hold the first that can be had of what a task goes on from.
func (d *Driver) restore(ctx context.Context, k key, s *runner.Saving) (*runner.Observation, error) {
	dir := runner.CheckpointDir(k.alloc, k.task)
	empty := func() error { return errors.Join(d.removeAll(dir), d.root.Mkdir(dir, 0o755)) }
	if err := errors.Join(d.removeAll(runner.CheckpointReady(k.alloc, k.task)), empty()); err != nil {
		return nil, err
	}
	var not []string
	for i := range s.From {
		from := &s.From[i]
		err := d.cfg.Content.Restore(ctx, from, filepath.Join(d.cfg.Root, dir))
		if err == nil {
			return &runner.Observation{
				Alloc: k.alloc, Task: k.task, Kind: runner.Restored, At: time.Now(),
				Checkpoint: from, Err: strings.Join(not, "; "),
			}, nil
		}
		if !errors.Is(err, ErrMissing) {
			return nil, fmt.Errorf("%v: %w", from, err)
		}
		not = append(not, fmt.Sprintf("%v: %v", from, err))
		if err := empty(); err != nil { // what came of it is torn
			return nil, err
		}
	}
	if len(not) > 0 {
		return nil, unrestoredError{not}
	}
	return nil, nil
}

// giveTo makes a user the owner of all that is in a folder. Only what is beneath it can be
// reached: the user may put links in the place of folders that they have by then.
func (d *Driver) giveTo(dir string, u *supervise.User) error {
	root, err := d.root.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return root.Lchown(name, int(u.UID), int(u.GID))
	})
}

// savingOf is what an agent before this one has noted of a task that is saved, or nil.
func (d *Driver) savingOf(k key) *runner.Saving {
	text, err := d.root.ReadFile(k.file(savingFile))
	if err != nil {
		return nil // it is not, or its folder is older than that
	}
	var s runner.Saving
	if err := json.Unmarshal(text, &s); err != nil {
		d.cfg.Log.Error("read what is to be saved", "task", k.String(), "error", err)
		return nil
	}
	return &s
}

// saver saves the folder of one attempt of a task.
type saver struct {
	t     *task
	dir   string
	every time.Duration
	last  time.Time // when it was saved, or began
	tree  string    // what was saved
	told  string    // the same, if the task waits to hear of it
	word  *word     // by which it has said so
	after time.Time // not before
}

// saver is nil for a task that is not saved.
func (t *task) saver(s *runner.Saving) *saver {
	if s == nil || t.d.cfg.Content == nil {
		return nil
	}
	v := &saver{t: t, dir: runner.CheckpointDir(t.key.alloc, t.key.task), every: s.Every, last: time.Now()}
	if len(s.From) > 0 {
		v.tree = s.From[0].Tree
	}
	return v
}

// run looks after the folder until the attempt has ended, and once more then: what a task
// has saved on its way out counts.
func (v *saver) run(ended <-chan struct{}) {
	ticks := time.NewTicker(readyEvery)
	defer ticks.Stop()
	for {
		select {
		case <-v.t.d.closing:
			return
		case <-ended:
			v.look(true)
			return
		case <-ticks.C:
			v.look(false)
		}
	}
}

// look saves the folder if it is time; the last time, whenever the task has called it whole.
func (v *saver) look(last bool) {
	d, k := v.t.d, v.t.key
	if v.told != "" && v.t.acknowledged(v.told) {
		d.taken(k, v.word)
		v.told = ""
	}
	word := d.ready(k)
	now := time.Now()
	told := word != nil && (v.told == "" || last && !word.same(v.word))
	due := told || v.every > 0 && now.Sub(v.last) >= v.every
	if !due || now.Before(v.after) && !last {
		return
	}
	saved, err := d.cfg.Content.Save(d.ctx, filepath.Join(d.cfg.Root, v.dir))
	switch {
	case err != nil:
		d.cfg.Log.Warn("save checkpoint", "task", k.String(), "error", err)
		v.after = now.Add(saveAgain)
		return
	case saved == nil && !told:
		v.after = now.Add(changesAgain)
		return
	case saved == nil:
		return // it is written to: at the next look
	}
	v.last = now
	if told {
		v.told, v.word = saved.Tree, word // the task hears of it when it is on record
		saved.Label = word.label
	} else if saved.Tree == v.tree {
		return // nothing has happened
	}
	v.tree, saved.At = saved.Tree, now
	d.observe(runner.Observation{
		Alloc: k.alloc, Task: k.task, Attempt: v.t.attempt, Kind: runner.Saved, At: now, Checkpoint: saved,
	})
}

// Acknowledge implements [runner.Driver].
func (d *Driver) Acknowledge(alloc mesh.AllocID, name, tree string) {
	k := key{alloc, name}
	if t := d.task(k); t != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.recorded = tree
	} else if k.valid() {
		d.taken(k, nil) // it has ended, and that was its last word
	}
}

// acknowledged says whether the last that is on record of a task is that.
func (t *task) acknowledged(tree string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.recorded == tree
}

// word is how a task has said that its folder is whole.
type word struct {
	info  fs.FileInfo // of the file
	label string      // what it says of it
}

func (w *word) same(o *word) bool {
	return o != nil && os.SameFile(w.info, o.info) && w.info.ModTime().Equal(o.info.ModTime())
}

// taken tells a task that its checkpoint is kept. Where it has another word by now, that
// stands.
func (d *Driver) taken(k key, its *word) {
	if its != nil {
		if now := d.ready(k); now == nil || !now.same(its) {
			return
		}
	}
	err := d.root.Remove(runner.CheckpointReady(k.alloc, k.task))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.cfg.Log.Warn("take the word that a checkpoint is whole", "task", k.String(), "error", err)
	}
}

// ready is the word of a task that its folder is whole, or nil. The file is the task's: it may
// be anything.
func (d *Driver) ready(k key) *word {
	name := runner.CheckpointReady(k.alloc, k.task)
	info, err := d.root.Lstat(name)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	f, err := d.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	if is, err := f.Stat(); err != nil || !is.Mode().IsRegular() {
		return nil // as a pipe, which may never end
	}
	text, _ := io.ReadAll(io.LimitReader(f, mesh.CheckpointLabelMax))
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return &word{info, line}
}
