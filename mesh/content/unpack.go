package content

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Tree reads and checks a tree that is here.
func (s *Store) Tree(h Hash) (*Tree, error) {
	object, err := s.Get(h)
	if err != nil {
		return nil, err
	}
	return decodeTree(object)
}

// Unpack writes the files of a tree into a folder, which must be empty. The error is
// [ErrMissing] if not all of it is here; then something may have been written. It is
// [ErrNoRoom] before anything is written that the disk cannot take.
func (s *Store) Unpack(ctx context.Context, h Hash, folder *os.Root) error {
	s.use.RLock()
	defer s.use.RUnlock()
	t, err := s.Tree(h)
	if err == nil {
		err = s.room(folder.Name(), t.Bytes())
	}
	if err == nil {
		err = s.unpack(ctx, t, folder)
	}
	if err != nil {
		return fmt.Errorf("unpack %v into folder %q: %w", h, folder.Name(), err)
	}
	return nil
}

func (s *Store) unpack(ctx context.Context, t *Tree, folder *os.Root) error {
	for i := range t.Entries {
		e := &t.Entries[i]
		var err error
		switch {
		case ctx.Err() != nil:
			err = ctx.Err()
		case e.Mode.IsDir():
			err = folder.Mkdir(e.Path, 0o700)
		case e.Mode&fs.ModeSymlink == 0:
			err = s.restore(ctx, e, folder)
		}
		if err != nil {
			return err
		}
	}
	// Links come last, so that nothing is written through them; then, from the leaves up,
	// what nobody may write to.
	for i := range t.Entries {
		if e := &t.Entries[i]; e.Mode&fs.ModeSymlink != 0 {
			if err := folder.Symlink(e.Link, e.Path); err != nil {
				return err
			}
		}
	}
	for i := len(t.Entries) - 1; i >= 0; i-- {
		if e := &t.Entries[i]; e.Mode&fs.ModeSymlink == 0 {
			if err := folder.Chmod(e.Path, e.Mode.Perm()); err != nil {
				return err
			}
		}
	}
	return nil
}

// restore writes one file.
func (s *Store) restore(ctx context.Context, e *Entry, folder *os.Root) error {
	f, err := folder.OpenFile(e.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	for h := range e.pieces {
		piece, err := s.Get(h)
		if err == nil {
			_, err = f.Write(piece)
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	if at, err := f.Seek(0, io.SeekCurrent); err != nil || at != e.Size {
		return errors.Join(fmt.Errorf("file %q: its pieces are %d bytes, not %d", e.Path, at, e.Size), err, f.Close())
	}
	return f.Close()
}
