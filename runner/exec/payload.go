package exec

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"mn/mesh"
	"mn/runner"
	"mn/runner/disk"
	"mn/runner/supervise"
)

// payloadFile, in a task's folder, names the files that were put into the task's own folder,
// once all of them are there.
const payloadFile = "payload"

// filesMissingError says that the files of a job cannot be had now.
type filesMissingError struct{ error }

// preparePayload puts the files of its job into a task's own folder, before the first
// attempt. Later ones find the folder as the one before has left it.
func (d *Driver) preparePayload(ctx context.Context, k key, s runner.Spec, u *supervise.User) error {
	if s.Payload == nil {
		return nil
	}
	if d.cfg.Content == nil {
		return errors.New("prepare the job's files: this agent keeps none")
	}
	done, err := d.unpacked(k, s.Payload)
	if done {
		return nil
	}
	work := runner.WorkDir(k.alloc, k.task)
	if err == nil { // artifacts that were put there go with what is there
		err = d.removeAll(k.file(artifactsDir))
	}
	if err == nil {
		err = d.cfg.Content.Restore(ctx, &mesh.Checkpoint{Tree: s.Payload.Tree}, filepath.Join(d.cfg.Root, work))
	}
	if errors.Is(err, ErrMissing) {
		return filesMissingError{err}
	}
	if err == nil {
		err = d.free(k, s)
	}
	if err == nil && u != nil {
		err = d.giveTo(work, u)
	}
	if err == nil {
		err = d.note(k, k.file(payloadFile), s.Payload.Tree)
	}
	if err != nil {
		return fmt.Errorf("prepare the job's files: %w", err)
	}
	return nil
}

// unpacked says whether the files of its job were put into a task's own folder.
func (d *Driver) unpacked(k key, p *mesh.Payload) (bool, error) {
	done, err := d.root.ReadFile(k.file(payloadFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && string(done) == p.Tree, err
}

// note notes in a file that something is in a task's folder: after a power cut too, all of it is
// there if the note is, and the note if the task has begun.
func (d *Driver) note(k key, name, text string) error {
	dir, err := d.root.Open(k.folder())
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := disk.Sync(dir); err != nil {
		return err
	}
	note, err := d.root.Create(name)
	if err != nil {
		return err
	}
	_, err = note.WriteString(text)
	return errors.Join(err, note.Sync(), note.Close(), dir.Sync())
}

// free says whether the files of a job leave those names free that are ours.
func (d *Driver) free(k key, s runner.Spec) error {
	ours := map[string]bool{
		filepath.Join(runner.WorkDir(k.alloc, k.task), volumesDir): len(s.Volumes) > 0,
		runner.CheckpointReady(k.alloc, k.task):                    s.Saving != nil,
	}
	for name, used := range ours {
		_, err := d.root.Lstat(name)
		switch {
		case !used || errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		default:
			return fmt.Errorf("they bring %q, which is for the task's volumes or its checkpoint: rename it",
				filepath.Base(name))
		}
	}
	return nil
}
