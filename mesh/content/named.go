package content

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"mn/mesh"
)

// What is fetched from outside is known by another name than that of its tree: the SHA-256
// of the whole file, or a commit. The store remembers which tree that is. A name keeps nothing
// alive: it goes when its tree has gone.

const (
	named    = "named" // the folder of names, a file each
	namesMax = 100_000 // that are looked through at once
)

// KeptFile is the path of the file in a tree that Keep has made.
const KeptFile = "file"

// ErrTooLong says that a file is longer than it may be.
var ErrTooLong = errors.New("it is longer than it may be")

// Kept is a file that has come in.
type Kept struct {
	Tree  Hash
	Sum   Hash // SHA-256 of the file
	Bytes int64
}

// Keep brings a file in, as it comes, as the only one of a tree. Nobody knows the tree until it
// is returned, so whoever asked may first look at the sum; and nobody collects what has come of it,
// however long the rest takes. The error is [ErrTooLong] as soon as more than limit bytes have
// come. Progress is called for each piece.
func (s *Store) Keep(ctx context.Context, r io.Reader, limit int64, progress func(have int64)) (Kept, error) {
	sum, piece := sha256.New(), make([]byte, PieceBytes)
	e := Entry{Path: KeptFile, Mode: 0o644}
	defer func() { s.hold(&e, -1) }()
	for more := true; more; {
		n, err := io.ReadFull(r, piece)
		more = err == nil
		if !more && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return Kept{}, fmt.Errorf("keep file: %w", err)
		}
		if e.Size += int64(n); e.Size > limit {
			return Kept{}, fmt.Errorf("keep file: %w: more than %v", ErrTooLong, mesh.Bytes(limit))
		}
		if err := ctx.Err(); err != nil {
			return Kept{}, err
		}
		if n == 0 {
			break
		}
		sum.Write(piece[:n])
		h := HashOf(piece[:n])
		s.hold(&Entry{Pieces: h[:]}, 1)
		e.Pieces = append(e.Pieces, h[:]...)
		if _, err := s.Put(piece[:n]); err != nil {
			return Kept{}, err
		}
		progress(e.Size)
	}
	tree, err := s.whole(&Tree{Entries: []Entry{e}})
	return Kept{Tree: tree, Sum: Hash(sum.Sum(nil)), Bytes: e.Size}, err
}

// hold counts who needs the pieces of a file that is still coming.
func (s *Store) hold(e *Entry, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for h := range e.pieces {
		if s.coming[h] += n; s.coming[h] == 0 {
			delete(s.coming, h)
		}
	}
}

// drop removes a piece, unless it is held for a file that is still coming: whoever begins to hold
// it while it is removed finds that it is not here.
func (s *Store) drop(h Hash) (held bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.coming[h] > 0 {
		return true, nil
	}
	return false, s.root.Remove(place(h))
}

// whole keeps a tree whose pieces have come, if all of them are still here.
func (s *Store) whole(t *Tree) (Hash, error) {
	s.use.RLock()
	defer s.use.RUnlock()
	for i := range t.Entries {
		for h := range t.Entries[i].pieces {
			if !s.Touch(h) {
				return Hash{}, fmt.Errorf("%w: the beginning was given up before the end had come", ErrNoRoom)
			}
		}
	}
	object, err := t.encode()
	if err != nil {
		return Hash{}, err
	}
	h, err := s.Put(object)
	if err != nil {
		return h, err
	}
	return h, s.Sync()
}

// Adopt keeps the file of a tree from elsewhere, which must have no other, in a tree of our own:
// of what the other says of it, its name, size, mode and pieces, nothing is believed.
func (s *Store) Adopt(ctx context.Context, tree Hash, limit int64) (Kept, error) {
	t, err := s.Tree(tree)
	if err != nil {
		return Kept{}, err
	}
	if len(t.Entries) != 1 || t.Entries[0].Path != KeptFile || !t.Entries[0].Mode.IsRegular() {
		return Kept{}, fmt.Errorf("adopt %v: it is not one file", tree)
	}
	return s.Keep(ctx, &joined{s: s, pieces: t.Entries[0].Pieces}, limit, func(int64) {})
}

// joined reads the pieces of a file, one after the other.
type joined struct {
	s      *Store
	pieces []byte
	now    []byte // of the one that is being read
}

// Read implements [io.Reader].
func (j *joined) Read(p []byte) (int, error) {
	for len(j.now) == 0 {
		if len(j.pieces) < len(Hash{}) {
			return 0, io.EOF
		}
		piece, err := j.s.Get(Hash(j.pieces[:len(Hash{})]))
		if err != nil {
			return 0, err
		}
		j.now, j.pieces = piece, j.pieces[len(Hash{}):]
	}
	n := copy(p, j.now)
	j.now = j.now[n:]
	return n, nil
}

// ownMark follows the tree of a name that others are not told.
const ownMark = " own"

// Name remembers a tree by another name, from now on and after a power cut.
func (s *Store) Name(name, tree Hash) error { return s.name(name, tree.String()) }

// NameOwn is a Name that no other node is told.
func (s *Store) NameOwn(name, tree Hash) error { return s.name(name, tree.String()+ownMark) }

func (s *Store) name(name Hash, text string) error {
	if err := s.root.Mkdir(named, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("name content: %w", err)
	}
	next := filepath.Join(incoming, rand.Text())
	f, err := s.root.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("name content: %w", err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = s.root.Rename(next, filepath.Join(named, name.String()))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("name content: %w", err), s.root.Remove(next))
	}
	return nil
}

// Named is the tree that is remembered by a name, if its list of files is here. Not all of its
// pieces need be.
func (s *Store) Named(name Hash) (tree Hash, ok bool) {
	tree, _, ok = s.named(name)
	return tree, ok
}

// named is the tree of a name, and whether that is for this node alone.
func (s *Store) named(name Hash) (tree Hash, own, ok bool) {
	f, err := s.root.Open(filepath.Join(named, name.String()))
	if err != nil {
		return tree, false, false
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, int64(2*len(tree)+len(ownMark)+1)))
	if err != nil {
		return tree, false, false
	}
	tree, own, err = readName(text)
	return tree, own, err == nil && s.Touch(tree)
}

// readName reads what is in the file of a name.
func readName(text []byte) (tree Hash, own bool, err error) {
	text, own = bytes.CutSuffix(text, []byte(ownMark))
	return tree, own, tree.UnmarshalText(text)
}

// unname forgets the names of trees that are gone.
func (s *Store) unname() error {
	dir, err := s.root.Open(named)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(namesMax)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for _, text := range names {
		at := filepath.Join(named, text)
		if content, err := s.root.ReadFile(at); err == nil {
			if tree, _, err := readName(content); err == nil && s.Has(tree) {
				continue
			}
		}
		if err := s.root.Remove(at); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// On a stream, a request that begins with askName, and has a name after it, asks for the tree of
// that name. The answer is as that to a request for an object: the hash of the tree, if all of
// it is here. A peer that knows no such requests ends the stream.
const askName = 0xff

// Named asks over a new stream which tree has a name. It is hearsay: what comes of it has to be
// looked at.
func (dial Dial) Named(ctx context.Context, name Hash) (tree Hash, ok bool, err error) {
	stream, err := dial(ctx)
	if err != nil {
		return tree, false, fmt.Errorf("ask for content by name: %w", err)
	}
	defer stream.Close() // that the peer has closed it by then is no error
	defer context.AfterFunc(ctx, func() { stream.Close() })()
	if _, err := stream.Write(append([]byte{askName}, name[:]...)); err != nil {
		return tree, false, fmt.Errorf("ask for content by name: %w", err)
	}
	object, err := readObject(bufio.NewReader(stream))
	if err != nil || len(object) == 0 {
		return tree, false, err
	}
	if len(object) != len(tree) {
		return tree, false, fmt.Errorf("ask for content by name: %d bytes for a hash", len(object))
	}
	return Hash(object), true, nil
}

// answerName serves a request for the tree of a name.
func (s *Store) answerName(stream io.ReadWriter) error {
	var name Hash
	if _, err := io.ReadFull(stream, name[:]); err != nil {
		return fmt.Errorf("read request for a name: %w", err)
	}
	var object []byte
	if tree, own, ok := s.named(name); ok && !own && s.complete(tree) {
		object = tree[:]
	}
	if err := WriteObject(stream, object); err != nil {
		return fmt.Errorf("send what has a name: %w", err)
	}
	return nil
}

// complete says whether all pieces of a tree are here.
func (s *Store) complete(tree Hash) bool {
	t, err := s.Tree(tree)
	if err != nil {
		return false
	}
	for i := range t.Entries {
		for h := range t.Entries[i].pieces {
			if !s.Has(h) {
				return false
			}
		}
	}
	return true
}
