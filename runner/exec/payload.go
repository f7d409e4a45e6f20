package exec

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"mn/mesh"
	"mn/runner"
	"mn/runner/supervise"
)

// payloadFile, in a task's folder, names the files that were put into the task's own folder,
// once all of them are there.
const payloadFile = "payload"

// filesMissingError says that the files of a job cannot be had now.
type filesMissingError struct{ error }

// preparePayload puts the files of its job into a task's own folder, before the first
// attempt. Later ones find the folder as the one before has left it.
func (d *Driver) preparePayload(ctx context.Context, k key, p *mesh.Payload, u *supervise.User) error {
	if p == nil {
		return nil
	}
	if d.cfg.Content == nil {
		return errors.New("prepare the job's files: this agent keeps none")
	}
	done, err := d.root.ReadFile(k.file(payloadFile))
	if err == nil && string(done) == p.Tree {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("prepare the job's files: %w", err)
	}
	work := runner.WorkDir(k.alloc, k.task)
	err = d.cfg.Content.Restore(ctx, &mesh.Checkpoint{Tree: p.Tree}, filepath.Join(d.cfg.Root, work))
	if errors.Is(err, ErrMissing) {
		return filesMissingError{err}
	}
	if err == nil && u != nil {
		err = d.giveTo(work, u)
	}
	if err == nil {
		err = d.root.WriteFile(k.file(payloadFile), []byte(p.Tree), 0o600)
	}
	if err != nil {
		return fmt.Errorf("prepare the job's files: %w", err)
	}
	return nil
}
