package content

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// PutTexts keeps some short files, of a piece each at most, by their names, and returns the
// name of their tree; when it returns all of it is on the disk.
func (s *Store) PutTexts(texts map[string][]byte) (Hash, error) {
	s.use.RLock()
	defer s.use.RUnlock()
	var t Tree
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		e := Entry{Path: name, Mode: 0o600, Size: int64(len(texts[name]))}
		if e.Size > 0 {
			h, err := s.Put(texts[name])
			if err != nil {
				return h, err
			}
			e.Pieces = h[:]
		}
		t.Entries = append(t.Entries, e)
	}
	if err := t.Check(); err != nil {
		return Hash{}, fmt.Errorf("keep texts: %w", err)
	}
	object, err := t.encode()
	if err != nil {
		return Hash{}, err
	}
	h, err := s.Put(object)
	return h, cmp.Or(err, s.Sync())
}

// Bytes reads a short file of a tree.
func (s *Store) Bytes(e *Entry) ([]byte, error) {
	var all []byte
	for h := range e.pieces {
		if len(all) >= PieceBytes {
			return nil, fmt.Errorf("read %q: more than %d bytes", e.Path, PieceBytes)
		}
		b, err := s.Get(h)
		if err != nil {
			return nil, err
		}
		all = append(all, b...)
	}
	return all, nil
}

// PullTree is a tree that is here, or that one of some sources has; its files may be nowhere.
func (s *Store) PullTree(ctx context.Context, h Hash, sources []Source) (*Tree, error) {
	t, err := s.Tree(h)
	if !errors.Is(err, ErrMissing) {
		return t, err
	}
	if err := s.pullSome(ctx, []Hash{h}, sources); err != nil {
		return nil, err
	}
	return s.Tree(h)
}

// pullSome fetches some objects, as far as they are not here.
func (s *Store) pullSome(ctx context.Context, want []Hash, sources []Source) error {
	s.use.RLock()
	defer s.use.RUnlock()
	p := newPuller(s, sources, nil)
	if err := p.fetch(ctx, want); err != nil {
		return fmt.Errorf("pull objects: %w", err)
	}
	return nil
}

// Send writes the objects of a tree, as [Files] reads them: the tree, and then the pieces of
// its files in their order, of which those are fetched on the way that are not here.
func (s *Store) Send(ctx context.Context, h Hash, sources []Source, w io.Writer) error {
	t, err := s.PullTree(ctx, h, sources)
	if err != nil {
		return err
	}
	all := []Hash{h}
	for i := range t.Entries {
		all = slices.AppendSeq(all, t.Entries[i].pieces)
	}
	for len(all) > 0 {
		some := all[:min(batch, len(all))]
		all = all[len(some):]
		if err := s.pullSome(ctx, some, sources); err != nil {
			return err
		}
		for _, h := range some {
			object, err := s.Get(h)
			if errors.Is(err, ErrMissing) { // spoiled on the disk: now it is not there
				if err = s.pullSome(ctx, []Hash{h}, sources); err == nil {
					object, err = s.Get(h)
				}
			}
			if err == nil {
				err = WriteObject(w, object)
			}
			if err != nil {
				return fmt.Errorf("send object: %w", err)
			}
		}
	}
	return nil
}

// Sum names the content of a file: the SHA-256 of its bytes if it has one piece, of the
// hashes of its pieces if it has more.
func (e *Entry) Sum() Hash {
	if len(e.Pieces) == len(Hash{}) {
		return Hash(e.Pieces)
	}
	return HashOf(e.Pieces)
}

// SumOf is what [Entry.Sum] is of a file with all that a reader has.
func SumOf(r io.Reader) (Hash, error) {
	var pieces []byte
	piece := make([]byte, PieceBytes)
	for {
		n, err := io.ReadFull(r, piece)
		if n > 0 {
			h := HashOf(piece[:n])
			pieces = append(pieces, h[:]...)
		}
		switch {
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			return (&Entry{Pieces: pieces}).Sum(), nil
		case err != nil:
			return Hash{}, err
		}
	}
}

// Receive reads what [Store.Send] has written of a tree. Open makes each file, of which the
// bytes are checked before they are written; folders are not made.
func Receive(r io.Reader, tree Hash, open func(e *Entry) (io.WriteCloser, error)) (*Tree, error) {
	object, err := receive(r, tree)
	if err != nil {
		return nil, err
	}
	t, err := decodeTree(object)
	if err != nil {
		return nil, err
	}
	for i := range t.Entries {
		e := &t.Entries[i]
		if !e.Mode.IsRegular() {
			continue
		}
		f, err := open(e)
		if err != nil {
			return t, err
		}
		for h := range e.pieces {
			var piece []byte
			if piece, err = receive(r, h); err == nil {
				_, err = f.Write(piece)
			}
			if err != nil {
				break
			}
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return t, fmt.Errorf("file %q: %w", e.Path, err)
		}
	}
	return t, nil
}

// receive reads the object of a name.
func receive(r io.Reader, h Hash) ([]byte, error) {
	object, err := readObject(r)
	if err == nil && HashOf(object) != h {
		err = fmt.Errorf("what came is not %v", h)
	}
	if err != nil {
		return nil, fmt.Errorf("receive object: %w", err)
	}
	return object, nil
}
