package exec

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"mn/mesh"
	"mn/runner"
	"mn/runner/supervise"
)

// A file of a task is written beside its place and renamed, so that the task has the old one or the new one
// as a whole. The folder is the task's, and whatever it has made of it: nothing is followed out of it.

const (
	renderedFile = "rendered"     // in a task's folder: see rendered
	freshName    = ".mn-template" // of a file that is being written
)

// rendered is what is known of the files of a task, by their paths. An agent that ends while the task has
// yet to hear of some leaves that to the next.
type rendered map[string]struct {
	Written string `json:"written"` // the sum of its text as it was written last
	Told    string `json:"told"`    // and as the task knows it
}

func (r rendered) set(path, written, told string) {
	one := r[path]
	one.Written, one.Told = written, told
	r[path] = one
}

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// readRendered is empty if there is no such file.
func (d *Driver) readRendered(k key) rendered {
	r := rendered{}
	if text, err := d.root.ReadFile(k.file(renderedFile)); err == nil {
		if err := json.Unmarshal(text, &r); err != nil {
			d.cfg.Log.Warn("what was rendered cannot be read, and is rendered again", "task", k.String(), "error", err)
		}
	}
	return r
}

func (d *Driver) writeRendered(k key, r rendered) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode what was rendered: %w", err)
	}
	next := k.file(renderedFile + ".next")
	if err := d.root.WriteFile(next, text, 0o600); err != nil {
		return fmt.Errorf("note what was rendered: %w", err)
	}
	if err := d.root.Rename(next, k.file(renderedFile)); err != nil {
		return fmt.Errorf("note what was rendered: %w", err)
	}
	return nil
}

// prepareTemplates writes the files of a task before an attempt, and says which signals it may get for them.
func (d *Driver) prepareTemplates(k key, s *runner.Spec, spec *supervise.Spec) error {
	if len(s.Templates) == 0 {
		return nil
	}
	work, err := d.root.OpenRoot(runner.WorkDir(k.alloc, k.task))
	if err != nil {
		return fmt.Errorf("render files: %w", err)
	}
	defer work.Close()
	all := rendered{}
	for i := range s.Templates {
		f := &s.Templates[i]
		if err := place(work, f, spec.User); err != nil {
			return fmt.Errorf("render file %q: %w", f.Path, err)
		}
		sum := sumOf(f.Text)
		all.set(f.Path, sum, sum)
		if n := int(unix.SignalNum(f.Signal)); n > 0 && !slices.Contains(spec.Signals, n) {
			spec.Signals = append(spec.Signals, n)
		}
	}
	return d.writeRendered(k, all)
}

// place puts a file at its place in a task's own folder, as the task's user's.
func place(work *os.Root, f *runner.File, u *supervise.User) error {
	parent, base := path.Split(f.Path)
	parent = path.Clean(parent)
	if err := makeParents(work, parent, u); err != nil {
		return err
	}
	dir, err := work.OpenRoot(parent)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := dir.Remove(freshName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := write(dir, f, u); err != nil {
		return errors.Join(err, dir.Remove(freshName))
	}
	if err := dir.Rename(freshName, base); err != nil {
		return errors.Join(err, dir.Remove(freshName))
	}
	self, err := dir.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(self.Sync(), self.Close())
}

// write writes a file that nobody else has made.
func write(dir *os.Root, f *runner.File, u *supervise.User) error {
	out, err := dir.OpenFile(freshName, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = out.WriteString(f.Text)
	if err == nil && u != nil {
		err = out.Chown(int(u.UID), int(u.GID))
	}
	if err == nil {
		err = out.Chmod(fs.FileMode(f.Mode) & fs.ModePerm)
	}
	return errors.Join(err, out.Sync(), out.Close())
}

// Render implements [runner.Driver].
func (d *Driver) Render(alloc mesh.AllocID, name string, attempt int, files []runner.File) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.tasks[key{alloc, name}]
	if d.closed || t == nil || t.attempt != attempt || len(files) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return
	}
	if t.wanted = files; !t.rendering {
		t.rendering = true
		t.renders.Add(1)
		d.work.Go(t.render)
	}
}

// render renders what is wanted, until nothing is.
func (t *task) render() {
	defer t.renders.Done()
	for files := t.nextWanted(); files != nil && !t.d.isClosing(); files = t.nextWanted() {
		var changed []string
		err := t.d.within(t.d.ctx, t.d.starts, func() (err error) {
			changed, err = t.renderAnew(files)
			return err
		})
		if t.d.isClosing() || err == nil && len(changed) == 0 {
			continue
		}
		o := runner.Observation{
			Alloc: t.key.alloc, Task: t.key.task, Attempt: t.attempt, Kind: runner.Rendered,
			Files: changed, At: time.Now(),
		}
		if err != nil {
			o.Err = err.Error()
		}
		t.d.observe(o)
	}
}

// nextWanted are the files that are wanted; nil, and nobody renders any more, if none are.
func (t *task) nextWanted() []runner.File {
	t.mu.Lock()
	defer t.mu.Unlock()
	files := t.wanted
	t.wanted, t.rendering = nil, files != nil
	return files
}

// endRenders waits for what is being rendered: the next attempt's files are not this one's.
func (t *task) endRenders() {
	t.mu.Lock()
	t.ended, t.wanted = true, nil
	t.mu.Unlock()
	t.renders.Wait()
}

// renderAnew writes those files that have another text, sends the task the signals that follow, and says
// which it has not heard of before.
func (t *task) renderAnew(files []runner.File) (changed []string, err error) {
	d, k := t.d, t.key
	spec, err := d.readSpec(k)
	if err != nil {
		return nil, err
	}
	work, err := d.root.OpenRoot(runner.WorkDir(k.alloc, k.task))
	if err != nil {
		return nil, err
	}
	defer work.Close()
	was := d.readRendered(k)
	var signals []int
	for i := range files {
		f, sum := &files[i], sumOf(files[i].Text)
		told := was[f.Path].Told
		if was[f.Path].Written != sum {
			if e := place(work, f, spec.User); e != nil {
				err = errors.Join(err, fmt.Errorf("file %q cannot be written: %w", f.Path, e))
				continue
			}
		}
		if told != sum {
			changed = append(changed, f.Path)
			if n := int(unix.SignalNum(f.Signal)); n > 0 && !slices.Contains(signals, n) {
				signals = append(signals, n)
			}
			if !f.Restart { // which the start of the next attempt tells
				told = sum
			}
		}
		was.set(f.Path, sum, told)
	}
	for _, n := range signals {
		if !t.signal(n) {
			return nil, errors.New("the task cannot be told of its files: its supervisor takes no connection")
		}
	}
	if e := d.writeRendered(k, was); e != nil {
		err = errors.Join(err, e)
	}
	return changed, err
}

// signal has the supervisor send the task a signal, if it can be talked to.
func (t *task) signal(n int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn == nil {
		return false
	}
	t.send(supervise.SignalCommand(n))
	return true
}
