package exec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"mn/mesh"
	"mn/runner"
	"mn/runner/logs"
)

// Keeper keeps what is left of a task.
type Keeper interface {
	// KeepFiles keeps the regular files of a folder that match; links are not followed. It
	// returns nil if somebody writes there just then.
	KeepFiles(ctx context.Context, dir string, patterns []string) (*mesh.Kept, error)
	// KeepTexts keeps some short texts by their names.
	KeepTexts(texts map[string][]byte) (*mesh.Kept, error)
}

// What is left of a task is kept when an attempt has ended: its outputs, and the end of its
// log. Of one that runs the end of the log is kept now and then, if there is more of it: so
// much of it is there when its node is lost.
const (
	outputsFile  = "outputs"  // in a task's folder: the patterns
	logStaysFile = "logstays" // is there if the end of its log is not kept
	keptFile     = "kept"     // and what was kept of the attempt that has ended
	keepTries    = 3          // while somebody writes
	keepAgain    = time.Second
	keepsMax     = 4               // whose outputs are kept at the same time
	keepMost     = 5 * time.Minute // until they are given up
	logKeptFirst = 5 * time.Second // then twice as long after each, up to
	logKeptEvery = 2 * time.Minute
)

// kept is what is left of an attempt.
type kept struct {
	Attempt int        `json:"attempt"`
	Outputs *mesh.Kept `json:"outputs,omitempty"`
	Log     *mesh.Kept `json:"log,omitempty"`
}

// prepareKeeping notes for agents to come what the outputs of a task are.
func (d *Driver) prepareKeeping(k key, s *runner.Spec) error {
	var err error
	for _, name := range []string{outputsFile, logStaysFile} {
		if gone := d.root.Remove(k.file(name)); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	if err == nil && s.LogStays {
		err = d.root.WriteFile(k.file(logStaysFile), nil, 0o600)
	}
	if err == nil && len(s.Outputs) > 0 {
		var text []byte
		if text, err = json.Marshal(s.Outputs); err == nil {
			err = d.root.WriteFile(k.file(outputsFile), text, 0o600)
		}
	}
	if err != nil {
		return fmt.Errorf("note what is to be kept of it: %w", err)
	}
	return nil
}

// keep keeps what is left of an attempt that has ended, once.
func (d *Driver) keep(k key, o *runner.Observation) {
	if d.cfg.Keeper == nil || o.Kind != runner.Exited {
		return
	}
	if d.noted(k, o) {
		return
	}
	o.Outputs, o.Log = d.keepOutputs(k), d.keepLog(k)
	if d.isClosing() {
		return // it may have been cut short
	}
	if o.Outputs == nil && o.Log == nil {
		return // nor will there be anything for who looks again
	}
	text, err := json.Marshal(kept{o.Attempt, o.Outputs, o.Log})
	if err == nil {
		err = d.root.WriteFile(k.file(keptFile), text, 0o600)
	}
	if err != nil {
		d.cfg.Log.Warn("note what is kept", "task", k.String(), "error", err)
	}
}

// noted says whether it is noted what was kept of an attempt that has ended, and takes that.
func (d *Driver) noted(k key, o *runner.Observation) bool {
	var before kept
	text, err := d.root.ReadFile(k.file(keptFile))
	if err != nil || json.Unmarshal(text, &before) != nil || before.Attempt != o.Attempt {
		return false
	}
	o.Outputs, o.Log = before.Outputs.Readable(), before.Log.Readable()
	return true
}

// keepLater says whether an attempt that has ended while no agent looked has outputs that are
// yet to be kept: that may take long, so it counts as one that runs until they are.
func (d *Driver) keepLater(k key, o runner.Observation) bool {
	if d.cfg.Keeper == nil || o.Kind != runner.Exited || d.noted(k, &o) {
		return false
	}
	if _, err := d.root.Lstat(k.file(outputsFile)); err != nil {
		return false
	}
	t := &task{d: d, key: k, attempt: o.Attempt, over: make(chan struct{})}
	as := o
	as.Kind, as.At, as.Err, as.ExitCode, as.Signal = runner.Adopted, o.StartedAt, "", 0, 0
	d.found = append(d.found, as)
	d.mu.Lock()
	d.tasks[k] = t
	d.mu.Unlock()
	d.work.Go(func() {
		if d.keep(k, &o); !d.isClosing() {
			d.over(t, o)
		}
	})
	return true
}

// keepOutputs keeps the outputs of a task, or says why not; nil if it has none.
func (d *Driver) keepOutputs(k key) *mesh.Kept {
	text, err := d.root.ReadFile(k.file(outputsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var patterns []string
	if err == nil {
		err = json.Unmarshal(text, &patterns)
	}
	select {
	case d.keeps <- struct{}{}:
		defer func() { <-d.keeps }()
	case <-d.ctx.Done():
		return nil
	}
	ctx, cancel := context.WithTimeout(d.ctx, d.keepMost)
	defer cancel()
	var all *mesh.Kept
	for try := 0; err == nil && all == nil && try < keepTries; try++ {
		if try > 0 {
			select {
			case <-time.After(keepAgain):
			case <-ctx.Done():
			}
		}
		all, err = d.cfg.Keeper.KeepFiles(ctx, filepath.Join(d.cfg.Root, runner.WorkDir(k.alloc, k.task)), patterns)
	}
	switch {
	case ctx.Err() != nil && all == nil:
		return &mesh.Kept{At: time.Now(), Fault: fmt.Sprintf("they were not on the disk within %v", d.keepMost)}
	case err != nil:
		d.cfg.Log.Warn("keep outputs", "task", k.String(), "error", err)
		return &mesh.Kept{At: time.Now(), Fault: mesh.Plain(err.Error(), mesh.TextMax)}
	case all == nil:
		return &mesh.Kept{At: time.Now(), Fault: "something that the task has started writes to them still"}
	}
	return all
}

// keepLog keeps the end of a task's log; nil if there is nothing, or it cannot be kept.
func (d *Driver) keepLog(k key) *mesh.Kept {
	if _, err := d.root.Lstat(k.file(logStaysFile)); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	texts, err := logs.Tail(filepath.Join(d.cfg.Root, runner.LogDir(k.alloc, k.task)), int(mesh.LogKeptMax))
	if err == nil && len(texts[logs.Stdout])+len(texts[logs.Stderr]) == 0 {
		return nil
	}
	var end *mesh.Kept
	if err == nil {
		end, err = d.cfg.Keeper.KeepTexts(texts)
	}
	if err != nil {
		d.cfg.Log.Warn("keep the end of the log", "task", k.String(), "error", err)
		return nil
	}
	return end
}

// keepLogs keeps the end of the log of a task that runs, as long as it does.
func (t *task) keepLogs(ended <-chan struct{}) {
	d, dir := t.d, filepath.Join(t.d.cfg.Root, runner.LogDir(t.key.alloc, t.key.task))
	var size int64
	newest, last := 0, ""
	for wait := logKeptFirst; ; wait = min(2*wait, logKeptEvery) {
		timer := time.NewTimer(wait)
		select {
		case <-d.closing:
			timer.Stop()
			return
		case <-ended:
			timer.Stop()
			return
		case <-timer.C:
		}
		n, at := logs.Size(dir)
		if n == size && at == newest {
			continue
		}
		size, newest = n, at
		if end := d.keepLog(t.key); end != nil && end.Tree != last {
			last = end.Tree
			d.observe(runner.Observation{
				Alloc: t.key.alloc, Task: t.key.task, Attempt: t.attempt, Kind: runner.Kept, At: end.At, Log: end,
			})
		}
	}
}
